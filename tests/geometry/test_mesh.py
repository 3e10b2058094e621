from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from orchestrator.domain.dimensions import Dimensions
from orchestrator.errors import ToolFailed
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.mesh import (
    Triangles,
    clean_mesh,
    place_on_floor,
    simplify,
    smooth,
    unwrap,
    vertex_normals,
    write_glb,
)
from orchestrator.geometry.rasterize import NOTHING, depth_map
from tests.support.ball import ball, look_at


@pytest.fixture
def sphere() -> tuple[Floats, Triangles]:
    return ball(4)


def test_cleaning_drops_crumbs_and_keeps_the_piece(sphere: tuple[Floats, Triangles]) -> None:
    vertices, triangles = sphere
    crumb = vertices * 0.005 + [3, 0, 0]
    broken = np.array([[0, 0, 1], [2, 2, 2]], np.int32)
    cleaned, kept = clean_mesh(
        np.concatenate([vertices, crumb, [[np.nan] * 3]]),
        np.concatenate([triangles, triangles[:5], triangles + len(vertices), broken, [[0, 1, 2 * len(vertices)]]]),
    )
    assert len(cleaned) == len(vertices)
    assert len(kept) == len(triangles)
    assert np.abs(np.linalg.norm(cleaned, axis=1) - 1).max() < 1e-9


def test_a_mesh_of_nothing_is_refused() -> None:
    with pytest.raises(ToolFailed, match="empty"):
        clean_mesh(np.zeros((3, 3)), np.array([[0, 1, 2]], np.int32))


def test_simplifying_keeps_the_shape(sphere: tuple[Floats, Triangles]) -> None:
    vertices, triangles = simplify(*sphere, 1000)
    assert len(triangles) <= 1000
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1).max() < 0.02


def test_smoothing_takes_noise_but_not_size(sphere: tuple[Floats, Triangles]) -> None:
    vertices, triangles = sphere
    noisy = vertices * (1 + np.random.default_rng(1).normal(0, 0.01, (len(vertices), 1)))
    radius = np.linalg.norm(smooth(noisy, triangles, 10), axis=1)
    assert radius.std() < 0.004
    assert abs(radius.mean() - 1) < 0.005


def test_charts_do_not_overlap(sphere: tuple[Floats, Triangles]) -> None:
    mesh = unwrap(*sphere)
    assert mesh.uv.min() >= 0
    assert mesh.uv.max() <= 1
    a, b, c = (mesh.uv[mesh.triangles[:, corner]] for corner in range(3))
    area = np.abs(np.cross(b - a, c - a)).sum() / 2
    assert 0.4 < area <= 1
    assert np.abs(mesh.normals - mesh.vertices).max() < 0.02


@pytest.mark.parametrize(
    ("known", "factor"), [(Dimensions(width_m=0.5), 0.25), (Dimensions(height_m=3.0), 1.0), (Dimensions(), 1.0)]
)
def test_the_first_known_dimension_scales_and_the_foot_is_in_the_origin(known: Dimensions, factor: float) -> None:
    box = np.array([[5.0, 1.0, 2.0], [7.0, 4.0, 8.0]])
    placed, size = place_on_floor(box, known)
    assert np.allclose(placed, np.array([[-1, 0, -3], [1, 3, 3]]) * factor)
    assert np.allclose((size.width_m, size.height_m, size.depth_m), np.array([2, 3, 6]) * factor)


def test_the_glb_holds_mesh_normals_and_texture(sphere: tuple[Floats, Triangles], tmp_path: Path) -> None:
    mesh = unwrap(*sphere)
    texture = np.zeros((64, 64, 3), np.uint8)
    texture[:32] = (200, 40, 30)
    write_glb(tmp_path / "ball.glb", mesh, texture, np.full((64, 64), 90, np.uint8))
    (back,) = trimesh.load_scene(tmp_path / "ball.glb", process=False).geometry.values()
    assert np.allclose(back.vertices, mesh.vertices, atol=1e-6)
    assert np.allclose(back.vertex_normals, mesh.normals, atol=1e-5)
    assert np.allclose(back.visual.uv[:, 1], 1 - mesh.uv[:, 1], atol=1e-6)
    material = back.visual.material
    assert material.alphaMode in (None, "OPAQUE")
    assert np.abs(np.asarray(material.baseColorTexture, int)[5, 5] - (200, 40, 30)).max() <= 4
    assert np.asarray(material.metallicRoughnessTexture)[5, 5].tolist() == [0, 90, 0]


def test_a_camera_sees_the_front_of_a_ball(sphere: tuple[Floats, Triangles]) -> None:
    camera = look_at([0, 0, 4], size=(200, 150), focal=200)
    raster = depth_map(camera, *sphere)
    rows, columns = np.nonzero(raster.triangle != NOTHING)
    assert abs(raster.depth.min() - 3) < 0.01
    assert abs(np.ptp(columns) / 2 - 200 / np.sqrt(15)) < 1.5
    assert abs(rows.mean() - 74.5) < 0.5
    weights = raster.weights[rows, columns]
    hit = np.einsum("mk,mkd->md", weights, sphere[0][sphere[1][raster.triangle[rows, columns]]])
    pixels, _ = camera.project(hit)
    assert np.abs(pixels - np.stack([columns, rows], -1) - 0.5).max() < 0.01


def test_a_moved_camera_sees_the_moved_world_the_same() -> None:
    camera = look_at([1, 2, 4], size=(200, 150), focal=200)
    similarity = np.eye(4)
    similarity[:3, :3] = 2.5 * np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    similarity[:3, 3] = (3, -1, 2)
    points = np.random.default_rng(1).normal(0, 0.5, (20, 3))
    there = points @ similarity[:3, :3].T + similarity[:3, 3]
    moved: Camera = camera.moved(similarity)
    assert np.allclose(moved.project(there)[0], camera.project(points)[0])
    assert np.allclose(np.linalg.det(moved.world_to_camera[:3, :3]), 1)


def test_normals_look_outward(sphere: tuple[Floats, Triangles]) -> None:
    assert (vertex_normals(*sphere) * sphere[0]).sum(1).min() > 0.99
