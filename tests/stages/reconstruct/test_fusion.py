"""The hull of masks, and depths carved out of it."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.hull import Outline, find_piece, grid_of, hull_distance, measure_hull, outline
from orchestrator.geometry.rasterize import depth_map
from orchestrator.stages.reconstruct.photogrammetry.dense import Effort, shape_of
from orchestrator.stages.reconstruct.photogrammetry.fusion import fuse, surface
from orchestrator.tools.colmap_child.result import read_depths
from tests.support.ball import ball, paint, photograph, ring_of

SIZE = (200, 160)


def outlines(wrong: int = 0) -> list[Outline]:
    """Of the unit ball, from 24 sides; the masks of the first ``wrong`` are empty."""
    cameras, painting = ring_of(24, distance=4, size=SIZE, focal=230), paint()
    made = [photograph(camera, painting)[1] for camera in cameras]
    return [
        outline(camera, mask * np.uint8(number >= wrong))
        for number, (camera, mask) in enumerate(zip(cameras, made, strict=True))
    ]


def around(radius: float) -> Floats:
    """Places on a ring around the ball's middle."""
    turns = np.linspace(0, 2 * np.pi, 50)
    return np.stack([radius * np.cos(turns), 0 * turns, radius * np.sin(turns)], -1).astype(np.float32)


@pytest.mark.parametrize("radius", [0.8, 0.95, 1.05, 1.2])
def test_the_hull_tells_how_far_a_place_lies_beside_it(radius: float) -> None:
    assert hull_distance(outlines(), around(radius)) == pytest.approx(radius - 1, abs=0.05)


def test_a_wrong_mask_is_outvoted() -> None:
    assert (hull_distance(outlines(wrong=1), around(0.9)) < 0).all()


def test_the_box_around_the_piece_is_found() -> None:
    low, high = find_piece(outlines(), np.zeros(3))
    assert low[[0, 2]] == pytest.approx([-1, -1], abs=0.12)
    assert high[[0, 2]] == pytest.approx([1, 1], abs=0.12)


def dented() -> tuple[Floats, np.ndarray]:
    """The unit ball with a hollow on top that no outline shows."""
    vertices, triangles = ball(5)
    hollow = np.clip(1 - np.linalg.norm(vertices - [0, 1, 0], axis=1) / 0.6, 0, 1)
    return vertices * (1 - 0.5 * hollow[:, None]), triangles


def test_depths_carve_what_outlines_cannot_show_and_the_surface_looks_outward() -> None:
    vertices, triangles = dented()
    shapes = outlines()
    cameras: list[Camera] = [one.camera for one in shapes]
    depths = [depth_map(camera, vertices, triangles).depth for camera in cameras]
    depths = [np.where(np.isfinite(depth), depth, np.nan).astype(np.float32) for depth in depths]
    grid = grid_of(np.full(3, -1.15), np.full(3, 1.15), 0.04)
    chosen, hull = measure_hull(shapes, grid)
    field = fuse(cameras, depths, grid, chosen, hull)
    made, faces = surface(grid, chosen, field)
    corners = made[faces]
    volume = np.einsum("td,td->t", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert volume > 0  # counter-clockwise from outside
    beside = np.hypot(made[:, 0], made[:, 2])
    top = made[(beside < 0.08) & (made[:, 1] > 0)][:, 1].max()
    assert top == pytest.approx(0.5, abs=0.12)
    without = surface(grid, chosen, np.clip(hull, -0.16, 0.16))[0]
    assert without[np.hypot(without[:, 0], without[:, 2]) < 0.08][:, 1].max() > 0.9


def test_depths_measured_elsewhere_take_the_place_of_our_own_stereo() -> None:
    vertices, triangles = dented()
    painting = paint()
    cameras = ring_of(24, distance=4, size=SIZE, focal=230)
    photos, masks = zip(*(photograph(camera, painting) for camera in cameras), strict=True)
    measured = [depth_map(camera, vertices, triangles).depth for camera in cameras]
    measured = [np.where(np.isfinite(depth), depth, 0).astype(np.float32) for depth in measured]
    effort = Effort(piece_px=30_000, voxels=200_000, labels=8, partners=2)
    made, _ = shape_of(cameras, photos, masks, np.zeros(3), 20_000, effort, measured=measured)
    beside = np.hypot(made[:, 0], made[:, 2])
    assert made[(beside < 0.1) & (made[:, 1] > 0)][:, 1].max() == pytest.approx(0.5, abs=0.15)


def test_colmap_s_depth_files_are_read_row_by_row() -> None:
    depths = np.arange(6, dtype="<f4").reshape(2, 3)  # 38 = "&" is among the bytes of such floats now and then
    depths[0, 1] = np.frombuffer(b"&&&&", "<f4")[0]
    data = b"3&2&1&" + depths.T[:, :, None].tobytes(order="F")
    assert np.array_equal(read_depths(data), depths)
