from __future__ import annotations

import numpy as np

from orchestrator.geometry.rasterize import NO_TRIANGLE, rasterize_mesh
from tests.support.painted_sphere import look_at, sphere_mesh


def test_rasterizer_and_camera_agree_on_depths_and_pixels() -> None:
    sphere = sphere_mesh(4)
    camera = look_at([0, 0, 4], size=(200, 150), focal=200)
    raster = rasterize_mesh(camera, *sphere)
    rows, columns = np.nonzero(raster.triangle != NO_TRIANGLE)
    assert abs(raster.depth.min() - 3) < 0.01
    assert abs(np.ptp(columns) / 2 - 200 / np.sqrt(15)) < 1.5
    assert abs(rows.mean() - 74.5) < 0.5
    weights = raster.weights[rows, columns]
    points = np.einsum("mk,mkd->md", weights, sphere[0][sphere[1][raster.triangle[rows, columns]]])
    pixels, _ = camera.project(points)
    assert np.abs(pixels - np.stack([columns, rows], -1) - 0.5).max() < 0.01


def test_transformed_camera_sees_the_transformed_world_unchanged() -> None:
    camera = look_at([1, 2, 4], size=(200, 150), focal=200)
    similarity = np.eye(4)
    similarity[:3, :3] = 2.5 * np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    similarity[:3, 3] = (3, -1, 2)
    points = np.random.default_rng(1).normal(0, 0.5, (20, 3))
    transformed_points = points @ similarity[:3, :3].T + similarity[:3, 3]
    transformed = camera.transformed(similarity)
    assert np.allclose(transformed.project(transformed_points)[0], camera.project(points)[0])
    assert np.allclose(np.linalg.det(transformed.world_to_camera[:3, :3]), 1)
