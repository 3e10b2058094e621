"""Simulates a camera: turns the light on the sensor into a photo. The distributions are not tuned."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.imaging.color import encode_srgb

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

WHITE_PERCENTILE = 97.0
"""Percentage of the pixels whose brightest channel ``expose`` keeps below ``WHITE_LEVEL``. Not tuned."""
WHITE_LEVEL = 0.85
"""Linear value of the pixel at the exposure percentile. Not tuned."""

MIN_BALANCE_SHARE = 0.6
"""Minimum share of the light's colour, in logarithms, that the simulated white balance removes. Not tuned."""
MAX_BALANCE_SHARE = 1.0
"""Maximum of the same share."""

BALANCE_ERROR = 0.09
"""Standard deviation of the log error of red and blue after the white balance. Not tuned."""
CATALOGUE_BALANCE_ERROR = 0.03
"""The same in catalogue photos, which a person balances. Not tuned."""

READ_NOISE = (-3.0, -2.0)
"""Range of the decimal logarithm of the read noise, relative to white. Not tuned."""
CATALOGUE_READ_NOISE = (-4.0, -2.7)
"""The same in catalogue photos, which are taken at a low sensitivity. Not tuned."""

MIN_BACKDROP_LEVEL = 0.8
"""Lowest linear value of the backdrop of a catalogue photo before clipping. Not tuned."""
MAX_BACKDROP_LEVEL = 1.9
"""Highest linear value of the backdrop of a catalogue photo before clipping. Not tuned."""

MIN_CAST_ALBEDO = 0.05
"""Pixels with a darker channel are ignored when the colour of the light is estimated. Not tuned."""


def expose(radiance: Floats) -> Floats:
    """Scale linear light [H, W, 3] to [0, 1] so that bright areas are just below white."""
    gain = WHITE_LEVEL / _brightness(radiance, WHITE_PERCENTILE)
    return np.asarray(np.clip(radiance * gain, 0.0, 1.0), np.float32)


def photograph(
    radiance: Floats, albedo: Floats, rng: np.random.Generator, *, in_catalogue: bool = False
) -> tuple[Floats, Image]:
    """Simulate a photo of one sample.

    The camera removes most of the colour of the light with a von Kries white balance. It has errors of white balance
    and exposure, a slight blur, photon and read noise (Foi et al. 2008), a highlight roll-off, a random tone curve and
    JPEG compression.

    Args:
        radiance: [H, W, 3] linear, as in ``Sample``.
        albedo: [H, W, 3] linear, as in ``Sample``.
        in_catalogue: the photo is from a catalogue: carefully balanced, with the white backdrop at or beyond clipping.

    Returns:
        The white-balanced and exposed light [H, W, 3] float32, linear, before blur, noise and clipping; and the photo
        [H, W, 3] uint8 in sRGB.
    """
    balanced = _white_balance(radiance, albedo, rng, CATALOGUE_BALANCE_ERROR if in_catalogue else BALANCE_ERROR)
    exposed = _expose_backdrop(balanced, rng) if in_catalogue else _auto_expose(balanced, rng)
    read_noise = 10.0 ** rng.uniform(*(CATALOGUE_READ_NOISE if in_catalogue else READ_NOISE))
    linear = _roll_off_highlights(_add_noise(_blur(exposed, rng), read_noise, rng), rng)
    photo_srgb = np.asarray(np.round(_apply_tone_curve(encode_srgb(linear), rng) * 255), np.uint8)
    return exposed, np.ascontiguousarray(_compress(photo_srgb, rng))


def estimate_color_cast(radiance: Floats, albedo: Floats) -> Floats:
    """Return the logarithm [3] of the light's colour with mean 0, or zeros if no pixel is bright enough."""
    valid = (min_channel(albedo) > MIN_CAST_ALBEDO) & (min_channel(radiance) > 0)
    if not valid.any():
        return np.zeros(3, np.float32)
    log_light = np.log(radiance[valid] / albedo[valid]).mean(0)
    return np.asarray(log_light - log_light.mean(), np.float32)


def min_channel(image: Floats) -> Floats:
    """Return the minimum [H, W] over the channels of [H, W, 3]. Several times faster than ``min(-1)``."""
    return np.asarray(np.minimum(np.minimum(image[..., 0], image[..., 1]), image[..., 2]))


def max_channel(image: Floats) -> Floats:
    """Return the maximum [H, W] over the channels of [H, W, 3]. Several times faster than ``max(-1)``."""
    return np.asarray(np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2]))


def _white_balance(radiance: Floats, albedo: Floats, rng: np.random.Generator, spread: float) -> Floats:
    """Remove most of the colour of the light. ``spread`` is the standard deviation of the log error of a channel."""
    error = rng.normal(0.0, spread, 3) * np.array([1.0, 0.4, 1.0])
    share = rng.uniform(MIN_BALANCE_SHARE, MAX_BALANCE_SHARE)
    gains = np.exp(error - share * estimate_color_cast(radiance, albedo))
    return np.asarray(radiance * gains, np.float32)


def _auto_expose(radiance: Floats, rng: np.random.Generator) -> Floats:
    gain = WHITE_LEVEL / _brightness(radiance, rng.uniform(90, 99.5))
    gain *= 2.0 ** rng.normal(0.0, 0.35)
    return np.asarray(radiance * gain, np.float32)


def _expose_backdrop(radiance: Floats, rng: np.random.Generator) -> Floats:
    """Expose so that the backdrop, the largest bright area, is between light grey and twice the clipping level."""
    level = float(np.exp(rng.uniform(np.log(MIN_BACKDROP_LEVEL), np.log(MAX_BACKDROP_LEVEL))))
    return np.asarray(radiance * (level / _brightness(radiance, WHITE_PERCENTILE)), np.float32)


def _brightness(radiance: Floats, percentile: float) -> float:
    """Return the percentile of the brightest channel, which is above 0."""
    return max(float(np.percentile(max_channel(radiance), percentile)), 1e-6)


def _blur(linear: Floats, rng: np.random.Generator) -> Floats:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(linear, (0, 0), float(rng.uniform(0.3, 0.9))), np.float32)
    return linear


def _add_noise(linear: Floats, read: float, rng: np.random.Generator) -> Floats:
    """Add photon noise, and read noise with the standard deviation ``read``."""
    photon = 10.0 ** rng.uniform(-5.0, -3.0)
    noise = rng.standard_normal(linear.shape, dtype=np.float32) * np.sqrt(np.maximum(linear, 0) * photon + read**2)
    return np.asarray(np.clip(linear + noise, 0.0, None))


def _roll_off_highlights(linear: Floats, rng: np.random.Generator) -> Floats:
    """Compress values above 0.7 instead of clipping them."""
    shoulder = float(rng.uniform(0.0, 0.6))
    highlight = np.maximum(linear - 0.7, 0.0)
    return np.asarray(np.minimum(linear, 0.7) + highlight / (1.0 + shoulder * highlight / 0.3))


def _apply_tone_curve(photo: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Raise or lower the contrast of an sRGB photo in [0, 1]."""
    strength = float(rng.normal(0.0, 0.12))
    return np.asarray(np.clip(photo + strength * photo * (1 - photo) * (2 * photo - 1) * 2, 0.0, 1.0))


def _compress(photo_srgb: Image, rng: np.random.Generator) -> Image:
    """Encode and decode 70 % of the photos as JPEG."""
    if rng.random() < 0.7:
        quality = int(rng.integers(55, 98))
        _, jpeg = cv2.imencode(".jpg", photo_srgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)
    return photo_srgb
