"""Fuses the visual hull and the depth maps of all photos into one surface.

The depths are fused as a truncated signed distance (Curless & Levoy 1996, A volumetric method for building complex
models from range images). Where no depth is known, the hull is the surface.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from orchestrator.domain.images import FloatMap
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.visual_hull import BATCH_POINTS, Grid, project_float32
from orchestrator.imaging.filters import sample

Volume = NDArray[np.float32]

# Truncation of the signed distance. A depth does not affect points farther behind its surface. Points farther in front
# are free space. Not tuned.
TRUNCATION_VOXELS = 4.0
# Depths must contradict the hull by more than this to carve it, because they are not exact. Reduced from 2 when stereo
# began to prefer the hull on plain surfaces. Not measured separately.
MIN_CARVING_VOXELS = 1.0
FILTER_SIGMAS_VOXELS = (3.5, 1.2)  # of the filters that average the depths, from coarse to fine; not tuned
# Number of photos that the hull, or the coarser level, outweighs. A larger weight keeps plain cloth smooth on the hull;
# a smaller one lets fewer photos carve concavities. It was raised from 0.7 to 1.3 together with the introduction of
# ``depth_maps.MAX_MEAN_COST``, with the pieces of the benchmark ``photogrammetry`` and the demo's chair in view. The
# change of both moved the F-scores of cushion_chair from 0.899 to 0.926 and of side_chair from 0.868 to 0.938, but of
# round_table from 0.967 to 0.952, of television_cabinet from 0.841 to 0.818 and of bedside_table from 0.972 to 0.948.
# Other pieces may gain less.
PRIOR_WEIGHT = 1.3


def fuse_depths(
    cameras: Sequence[Camera],
    depths: Sequence[FloatMap],
    grid: Grid,
    indices: NDArray[np.int64],
    hull: NDArray[np.float32],
    progress: Progress = no_progress,
) -> NDArray[np.float32]:
    """Return the signed distance [M] at M grid points: positive outside, truncated at TRUNCATION_VOXELS.

    Args:
        depths: [H, W] each, NaN where unknown.
        indices: [M] flat indices into ``grid``.
        hull: [M] signed distance to the visual hull.
    """
    truncation = TRUNCATION_VOXELS * grid.step
    distance_sum, weight = np.zeros(grid.count, np.float32), np.zeros(grid.count, np.float32)
    for start in range(0, len(indices), BATCH_POINTS):
        batch = indices[start : start + BATCH_POINTS]
        points = grid.points(batch)
        for number, (camera, depth) in enumerate(zip(cameras, depths, strict=True)):
            done = (start + len(batch) * number / len(cameras)) / len(indices)
            progress(0.8 * done, "fusing the depths of all photos")
            pixels, point_depth = project_float32(camera, points)
            distance = sample(depth, pixels, nearest=True, outside=float("nan")) - point_depth
            known = (distance > -truncation) & (point_depth > 0)  # False for NaN
            distance_sum[batch] += np.where(known, np.minimum(distance, truncation), 0)
            weight[batch] += known
    progress(0.8, "filtering the surface")
    prior = np.full(grid.count, truncation, np.float32)
    prior[indices] = np.clip(hull, -truncation, truncation)
    fused = _filter(distance_sum.reshape(grid.shape), weight.reshape(grid.shape), prior.reshape(grid.shape))
    # Near the hull's surface the depths must contradict it by the tolerance, which fades to 0 inside the hull.
    min_carving = MIN_CARVING_VOXELS * grid.step
    tolerance = np.clip(2 + hull / min_carving, 0, 1) * min_carving
    return np.clip(np.maximum(hull, fused.ravel()[indices] - tolerance), -truncation, truncation)


def _filter(distance_sum: Volume, weight: Volume, prior: Volume) -> Volume:
    """Return the filtered mean distance [X, Y, Z] of the depths.

    This is normalised convolution (Knutsson & Westin 1993) from coarse to fine. Each level is the prior of the next, so
    that no step appears where the depths end.
    """
    for sigma in FILTER_SIGMAS_VOXELS:
        sums, weights = (gaussian_filter(volume, sigma, truncate=2.0) for volume in (distance_sum, weight))
        prior = (sums + PRIOR_WEIGHT * prior) / (weights + PRIOR_WEIGHT)
    return prior


def extract_surface(grid: Grid, indices: NDArray[np.int64], distance: NDArray[np.float32]) -> tuple[Floats, Triangles]:
    """Return the zero level of ``distance`` [M] as vertices and outward-facing triangles (marching cubes).

    Args:
        indices: [M] flat indices into ``grid``. All other grid points are outside.

    Raises:
        ToolFailed: the surface is empty.
    """
    truncation = TRUNCATION_VOXELS * grid.step
    volume = np.full(grid.count, truncation, np.float32)
    volume[indices] = distance
    padded = np.pad(volume.reshape(grid.shape), 1, constant_values=truncation)
    if padded.min() >= 0:
        reason = "the masks and depths of the photos contradict each other"
        remedy = "check that the masks show the same piece in all photos"
        raise ToolFailed(f"the surface is empty after carving: {reason}; {remedy}")
    vertices, triangles, _, _ = marching_cubes(padded, 0.0, gradient_direction="descent")
    return (vertices.astype(np.float64) - 1) * grid.step + grid.origin, np.asarray(triangles, np.int32)
