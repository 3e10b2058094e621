"""A software rasterizer: finds the triangle that covers each pixel, for texture charts and depth maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera

BATCH_PIXELS = 2_000_000
"""Pixels tested per batch. Bounds the memory."""
NO_TRIANGLE = -1
"""Value of ``Raster.triangle`` in pixels that no triangle covers."""
MIN_AREA = 1e-12
"""Triangles with a smaller cross product of two sides (px²) are degenerate and are skipped."""
EDGE_TOLERANCE = 1e-9
"""Barycentric weights down to minus this value count as inside, so that shared edges have no gaps."""


@dataclass(frozen=True)
class Raster:
    """The nearest triangle in each pixel."""

    triangle: NDArray[np.int32]  # [H, W] index, or NO_TRIANGLE
    weights: NDArray[np.float32]  # [H, W, 3] barycentric
    depth: NDArray[np.float32]  # [H, W], infinite where there is no triangle


def rasterize(corners: Floats, depth: Floats, size: tuple[int, int]) -> Raster:
    """Return the nearest triangle at the centre of each pixel and its barycentric weights there.

    Args:
        corners: [T, 3, 2] px; the centre of the first pixel is (0.5, 0.5).
        depth: [T, 3] of the corners, interpolated with perspective correction. Triangles with a depth <= 0 are skipped.
        size: width and height of the raster, px.
    """
    width, height = size
    triangle = np.full(width * height, NO_TRIANGLE, np.int32)
    nearest = np.full(width * height, np.inf, np.float32)
    weights = np.zeros((width * height, 3), np.float32)
    for indices, pixels, barycentric in _covered_pixels(corners, depth, size):
        inverse = barycentric / depth[indices]
        distance = 1.0 / inverse.sum(1)
        # Sorted from far to near, so that the nearest triangle of a pixel is written last.
        order = np.argsort(-distance, kind="stable")
        order = order[distance[order].astype(np.float32) < nearest[pixels[order]]]
        pixels, distance = pixels[order], distance[order].astype(np.float32)
        triangle[pixels] = indices[order]
        nearest[pixels] = distance
        weights[pixels] = inverse[order] * distance[:, None]
    return Raster(triangle.reshape(height, width), weights.reshape(height, width, 3), nearest.reshape(height, width))


def rasterize_mesh(camera: Camera, vertices: Floats, triangles: Triangles) -> Raster:
    """Return the raster of a mesh in the photo of ``camera``."""
    pixels, depth = camera.project(vertices)
    return rasterize(pixels[triangles], depth[triangles], camera.size)


def _covered_pixels(
    corners: Floats, depth: Floats, size: tuple[int, int]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
    """Yield batches of triangle index [N], flat pixel index [N] and barycentric weights [N, 3] of the covered pixels.

    Triangles with similar bounding boxes are tested together, on a square grid of pixels that holds the largest box.
    """
    limits = np.array(size)
    low = np.clip(np.floor(corners.min(1)), 0, limits).astype(np.int64)
    high = np.clip(np.ceil(corners.max(1)), 0, limits).astype(np.int64)
    area = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    drawn = (depth.min(1) > 0) & (np.abs(area) > MIN_AREA) & (high > low).all(1)
    side = np.where(drawn, (high - low).max(1), 0)
    rounded_side = 2 ** np.ceil(np.log2(np.maximum(side, 1))).astype(np.int64)
    for box_side in np.unique(rounded_side[drawn]):
        group = np.flatnonzero(drawn & (rounded_side == box_side))
        grid = np.stack(np.meshgrid(np.arange(box_side), np.arange(box_side)), -1).reshape(-1, 2)
        batch_size = max(1, BATCH_PIXELS // len(grid))
        for batch in np.array_split(group, range(batch_size, len(group), batch_size)):
            pixels = low[batch, None] + grid
            barycentric = _barycentric(corners[batch], area[batch], pixels + 0.5)
            inside = (barycentric >= -EDGE_TOLERANCE).all(-1) & (pixels < high[batch, None]).all(-1)
            in_batch, in_grid = np.nonzero(inside)
            x, y = pixels[in_batch, in_grid].T
            yield batch[in_batch], y * size[0] + x, np.maximum(barycentric[in_batch, in_grid], 0.0)


def _barycentric(corners: Floats, area: Floats, points: Floats) -> Floats:
    """Return the weights [T, P, 3] of ``points`` [T, P, 2] in triangles with ``corners`` [T, 3, 2]."""
    a, b, c = (corners[:, None, corner] for corner in range(3))
    first_two = np.stack([_cross(b - points, c - points), _cross(c - points, a - points)], -1) / area[:, None, None]
    return np.concatenate([first_two, 1.0 - first_two.sum(-1, keepdims=True)], -1)


def _cross(a: Floats, b: Floats) -> Floats:
    """Return the 2D cross product along the last axis."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
