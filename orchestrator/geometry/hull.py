"""The visual hull: the largest shape whose outlines are the masks (Laurentini 1994), as a signed distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.imaging.sampling import sample

SEARCH_CELLS = 96
"""Cells along each side of the cube in which the piece is looked for, and then of the box around it."""
COARSE = 4
"""The hull is first measured at every fourth place; only what lies in or near it is measured at all."""
MISSES = 0.05
"""Share of the photos whose masks may be wrong about a place."""
FRAMED = 1 / 3
"""Share of the photos that must have a place in their frame, or it does not belong to the piece."""
AT_ONCE = 1 << 19
UNSEEN = np.float32(-1e6)


@dataclass(frozen=True)
class Grid:
    """Places on a regular grid, flat in C order of [X, Y, Z]."""

    origin: Floats  # [3] the first place
    step: float
    shape: tuple[int, int, int]

    @property
    def count(self) -> int:
        return int(np.prod(self.shape))

    def places(self, flat: NDArray[np.int64]) -> NDArray[np.float32]:
        """[M, 3] where the places of numbers ``flat`` [M] are."""
        return np.asarray(np.stack(np.unravel_index(flat, self.shape), -1) * self.step + self.origin, np.float32)

    def coarse(self, factor: int) -> Grid:
        """A grid over the same box with every ``factor``-th place."""
        shape = [-(-(side - 1) // factor) + 1 for side in self.shape]
        return Grid(self.origin, self.step * factor, (shape[0], shape[1], shape[2]))


@dataclass(frozen=True)
class Outline:
    """One photo's mask as a distance."""

    camera: Camera
    distance: FloatMap  # [H, W] px to the mask's edge, positive beside the piece


def outline(camera: Camera, mask: Image) -> Outline:
    """Measure ``mask`` [H, W], 255 on the piece."""
    inside = (mask > 127).astype(np.uint8)
    beside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5) - cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    beside = np.clip(beside, -sum(mask.shape), sum(mask.shape))  # an empty mask has no edge at all
    # The edge runs between two pixels; the transform measures to the middle of the nearest of the other kind.
    return Outline(camera, np.asarray(beside - 0.5 * np.sign(beside), np.float32))


def seen_from(camera: Camera, places: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The pixels [M, 2] and depths [M] of ``places`` [M, 3], in single precision."""
    whole = camera.matrix @ camera.world_to_camera[:3]
    flat = places @ whole[:, :3].T.astype(np.float32) + whole[:, 3].astype(np.float32)
    depth = flat[:, 2]
    return flat[:, :2] / np.where(np.abs(depth) < 1e-9, np.float32(1e-9), depth)[:, None], depth


def hull_distance(outlines: Sequence[Outline], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [M] how far ``places`` lie beside the hull (positive) or inside (negative), in units of the world.

    A place outside a photo's frame is not judged by it. MISSES of the photos are outvoted: masks have errors.
    """
    kept = 1 + int(MISSES * len(outlines))
    largest = np.full((kept, len(places)), UNSEEN, np.float32)
    frames = np.zeros(len(places), np.int32)
    for one in outlines:
        at, depth = seen_from(one.camera, places)
        width, height = one.camera.size
        framed = (at[:, 0] >= 0) & (at[:, 0] < width) & (at[:, 1] >= 0) & (at[:, 1] < height) & (depth > 0)
        distance = sample(one.distance, np.where(framed[:, None], at, 0)) * depth / np.float32(one.camera.matrix[0, 0])
        value = np.where(framed, distance, UNSEEN)
        frames += framed
        for rank in range(kept):  # the largest few, in falling order
            value, largest[rank] = np.minimum(value, largest[rank]), np.maximum(value, largest[rank])
    return np.where(frames < FRAMED * len(outlines), -UNSEEN, largest[-1])


def find_piece(outlines: Sequence[Outline], middle: Floats, progress: Progress = no_progress) -> tuple[Floats, Floats]:
    """Return the corners of the box around the hull, with a cell to spare.

    Args:
        middle: [3] what the cameras look at.

    Raises:
        ToolFailed: the masks agree about no place.
    """
    half = 0.0
    for one in outlines:
        corner = np.array(one.camera.size) / one.camera.matrix[[0, 1], [0, 1]] / 2
        half = max(half, float(np.linalg.norm(one.camera.position - middle) * np.linalg.norm(corner)))
    low, high = middle - half, middle + half
    for attempt in range(3):
        progress(attempt / 3, "finding the piece in the masks")
        grid = grid_of(low, high, float((high - low).max()) / SEARCH_CELLS)
        beside = np.concatenate([hull_distance(outlines, grid.places(some)) for some in _portions(grid.count)])
        inside = np.argwhere(beside.reshape(grid.shape) < grid.step)
        if not len(inside):
            raise ToolFailed("the masks of the photos agree about no place in space: do they all show the same piece?")
        low, high = (
            grid.origin + (side + margin) * grid.step for side, margin in ((inside.min(0), -1), (inside.max(0), 1))
        )
    return low, high


def grid_of(low: Floats, high: Floats, step: float) -> Grid:
    """The grid with places ``step`` apart that covers the box."""
    shape = [int(side) for side in np.ceil((high - low) / step).astype(int) + 1]
    return Grid(np.asarray(low, np.float64), step, (shape[0], shape[1], shape[2]))


def measure_hull(
    outlines: Sequence[Outline], grid: Grid, progress: Progress = no_progress
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the places in or near the hull, [M] flat numbers of ``grid``, and their distances [M] beside it."""
    rough = grid.coarse(COARSE)
    beside = np.concatenate([hull_distance(outlines, rough.places(some)) for some in _portions(rough.count)])
    near = zoom(
        (beside.reshape(rough.shape) < 2 * rough.step).astype(np.uint8), COARSE, order=0, grid_mode=True, mode="nearest"
    )
    shift = COARSE // 2  # a rough place stands for those around it
    near = np.pad(near, shift, mode="edge")[tuple(slice(COARSE, COARSE + side) for side in grid.shape)]
    chosen = np.flatnonzero(near)
    distance = np.empty(len(chosen), np.float32)
    for some in _portions(len(chosen)):
        progress(some[0] / max(len(chosen), 1), "carving the shape out of the masks")
        distance[some] = hull_distance(outlines, grid.places(chosen[some]))
    return chosen, distance


def hull_surface_points(grid: Grid, chosen: NDArray[np.int64], hull: NDArray[np.float32], count: int) -> Floats:
    """Return about ``count`` [P, 3] places on the outside of the hull."""
    shell = chosen[np.abs(hull) < grid.step]
    return grid.places(shell[:: max(1, len(shell) // count)]).astype(np.float64)


def _portions(count: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, count, AT_ONCE):
        yield np.arange(start, min(start + AT_ONCE, count))
