"""Surfaces from the visual hull and depth maps of a sphere with a dent that no silhouette shows."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.rasterize import rasterize_mesh
from orchestrator.geometry.visual_hull import grid_over, measure_hull, silhouette_of
from orchestrator.stages.reconstruct.photogrammetry.dense_surface import DenseSettings, reconstruct_surface
from orchestrator.stages.reconstruct.photogrammetry.depth_fusion import extract_surface, fuse_depths
from orchestrator.tools.colmap_child.output import parse_depth_map
from tests.support.painted_sphere import camera_ring, photograph, sphere_mesh, sphere_texture

CAMERAS = camera_ring(24, distance=4, size=(200, 160), focal=230)


def dented_sphere() -> tuple[Floats, Triangles]:
    """Return the unit sphere with a dent at the top, whose lowest point is at y = 0.5."""
    vertices, triangles = sphere_mesh(5)
    dent = np.clip(1 - np.linalg.norm(vertices - [0, 1, 0], axis=1) / 0.6, 0, 1)
    return vertices * (1 - 0.5 * dent[:, None]), triangles


def top_height(vertices: Floats, radius: float) -> float:
    """Return the height of the surface within ``radius`` of the Y axis."""
    near_axis = np.hypot(vertices[:, 0], vertices[:, 2]) < radius
    return float(vertices[near_axis & (vertices[:, 1] > 0)][:, 1].max())


def test_depths_carve_the_dent_that_silhouettes_do_not_show() -> None:
    vertices, triangles = dented_sphere()
    texture = sphere_texture()
    silhouettes = [silhouette_of(camera, photograph(camera, texture)[1]) for camera in CAMERAS]
    depths = [rasterize_mesh(camera, vertices, triangles).depth for camera in CAMERAS]
    depths = [np.where(np.isfinite(depth), depth, np.nan).astype(np.float32) for depth in depths]
    grid = grid_over(np.full(3, -1.15), np.full(3, 1.15), 0.04)
    indices, hull = measure_hull(silhouettes, grid)
    surface, faces = extract_surface(grid, indices, fuse_depths(CAMERAS, depths, grid, indices, hull))
    corners = surface[faces]
    volume = np.einsum("td,td->t", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert volume > 0  # the triangles face outward
    assert top_height(surface, 0.08) == pytest.approx(0.5, abs=0.12)
    hull_only, _ = extract_surface(grid, indices, np.clip(hull, -0.16, 0.16))
    assert top_height(hull_only, 0.08) > 0.9


def test_measured_depths_replace_stereo() -> None:
    vertices, triangles = dented_sphere()
    texture = sphere_texture()
    photos, masks = zip(*(photograph(camera, texture) for camera in CAMERAS), strict=True)
    depths = [rasterize_mesh(camera, vertices, triangles).depth for camera in CAMERAS]
    depths = [np.where(np.isfinite(depth), depth, 0).astype(np.float32) for depth in depths]
    settings = DenseSettings(piece_px=30_000, voxels=200_000, depth_labels=8, neighbours=2)
    surface, _ = reconstruct_surface(CAMERAS, photos, masks, np.zeros(3), 20_000, settings, measured_depths=depths)
    assert top_height(surface, 0.1) == pytest.approx(0.5, abs=0.15)


def test_colmap_depth_maps_are_parsed_row_by_row() -> None:
    depths = np.arange(6, dtype="<f4").reshape(2, 3)
    depths[0, 1] = np.frombuffer(b"&&&&", "<f4")[0]  # the values may contain the separator of the header
    data = b"3&2&1&" + depths.T[:, :, None].tobytes(order="F")
    assert np.array_equal(parse_depth_map(data), depths)
