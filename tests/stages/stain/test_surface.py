from __future__ import annotations

import numpy as np

from orchestrator.stages.stain.surface import combine_normals, grain_slopes, pack_orm


def facing(normal):
    return np.tile(np.asarray(normal, np.float32)[:, None, None], (1, 8, 8))


def test_flat_wood_that_faces_the_camera_has_the_neutral_normal():
    flat = np.zeros((8, 8), np.float32)
    assert np.all(combine_normals(facing((0, 0, 1)), flat, flat) == (128, 128, 255))


def test_without_grain_the_normal_is_that_of_the_geometry():
    flat = np.zeros((8, 8), np.float32)
    packed = combine_normals(facing((0.6, 0.0, 0.8)), flat, flat).astype(np.float32)
    assert np.allclose((packed[0, 0] - 128) / 127, (0.6, 0.0, 0.8), atol=0.005)  # half an 8-bit step


def test_a_step_that_faces_up_has_a_positive_y_as_in_opengl():
    height = np.tile(
        np.array([0.5, 0.5, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6], np.float32)[:, None], (1, 8)
    )  # rises towards the bottom
    normal = combine_normals(facing((0, 0, 1)), *grain_slopes(height, 4000))
    assert normal[3, 4, 1] > 128  # the step faces up in the image, and +Y is up
    assert normal[3, 4, 0] == 128


def test_normals_are_unit_length():
    random = np.random.default_rng(0)
    geometry = random.standard_normal((3, 32, 32)).astype(np.float32)
    slopes = random.uniform(-0.7, 0.7, (2, 32, 32)).astype(np.float32)
    packed = combine_normals(geometry, *slopes).astype(np.float32)
    length = np.linalg.norm((packed - 128) / 127, axis=2)
    assert np.allclose(length, 1, atol=0.01)  # 8-bit steps


def test_orm_packs_occlusion_roughness_and_no_metal():
    assert pack_orm(np.full((2, 2), 9, np.uint8), np.full((2, 2), 7, np.uint8))[0, 0].tolist() == [9, 7, 0]
