"""Which triangle covers which pixel: for texture charts, for z-buffers and for simple pictures of a mesh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.geometry.cameras import Camera, Floats

Triangles = NDArray[np.int32]
SAMPLES_AT_ONCE = 2_000_000
NOTHING = -1


@dataclass(frozen=True)
class Raster:
    """What is seen in each pixel."""

    triangle: Triangles  # [H, W], NOTHING where there is none
    weights: NDArray[np.float32]  # [H, W, 3] barycentric
    depth: NDArray[np.float32]  # [H, W], inf where there is nothing


def rasterize(corners: Floats, depth: Floats, size: tuple[int, int]) -> Raster:
    """Find the nearest triangle at the middle of each pixel, and the weights of its corners there.

    Args:
        corners: [T, 3, 2] pixels; the middle of the first pixel is (0.5, 0.5).
        depth: [T, 3] > 0; triangles with a corner at or behind 0 are left out. Interpolated as perspective asks.
        size: width and height.
    """
    width, height = size
    triangle = np.full(width * height, NOTHING, np.int32)
    nearest = np.full(width * height, np.inf, np.float32)
    weights = np.zeros((width * height, 3), np.float32)
    for numbers, pixels, inside in _covered(corners, depth, size):
        inverse = inside / depth[numbers]
        far = 1.0 / inverse.sum(1)
        order = np.argsort(-far, kind="stable")  # the nearest is written last, and stays
        numbers, pixels, inverse, far = numbers[order], pixels[order], inverse[order], far[order].astype(np.float32)
        nearer = far < nearest[pixels]
        numbers, pixels, inverse, far = numbers[nearer], pixels[nearer], inverse[nearer], far[nearer]
        triangle[pixels], nearest[pixels] = numbers, far
        weights[pixels] = inverse * far[:, None]
    return Raster(triangle.reshape(height, width), weights.reshape(height, width, 3), nearest.reshape(height, width))


def depth_map(camera: Camera, vertices: Floats, triangles: Triangles) -> Raster:
    """Return what ``camera`` sees of a mesh."""
    pixels, depth = camera.project(vertices)
    return rasterize(pixels[triangles], depth[triangles], camera.size)


def _covered(
    corners: Floats, depth: Floats, size: tuple[int, int]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
    """Yield (triangle, pixel, weights [.., 3]) of pixel middles inside triangles, a batch of like-sized ones a time."""
    limits = np.array(size)
    low = np.clip(np.floor(corners.min(1)), 0, limits).astype(np.int64)
    high = np.clip(np.ceil(corners.max(1)), 0, limits).astype(np.int64)
    area = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    drawn = (depth.min(1) > 0) & (np.abs(area) > 1e-12) & (high > low).all(1)
    side = np.where(drawn, (high - low).max(1), 0)
    rounded = 2 ** np.ceil(np.log2(np.maximum(side, 1))).astype(np.int64)
    for step in np.unique(rounded[drawn]):
        group = np.flatnonzero(drawn & (rounded == step))
        grid = np.stack(np.meshgrid(np.arange(step), np.arange(step)), -1).reshape(-1, 2)
        at_once = max(1, SAMPLES_AT_ONCE // len(grid))
        for start in range(0, len(group), at_once):
            some = group[start : start + at_once]
            cell = low[some, None] + grid
            middle = cell + 0.5
            a, b, c = (corners[some, None, corner] for corner in range(3))
            inside = (
                np.stack([_cross(b - middle, c - middle), _cross(c - middle, a - middle)], -1) / area[some, None, None]
            )
            inside = np.concatenate([inside, 1.0 - inside.sum(-1, keepdims=True)], -1)
            hit = (inside >= -1e-9).all(-1) & (cell < high[some, None]).all(-1)
            which, where = np.nonzero(hit)
            pixel = cell[which, where]
            yield some[which], pixel[:, 1] * size[0] + pixel[:, 0], np.maximum(inside[which, where], 0.0)


def _cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
