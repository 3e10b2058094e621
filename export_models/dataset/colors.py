"""Random colours of surfaces. Colours are linear RGB in [0, 1] unless stated otherwise."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export_models.dataset.makers.piece import pick
from orchestrator.imaging.color import decode_srgb, encode_srgb

Rgb = tuple[float, float, float]
Generator = np.random.Generator

MAX_ALBEDO = 0.95
"""Maximum albedo of a surface. No furniture material reflects more light."""
MIN_ALBEDO = 0.004
"""Minimum albedo of a surface. Not tuned."""

NEUTRALS = ("#F1EEE8", "#D8D4CC", "#A9A6A1", "#6E6C6A", "#3A393A", "#1C1C1E", "#E4D9C5", "#B7A78E")
"""sRGB greys from white to black, then a cream and a tan."""

MIN_BROWN_HUE = 0.02
"""Lowest hue of wood, in HSV of sRGB."""
MAX_BROWN_HUE = 0.14
"""Highest hue of wood, in HSV of sRGB."""
MIN_VIVID_SATURATION = 0.72
"""Saturation from which a bright colour with the hue of wood is an orange or yellow, which no wood has. By eye."""
MIN_VIVID_VALUE = 0.75
"""Value from which a saturated colour with the hue of wood is an orange or yellow. By eye."""
MAX_CREAM_SATURATION = 0.13
"""Saturation up to which a light colour with the hue of wood is a cream or grey. By eye."""
MIN_CREAM_VALUE = 0.82
"""Value from which a faint colour with the hue of wood is a cream. By eye."""


def looks_like_wood(color: Rgb) -> bool:
    """Return whether a uniform coat of this colour could not be told from plain wood."""
    hue, saturation, value = colorsys.rgb_to_hsv(*encode_srgb(color))
    if not MIN_BROWN_HUE <= hue <= MAX_BROWN_HUE:
        return False
    is_vivid = saturation > MIN_VIVID_SATURATION and value > MIN_VIVID_VALUE
    is_cream = saturation < MAX_CREAM_SATURATION and value > MIN_CREAM_VALUE
    return not (is_vivid or is_cream)


def draw_any_color(rng: Generator) -> Rgb:
    """Draw a colour of household objects without regard to what shops sell; nearly half of them are near grey."""
    if rng.random() < 0.45:
        return draw_neutral(rng)
    return from_hsv(rng.random(), rng.uniform(0.1, 0.85), rng.uniform(0.12, 0.92))


def draw_pale_color(rng: Generator) -> Rgb:
    """Draw a light colour of any hue."""
    return from_hsv(rng.random(), rng.uniform(0.05, 0.45), rng.uniform(0.45, 0.92))


def draw_neutral(rng: Generator, neutrals: Sequence[str] = NEUTRALS) -> Rgb:
    """Draw one of some sRGB colours."""
    return linear(neutrals[rng.integers(len(neutrals))])


def draw_shade(palette: Mapping[str, float], rng: Generator, spread: float = 0.04) -> Rgb:
    """Draw a colour of a palette and vary it.

    Args:
        palette: sRGB colours and their weights.
        spread: standard deviation of the variation of each HSV component, in HSV units; the hue varies by a third.
    """
    hue, saturation, value = colorsys.rgb_to_hsv(*_srgb(pick(palette, rng)))
    return from_hsv(
        (hue + rng.normal(0.0, spread / 3)) % 1.0,
        float(np.clip(saturation * (1 + rng.normal(0.0, 2 * spread)), 0.0, 1.0)),
        float(np.clip(value + rng.normal(0.0, spread), 0.02, 1.0)),
    )


def from_hsv(hue: float, saturation: float, value: float) -> Rgb:
    """Return the linear RGB of a colour given as HSV of sRGB."""
    return clip_albedo(decode_srgb(colorsys.hsv_to_rgb(hue, saturation, value)))


def linear(color_hex: str) -> Rgb:
    """Return the linear RGB of ``#RRGGBB``."""
    return clip_albedo(decode_srgb(_srgb(color_hex)))


def _srgb(color_hex: str) -> Rgb:
    """Return the sRGB components in [0, 1] of ``#RRGGBB``."""
    red, green, blue = (int(color_hex[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def clip_albedo(color: Any) -> Rgb:
    """Clip linear RGB to the range of albedos."""
    red, green, blue = (float(np.clip(channel, MIN_ALBEDO, MAX_ALBEDO)) for channel in color)
    return red, green, blue
