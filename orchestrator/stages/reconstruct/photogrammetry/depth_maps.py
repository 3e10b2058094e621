"""Computes a depth map for each photo by multi-view stereo, and removes depths that other photos contradict.

Matching costs come from ``plane_sweep``. Semi-global matching (Hirschmüller 2008) minimises them under a smoothness
constraint, which fills plain areas from their surroundings.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.imaging.filters import sample
from orchestrator.stages.reconstruct.photogrammetry.plane_sweep import (
    EXCLUDED_COST,
    StereoView,
    Volume,
    Window,
    matching_cost,
    pixel_rays,
)

MIN_ANGLE_DEG = 3.0  # between the lines of sight of two photos; smaller angles determine depth poorly; not tuned
BEST_ANGLE_DEG = 14.0  # neighbours are sorted by how close their angle is to this one; not tuned
MAX_ANGLE_DEG = 36.0  # at larger angles the photos look too different to match; not tuned
MAX_FORWARD_COSINE = 0.7  # between baseline and line of sight; excludes cameras that only stepped closer; not tuned
# Cost added to the farthest depth, falling to 0 at the nearest. Where the photos are plain, it selects the nearest
# depth, which does not carve the hull. Not tuned.
NEAR_BIAS = 0.012
STEP_COST = 0.03  # cost of neighbouring pixels whose depths differ by one label (P1 of the paper); not tuned
JUMP_COST = 0.5  # cost of any larger difference (P2 of the paper); not tuned
EDGE_GREY_LEVELS = 12.0  # gradient, in grey levels per pixel, at which a jump costs half; not tuned
COST_WINDOW_PX = 9
# Depths are kept only where the mean matching cost in a window of COST_WINDOW_PX is below this value. Higher costs mean
# that the photos do not match, as on plain cloth, so that the hull is the better estimate. A larger value keeps more
# depths and tears plain cloth; a smaller one leaves more of the hull uncarved. Chosen on the pieces of the benchmark
# ``photogrammetry`` and on the demo's chair; ``depth_fusion.PRIOR_WEIGHT`` gives the figures.
MAX_MEAN_COST = 0.25
MIN_LABELS = 16  # minimum number of depths that stereo distinguishes in a photo
# Distance by which a point moves in the photo of the farthest neighbour when its depth changes by one label. It may be
# larger than a pixel, because depths are interpolated between labels. Not tuned.
LABEL_STEP_PX = 1.25


def select_neighbours(cameras: Sequence[Camera], focus: Floats, count: int) -> list[list[int]]:
    """Return for each camera, all of which look at ``focus``, the indices of up to ``count`` neighbours, best first."""
    to_camera = np.stack([camera.position - focus for camera in cameras])
    to_camera = to_camera / np.maximum(np.linalg.norm(to_camera, axis=1, keepdims=True), 1e-12)
    angle_deg = np.degrees(np.arccos(np.clip(to_camera @ to_camera.T, -1, 1)))
    selected = []
    for a, camera in enumerate(cameras):
        candidates = []
        for b, other in enumerate(cameras):
            baseline = other.position - camera.position
            forward = abs(float(baseline @ (camera.forward + other.forward)))
            is_sideways = forward <= 2 * MAX_FORWARD_COSINE * float(np.linalg.norm(baseline))
            if a != b and MIN_ANGLE_DEG <= angle_deg[a, b] <= MAX_ANGLE_DEG and is_sideways:
                candidates.append((abs(np.log(angle_deg[a, b] / BEST_ANGLE_DEG)), b))
        selected.append([b for _, b in sorted(candidates)[:count]])
    return selected


def depth_maps(
    views: list[StereoView], neighbours: list[list[int]], hull_points: Floats, max_labels: int, progress: Progress
) -> list[FloatMap]:
    """Return the depth [H, W] of each view along the optical axis, NaN outside the piece and where unknown.

    Args:
        neighbours: for each view, the indices of the views to compare it with.
        hull_points: [P, 3] points on the visual hull; they bound the search.
    """
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = [
            pool.submit(depth_map, view, [views[other] for other in others], hull_points, max_labels)
            for view, others in zip(views, neighbours, strict=True)
        ]
        depths = []
        try:
            for done, job in enumerate(jobs):
                progress(done / len(jobs), f"depth of photo {done + 1} of {len(jobs)}")
                depths.append(job.result())
        finally:
            pool.shutdown(cancel_futures=True)
    return depths


def consistent_depths(
    views: Sequence[StereoView], depths: Sequence[FloatMap], neighbours: Sequence[Sequence[int]], tolerance: float
) -> list[FloatMap]:
    """Return the depths, NaN where no other view confirms them or where more views contradict than confirm them.

    Depths confirm each other if they differ by less than ``tolerance``, in world units.
    """
    filtered = []
    for number, (view, depth) in enumerate(zip(views, depths, strict=True)):
        rows, columns = np.nonzero(np.isfinite(depth))
        in_camera = pixel_rays(view.camera, columns, rows) * depth[rows, columns, None]
        points = in_camera @ view.camera.world_to_camera[:3, :3] + view.camera.position
        confirmed, contradicted = np.zeros(len(rows), int), np.zeros(len(rows), int)
        for other in neighbours[number]:
            pixels, expected = views[other].camera.project(points)
            measured = sample(depths[other], pixels.astype(np.float32), nearest=True, outside=float("nan"))
            confirmed += np.abs(measured - expected) < tolerance
            contradicted += measured - expected > tolerance  # the other view sees through this point
        kept = (confirmed >= 1) & (confirmed >= contradicted)
        consistent = np.full_like(depth, np.nan)
        consistent[rows[kept], columns[kept]] = depth[rows[kept], columns[kept]]
        filtered.append(consistent)
    return filtered


def depth_map(view: StereoView, others: Sequence[StereoView], hull_points: Floats, max_labels: int) -> FloatMap:
    """Return the depth [H, W] of one view, NaN outside the piece and where unknown."""
    result = np.full(view.mask.shape, np.nan, np.float32)
    _, hull_depth = view.camera.project(hull_points)
    window = Window(*cv2.boundingRect(view.mask))
    if not others or not window.width or hull_depth.min() <= 0:
        return result
    inverse_near, inverse_far = 1.0 / float(hull_depth.min()), 1.0 / float(hull_depth.max())
    baseline = max(float(np.linalg.norm(other.camera.position - view.camera.position)) for other in others)
    labels = int((inverse_near - inverse_far) * baseline * view.camera.intrinsics[0, 0] / LABEL_STEP_PX)
    inverse_depths = np.linspace(inverse_far, inverse_near, int(np.clip(labels, MIN_LABELS, max_labels)))
    cost = matching_cost(view, others, window, inverse_depths, hull_points)
    cost += np.linspace(NEAR_BIAS, 0, len(inverse_depths), dtype=np.float32)
    label, depth = _minimize(cost, view, window, inverse_depths)
    window.crop(result)[...] = _drop_uncertain(depth, label, cost, window.crop(view.mask))
    return result


def _drop_uncertain(depth: Floats, label: NDArray[np.int64], cost: Volume, mask: Image) -> FloatMap:
    """Return ``depth`` [H, W] with NaN where the photos do not match."""
    label_cost = np.take_along_axis(cost, label[..., None], 2)[..., 0]
    known = ((mask > 127) & (label_cost < EXCLUDED_COST - NEAR_BIAS)).astype(np.float32)
    box = (COST_WINDOW_PX, COST_WINDOW_PX)
    cost_sum, count = (cv2.boxFilter(values, -1, box, normalize=False) for values in (label_cost * known, known))
    return np.where((known > 0) & (cost_sum < MAX_MEAN_COST * count), depth, np.nan).astype(np.float32)


def _minimize(
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
        arrays = [np.moveaxis(array, axis, 0) for array in (cost, total, mask, jump_cost)]
        for step in (1, -1):
            # NumPy views in which the paths run along axis 0 from the first row to the last.
            path_cost, path_total, path_mask, path_jumps = (array[::step] for array in arrays)
            if step < 0:  # ``jump_cost`` of a row is the cost of the step from the row before it in the photo
                path_jumps = np.roll(path_jumps, 1, axis=0)
            same_height = _same_height_labels(view, window, inverse_depths, step) if axis == 0 else None
            _add_path_costs(path_cost, path_total, path_mask, path_jumps, same_height)
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


def _same_height_labels(view: StereoView, window: Window, inverse_depths: Floats, step: int) -> Floats:
    """Return for each label [H, D] the label at the same height one row before. ``step`` is 1 down and -1 up."""
    height_per_depth = window.rays(view.camera)[:, window.width // 2] @ view.camera.world_to_camera[:3, 1]
    height_per_depth = height_per_depth[::step, None]
    previous = np.roll(height_per_depth, 1, axis=0)
    previous[0] = height_per_depth[0]
    not_horizontal = np.abs(height_per_depth) > 1e-3
    ratio = np.where(not_horizontal, previous / np.where(not_horizontal, height_per_depth, 1), np.inf)
    return np.asarray((inverse_depths * ratio - inverse_depths[0]) / (inverse_depths[1] - inverse_depths[0]))


def _add_path_costs(
    cost: Volume, total: Volume, mask: FloatMap, jump_cost: FloatMap, same_height: Floats | None
) -> None:
    """Add the cost of the cheapest path along axis 0 to each point to ``total`` (Hirschmüller 2008, eq. 13).

    A path continues at the same depth without cost. With ``same_height`` [H, D], labels in the previous row, it also
    continues at the same height, and so follows seats and tops (Scharstein et al. 2017, Semi-global matching with
    surface orientation priors).
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
