"""The light in a photo at full resolution: the shading, and specular reflections, which a stain does not colour."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging import guided
from orchestrator.imaging.color import luminance

MIN_SHADING = 2e-3
"""Smallest shading. It avoids a division by 0."""
SHADING_EPSILON = 1e-3
"""Guide variance (3 % contrast) below which a window is treated as flat. The shading follows the edges of objects, not
fine grain."""
GREY_WOOD = 0.75
"""Ratio of the smallest to the largest channel above which wood is treated as grey. On grey wood, specular reflections
cannot be separated from the wood's own colour. Not tuned."""
HIGHLIGHT_START = 1.25
"""Luminance, relative to the median of the wood, above which specular light starts to count as a highlight."""
HIGHLIGHT_FULL = 2.0
"""Luminance, relative to the median of the wood, above which all specular light counts as a highlight. Not tuned."""
KNEE = 0.65
"""Linear light (sRGB 210) above which lightened wood is compressed towards white. Not tuned."""
SPECULAR_SIGMA = 0.003
"""Sigma of the filter for specular light, as a share of the longer side. Specular light is smooth; faster variation is
the colour of the grain. Not tuned."""


def fit_log_shading(maps: MaterialMaps, photo_srgb: Image) -> guided.GuidedMap:
    """Fit the natural logarithm of the shading (3 channels) to the photo."""
    log_shading = np.log(np.maximum(maps.shading_linear, MIN_SHADING)).astype(np.float32)
    return guided.fit(log_shading, photo_srgb, epsilon=SHADING_EPSILON, grey=True)


def fit_specular(maps: MaterialMaps, wood: FloatMap, photo_srgb: Image) -> guided.GuidedMap:
    """Fit the specular light on the wood to the photo.

    In the dichromatic model (Shafer 1985, Using color to separate reflection components), a pixel is the colour of the
    wood times the light, plus neutral light that the surface reflects. The ratio of the smallest to the largest channel
    is measured on the wood. The part of a pixel's smallest channel that exceeds this ratio is neutral.

    Sheen is measured in the shading, which a film does not change. Otherwise the sheen would turn blue when brown wood
    is stained grey. Highlights are measured in the photo, so that they stay bright whether the models assign them to
    the shading or to the albedo.

    Args:
        maps: model outputs for this photo.
        wood: [h, w] in [0, 1], at model resolution.
        photo_srgb: [H, W, 3] uint8.

    Returns:
        Linear neutral light in two channels: highlights, and the weaker sheen.
    """
    # The outermost pixels are mixed with the background, which is often neutral.
    inside = cv2.erode((wood > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    photo = maps.albedo_linear * maps.shading_linear
    light = luminance(photo)
    median_light = max(float(np.median(light[inside])), 1e-3) if inside.any() else 1.0
    highlight = _ramp(light / median_light, HIGHLIGHT_START, HIGHLIGHT_FULL)
    wood_color = np.median(maps.albedo_linear[inside], axis=0) if inside.any() else np.ones(3)
    sheen = _neutral_light(maps.shading_linear * wood_color.astype(np.float32), inside) * (1.0 - highlight)
    specular = np.dstack([_neutral_light(photo, inside) * highlight, sheen])
    sigma = max(0.5, SPECULAR_SIGMA * max(wood.shape))
    weights = inside.astype(np.float32) + np.float32(1e-4)
    total = cv2.GaussianBlur(specular * weights[..., None], (0, 0), sigma)
    smooth = np.asarray(total / cv2.GaussianBlur(weights, (0, 0), sigma)[..., None], np.float32)
    return guided.fit(smooth, photo_srgb, grey=True)


def roll_off(lit: FloatMap, photo: FloatMap) -> FloatMap:
    """Compress linear light above the photo's light towards 1 instead of clipping it.

    Values below the photo or below KNEE are unchanged. Both arrays have the same shape.
    """
    knee = np.maximum(photo, np.float32(KNEE))
    room = np.maximum(np.float32(1.0) - knee, np.float32(1e-4))
    compressed = np.float32(1.0) - room * cv2.exp((knee - lit) / room)
    return np.where(lit > knee, compressed, lit)


def _neutral_light(lit: FloatMap, inside: NDArray[np.bool_]) -> FloatMap:
    """Return the [h, w] neutral part of [h, w, 3] linear light, 0 if the wood is grey."""
    smallest, largest = lit.min(axis=2), np.maximum(lit.max(axis=2), 1e-4)
    ratio = float(np.median((smallest / largest)[inside])) if inside.any() else 1.0
    if ratio > GREY_WOOD:
        return np.zeros_like(smallest)
    return np.asarray(np.clip((smallest - ratio * largest) / (1.0 - ratio), 0.0, smallest), np.float32)


def _ramp(values: FloatMap, low: float, high: float) -> NDArray[np.float32]:
    """Return a smooth step from 0 below ``low`` to 1 above ``high``."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)
