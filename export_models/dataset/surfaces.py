"""Draws random surfaces, as the dictionaries that ``blender.surfaces`` builds materials from.

Surfaces are drawn independently of shapes: any role that may be wood can get any wood. Colours are linear RGB in
[0, 1]. The keys of a surface depend on its ``pattern``; the function of that pattern in ``blender.surfaces`` documents
them. ``scale`` enlarges the figure of wood on large pieces.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.makers.piece import pick
from orchestrator.imaging.color import decode_srgb

Surface = dict[str, Any]
Rgb = tuple[float, float, float]
Generator = np.random.Generator

MAX_ALBEDO = 0.95
"""Maximum albedo of a surface. No furniture material reflects more light."""
MIN_ALBEDO = 0.004
"""Minimum albedo of a surface. Not tuned."""


class WoodSpecies(NamedTuple):
    """Appearance of a wood."""

    early_hex: str  # sRGB colour of the early wood, the light part of a growth ring
    late_hex: str  # sRGB colour of the late wood
    pores: float  # visibility of the pores, 0 to 1


WOODS: dict[str, WoodSpecies] = {
    "maple": WoodSpecies("#EAD3AE", "#CBA679", 0.2),
    "pine": WoodSpecies("#E3C492", "#B58450", 0.5),
    "beech": WoodSpecies("#DDB88F", "#B5845A", 0.2),
    "oak": WoodSpecies("#D0A972", "#8D6234", 0.7),
    "greyed ash": WoodSpecies("#C3B49C", "#7B6B55", 0.6),
    "teak": WoodSpecies("#BC8A4A", "#6C4622", 0.4),
    "cherry": WoodSpecies("#B0693F", "#6B3219", 0.2),
    "mahogany": WoodSpecies("#8B452C", "#451B0F", 0.3),
    "walnut": WoodSpecies("#80583A", "#3B2412", 0.4),
    "wenge": WoodSpecies("#5A3E2D", "#271710", 0.5),
    "iroko": WoodSpecies("#9C6B3E", "#5A3619", 0.4),
    "birch": WoodSpecies("#D8C7AA", "#A88E68", 0.5),
    "smoked oak": WoodSpecies("#6E4B37", "#3A241A", 0.3),
    "elm": WoodSpecies("#A67C52", "#6B4A2B", 0.6),
    "ebonised wood": WoodSpecies("#3C3230", "#1B1614", 0.3),
    "limed wood": WoodSpecies("#B9A58C", "#8E7A63", 0.3),
}
"""Chosen by eye from photographs."""

METALS: dict[str, float] = {
    "#C9C7C3": 3.0,  # chrome
    "#8E8C8A": 3.0,  # steel
    "#B58E46": 1.0,  # brass
    "#D8D2C4": 2.0,  # nickel
    "#7E786F": 1.0,  # pewter
}
"""sRGB reflectance at normal incidence (F0) of each metal, and its weight.

