from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from orchestrator.domain.dimensions import Dimensions
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.mesh import place_on_floor, unwrap, vertex_normals, write_glb
from tests.support.painted_sphere import sphere_mesh


@pytest.fixture
def sphere() -> tuple[Floats, Triangles]:
    return sphere_mesh(4)


def test_texture_charts_do_not_overlap(sphere: tuple[Floats, Triangles]) -> None:
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
def test_placed_mesh_has_the_first_known_dimension_and_its_bottom_centre_in_the_origin(
    known: Dimensions, factor: float
) -> None:
    box = np.array([[5.0, 1.0, 2.0], [7.0, 4.0, 8.0]])
    placed, size = place_on_floor(box, known)
    assert np.allclose(placed, np.array([[-1, 0, -3], [1, 3, 3]]) * factor)
    assert np.allclose((size.width_m, size.height_m, size.depth_m), np.array([2, 3, 6]) * factor)


def test_glb_contains_mesh_normals_and_textures(sphere: tuple[Floats, Triangles], tmp_path: Path) -> None:
    mesh = unwrap(*sphere)
    texture = np.zeros((64, 64, 3), np.uint8)
    texture[:32] = (200, 40, 30)
    write_glb(tmp_path / "sphere.glb", mesh, texture, np.full((64, 64), 90, np.uint8))
    (read,) = trimesh.load_scene(tmp_path / "sphere.glb", process=False).geometry.values()
    assert np.allclose(read.vertices, mesh.vertices, atol=1e-6)
    assert np.allclose(read.vertex_normals, mesh.normals, atol=1e-5)
    assert np.allclose(read.visual.uv[:, 1], 1 - mesh.uv[:, 1], atol=1e-6)
    material = read.visual.material
    assert material.alphaMode in (None, "OPAQUE")
    assert np.abs(np.asarray(material.baseColorTexture, int)[5, 5] - (200, 40, 30)).max() <= 4
    assert np.asarray(material.metallicRoughnessTexture)[5, 5].tolist() == [0, 90, 0]


def test_normals_point_outward(sphere: tuple[Floats, Triangles]) -> None:
    assert (vertex_normals(*sphere) * sphere[0]).sum(1).min() > 0.99
