"""Gives the surfaces of a rendered image other colours under the same light: one rendering shows many finishes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from export_models.baselines.segmentation import MATERIALS
from export_models.dataset.colors import MAX_ALBEDO, Rgb
from export_models.dataset.photograph import max_channel
from export_models.dataset.surfaces import SURFACES

Floats = NDArray[np.float32]

# Not tuned, unless stated otherwise.
LIGHTNESS_SPREAD = 0.35
"""Standard deviation of the log gain that a recoloured part gets in all channels."""
HUE_SPREAD = 0.1
"""Standard deviation of the additional log gain that a recoloured part gets in each channel."""
MIN_ALBEDO = 0.02
"""Albedo to which smaller ones are raised where something is divided by it."""
REFINISHED = ("wood", "painted", "plastic", "fabric", "leather")
"""Materials whose specular reflection is white."""
PAINTED_SHARE = 0.2
"""Share of the wooden pieces that get an opaque coat."""
FIGURE_CONTRASTS = (0.3, 1.5)
"""Range of the factor by which the contrast of the figure of wood changes, in the logarithm of the albedo."""
COAT_CONTRASTS = (0.0, 0.1)
"""Range of that factor under an opaque coat."""
SPECULAR = 0.04
"""Share of the light that a dielectric reflects at normal incidence, whatever its colour: an index of refraction of
1.5."""


def recolor_parts(
    radiance: Floats, albedo: Floats, part: NDArray[np.int_], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Change the lightness and slightly the hue of each part.

    Args:
        radiance, albedo: [H, W, 3] linear.
        part: [H, W] index of the part at each pixel, ≥ 0.

    Returns:
        The new radiance and albedo. The albedo is at most MAX_ALBEDO.
    """
    count = int(part.max()) + 1
    lightness = rng.normal(0.0, LIGHTNESS_SPREAD, (count, 1))
    gains = np.exp(lightness + rng.normal(0.0, HUE_SPREAD, (count, 3)))
    gain = np.minimum(gains[part], MAX_ALBEDO / np.maximum(max_channel(albedo), MIN_ALBEDO)[..., None])
    return np.asarray(radiance * gain, np.float32), np.asarray(albedo * gain, np.float32)


def refinish(
    radiance: Floats, albedo: Floats, material: NDArray[np.uint8], on_piece: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Floats, Floats, NDArray[np.uint8]]:
    """Give each material of the piece another colour in which shops sell it; sometimes paint the wood.

    The diffuse reflection changes with the albedo, and the specular reflection is kept. Ratios of colour between the
    surfaces of one material are kept, and so is the figure of wood, with another contrast.

    Args:
        radiance, albedo: [H, W, 3] linear.
        material: [H, W] index into MATERIALS.
        on_piece: [H, W].

    Returns:
        The new radiance, albedo and materials. The albedo is at most MAX_ALBEDO.
    """
    refinished, new_material = albedo.copy(), material.copy()
    for name in REFINISHED:
        pixels = on_piece & (material == MATERIALS.index(name))
        if not pixels.any():
            continue
        becomes_painted = name == "wood" and rng.random() < PAINTED_SHARE
        new_name = "painted" if becomes_painted else name
        contrasts = COAT_CONTRASTS if becomes_painted else FIGURE_CONTRASTS if name == "wood" else (1.0, 1.0)
        own = albedo[pixels]
        figure = np.maximum(own, MIN_ALBEDO) / np.maximum(own.mean(0), MIN_ALBEDO)
        refinished[pixels] = np.minimum(draw_color(new_name, rng) * figure ** rng.uniform(*contrasts), MAX_ALBEDO)
        new_material[pixels] = MATERIALS.index(new_name)
    changed = (refinished != albedo).any(-1)
    new_radiance = radiance * (refinished + SPECULAR) / (albedo + SPECULAR)
    return _limit_mixed_pixels(new_radiance, changed), _limit_mixed_pixels(refinished, changed), new_material


def _limit_mixed_pixels(values: Floats, changed: NDArray[np.bool_]) -> Floats:
    """Limit the pixels at the edge of the changed surfaces to the highest value nearby.

    Such a pixel shows another surface in part. If that surface is lighter, the pixel becomes too bright.

    Args:
        values: [H, W, 3].
        changed: [H, W].
    """
    inner = cv2.erode(changed.astype(np.uint8), np.ones((3, 3)))
    is_edge = changed & (inner == 0)
    highest = cv2.dilate(np.where(is_edge[..., None], np.float32(0), values), np.ones((5, 5)))
    is_limited = is_edge & (cv2.dilate(inner, np.ones((5, 5))) > 0)  # not on bars that are all edge
    return np.where(is_limited[..., None], np.minimum(values, highest), values)


def draw_color(material: str, rng: np.random.Generator) -> Rgb:
    """Draw the mean colour of a surface, linear RGB."""
    surface: dict[str, Any] = SURFACES[material](rng)
    if material != "wood":
        color: Rgb = surface["color"]
        return color
    red, green, blue = np.add(surface["early_color"], surface["late_color"]) / 2
    return float(red), float(green), float(blue)