Black metal is drawn as painted. Copper and bronze are excluded: in a photo of a room they look like dark wood.
"""

NEUTRALS = ("#F1EEE8", "#D8D4CC", "#A9A6A1", "#6E6C6A", "#3A393A", "#1C1C1E", "#E4D9C5", "#B7A78E")
"""sRGB greys from white to black, then a cream and a tan."""
COAT_NEUTRALS = NEUTRALS[:-1]
"""Neutrals of paint and plastic. The tan is excluded because it is a brown."""
WALL_NEUTRALS = (0, 1, 2, 6, 7)
"""Indices of the neutrals of walls: the light ones."""

MIN_BROWN_HUE = 0.02
"""Lowest hue of wood, in HSV of sRGB."""
MAX_BROWN_HUE = 0.14
"""Highest hue of wood, in HSV of sRGB."""


def draw_surface(material: str, rng: Generator, size_m: float) -> Surface:
    """Draw a surface of the class ``material`` for a piece whose longest side is ``size_m`` metres."""
    return SURFACES[material](rng) | {"scale": float(np.clip(size_m / 0.8, 0.7, 2.0))}


def draw_floor(rng: Generator) -> Surface:
    """Draw a floor of boards, tiles or carpet, or a plain one."""
    kind = rng.random()
    if kind < 0.4:
        wood = _wood(rng)
        return {
            "pattern": "planks",
            "tile_m": [float(rng.uniform(0.5, 2.2)), float(rng.uniform(0.06, 0.22))],
            "offset": 0.37,
            "rotation_rad": float(rng.uniform(0, 3.14)),
            "joint_m": 0.002,
            "grain_per_m": [3.0, 60.0, 1.0],
            "color": wood["early_color"],
            "second_color": wood["late_color"],
            "tone_range": [0.8, 1.15],
            "relief_m": 0.0005,
            "roughness": wood["roughness"],
            "roughness_spread": 0.08,
        }
    if kind < 0.55:
        side = float(rng.uniform(0.2, 0.8))
        color = _neutral(NEUTRALS, rng)
        return {
            "pattern": "planks",
            "tile_m": [side, side],
            "offset": float(rng.choice([0.0, 0.5])),
            "rotation_rad": float(rng.uniform(0, 3.14)),
            "joint_m": 0.005,
            "grain_per_m": [6.0, 6.0, 1.0],
            "color": color,
            "second_color": _clip_albedo(np.multiply(color, 0.85)),
            "tone_range": [0.94, 1.06],
            "relief_m": 0.001,
            "roughness": float(rng.uniform(0.1, 0.6)),
            "roughness_spread": 0.05,
        }
    if kind < 0.75:
        carpet = _speckled(_any_color(rng), rng, contrast=0.2, roughness=(0.9, 1.0), grit_per_m=350)
        return carpet | {"relief_m": 0.004}
    return _speckled(_neutral(NEUTRALS, rng), rng, contrast=0.12, roughness=(0.3, 0.9), grit_per_m=60)


def draw_wall(rng: Generator) -> Surface:
    """Draw a wall of plaster, paint or wallpaper."""
    is_neutral = rng.random() < 0.5
    color = _linear(NEUTRALS[rng.choice(WALL_NEUTRALS)]) if is_neutral else _pale_color(rng)
    if rng.random() < 0.2:
        return _fabric(rng) | {
            "color": color,
            "second_color": _clip_albedo(np.multiply(color, rng.uniform(0.6, 0.95))),
            "relief_m": 0.0,
            "motif": str(rng.choice(["stripes", "print", "checks"])),
            "sheen": 0.0,
            "contrast": 0.02,
        }
    return _speckled(color, rng, contrast=0.06, roughness=(0.6, 0.95), grit_per_m=120)


def draw_backdrop(rng: Generator) -> Surface:
    """Draw the paper backdrop of a photo studio, which is usually white."""
    grey = (0.8, 0.8, 0.8) if rng.random() < 0.65 else _clip_albedo(np.full(3, rng.uniform(0.15, 0.7)))
    color = grey if rng.random() < 0.85 else _pale_color(rng)
    return _speckled(color, rng, contrast=0.01, roughness=(0.5, 0.9), grit_per_m=20)


def _wood(rng: Generator) -> Surface:
    species = list(WOODS.values())[rng.integers(len(WOODS))]
    early, late = _stain(np.array(_linear(species.early_hex)), np.array(_linear(species.late_hex)), rng)
    jitter = rng.normal(0.0, 0.04, 3)
    contrast = rng.uniform(0.6, 1.0)
    late = early + contrast * (late - early)
    spread = rng.uniform(0.02, 0.12)
    finish = rng.random()
    undercoat = _neutral(NEUTRALS, rng) if rng.random() < 0.3 else early * 0.5
    return {
        "pattern": "wood",
        "early_color": _clip_albedo(early * np.exp(jitter)),
        "late_color": _clip_albedo(late * np.exp(jitter)),
        "ring_m": float(rng.uniform(0.004, 0.016)),
        "plank_m": float(rng.uniform(0.06, 0.25)) if rng.random() < 0.7 else 5.0,
        "pith_across_m": float(rng.uniform(0.02, 0.12)),
        "pith_below_m": float(rng.uniform(0.005, 0.15)),
        "bend": float(rng.uniform(2.0, 11.0)),
        "ring_contrast": float(rng.uniform(0.1, 0.75)),
        "streak_contrast": float(rng.uniform(0.4, 0.9)),
        "fibre_contrast": float(rng.uniform(0.05, 0.25)),
        "pore_contrast": float(species.pores * rng.uniform(0.0, 0.8)),
        "knot_size": float(rng.uniform(0.1, 0.25)) if rng.random() < 0.2 else 0.0,
        "tone_range": [1.0 - spread, 1.0 + spread],
        "relief_m": float(rng.uniform(0.0, 0.0007)),
        "roughness": float(rng.uniform(0.55, 0.85) if finish < 0.35 else rng.uniform(0.22, 0.55)),
        "roughness_spread": float(rng.uniform(0.03, 0.14)),
        "coat": float(rng.uniform(0.1, 0.6)) if finish > 0.85 else 0.0,
        "coat_roughness": float(rng.uniform(0.04, 0.25)),
        "wear": float(rng.random() ** 2) if rng.random() < 0.2 else 0.0,
        "undercoat": _clip_albedo(undercoat),
    }


def _stain(early: NDArray[Any], late: NDArray[Any], rng: Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return early and late wood under a stain: none, a brown film, a coloured film, or both (Beer–Lambert)."""
    if rng.random() < 0.4:
        film = np.array(_from_hsv(rng.uniform(0.0, 0.13), rng.uniform(0.2, 0.8), rng.uniform(0.35, 0.95)))
        early, late = early * film, late * film ** rng.uniform(0.6, 1.2)
    if rng.random() < 0.06:
        film = np.array(_from_hsv(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.4, 0.9)))
        early, late = early * film, late * film
    return early, late


