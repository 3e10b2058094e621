"""Computes a depth map for each photo by multi-view stereo, and removes depths that other photos contradict.

Matching costs come from ``plane_sweep``, their minimisation from ``semi_global_matching``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.imaging.sampling import sample
from orchestrator.stages.reconstruct.photogrammetry.plane_sweep import (
    EXCLUDED_COST,
    StereoView,
    Volume,
    Window,
    facing_plane_cost,
    lower_by_horizontal_planes,
)
from orchestrator.stages.reconstruct.photogrammetry.semi_global_matching import minimize

MIN_ANGLE_DEG = 3.0
"""Minimum angle between the lines of sight of two photos. A smaller angle determines depth poorly. Not tuned."""
BEST_ANGLE_DEG = 14.0
"""Neighbours are sorted by how close their angle is to this one. Not tuned."""
MAX_ANGLE_DEG = 36.0
"""At larger angles the photos look too different to match. Not tuned."""
MAX_FORWARD_COSINE = 0.7
"""Maximum cosine between baseline and line of sight: a camera that only stepped closer makes no pair. Not tuned."""
NEAR_BIAS = 0.012
"""Cost added to the farthest depth, falling to 0 at the nearest.

Where the photos are plain, it selects the nearest depth, which does not carve the hull. Not tuned.
"""
COST_WINDOW_PX = 9
MAX_MEAN_COST = 0.25
"""Depths are kept only where the mean matching cost in a window of COST_WINDOW_PX is lower.

Higher costs mean that the photos do not match, as on plain cloth, so that the depth is arbitrary and the hull is the
better estimate. A larger value keeps more depths and tears plain cloth; a smaller one leaves more of the hull uncarved.
The value was chosen with the pieces of the benchmark ``photogrammetry`` and the demo's chair in view;
``depth_fusion.PRIOR_WEIGHT`` gives the figures.
"""
MIN_LABELS = 16
LABEL_STEP_PX = 1.25
"""Distance by which a point moves in the farthest neighbour from one depth label to the next. Not tuned.

Depths are interpolated between labels, so the step may be larger than a pixel.
"""


def select_neighbours(cameras: Sequence[Camera], focus: Floats, count: int) -> list[list[int]]:
    """Return for each camera the indices of up to ``count`` others to compare it with, best first.

    Args:
        focus: [3] the point that the cameras look at.
    """
    to_camera = np.stack([camera.position - focus for camera in cameras])
    to_camera = to_camera / np.maximum(np.linalg.norm(to_camera, axis=1, keepdims=True), 1e-12)
    angle_deg = np.degrees(np.arccos(np.clip(to_camera @ to_camera.T, -1, 1)))
    selected = []
    for a, camera in enumerate(cameras):
        candidates = []
        for b, other in enumerate(cameras):
            baseline = other.position - camera.position
            length = float(np.linalg.norm(baseline))
            if a == b or not MIN_ANGLE_DEG <= angle_deg[a, b] <= MAX_ANGLE_DEG:
                continue
            if abs(float(baseline @ (camera.forward + other.forward))) > 2 * MAX_FORWARD_COSINE * length:
                continue
            candidates.append((abs(np.log(angle_deg[a, b] / BEST_ANGLE_DEG)), b))
        selected.append([b for _, b in sorted(candidates)[:count]])
    return selected


def depth_maps(
    views: Sequence[StereoView],
    neighbours: Sequence[Sequence[int]],
    hull_points: Floats,
    max_labels: int,
    progress: Progress = no_progress,
) -> list[FloatMap]:
    """Return the depth [H, W] of each view along the optical axis, NaN outside the piece and where unknown.

    Args:
        neighbours: for each view, the indices of the views to compare it with.
        hull_points: [P, 3] points on the visual hull; they bound the search.
        max_labels: maximum number of depths that are distinguished.
    """
    depths: list[FloatMap] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = [
            pool.submit(depth_map, view, [views[other] for other in others], hull_points, max_labels)
            for view, others in zip(views, neighbours, strict=True)
        ]
        try:
            for done, job in enumerate(jobs):
                progress(done / len(jobs), f"depth of photo {done + 1} of {len(jobs)}")
                depths.append(job.result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return depths


def consistent_depths(
    views: Sequence[StereoView], depths: Sequence[FloatMap], neighbours: Sequence[Sequence[int]], tolerance: float
) -> list[FloatMap]:
    """Return the depths that at least one other view confirms and that no more views contradict than confirm.

    Args:
        tolerance: how far apart two views may see the same point, in world units.
    """
    filtered = []
    for number, (view, depth) in enumerate(zip(views, depths, strict=True)):
        rows, columns = np.nonzero(np.isfinite(depth))
        camera = view.camera
        rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], -1) @ np.linalg.inv(camera.intrinsics).T
        points = (rays * depth[rows, columns, None]) @ camera.world_to_camera[:3, :3] + camera.position
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
    box = cv2.boundingRect(view.mask)
    if not others or not box[2] or hull_depth.min() <= 0:
        return result
    window = Window(*box)
    nearest, farthest = 1.0 / float(hull_depth.min()), 1.0 / float(hull_depth.max())
    baseline = max(float(np.linalg.norm(other.camera.position - view.camera.position)) for other in others)
    labels = int((nearest - farthest) * baseline * view.camera.intrinsics[0, 0] / LABEL_STEP_PX)
    inverse_depths = np.linspace(farthest, nearest, int(np.clip(labels, MIN_LABELS, max_labels)))
    cost = facing_plane_cost(view, others, window, inverse_depths)
    lower_by_horizontal_planes(cost, view, others, window, inverse_depths, hull_points)
    cost += np.linspace(NEAR_BIAS, 0, len(inverse_depths), dtype=np.float32)
    label, depth = minimize(cost, view, window, inverse_depths)
    window.crop(result)[...] = _drop_uncertain(depth, label, cost, window.crop(view.mask))
    return result


def _drop_uncertain(depth: Floats, label: NDArray[np.int64], cost: Volume, mask: Image) -> FloatMap:
    """Return ``depth`` [H, W] with NaN where the photos do not match."""
    label_cost = np.take_along_axis(cost, label[..., None], 2)[..., 0]
    known = ((mask > 127) & (label_cost < EXCLUDED_COST - NEAR_BIAS)).astype(np.float32)
    box = (COST_WINDOW_PX, COST_WINDOW_PX)
    cost_sum, count = (cv2.boxFilter(values, -1, box, normalize=False) for values in (label_cost * known, known))
    return np.where((known > 0) & (cost_sum < MAX_MEAN_COST * count), depth, np.nan).astype(np.float32)
