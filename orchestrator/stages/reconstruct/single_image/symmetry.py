"""Finds the strongest symmetry of a piece of furniture that agrees with one silhouette.

A symmetry that the piece does not have carves parts of it away, which leaves holes in the silhouette. Fields are signed
distances [X, Y, Z] on the voxel grid, positive inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap
from orchestrator.stages.reconstruct.single_image.visual_cone import VisualCone, VoxelGrid, Voxels, box_field

MAX_MIRROR_OFFSET = 0.12
"""Maximum distance of the front-back mirror plane from the centre of the box, as a share of the box's depth."""
MIN_LEFT_RIGHT_COVERAGE = 0.88
"""Minimum share of the silhouette that left-right symmetry must cover; otherwise the piece may be asymmetric."""
LOSS_WEIGHT = 12.0
"""Weight of the lost silhouette against the height of the front-back symmetry.

Extending the symmetry by a share h of the height is accepted if it loses less than h / LOSS_WEIGHT of the silhouette. A
smaller weight extends the symmetry further, which carves more of the invisible side but may remove real parts.
Measured with ``single_image_constants`` on 14 pieces: mean IoU over eight other views 0.850, with half the weight
0.852, with double 0.846. Mean IoU in the given view: 0.986, 0.984, 0.986.
"""
MAX_EXTRA_LOSS = 0.03
"""Maximum share of the silhouette that a stronger symmetry may lose beyond what left-right symmetry loses."""
FULL_WIDTH = 0.75
"""Minimum share of the piece's width along which a seat or a top reaches the front. Legs reach it along less."""
FRONT_BAND = 0.25
"""Depth of the front, as a share of the piece's depth."""
TOP_HEIGHT = 0.92
"""Minimum height of a top, as a share of the piece's height. A lower slice that reaches the front is a seat."""


@dataclass(frozen=True)
class Symmetry:
    """The mirror symmetries of a piece. Each one is an additional silhouette from another side."""

    front_back_height: float = 0.0  # front and back are equal up to this height: 1 for tables, the seat for chairs
    left_right: bool = True


@dataclass(frozen=True)
class SymmetricShape:
    """The visual hull of a silhouette and its images under a symmetry."""

    symmetry: Symmetry
    field: FloatMap  # [X, Y, Z]
    coverage: float  # share of the silhouette that the weakest of the symmetries covers


def most_symmetric_shape(cone: VisualCone) -> SymmetricShape:
    """Return the hull with the strongest symmetry that the silhouette allows."""
    grid = cone.grid
    box = box_field(grid, *grid.box)
    mirrored = np.minimum(cone.field, cone.field[::-1])
    left_right = np.minimum(mirrored, box)
    coverage = cone.covered_share(left_right)
    if coverage < MIN_LEFT_RIGHT_COVERAGE:
        asymmetric = _front_back_only(cone, np.minimum(cone.field, box))
        if asymmetric.coverage >= MIN_LEFT_RIGHT_COVERAGE:
            return asymmetric
    height, shift = _front_back_height(cone, left_right, coverage)
    if height == len(grid.y) and grid.shape[0] == grid.shape[2]:
        quarter = _quarter_turn_symmetric(grid, mirrored, shift)
        if cone.covered_share(quarter) >= coverage - MAX_EXTRA_LOSS:
            return SymmetricShape(Symmetry(1.0), quarter, coverage)
    both = _mirror_intersection(left_right, shift)
    field = np.concatenate([both[:, :height], left_right[:, height:]], axis=1)
    top = float(grid.y[min(height, len(grid.y) - 1)])
    return SymmetricShape(Symmetry(min(max(top, 0.0), 1.0)), field, coverage)


def seat_layer(inside: Voxels) -> int:
    """Return the number of slices of the shape up to its seat, or all slices if it has a top but no seat."""
    full, filled = np.flatnonzero(front_share(inside) >= FULL_WIDTH), np.flatnonzero(inside.any((0, 2)))
    seat = int(full[-1]) + 1 if len(full) else 0
    has_no_seat = not len(filled) or seat > TOP_HEIGHT * (filled[-1] + 1)
    return inside.shape[1] if has_no_seat else seat


def front_share(inside: Voxels) -> NDArray[np.float64]:
    """Return for each horizontal slice [Y] the share of the piece's width along which it reaches the front."""
    filled = np.flatnonzero(inside.any((0, 1)))
    if not len(filled):
        return np.zeros(inside.shape[1])
    front = int(filled[-1] - FRONT_BAND * (filled[-1] - filled[0]))
    return np.asarray(inside[:, :, front:].any(2).sum(0) / inside.any((1, 2)).sum())


