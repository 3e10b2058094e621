"""Checks camera poses against the masks, which reveal errors that the few matches of a plain piece do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.uint8]

MASK_SIDE_PX = 200  # longer side of the reduced masks
CELLS = 64  # cells along each side of the cube that is carved
MAX_WRONG_MASKS = 0.05  # share of the masks that may wrongly exclude a point of the hull; not tuned
CUBE_MARGIN = 1.2  # half side of the carved cube relative to the median extent of the silhouettes
MAX_INCONSISTENT = 0.1  # if a larger share of the photos disagrees, none is rejected: any of them may be right
MIN_DEFICIT = 0.015  # how far below the median a photo's coverage must lie for the photo to be rejected; not tuned
MIN_DEFICIT_MADS = 6.0  # the same in median absolute deviations; the larger limit applies; not tuned


@dataclass(frozen=True)
class _Projections:
    """M points projected into one photo."""

    column: NDArray[np.int64]  # [M] 0 if the point is not framed
    row: NDArray[np.int64]
    framed: NDArray[np.bool_]  # whether the point is in the photo
    depth: NDArray[np.float32]


def silhouette_coverage(intrinsics: Sequence[Floats], poses: Sequence[Floats], masks: Sequence[Mask]) -> Floats:
    """Return for each mask [N] the share that the visual hull of all masks covers.

    This is silhouette coherence (Hernández, Schmitt & Cipolla 2007). The hull covers the masks if the cameras are right
    and shrinks with their error: for a chair, camera errors of 2°, 4° and 8° leave coverages of 99 %, 92 % and 73 %.

    Args:
        intrinsics: [3, 3] px each.
        poses: [3 or 4, 4] world to camera each.
        masks: [h, w] each, 255 on the piece. If one of them is empty, all shares are 0.
    """
    small = [_reduced(mask) for mask in masks]
    if not all(mask.any() for mask in small):
        return np.zeros(len(masks))
    scales = [MASK_SIDE_PX / max(mask.shape) for mask in masks]
    intrinsics = [np.diag([scale, scale, 1.0]) @ matrix for scale, matrix in zip(scales, intrinsics, strict=True)]
    centre, radius = _bounding_sphere(intrinsics, poses, small)
    axis = np.linspace(-CUBE_MARGIN * radius, CUBE_MARGIN * radius, CELLS, dtype=np.float32)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3) + centre.astype(np.float32)
    projections = [matrix @ pose[:3] for matrix, pose in zip(intrinsics, poses, strict=True)]
    hull = _carve(points, projections, small)
    coverage = np.zeros(len(masks))
    for number, (projection, mask) in enumerate(zip(projections, small, strict=True)):
        projected = _project(projection, hull, mask.shape)
        if not projected.framed.any():
            continue
        covered = np.zeros(mask.shape, np.uint8)
        covered[projected.row[projected.framed], projected.column[projected.framed]] = 1
        # Each hull point stands for its cell, so its pixel grows to the projected size of the cell.
        median_depth = np.median(projected.depth[projected.framed])
        cell_px = int(np.ceil((axis[1] - axis[0]) * intrinsics[number][0, 0] / median_depth)) | 1
        grown = cv2.dilate(covered, np.ones((cell_px, cell_px), np.uint8)) > 0
        coverage[number] = (mask & grown).sum() / mask.sum()
    return coverage


def inconsistent_photos(coverages: Sequence[float]) -> list[int]:
    """Return the few photos whose ``coverages`` [N] lie far below the others: their pose or mask is wrong."""
    median = float(np.median(coverages))
    deviation = float(np.median(np.abs(np.subtract(coverages, median))))
    minimum = median - max(MIN_DEFICIT, MIN_DEFICIT_MADS * deviation)
    outliers = [number for number, coverage in enumerate(coverages) if coverage < minimum]
    return outliers if len(outliers) <= MAX_INCONSISTENT * len(coverages) else []


def _carve(
    points: NDArray[np.float32], projections: Sequence[Floats], masks: Sequence[NDArray[np.bool_]]
) -> NDArray[np.float32]:
    """Return the points [K, 3] in the visual hull of the masks, grown by one pixel."""
    exclusions = np.zeros(len(points), np.int32)
    for projection, mask in zip(projections, masks, strict=True):
        projected = _project(projection, points, mask.shape)
        grown = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
        exclusions += projected.framed & (grown[projected.row, projected.column] == 0)
    return points[exclusions <= int(MAX_WRONG_MASKS * len(masks))]


def _reduced(mask: Mask) -> NDArray[np.bool_]:
    height, width = (max(1, round(side * MASK_SIDE_PX / max(mask.shape))) for side in mask.shape)
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA) > 127)


def _bounding_sphere(
    intrinsics: Sequence[Floats], poses: Sequence[Floats], masks: Sequence[NDArray[np.bool_]]
) -> tuple[Floats, float]:
    """Return the point [3] nearest to the rays through the mask centroids, and the median extent of the masks there."""
    normal_matrix, right_side = np.zeros((3, 3)), np.zeros(3)
    extents = []
    for matrix, pose, mask in zip(intrinsics, poses, masks, strict=True):
        row, column = np.nonzero(mask)
        ray = pose[:3, :3].T @ np.linalg.inv(matrix) @ [column.mean() + 0.5, row.mean() + 0.5, 1.0]
        ray /= np.linalg.norm(ray)
        projector = np.eye(3) - np.outer(ray, ray)
        normal_matrix, right_side = normal_matrix + projector, right_side - projector @ pose[:3, :3].T @ pose[:3, 3]
        extents.append(np.hypot(column - column.mean(), row - row.mean()).max() / matrix[0, 0])
    centre = np.linalg.lstsq(normal_matrix, right_side, rcond=None)[0]
    distances = [np.linalg.norm(pose[:3, :3] @ centre + pose[:3, 3]) for pose in poses]
    return centre, float(np.median(np.multiply(extents, distances)))


def _project(projection: Floats, points: NDArray[np.float32], shape: tuple[int, ...]) -> _Projections:
    """Project ``points`` [M, 3] with ``projection`` [3, 4] into a photo of ``shape`` (height, width)."""
    homogeneous = points @ projection[:, :3].T.astype(np.float32) + projection[:, 3].astype(np.float32)
    depth = homogeneous[:, 2]
    x, y = (homogeneous[:, axis] / np.maximum(depth, np.float32(1e-6)) for axis in (0, 1))
    framed = (x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0]) & (depth > 0)
    return _Projections(np.where(framed, x, 0).astype(np.int64), np.where(framed, y, 0).astype(np.int64), framed, depth)
