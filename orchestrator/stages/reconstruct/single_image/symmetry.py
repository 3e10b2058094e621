"""What a piece of furniture looks the same after, as far as one silhouette tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap
from orchestrator.stages.reconstruct.single_image.silhouette_cone import Cone, Grid, box_field, coverage_of

MIDDLE_SLACK = 0.12
"""Of the box's depth: how far the plane between front and back may lie from the box's middle."""
LOPSIDED = 0.88
"""Share of the silhouette below which left and right are not taken to be alike."""
LOST_WEIGHT = 12.0
"""A stronger symmetry up to some more of the height is worth a twelfth of that, as a share of the silhouette."""
SYMMETRY_SLACK = 0.03
"""How much more of the silhouette than by left and right alone a stronger symmetry may fail to explain."""
WHOLE_FRONT, FRONT_BAND = 0.75, 0.25
"""Share of its width at which a seat or a top reaches the front, and how deep the front is as a share of the depth."""
TOP = 0.92
"""Share of the piece's height from which on what reaches the front is a top, not a seat."""


@dataclass(frozen=True)
class Symmetry:
    """What a piece looks the same after, besides left and right; each adds silhouettes for free."""

    below: float = 0.0  # up to this height front and back are alike: 1 for tables, the seat's height for chairs
    quarter: bool = False  # quarter turns: stools, round and square tables
    sides: bool = True  # left and right


def most_symmetric(grid: Grid, cone: Cone) -> tuple[Symmetry, FloatMap, float]:
    """The strongest symmetry that the silhouette allows, the field of its hull, and the share of the silhouette that
    its weakest form explains.

    A symmetry that the piece does not have carves away parts of it, which leaves holes in its silhouette.
    """
    box = box_field(grid, *grid.box)
    mirrored = np.minimum(cone.field, cone.field[::-1])
    sides = np.minimum(mirrored, box)
    base = coverage_of(cone, sides)
    reach = max(2, round(MIDDLE_SLACK * len(grid.z)))
    if base < LOPSIDED:
        alone = np.minimum(cone.field, box)
        lopsided = [np.minimum(alone, _turned_back(alone, shift)) for shift in range(-reach, reach + 1)]
        field = max(lopsided, key=lambda one: coverage_of(cone, one))
        if (found := coverage_of(cone, field)) >= LOPSIDED:
            return Symmetry(1.0, sides=False), field, found
    allowed = int((1 - base + SYMMETRY_SLACK) * cone.silhouette.sum())
    seat = seat_layer(grid, sides > 0) / len(grid.y)
    best = (-np.inf, 0, 0)
    layers = np.arange(len(grid.y) + 1) / len(grid.y)
    for shift in range(-reach, reach + 1):
        both = np.minimum(sides, _turned_back(sides, shift))
        lost = _lost(cone, sides > 0, both > 0)
        worth = layers - LOST_WEIGHT * np.maximum(lost - lost[0], 0) / cone.silhouette.sum()
        worth[(lost > allowed) | (layers > seat)] = -np.inf
        height = int(worth.argmax())
        best = max(best, (float(worth[height]), height, shift))
    _, height, shift = best
    if height == len(grid.y) and sides.shape[0] == sides.shape[2]:
        side = max(grid.box)
        both = np.minimum(mirrored, box_field(grid, side, side))
        both = _shifted(np.minimum(both, _turned_back(both, shift)), shift)
        quarter = _shifted(np.minimum(both, both.transpose(2, 1, 0)), -shift)
        if coverage_of(cone, quarter) >= base - SYMMETRY_SLACK:
            return Symmetry(1.0, True), quarter, base
    both = np.minimum(sides, _turned_back(sides, shift))
    field = np.concatenate([both[:, :height], sides[:, height:]], axis=1)
    return Symmetry(min(max(float(grid.y[min(height, len(grid.y) - 1)]), 0.0), 1.0)), field, base


def _turned_back(field: FloatMap, shift: int) -> FloatMap:
    """The field mirrored front to back, at a plane ``shift`` half voxels before the middle."""
    return _moved(field[:, :, ::-1], shift)


def _moved(field: FloatMap, steps: int) -> FloatMap:
    moved = np.full_like(field, -1.0)
    count = field.shape[2]
    moved[:, :, max(steps, 0) : count + min(steps, 0)] = field[:, :, max(-steps, 0) : count - max(steps, 0)]
    return moved


def _shifted(field: FloatMap, half: int) -> FloatMap:
    """Move the plane ``half`` half voxels before the middle into it; a half voxel too few does no harm."""
    return _moved(field, -(half // 2) if half >= 0 else (-half) // 2)


def _lost(cone: Cone, sides: NDArray[np.bool_], both: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[Y + 1] how many pixels of the silhouette nothing explains if ``both`` holds below a height and ``sides``
    above it."""
    count, layers = len(cone.silhouette), sides.shape[1]
    layer = np.broadcast_to(np.arange(layers)[None, :, None], sides.shape)
    highest, lowest = np.full(count, -1), np.full(count, layers)
    np.maximum.at(highest, cone.pixel[sides], layer[sides])
    np.minimum.at(lowest, cone.pixel[both], layer[both])
    # Lost from where its highest voxel of ``sides`` is cut off to where its lowest of ``both`` comes in.
    gap = cone.silhouette & (highest < lowest)
    change = np.bincount(highest[gap] + 1, minlength=layers + 2)[: layers + 2]
    change = change - np.bincount(lowest[gap] + 1, minlength=layers + 2)[: layers + 2]
    return np.asarray(np.cumsum(change)[: layers + 1])


def seat_layer(grid: Grid, inside: NDArray[np.bool_]) -> int:
    """How many of the lowest slices reach up to the seat: all of them where the piece has none but its top."""
    whole = np.flatnonzero(front_share(grid, inside) >= WHOLE_FRONT)
    filled = np.flatnonzero(inside.any((0, 2)))
    if not len(whole):
        return len(grid.y) if not len(filled) else 0
    return len(grid.y) if whole[-1] + 1 > TOP * (filled[-1] + 1) else int(whole[-1]) + 1


def front_share(grid: Grid, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[Y] share of the piece's width at which a slice reaches the front."""
    reach = np.flatnonzero(inside.any((0, 1)))
    if not len(reach):
        return np.zeros(len(grid.y))
    band = slice(int(reach[-1] - FRONT_BAND * (reach[-1] - reach[0])), None)
    wide = max(int(inside.any((1, 2)).sum()), 1)
    return np.asarray(inside[:, :, band].any(2).sum(0) / wide)