def _front_back_only(cone: VisualCone, field: FloatMap) -> SymmetricShape:
    """Return the best hull whose front and back are equal but whose left and right are not."""
    fields = [_mirror_intersection(field, shift) for shift in _mirror_shifts(cone.grid)]
    coverages = [cone.covered_share(candidate) for candidate in fields]
    best = int(np.argmax(coverages))
    return SymmetricShape(Symmetry(1.0, left_right=False), fields[best], coverages[best])


def _front_back_height(cone: VisualCone, left_right: FloatMap, coverage: float) -> tuple[int, int]:
    """Return the best number of slices with front-back symmetry and the shift of its mirror plane in half voxels."""
    layers, pixels = len(cone.grid.y), cone.silhouette.sum()
    max_lost = int((1 - coverage + MAX_EXTRA_LOSS) * pixels)
    heights = np.arange(layers + 1) / layers
    above_seat = heights > seat_layer(left_right > 0) / layers
    best = (-np.inf, 0, 0)
    for shift in _mirror_shifts(cone.grid):
        lost = _lost_pixels(cone, left_right > 0, _mirror_intersection(left_right, shift) > 0)
        score = heights - LOSS_WEIGHT * np.maximum(lost - lost[0], 0) / pixels
        score[(lost > max_lost) | above_seat] = -np.inf
        height = int(score.argmax())
        best = max(best, (float(score[height]), height, shift))
    return best[1], best[2]


def _quarter_turn_symmetric(grid: VoxelGrid, mirrored: FloatMap, shift: int) -> FloatMap:
    """Return the hull that also has quarter-turn symmetry about the vertical axis in the mirror plane."""
    side = max(grid.box)
    both = _mirror_intersection(np.minimum(mirrored, box_field(grid, side, side)), shift)
    centred = _shift_half_voxels(both, shift)
    return _shift_half_voxels(np.minimum(centred, centred.transpose(2, 1, 0)), -shift)


def _mirror_shifts(grid: VoxelGrid) -> range:
    """Return the candidate positions of the front-back mirror plane, in half voxels from the centre of the grid."""
    limit = max(2, round(MAX_MIRROR_OFFSET * len(grid.z)))
    return range(-limit, limit + 1)


def _mirror_intersection(field: FloatMap, shift: int) -> FloatMap:
    """Return the intersection with the mirror image at a plane ``shift`` half voxels in front of the centre."""
    return np.minimum(field, _shift_voxels(field[:, :, ::-1], shift))


def _shift_voxels(field: FloatMap, steps: int) -> FloatMap:
    """Return the field moved by ``steps`` voxels to the front. Voxels that enter the grid are outside."""
    shifted = np.full_like(field, -1.0)
    count = field.shape[2]
    shifted[:, :, max(steps, 0) : count + min(steps, 0)] = field[:, :, max(-steps, 0) : count - max(steps, 0)]
    return shifted


def _shift_half_voxels(field: FloatMap, half_steps: int) -> FloatMap:
    """Return the field moved by ``half_steps`` half voxels to the back, rounded towards zero."""
    return _shift_voxels(field, -int(half_steps / 2))


def _lost_pixels(cone: VisualCone, weaker: Voxels, stronger: Voxels) -> NDArray[np.int64]:
    """Return for each height [Y + 1], in slices, how many pixels of the silhouette are not covered.

    The shape is ``stronger`` below the height and ``weaker`` above it.
    """
    count, layers = len(cone.silhouette), weaker.shape[1]
    layer = np.broadcast_to(np.arange(layers)[:, None], weaker.shape)
    highest, lowest = np.full(count, -1), np.full(count, layers)
    np.maximum.at(highest, cone.pixel[weaker], layer[weaker])
    np.minimum.at(lowest, cone.pixel[stronger], layer[stronger])
    # A pixel is lost from the height that removes its highest ``weaker`` voxel to the one that adds its lowest
    # ``stronger`` voxel.
    lost = cone.silhouette & (highest < lowest)
    starts = np.bincount(highest[lost] + 1, minlength=layers + 1)
    ends = np.bincount(lowest[lost] + 1, minlength=layers + 1)
    return np.asarray(np.cumsum(starts[: layers + 1] - ends[: layers + 1]))
