"""Generates photos for tests: a wooden board with grain and uneven lighting on a plain background."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def wood_photo(width: int = 640, height: int = 480, seed: int = 0) -> NDArray[np.uint8]:
    """Return [height, width, 3] uint8 sRGB: a board with grain along x in the middle of a light grey background."""
    random = np.random.default_rng(seed)
    rows = np.cumsum(random.normal(size=(height, 1)), axis=0)
    wave = cv2.resize(random.normal(size=(9, 9)), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.sin(rows * 0.7 + wave * 3.0) * 0.5 + random.normal(size=(height, 1)) * 0.25
    light = np.linspace(1.1, 0.7, width)[None, :] * np.linspace(1.0, 0.9, height)[:, None]
    wood = np.array([0.34, 0.19, 0.09]) * np.exp(0.22 * grain)[..., None]
    scene = np.full((height, width, 3), 0.62)
    top, bottom, left, right = height // 6, height * 5 // 6, width // 8, width * 7 // 8
    scene[top:bottom, left:right] = wood[top:bottom, left:right]
    linear = np.clip(scene * light[..., None], 0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


def wood_box(width: int = 640, height: int = 480) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the board in ``wood_photo``."""
    return width // 8, height // 6, width * 7 // 8, height * 5 // 6


def jpeg(image: NDArray[np.uint8], quality: int = 92) -> bytes:
    """Encode an sRGB image as JPEG."""
    encoded, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return data.tobytes()


def png(image: NDArray[np.uint8]) -> bytes:
    """Encode an sRGB or grey image as PNG."""
    encoded, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)
    assert encoded
    return data.tobytes()
