"""Resampling and elementary filters of images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import BoolMask, FloatMap, Image

SAMPLE_ROW = 4096
"""Positions per row of the grid that is passed to ``cv2.remap``, which accepts at most 32767 rows and columns."""


def shrink(image: Image, long_side: int) -> Image:
    """Scale an image down by area averaging until its longer side is at most ``long_side``. Never enlarges."""
    height, width = image.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


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
    rows = max(1, (len(positions) + SAMPLE_ROW - 1) // SAMPLE_ROW)
    grid = np.zeros((rows * SAMPLE_ROW, 2), np.float32)
    grid[: len(positions)] = positions - np.float32(0.5)
    x, y = np.moveaxis(grid.reshape(rows, SAMPLE_ROW, 2), -1, 0)
    method = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    values = cv2.remap(image, x, y, method, borderMode=border, borderValue=[outside or 0.0] * 4)
    return np.asarray(values.reshape(rows * SAMPLE_ROW, *image.shape[2:])[: len(positions)])


def weighted_blur(values: FloatMap, weights: FloatMap, sigma: float, min_weight: float = 0.0) -> FloatMap:
    """Return the Gaussian average of [h, w] or [h, w, C] values, weighted by [h, w].

    Args:
        sigma: standard deviation of the Gaussian, in pixels.
        min_weight: lower limit of the blurred weights, by which the blurred values are divided.
    """
    total = np.maximum(cv2.GaussianBlur(weights, (0, 0), sigma), np.float32(min_weight))
    if values.ndim == 3:
        weights, total = weights[..., None], total[..., None]
    return np.asarray(cv2.GaussianBlur(values * weights, (0, 0), sigma) / total, np.float32)


def dilate(mask: BoolMask, radius: int) -> BoolMask:
    """Extend a mask by ``radius`` pixels in each direction, diagonals included."""
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def smoothstep(values: FloatMap, low: float = 0.0, high: float = 1.0) -> FloatMap:
    """Return a smooth step from 0 below ``low`` to 1 above ``high``."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def to_float(image: Image) -> FloatMap:
    """Convert uint8 to float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def to_byte(values: FloatMap) -> Image:
    """Convert values in [0, 1] to uint8, clipped and rounded."""
    return np.asarray(np.rint(np.clip(values, 0.0, 1.0) * 255.0), np.uint8)