def _fabric(rng: Generator) -> Surface:
    color = _any_color(rng)
    is_velvet = rng.random() < 0.15
    motif = str(rng.choice(["none", "stripes", "checks", "print"], p=[0.72, 0.12, 0.08, 0.08]))
    return {
        "pattern": "woven",
        "color": color,
        "second_color": _any_color(rng),
        "motif": motif,
        "motif_m": float(rng.uniform(0.03, 0.14)),
        "stripe_share": float(rng.uniform(0.15, 0.6)),
        "thread_m": float(rng.uniform(0.002, 0.009)),
        "fuzz_per_m": float(rng.uniform(60, 500)),
        "contrast": float(rng.uniform(0.08, 0.35)),
        "relief_m": 0.0004 if is_velvet else float(rng.uniform(0.0005, 0.0025)),
        "roughness": float(rng.uniform(0.78, 0.98)),
        "roughness_spread": 0.04,
        "sheen": float(rng.uniform(0.3, 0.9)) if is_velvet else float(rng.uniform(0.0, 0.2)),
    }


def _leather(rng: Generator) -> Surface:
    brown = _from_hsv(rng.uniform(0.02, 0.09), rng.uniform(0.35, 0.85), rng.uniform(0.12, 0.75))
    color = brown if rng.random() < 0.7 else _any_color(rng)
    return {
        "pattern": "leather",
        "color": color,
        "cell_m": float(rng.uniform(0.004, 0.02)),
        "contrast": float(rng.uniform(0.06, 0.3)),
        "relief_m": float(rng.uniform(0.0003, 0.0015)),
        "roughness": float(rng.uniform(0.25, 0.5)),
        "roughness_spread": float(rng.uniform(0.03, 0.12)),
    }


def _metal(rng: Generator) -> Surface:
    is_brushed = rng.random() < 0.4
    color = _linear(pick(METALS, rng))
    grit_per_m = 600 if is_brushed else 60
    return _speckled(color, rng, contrast=0.05, roughness=(0.08, 0.38), grit_per_m=grit_per_m) | {
        "metallic": 1.0,
        "stretch": [1.0, 0.02, 1.0] if is_brushed else [1.0, 1.0, 1.0],
    }


def _glass(rng: Generator) -> Surface:
    tint = _from_hsv(rng.random(), rng.uniform(0.0, 0.25), rng.uniform(0.75, 0.95))
    return _speckled(tint, rng, contrast=0.0, roughness=(0.03, 0.12), grit_per_m=20) | {
        "transmission": float(rng.uniform(0.7, 1.0))
    }


def _plastic(rng: Generator) -> Surface:
    """Draw moulded plastic: uniform and glossy."""
    return _speckled(_coat_color(rng), rng, contrast=0.02, roughness=(0.1, 0.38), grit_per_m=200)


def _painted(rng: Generator) -> Surface:
    color = _coat_color(rng)
    undercoat = list(WOODS.values())[rng.integers(len(WOODS))].early_hex
    wear = float(rng.uniform(0.1, 0.8)) if rng.random() < 0.2 else 0.0
    return _speckled(color, rng, contrast=0.06, roughness=(0.38, 0.8), grit_per_m=50) | {
        "wear": wear,
        "undercoat": _linear(undercoat),
        "stretch": [1.0, 0.1, 1.0] if rng.random() < 0.3 else [1.0, 1.0, 1.0],
    }


def _ceramic(rng: Generator) -> Surface:
    """Draw glazed ceramic, for objects that stand on furniture. No furniture is made of it."""
    return _speckled(_any_color(rng), rng, contrast=0.02, roughness=(0.05, 0.35), grit_per_m=20)


