"""The light in a photo, at the photo's resolution: shading to divide by, and mirrored light that no stain colours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging import guided
from orchestrator.imaging.color import luminance

LEAST_SHADING = 2e-3
SHADING_EPSILON = 1e-3
"""Guide variance (3 % contrast): the light follows the edges of things, not fine grain."""

GREY_WOOD = 0.75
"""Least over greatest channel: wood above this is so grey that mirrored light cannot be told from its own."""
HIGHLIGHT_FROM, HIGHLIGHT_FULL = 1.25, 2.0
"""Luminance over the wood's median between which mirrored light counts as a highlight."""
KNEE = 0.65
"""Linear light (sRGB 210) above which lightened wood in strong light is bent towards white."""
MIRROR_SIGMA = 0.003
"""Mirrored light is smooth; what varies faster than this share of the longer side is the grain's own colour."""


def fit_log_shading(maps: MaterialMaps, photo_srgb: Image) -> guided.GuidedMap:
    """The natural logarithm of the shading (3 channels), ready at the photo's resolution."""
    log_shading = np.log(np.maximum(maps.shading_linear, LEAST_SHADING)).astype(np.float32)
    return guided.fit(log_shading, photo_srgb, epsilon=SHADING_EPSILON, grey=True)


def fit_mirrored(maps: MaterialMaps, wood: FloatMap, photo_srgb: Image) -> guided.GuidedMap:
    """Neutral light that the wood's surface mirrors, linear: (0) highlights, (1) weaker sheen.

    The dichromatic model (Shafer 1985, Using color to separate reflection components): a pixel is the wood's colour
    times the light, plus neutral light off the surface. The wood's own least-to-greatest channel ratio is measured
    on the wood; what a pixel has above that ratio in its least channel is neutral. Weaker sheen is looked for in
    the shading, which a film does not touch: it would come out blue where brown wood turns grey. Highlights are
    looked for in the photo itself: wherever the models put them, they stay bright.

    Args:
        maps: what the models say of the photo.
        wood: [h, w] in [0, 1], at model resolution.
        photo_srgb: [H, W, 3] uint8.
    """
    # The outermost pixels hold some of what lies behind the wood, which is often neutral.
    inside = cv2.erode((wood > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    photo = maps.albedo_linear * maps.shading_linear
    light = luminance(photo)
    usual = max(float(np.median(light[inside])), 1e-3) if inside.any() else 1.0
    bright = _ramp(light / usual, HIGHLIGHT_FROM, HIGHLIGHT_FULL)
    wood_color = np.median(maps.albedo_linear[inside], axis=0) if inside.any() else np.ones(3)
    sheen = _neutral(maps.shading_linear * wood_color.astype(np.float32), inside) * (1.0 - bright)
    mirrored = np.dstack([_neutral(photo, inside) * bright, sheen])
    sigma = max(0.5, MIRROR_SIGMA * max(wood.shape))
    weights = inside.astype(np.float32) + np.float32(1e-4)
    total = cv2.GaussianBlur(mirrored * weights[..., None], (0, 0), sigma)
    smooth = np.asarray(total / cv2.GaussianBlur(weights, (0, 0), sigma)[..., None], np.float32)
    return guided.fit(smooth, photo_srgb, grey=True)


def rolled_off(lit: FloatMap, photo: FloatMap) -> FloatMap:
    """Linear light that was raised above the photo's, bent so that it nears 1 instead of clipping, as on film.

    What is no lighter than the photo, or than KNEE, stays as it is. Same shapes.
    """
    knee = np.maximum(photo, np.float32(KNEE))
    room = np.maximum(np.float32(1.0) - knee, np.float32(1e-4))
    bent = np.float32(1.0) - room * cv2.exp((knee - lit) / room)
    return np.where(lit > knee, bent, lit)


def _neutral(lit: FloatMap, inside: NDArray[np.bool_]) -> FloatMap:
    """[h, w] light that has not taken on the wood's colour, in [h, w, 3] linear light; 0 where wood is grey."""
    least, greatest = lit.min(axis=2), np.maximum(lit.max(axis=2), 1e-4)
    ratio = float(np.median((least / greatest)[inside])) if inside.any() else 1.0
    if ratio > GREY_WOOD:
        return np.zeros_like(least)
    return np.asarray(np.clip((least - ratio * greatest) / (1.0 - ratio), 0.0, least), np.float32)


def _ramp(values: FloatMap, low: float, high: float) -> NDArray[np.float32]:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)
