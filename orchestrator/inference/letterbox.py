"""Brings photos to one of a few sizes, so that Triton can batch requests for different photos."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image

BUCKETS = (512, 768, 1024)
"""Sides of the square inputs, in pixels."""


def pad_to_square(photo: NDArray[Any], side: int) -> NDArray[Any]:
    """Pad [h, w] or [h, w, C] of any dtype on the right and at the bottom to ``side`` by repeating the edge pixels."""
    height, width = photo.shape[:2]
    return np.asarray(cv2.copyMakeBorder(photo, 0, side - height, 0, side - width, cv2.BORDER_REPLICATE))


def stretch_to_square(photo_srgb: Image, side: int) -> Image:
    """Stretch [H, W, 3] uint8 to [side, side, 3]."""
    method = cv2.INTER_AREA if min(photo_srgb.shape[:2]) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(photo_srgb, (side, side), interpolation=method), np.uint8)


def to_model_input(photo_srgb: Image) -> FloatMap:
    """Convert [H, W, 3] uint8 to [1, 3, H, W] float32 in [0, 1]."""
    return np.ascontiguousarray(photo_srgb.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
