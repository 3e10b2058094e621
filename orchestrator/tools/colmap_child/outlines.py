"""How well placed cameras agree with the masks: outlines see what matches of a plain piece do not."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.uint8]

SIDE_PX, CELLS = 200, 64
"""The masks' longer side, and the cells along each side of the cube that is carved."""
MISSES = 0.05
"""Share of the masks that may be wrong about a place."""
ROOM = 1.2
"""The cube is larger than the outlines, in the median, by this factor."""
FEW = 0.1
"""Share of the photos that may be left out; where more disagree, none is known to be right."""
STANDS_OUT, SPREADS = 0.015, 6.0
"""How far below the median a share stands out: so much at least, and so many median deviations."""


def covered(matrices: Sequence[Floats], poses: Sequence[Floats], masks: Sequence[Mask]) -> Floats:
    """Return [N] the share of each mask that the visual hull of all of them fills.

    The hull can't reach out of the masks; it fills them where the cameras are right (silhouette coherence, Hernández,
    Schmitt and Cipolla 2007), and shrinks the more they are not: a chair whose cameras are 2° off fills 99 %, 4° 92 %,
    8° 73 %.

    Args:
        matrices: [3, 3] pinhole, px; poses: [3 or 4, 4] world to camera; masks: [h, w], 255 on the piece.
    """
    small = [cv2.resize(mask, small_size(mask), interpolation=cv2.INTER_AREA) > 127 for mask in masks]
    if not all(mask.any() for mask in small):
        return np.zeros(len(masks))
    scales = [SIDE_PX / max(mask.shape) for mask in masks]
    matrices = [np.diag([scale, scale, 1.0]) @ matrix for scale, matrix in zip(scales, matrices, strict=True)]
    middle, radius = ball_around(matrices, poses, small)
    axis = np.linspace(-ROOM * radius, ROOM * radius, CELLS, dtype=np.float32)
    places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3) + middle.astype(np.float32)
    projections = [matrix @ pose[:3] for matrix, pose in zip(matrices, poses, strict=True)]
    outside = np.zeros(len(places), np.int32)
    for projection, mask in zip(projections, small, strict=True):
        column, row, framed, _ = pixels(projection, places, mask.shape)
        outside += framed & (cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))[row, column] == 0)
    hull = places[outside <= int(MISSES * len(masks))]
    shares = np.zeros(len(masks))
    for number, (projection, mask) in enumerate(zip(projections, small, strict=True)):
        column, row, framed, depth = pixels(projection, hull, mask.shape)
        if not framed.any():
            continue
        shown = np.zeros(mask.shape, np.uint8)
        shown[row[framed], column[framed]] = 1
        cell = int(np.ceil((axis[1] - axis[0]) * matrices[number][0, 0] / np.median(depth[framed]))) | 1
        grown = cv2.dilate(shown, np.ones((cell, cell), np.uint8)) > 0
        shares[number] = (mask & grown).sum() / mask.sum()
    return shares


def misplaced(shares: Sequence[float]) -> list[int]:
    """The few photos whose ``shares`` [N] of ``covered`` stand out: they are placed wrongly, or their mask is wrong."""
    middle = float(np.median(shares))
    spread = float(np.median(np.abs(np.subtract(shares, middle))))
    found = [number for number, share in enumerate(shares) if share < middle - max(STANDS_OUT, SPREADS * spread)]
    return found if len(found) <= FEW * len(shares) else []


def small_size(mask: Mask) -> tuple[int, int]:
    height, width = (max(1, round(side * SIDE_PX / max(mask.shape))) for side in mask.shape)
    return width, height


def ball_around(
    matrices: Sequence[Floats], poses: Sequence[Floats], masks: Sequence[NDArray[np.bool_]]
) -> tuple[Floats, float]:
    """The place nearest to the rays through the masks' middles, and how far the masks reach from it."""
    normal, right = np.zeros((3, 3)), np.zeros(3)
    reach = []
    for matrix, pose, mask in zip(matrices, poses, masks, strict=True):
        row, column = np.nonzero(mask)
        ray = pose[:3, :3].T @ np.linalg.inv(matrix) @ [column.mean() + 0.5, row.mean() + 0.5, 1.0]
        ray /= np.linalg.norm(ray)
        across = np.eye(3) - np.outer(ray, ray)
        normal, right = normal + across, right - across @ pose[:3, :3].T @ pose[:3, 3]
        reach.append(np.hypot(column - column.mean(), row - row.mean()).max() / matrix[0, 0])
    middle = np.linalg.lstsq(normal, right, rcond=None)[0]
    away = [np.linalg.norm(pose[:3, :3] @ middle + pose[:3, 3]) for pose in poses]
    return middle, float(np.median(np.multiply(reach, away)))


def pixels(
    projection: Floats, places: NDArray[np.float32], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float32]]:
    """Column, row (0 where not in the frame), whether it is in the frame, and depth of ``places`` [M, 3]."""
    seen = places @ projection[:, :3].T.astype(np.float32) + projection[:, 3].astype(np.float32)
    depth = seen[:, 2]
    x, y = (seen[:, axis] / np.maximum(depth, np.float32(1e-6)) for axis in (0, 1))
    framed = (x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0]) & (depth > 0)
    return np.where(framed, x, 0).astype(np.int64), np.where(framed, y, 0).astype(np.int64), framed, depth
