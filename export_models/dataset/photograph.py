"""From the light on the sensor to the photo that a person's camera makes of it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.imaging.color import encode_srgb

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

WHITE_PERCENTILE, WHITE_LEVEL = 97.0, 0.85
"""Exposed so that this share of the pixels stays below this level in every channel."""

BALANCED = (0.6, 1.0)
"""Share of the light's colour that a camera takes out."""


def exposed(radiance: Floats) -> Floats:
    """[H, W, 3] linear in [0, 1]: bright parts just below white, as a camera meters."""
    gain = WHITE_LEVEL / max(float(np.percentile(highest(radiance), WHITE_PERCENTILE)), 1e-6)
    return np.asarray(np.clip(radiance * gain, 0.0, 1.0), np.float32)


def photograph(radiance: Floats, albedo: Floats, random: np.random.Generator) -> tuple[Floats, Image]:
    """Return the exposed picture as it fell, linear and unclipped [H, W, 3], and the photo [H, W, 3] sRGB.

    The camera takes out most of the light's colour (von Kries), as people's cameras do. The photo has errors
    of exposure and white balance, photon and read noise (Foi et al. 2008), a little blur, a tone curve of the maker's
    taste, and JPEG.

    Args:
        radiance, albedo: [H, W, 3] linear, as in ``Sample``.
    """
    error = random.normal(0.0, 0.09, 3) * np.array([1.0, 0.4, 1.0])
    balance = np.exp(error - random.uniform(*BALANCED) * cast(radiance, albedo))
    radiance = np.asarray(radiance * balance, np.float32)
    gain = WHITE_LEVEL / max(float(np.percentile(highest(radiance), random.uniform(90, 99.5))), 1e-6)
    gain *= 2.0 ** random.normal(0.0, 0.35)
    truth = np.asarray(radiance * gain, np.float32)
    seen = truth
    if random.random() < 0.5:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), float(random.uniform(0.3, 0.9))), np.float32)
    photon, read = 10.0 ** random.uniform(-5.0, -3.0), 10.0 ** random.uniform(-3.0, -2.0)
    noise = random.standard_normal(seen.shape, dtype=np.float32) * np.sqrt(np.maximum(seen, 0) * photon + read**2)
    seen = np.clip(seen + noise, 0.0, None)
    shoulder = float(random.uniform(0.0, 0.6))  # bright parts roll off instead of clipping
    bright = np.maximum(seen - 0.7, 0.0)
    seen = np.minimum(seen, 0.7) + bright / (1.0 + shoulder * bright / 0.3)
    coded = encode_srgb(seen)
    curve = float(random.normal(0.0, 0.12))
    coded = np.clip(coded + curve * coded * (1 - coded) * (2 * coded - 1) * 2, 0.0, 1.0)
    photo = np.round(coded * 255).astype(np.uint8)
    if random.random() < 0.7:
        quality = int(random.integers(55, 98))
        _, packed = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        photo = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)
    return truth, np.ascontiguousarray(photo)


def cast(radiance: Floats, albedo: Floats) -> Floats:
    """[3] logarithm of the light's colour, 0 in the mean, over the pixels that tell it; all 0 where none does."""
    told = (lowest(albedo) > 0.05) & (lowest(radiance) > 0)
    if not told.any():
        return np.zeros(3, np.float32)
    found = np.log(radiance[told] / albedo[told]).mean(0)
    return np.asarray(found - found.mean(), np.float32)


def lowest(channels: Floats) -> Floats:
    """[H, W] the least of [H, W, 3]; several times faster than ``min(-1)``."""
    return np.asarray(np.minimum(np.minimum(channels[..., 0], channels[..., 1]), channels[..., 2]))


def highest(channels: Floats) -> Floats:
    """[H, W] the greatest of [H, W, 3]."""
    return np.asarray(np.maximum(np.maximum(channels[..., 0], channels[..., 1]), channels[..., 2]))
