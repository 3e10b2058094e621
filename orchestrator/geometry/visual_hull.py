"""The visual hull, which is the largest shape whose silhouettes are the masks (Laurentini 1994), on a voxel grid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.imaging.filters import sample

SEARCH_CELLS = 96
"""Cells along the longest side of each box in which ``find_bounds`` searches. Not tuned."""
SEARCH_ROUNDS = 3  # number of boxes that ``find_bounds`` searches, each tighter than the previous one; not tuned
COARSE_FACTOR = 4
"""``measure_hull`` first samples every fourth voxel and then measures only the voxels in or near the coarse hull."""
MAX_WRONG_MASKS = 0.05
"""Share of the photos whose masks may exclude a point that belongs to the piece. A larger share tolerates more mask
errors but leaves more volume that the silhouettes would carve away. Not tuned."""
MIN_FRAMED = 1 / 3
"""Minimum share of the photos that have a point in their frame. Points in fewer frames are outside. Not tuned."""
BATCH_POINTS = 1 << 19
"""Points that are processed together. Bounds the memory."""
OUT_OF_FRAME = np.float32(-1e6)
"""Distance of points that are outside the frame of a photo."""
MIN_DEPTH = np.float32(1e-9)  # avoids a division by zero


@dataclass(frozen=True)
class Grid:
    """A regular grid of points, numbered in C order of [X, Y, Z]."""

    origin: Floats  # [3] the first point
    step: float
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return int(np.prod(self.shape))

    def points(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the positions [M, 3] of the grid points with flat ``indices`` [M]."""
        return np.asarray(np.stack(np.unravel_index(indices, self.shape), -1) * self.step + self.origin, np.float32)

    def coarser(self, factor: int) -> Grid:
        """Return a grid over the same box with every ``factor``-th point."""
        return Grid(self.origin, self.step * factor, tuple(math.ceil((side - 1) / factor) + 1 for side in self.shape))


@dataclass(frozen=True)
class Silhouette:
    """The signed distance to the outline of the piece in one photo."""

    camera: Camera
    distance: FloatMap  # [H, W] px, positive outside the piece


def silhouette_of(camera: Camera, mask: Image) -> Silhouette:
    """Return the silhouette for ``mask`` [H, W] uint8, 255 on the piece."""
    inside = (mask > 127).astype(np.uint8)
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5) - cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    distance = np.clip(distance, -sum(mask.shape), sum(mask.shape))  # an empty mask has no outline
    # The outline runs between two pixels, but the transform measures to the centre of the nearest pixel across it.
    return Silhouette(camera, np.asarray(distance - 0.5 * np.sign(distance), np.float32))


