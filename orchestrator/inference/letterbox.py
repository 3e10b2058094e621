"""Photos as the models take them: in one of a few square sizes, so that Triton can batch them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image

BUCKETS = (512, 768, 1024)
"""Sides of the squares, in pixels."""


def shrink(photo_srgb: Image, long_side: int) -> Image:
    """The photo with its longer side at most ``long_side``, by area averaging; it is never enlarged."""
    height, width = photo_srgb.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return photo_srgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(photo_srgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def fill_square(photo: NDArray[Any], side: int) -> NDArray[Any]:
    """The photo, or a map of it, in the upper left of a square; what fills it up repeats the edge. Same type."""
    height, width = photo.shape[:2]
    return np.asarray(cv2.copyMakeBorder(photo, 0, side - height, 0, side - width, cv2.BORDER_REPLICATE))


def as_input(photo_srgb: Image) -> FloatMap:
    """[1, 3, H, W] float32, sRGB in [0, 1]."""
    return np.ascontiguousarray(photo_srgb.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