def _stone(rng: Generator) -> Surface:
    kind = rng.random()
    light, dark = _linear(NEUTRALS[rng.integers(3)]), _linear(NEUTRALS[rng.integers(2, 6)])
    color, second_color = (light, dark) if rng.random() < 0.6 else (dark, light)
    roughness = float(rng.uniform(0.08, 0.5))
    base = {"roughness": roughness, "roughness_spread": 0.04, "color": color, "second_color": second_color}
    if kind < 0.5:
        return base | {
            "pattern": "marble",
            "vein_m": float(rng.uniform(0.15, 0.6)),
            "vein_width": float(rng.uniform(0.01, 0.06)),
        }
    if kind < 0.8:
        return base | {"pattern": "granite", "cell_m": float(rng.uniform(0.004, 0.02))}
    return _speckled(color, rng, contrast=0.15, roughness=(0.5, 0.9), grit_per_m=120)


def _other(rng: Generator) -> Surface:
    """Draw rattan, cane, paper or rope: rough, with the colours of straw."""
    straw = _from_hsv(rng.uniform(0.06, 0.13), rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.85))
    return _fabric(rng) | {
        "color": straw,
        "second_color": _clip_albedo(np.multiply(straw, 0.6)),
        "motif": "checks",
        "motif_m": float(rng.uniform(0.008, 0.02)),
        "sheen": 0.0,
    }


SURFACES: dict[str, Callable[[Generator], Surface]] = {
    "other": _other,
    "wood": _wood,
    "fabric": _fabric,
    "leather": _leather,
    "metal": _metal,
    "glass": _glass,
    "plastic": _plastic,
    "painted": _painted,
    "stone": _stone,
    "ceramic": _ceramic,
}
"""The function that draws each class of MATERIALS, and ceramic."""


def _speckled(
    color: Rgb, rng: Generator, *, contrast: float, roughness: tuple[float, float], grit_per_m: float
) -> Surface:
    """Draw a surface of one colour with blotches and grit.

    Args:
        contrast, grit_per_m: mean values, which are varied.
        roughness: range of the roughness.
    """
    return {
        "pattern": "speckled",
        "color": _clip_albedo(color),
        "contrast": float(contrast * rng.uniform(0.3, 1.5)),
        "grit_per_m": float(grit_per_m * rng.uniform(0.5, 2.0)),
        "blotches_per_m": float(rng.uniform(1.0, 6.0)),
        "grit_share": float(rng.uniform(0.2, 0.8)),
        "roughness": float(rng.uniform(*roughness)),
        "roughness_spread": float(rng.uniform(0.01, 0.08)),
    }


def _any_color(rng: Generator) -> Rgb:
    """Draw a colour of household objects; nearly half of them are near grey."""
    if rng.random() < 0.45:
        return _neutral(NEUTRALS, rng)
    return _from_hsv(rng.random(), rng.uniform(0.1, 0.85), rng.uniform(0.12, 0.92))


def _coat_color(rng: Generator) -> Rgb:
    """Draw a colour of paint or plastic: near grey, or any hue but brown, which looks like plain wood."""
    if rng.random() < 0.6:
        return _neutral(COAT_NEUTRALS, rng)
    hue = (MAX_BROWN_HUE + rng.uniform(0.0, 1.0 - MAX_BROWN_HUE + MIN_BROWN_HUE)) % 1.0
    return _from_hsv(hue, rng.uniform(0.1, 0.85), rng.uniform(0.12, 0.92))


def _pale_color(rng: Generator) -> Rgb:
    return _from_hsv(rng.random(), rng.uniform(0.05, 0.45), rng.uniform(0.45, 0.92))


def _neutral(neutrals: Sequence[str], rng: Generator) -> Rgb:
    return _linear(neutrals[rng.integers(len(neutrals))])


def _from_hsv(hue: float, saturation: float, value: float) -> Rgb:
    """Return the linear RGB of a colour given as HSV of sRGB."""
    return _clip_albedo(decode_srgb(colorsys.hsv_to_rgb(hue, saturation, value)))


def _linear(color_hex: str) -> Rgb:
    """Return the linear RGB of ``#RRGGBB``."""
    return _clip_albedo(decode_srgb([int(color_hex[start : start + 2], 16) / 255 for start in (1, 3, 5)]))


def _clip_albedo(color: Any) -> Rgb:
    """Clip linear RGB to the range of albedos."""
    red, green, blue = (float(np.clip(channel, MIN_ALBEDO, MAX_ALBEDO)) for channel in color)
    return red, green, blue