def project_float32(camera: Camera, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the pixels [M, 2] and depths [M] of ``points`` [M, 3] in single precision."""
    projection = camera.intrinsics @ camera.world_to_camera[:3]
    homogeneous = points @ projection[:, :3].T.astype(np.float32) + projection[:, 3].astype(np.float32)
    depth = homogeneous[:, 2]
    return homogeneous[:, :2] / np.where(np.abs(depth) < MIN_DEPTH, MIN_DEPTH, depth)[:, None], depth


def hull_distance(silhouettes: Sequence[Silhouette], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the signed distance [M] from ``points`` [M, 3] to the hull, in world units, positive outside.

    The distance is the largest one over all photos that have the point in their frame. The largest ``MAX_WRONG_MASKS``
    of the distances are dropped, because masks contain errors.
    """
    kept = 1 + int(MAX_WRONG_MASKS * len(silhouettes))
    largest = np.full((kept, len(points)), OUT_OF_FRAME, np.float32)  # in descending order
    frames = np.zeros(len(points), np.int32)
    for silhouette in silhouettes:
        camera = silhouette.camera
        pixels, depth = project_float32(camera, points)
        framed = ((pixels >= 0) & (pixels < camera.size)).all(1) & (depth > 0)
        distance_px = sample(silhouette.distance, np.where(framed[:, None], pixels, 0))
        distance = np.where(framed, distance_px * depth / np.float32(camera.intrinsics[0, 0]), OUT_OF_FRAME)
        frames += framed
        for rank in range(kept):  # insert the distance into the sorted list
            distance, largest[rank] = np.minimum(distance, largest[rank]), np.maximum(distance, largest[rank])
    return np.where(frames < MIN_FRAMED * len(silhouettes), -OUT_OF_FRAME, largest[-1])


def find_bounds(
    silhouettes: Sequence[Silhouette], focus: Floats, progress: Progress = no_progress
) -> tuple[Floats, Floats]:
    """Return the lowest and the highest corner [3] of the box around the hull, with a margin of one cell.

    ``focus`` [3] is the point that the cameras look at.

    Raises:
        ToolFailed: the hull is empty.
    """
    cameras = [silhouette.camera for silhouette in silhouettes]
    half_views = [np.array(camera.size) / camera.intrinsics[[0, 1], [0, 1]] / 2 for camera in cameras]
    distances = [np.linalg.norm(camera.position - focus) for camera in cameras]
    # Half the side of a cube that contains the field of view of every camera at the distance of ``focus``.
    half = max(distance * np.linalg.norm(half_view) for distance, half_view in zip(distances, half_views, strict=True))
    low, high = focus - half, focus + half
    for attempt in range(SEARCH_ROUNDS):
        progress(attempt / SEARCH_ROUNDS, "locating the piece in the masks")
        grid = grid_over(low, high, float((high - low).max()) / SEARCH_CELLS)
        inside = np.argwhere(_hull_distances(silhouettes, grid) < grid.step)
        if not len(inside):
            raise ToolFailed(
                "the visual hull of the photos is empty: no point in space lies within the masks of at least "
                f"{1 - MAX_WRONG_MASKS:.0%} of the photos; check that all photos show the same piece"
            )
        low = grid.origin + (inside.min(0) - 1) * grid.step
        high = grid.origin + (inside.max(0) + 1) * grid.step
    return low, high


def grid_over(low: Floats, high: Floats, step: float) -> Grid:
    """Return the grid with spacing ``step`` that covers the box from ``low`` [3] to ``high`` [3]."""
    return Grid(np.asarray(low, np.float64), step, tuple((np.ceil((high - low) / step).astype(int) + 1).tolist()))


def measure_hull(
    silhouettes: Sequence[Silhouette], grid: Grid, progress: Progress = no_progress
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the flat indices [M] of the grid points in or near the hull, and their signed distances to it [M]."""
    coarse = grid.coarser(COARSE_FACTOR)
    coarse_near = _hull_distances(silhouettes, coarse) < 2 * coarse.step
    near = zoom(coarse_near.astype(np.uint8), COARSE_FACTOR, order=0, grid_mode=True, mode="nearest")
    # A coarse point is the centre of its block, while ``zoom`` puts it at the start.
    shift = COARSE_FACTOR // 2
    near = np.pad(near, shift, mode="edge")[tuple(slice(COARSE_FACTOR, COARSE_FACTOR + side) for side in grid.shape)]
    indices = np.flatnonzero(near)
    distance = np.empty(len(indices), np.float32)
    for batch in _batches(len(indices)):
        progress(batch[0] / max(len(indices), 1), "carving the visual hull")
        distance[batch] = hull_distance(silhouettes, grid.points(indices[batch]))
    return indices, distance


def hull_surface_points(grid: Grid, indices: NDArray[np.int64], distance: NDArray[np.float32], count: int) -> Floats:
    """Return about ``count`` points [P, 3] on the surface of the hull that ``measure_hull`` returned."""
    shell = indices[np.abs(distance) < grid.step]
    return grid.points(shell[:: max(1, len(shell) // count)]).astype(np.float64)


def _hull_distances(silhouettes: Sequence[Silhouette], grid: Grid) -> NDArray[np.float32]:
    """Return the distances of all grid points, in the shape of the grid."""
    distances = [hull_distance(silhouettes, grid.points(batch)) for batch in _batches(grid.count)]
    return np.concatenate(distances).reshape(grid.shape)


def _batches(count: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, count, BATCH_POINTS):
        yield np.arange(start, min(start + BATCH_POINTS, count))
