"""Samples an image at arbitrary positions."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap

ROW = 4096
"""Positions per row of the grid that is passed to ``cv2.remap``, which accepts at most 32767 rows and columns."""


def sample(
    image: FloatMap, positions: NDArray[np.float32], *, nearest: bool = False, outside: float | None = None
) -> FloatMap:
    """Sample an image bilinearly at arbitrary positions.

    Args:
        image: [H, W] or [H, W, C].
        positions: [M, 2] x and y in pixels. The centre of the first pixel is (0.5, 0.5), as in COLMAP.
        nearest: take the nearest pixel instead of interpolating.
        outside: value outside the image. None repeats the nearest edge pixel.

    Returns:
        [M] or [M, C] float32.
    """
    rows = max(1, -(-len(positions) // ROW))
    grid = np.zeros((rows * ROW, 2), np.float32)
    grid[: len(positions)] = positions - np.float32(0.5)
    x, y = np.moveaxis(grid.reshape(rows, ROW, 2), -1, 0)
    method = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    values = cv2.remap(image, x, y, method, borderMode=border, borderValue=[outside or 0.0] * 4)
    return np.asarray(values.reshape(rows * ROW, *image.shape[2:])[: len(positions)])
