"""Which voxels of a visual hull are air, though no silhouette says so, and which are furniture after all.

Silhouettes from the sides can't carve the room over a chair's seat, under a table's top or between legs. What is known
of furniture, or a depth map, can.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from orchestrator.domain.images import FloatMap
from orchestrator.stages.reconstruct.single_image.silhouette_cone import Cone, Grid, box_field
from orchestrator.stages.reconstruct.single_image.symmetry import WHOLE_FRONT, front_share

BOARD, BOARD_LEANS, BOARD_SHARE = 0.06, (0.0, 0.1, 0.2, 0.3), 0.6
"""The back of a chair: how thick (over the piece's height), how far it may lean (its tangent), and which share of what
is seen over the seat it must explain."""
NARROW, THICK = 5.0, 5.0
"""Voxels: holes in the silhouette up to twice this wide are closed with this much depth."""
PHANTOM, PHANTOM_SHARE = 0.65, 0.8
"""How much nearer to the middle than another on the same line of sight a false leg stands, and in how much of it."""
SLICES = np.zeros((3, 3, 3), int)
SLICES[:, 1] = 1
"""Neighbours within a slice of one height."""
AGREES = 0.05
"""Of the range of the hull's depths: how far a model's depth may scatter about it and still be used."""
CRUMB = 0.01
"""Of the largest part's volume."""


def hidden_air(grid: Grid, cone: Cone, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels that only a seat or a top hides: below it, where nothing is seen between the legs.

    A slice of a seat reaches along the whole front, one of the legs below does not. What lies below such a step, on
    lines of sight that the piece above it explains, and over nothing that is seen, is taken for air. Legs go straight
    up to the seat, and a cabinet's body stands on its front.
    """
    needless = np.zeros_like(inside)
    front = front_share(grid, inside)
    for layer in range(len(grid.y) - 1, 0, -1):
        if not (front[layer] >= WHOLE_FRONT > front[layer - 1]):
            continue
        covered = np.zeros(len(cone.silhouette), bool)
        covered[cone.pixel[:, layer:][inside[:, layer:]]] = True
        below = inside[:, :layer]
        hidden = below & covered[cone.pixel[:, :layer]]
        hidden &= hidden[::-1]
        shown = below & ~hidden
        phantoms = _phantoms(grid, cone, shown)
        hidden &= ~np.logical_or.accumulate(shown & ~phantoms, axis=1)
        needless[:, :layer] |= hidden | phantoms
    return needless


def _phantoms(grid: Grid, cone: Cone, legs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Legs where none are: where the cone of one leg meets the mirrored cone of another, between the true ones.

    Args:
        legs: [X, Y', Z] the lowest slices of the hull.
    """
    reach = np.abs(grid.x)[:, None, None] * np.ones(legs.shape)
    pixel = cone.pixel[:, : legs.shape[1]]
    widest = np.zeros(len(cone.silhouette))
    np.maximum.at(widest, pixel[legs], reach[legs])
    inner = legs & (reach < PHANTOM * widest[pixel])
    inner &= inner[::-1]
    parts, count = label(legs, SLICES)
    share = np.bincount(parts[inner], minlength=count + 1) / np.maximum(np.bincount(parts.ravel()), 1)
    phantom = share > PHANTOM_SHARE
    phantom[0] = False
    return np.asarray(phantom[parts])


def replaced_by_board(grid: Grid, cone: Cone, inside: NDArray[np.bool_], height: float) -> NDArray[np.bool_]:
    """The voxels over ``height`` that the back of a chair or the head of a bed makes needless.

    Over a seat, the hull is a wedge from the back to the front: both silhouettes see the back through it. A back is a
    board across the piece, upright or leaning; the board that explains most of what is seen up there replaces all that
    is seen before and behind it.
    """
    above = inside & (grid.y > height)[None, :, None]
    if not above.any():
        return above
    count = len(cone.silhouette)
    pixel = cone.pixel[above]
    _, up, along = np.nonzero(above)
    over, at = grid.y[up] - height, grid.z[along]
    wanted = np.zeros(count, bool)
    wanted[pixel] = True
    wanted &= cone.silhouette
    best, explained = None, 0.0
    for lean in BOARD_LEANS:
        place = at + lean * over
        for middle in np.arange(grid.z[0], grid.z[-1], 2 * grid.pitch):
            within = np.abs(place - middle) <= BOARD / 2
            covered = np.zeros(count, bool)
            covered[pixel[within]] = True
            share = float((covered & wanted).sum() / max(wanted.sum(), 1))
            if share > explained:
                best, explained = (covered, within), share
    needless = np.zeros_like(inside)
    if best is None or explained < BOARD_SHARE:
        return needless
    covered, within = best
    rows = (count // cone.columns, cone.columns)
    covered = binary_dilation(covered.reshape(rows), iterations=2).ravel()
    needless[above] = ~within & covered[pixel]
    return np.asarray(needless & needless[::-1])


def free_by_depth(grid: Grid, cone: Cone, inside: NDArray[np.bool_], depth: FloatMap) -> NDArray[np.bool_]:
    """The voxels before the surface that a model's depth map shows.

    The map is fitted to the hull's own visible depth with a robust line (iteratively reweighted least squares, Cauchy
    weights). Most of a piece's visible surface is on its hull; a map that does not agree with that is not used.
    """
    count = len(cone.silhouette)
    nearest = np.full(count, np.inf, np.float32)
    np.minimum.at(nearest, cone.pixel[inside], cone.depth[inside])
    farthest = np.full(count, -np.inf, np.float32)
    np.maximum.at(farthest, cone.pixel[inside], cone.depth[inside])
    small = cv2.resize(depth, (cone.columns, count // cone.columns), interpolation=cv2.INTER_AREA).ravel()
    at = np.flatnonzero(cone.silhouette & np.isfinite(nearest) & np.isfinite(small))
    nothing = np.zeros_like(inside)
    if len(at) < 100 or np.ptp(small[at]) == 0:
        return nothing
    model, hull = np.stack([small[at], np.ones(len(at))], -1).astype(np.float64), nearest[at].astype(np.float64)
    weight = np.ones(len(at))
    for _ in range(30):
        root = np.sqrt(weight)[:, None]
        line = np.linalg.lstsq(model * root, hull * root[:, 0], rcond=None)[0]
        error = hull - model @ line
        spread = max(1.4826 * float(np.median(np.abs(error))), 1e-6)
        weight = 1 / (1 + (error / (2 * spread)) ** 2)
    if line[0] <= 0 or spread > AGREES * float(np.ptp(np.percentile(hull, [5, 95]))):
        return nothing
    surface = np.full(count, -np.inf)
    surface[at] = model @ line - 2 * spread - 2 * grid.pitch
    # What the silhouette shows must stay: no farther than the last voxel on the line of sight.
    surface = np.minimum(surface, farthest - 2 * grid.pitch)
    return np.asarray(inside & (cone.depth < surface[cone.pixel]))


def unexplained(grid: Grid, cone: Cone, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels of the silhouette alone where the symmetric shape leaves a hole in it.

    A narrow hole is an error of the camera or the symmetry: it is closed at the depth of what is beside it. A wide one
    is a part that the piece has on one side only.
    """
    count = len(cone.silhouette)
    covered = np.zeros(count, bool)
    nearest, farthest = np.full(count, np.inf, np.float32), np.full(count, -np.inf, np.float32)
    pixel, depth = cone.pixel[kept], cone.depth[kept]
    covered[pixel] = True
    np.minimum.at(nearest, pixel, depth)
    np.maximum.at(farthest, pixel, depth)
    hole = (cone.silhouette & ~covered).reshape(-1, cone.columns)
    away, beside = distance_transform_edt(~covered.reshape(hole.shape), return_indices=True)
    beside = (beside[0] * cone.columns + beside[1]).ravel()
    wide = _holding(away > NARROW, hole).ravel()
    inside = hole.ravel()[cone.pixel] & (np.minimum(cone.field, box_field(grid, *grid.box)) > 0)
    low, high = nearest[beside][cone.pixel], farthest[beside][cone.pixel]
    high = np.minimum(high, low + THICK * grid.pitch)
    return np.asarray(
        inside & (wide[cone.pixel] | ((cone.depth >= low - grid.pitch) & (cone.depth <= high + grid.pitch)))
    )


def _holding(seeds: NDArray[np.bool_], within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of ``within`` that hold a seed."""
    parts, count = label(within)
    chosen = np.zeros(count + 1, bool)
    chosen[np.unique(parts[seeds & within])] = True
    chosen[0] = False
    return np.asarray(chosen[parts])


def crumbs(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of parts that are too small to be a part of furniture."""
    parts, count = label(inside)
    if count < 2:
        return np.zeros_like(inside)
    sizes = np.bincount(parts.ravel())
    return np.asarray(inside & (sizes < CRUMB * sizes[1:].max())[parts])
