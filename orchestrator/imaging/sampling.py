"""Reads a picture at any places."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap

ROW = 4096
"""OpenCV's remap takes at most 32767 rows and columns."""


def sample(
    picture: FloatMap, at: NDArray[np.float32], *, nearest: bool = False, outside: float | None = None
) -> FloatMap:
    """Return [M] or [M, C] what ``picture`` [H, W] or [H, W, C] shows at the pixels ``at`` [M, 2], bilinear.

    Args:
        at: pixels counted as COLMAP does, the middle of the first is (0.5, 0.5).
        outside: the value beyond the picture's edge; without it the edge goes on.
    """
    rows = max(1, -(-len(at) // ROW))
    grid = np.zeros((rows * ROW, 2), np.float32)
    grid[: len(at)] = at - np.float32(0.5)
    grid = grid.reshape(rows, ROW, 2)
    found = cv2.remap(
        picture,
        grid[..., 0],
        grid[..., 1],
        cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT,
        borderValue=[outside or 0.0] * 4,
    )
    return np.asarray(found.reshape(rows * ROW, *picture.shape[2:])[: len(at)])
