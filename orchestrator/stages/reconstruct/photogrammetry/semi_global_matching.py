"""Minimises matching costs under a smoothness constraint by semi-global matching (Hirschmüller 2008).

It fills plain areas from their surroundings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap
from orchestrator.geometry.arrays import Floats
from orchestrator.stages.reconstruct.photogrammetry.plane_sweep import StereoView, Volume, Window

STEP_COST = 0.03
"""Cost of neighbouring pixels whose depths differ by one label (P1 of the paper). Not tuned."""
JUMP_COST = 0.5
"""Cost of any larger difference (P2 of the paper). Not tuned."""
EDGE_GREY_LEVELS = 12.0
"""Gradient, in grey levels per pixel, at which a jump costs half. Not tuned."""


def minimize(
    cost: Volume, view: StereoView, window: Window, inverse_depths: Floats
) -> tuple[NDArray[np.int64], Floats]:
    """Return the label [H, W] with the least total cost and the depth [H, W], interpolated between labels.

    Args:
        cost: [H, W, D] in ``window`` at D inverse depths.
    """
    grey = window.crop(view.grey)
    mask = (window.crop(view.mask) > 127).astype(np.float32)
    total = np.zeros_like(cost)
    for axis in (0, 1):
        gradient = np.abs(np.diff(grey, axis=axis, prepend=grey.take([0], axis)))
        jump_cost = (JUMP_COST / (1 + gradient / EDGE_GREY_LEVELS)).astype(np.float32)
        for backward in (False, True):
            # Views of the arrays with the direction of the paths along axis 0.
            c, t, j, m = (np.moveaxis(array, axis, 0) for array in (cost, total, jump_cost, mask))
            if backward:
                c, t, m = c[::-1], t[::-1], m[::-1]
                j = np.roll(j[::-1], 1, axis=0)
            same_height = _same_height_labels(view, window, inverse_depths, backward) if axis == 0 else None
            _add_path_costs(c, t, j, m, same_height)
    label = total.argmin(2)
    return label, _interpolate_depth(total, label, inverse_depths)


def _interpolate_depth(total: Volume, label: NDArray[np.int64], inverse_depths: Floats) -> Floats:
    """Return the depth [H, W] at the minimum of a parabola through the costs of the label and its neighbours."""
    inner = np.clip(label, 1, len(inverse_depths) - 2)[..., None]
    before, here, after = (np.take_along_axis(total, inner + step, 2)[..., 0] for step in (-1, 0, 1))
    curvature = before - 2 * here + after
    shift = np.where(curvature > 1e-9, np.clip((before - after) / (2 * np.maximum(curvature, 1e-9)), -0.5, 0.5), 0)
    exact = np.where(label == inner[..., 0], inner[..., 0] + shift, label)
    return np.asarray(1.0 / np.interp(exact, np.arange(len(inverse_depths)), inverse_depths))


def _same_height_labels(view: StereoView, window: Window, inverse_depths: Floats, backward: bool) -> Floats:
    """Return for each label the label at the same height in the previous row, [H, D].

    The previous row is the one above, or the one below if ``backward``.
    """
    height_per_depth = window.rays(view.camera)[:, window.width // 2] @ view.camera.world_to_camera[:3, 1]
    height_per_depth = height_per_depth[::-1, None] if backward else height_per_depth[:, None]
    previous = np.roll(height_per_depth, 1, axis=0)
    previous[0] = height_per_depth[0]
    not_horizontal = np.abs(height_per_depth) > 1e-3
    ratio = np.where(not_horizontal, previous / np.where(not_horizontal, height_per_depth, 1), np.inf)
    return np.asarray((inverse_depths * ratio - inverse_depths[0]) / (inverse_depths[1] - inverse_depths[0]))


def _add_path_costs(
    cost: Volume, total: Volume, jump_cost: FloatMap, mask: FloatMap, same_height: Floats | None
) -> None:
    """Add the cost of the cheapest path along axis 0 to each point to ``total`` (Hirschmüller 2008, eq. 13).

    A path continues at the same depth without cost, or at the same height if ``same_height`` [H, D] is given (labels in
    the previous row; Scharstein et al. 2017, Semi-global matching with surface orientation priors). The latter follows
    seats and tops.
    """
    path = cost[0] * mask[0][:, None]
    total[0] += path
    last = cost.shape[2] - 1
    for row in range(1, len(cost)):
        cheapest = path.min(1, keepdims=True)
        arriving = np.minimum(path, cheapest + jump_cost[row][:, None])
        arriving[:, 1:] = np.minimum(arriving[:, 1:], path[:, :-1] + STEP_COST)
        arriving[:, :-1] = np.minimum(arriving[:, :-1], path[:, 1:] + STEP_COST)
        if same_height is not None:
            inside = np.flatnonzero((same_height[row] >= 0) & (same_height[row] <= last))
            if len(inside):
                low = np.minimum(same_height[row, inside].astype(np.int64), last - 1)
                fraction = (same_height[row, inside] - low).astype(np.float32)
                level_path = path[:, low] * (1 - fraction) + path[:, low + 1] * fraction
                arriving[:, inside] = np.minimum(arriving[:, inside], level_path)
        path = (cost[row] + (arriving - cheapest)) * mask[row][:, None]
        total[row] += path
