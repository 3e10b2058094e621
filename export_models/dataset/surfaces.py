"""Draws surfaces: their colours, patterns and roughness.

Surfaces are drawn per material, independently of the shapes that they are applied to. Most have the colours that shops
sell, so that a network can learn which colours which material has. A minor share has arbitrary colours.

Colours are linear RGB in [0, 1]. The keys of a surface depend on its ``pattern``; the function of that pattern in
``blender.surfaces`` documents them. The weights of the palettes are by eye and not tuned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from export_models.dataset.colors import (
    NEUTRALS,
    Generator,
    Rgb,
    clip_albedo,
    draw_any_color,
    draw_neutral,
    draw_shade,
    from_hsv,
    linear,
    looks_like_wood,
)
from export_models.dataset.makers.piece import pick
from export_models.dataset.woods import WOODS, draw_wood

Surface = dict[str, Any]

ARBITRARY_SHARE = 0.1
"""Share of the surfaces whose colour is arbitrary. Not tuned."""

METALS: dict[str, float] = {
    "#C9C7C3": 3.0,  # chrome
    "#8E8C8A": 3.0,  # steel
    "#B58E46": 2.0,  # brass
    "#D9BC78": 2.0,  # light brass, gold
    "#D8D2C4": 2.0,  # nickel
    "#7E786F": 1.0,  # pewter
    "#4A4846": 1.5,  # gunmetal
}
"""sRGB reflectance at normal incidence (F0) of each metal, and its weight.

Brass and gold are more frequent than in shops, because the network takes them for wood. Black metal is drawn as
painted. Copper and bronze are excluded: in a photo of a room they look like dark wood.
"""

COATS: dict[str, float] = {
    "#F6F5F1": 22, "#FBFBFA": 10, "#EFEBE1": 6, "#E3DCCB": 3,  # whites and creams
    "#D5D5D2": 5, "#A9AAA9": 5, "#7C7E7F": 5, "#55585A": 4,  # greys
    "#2E2F31": 7, "#17171A": 13,  # charcoal and black
    "#2F3E55": 3, "#8FA5B5": 3, "#4B6B6A": 2, "#A9B8A3": 3, "#5F7358": 2, "#E2C4C0": 2, "#B98F8E": 1,  # muted
    "#C2272D": 3, "#E4572E": 2, "#F2A31B": 2, "#F5CE3E": 3, "#F4A6B7": 2, "#E8739A": 1,  # vivid: red to pink
    "#2C6FB5": 2, "#4DB6AC": 2, "#7CB342": 2, "#8E6BB0": 1,  # vivid: blue to purple
}  # fmt: skip
"""sRGB colours of paint, laminate and plastic, with weights. No colour is a brown, which looks like plain wood."""

FABRICS: dict[str, float] = {
    "#8D8F91": 9, "#B9BAB9": 7, "#5F6266": 7, "#3A3C40": 6, "#1E1F22": 5,  # greys to black
    "#D9D0C1": 8, "#E9E4DA": 7, "#F4F2ED": 4, "#C3B49E": 6, "#A08E78": 4, "#7A6A59": 4, "#5A4A3F": 3,  # naturals
    "#2B3A55": 5, "#5B7A96": 3, "#9DB4C0": 2, "#2F6B6E": 3,  # blues
    "#4C5B45": 3, "#8A9A7E": 2, "#1F4A3D": 2,  # greens
    "#C98F84": 2, "#E3C3BB": 2, "#A64B35": 2, "#C99A3B": 2, "#7B2B38": 2, "#5D4468": 1, "#B5262C": 1,  # warm
}  # fmt: skip
"""sRGB colours of upholstery fabric, with weights."""

LEATHERS: dict[str, float] = {
    "#4A2F23": 6, "#6B4430": 5, "#2F211B": 4, "#9A6238": 6, "#B5814F": 5,  # browns and tans
    "#1B1A1B": 9, "#3A3A3C": 2, "#8A8A8B": 2,  # black and grey
    "#F0EDE6": 4, "#DDD2C0": 3, "#A32A2A": 1, "#2C3E5B": 1,  # white, cream, red, blue
}  # fmt: skip
"""sRGB colours of leather, with weights. Tans are more frequent than in shops: the network takes them for wood."""


def draw_surface(material: str, rng: Generator, size_m: float) -> Surface:
    """Draw a surface of the class ``material`` for a piece whose longest side is ``size_m`` metres.

    The figure of wood is at its true scale, with deviations. Other patterns are larger on large pieces.
    """
    return {"scale": float(np.clip(size_m / 0.8, 0.7, 2.0))} | SURFACES[material](rng)


def draw_fabric(rng: Generator) -> Surface:
    """Draw woven cloth or velvet."""
    color, second_color = _draw_from(FABRICS, rng), _draw_from(FABRICS, rng)
    is_velvet = rng.random() < 0.15
    motif = str(rng.choice(["none", "stripes", "checks", "print"], p=[0.84, 0.06, 0.04, 0.06]))
    return {
        "pattern": "woven",
        "color": color,
        "second_color": second_color,
        "motif": motif,
        "motif_m": float(rng.uniform(0.03, 0.14)),
        "stripe_share": float(rng.uniform(0.15, 0.6)),
        "thread_m": float(rng.uniform(0.002, 0.009)),
        "fuzz_per_m": float(rng.uniform(60, 500)),
        "contrast": float(rng.uniform(0.05, 0.35)),
        "relief_m": 0.0004 if is_velvet else float(rng.uniform(0.0005, 0.0025)),
        "roughness": float(rng.uniform(0.78, 0.98)),
        "roughness_spread": 0.04,
        "sheen": float(rng.uniform(0.3, 0.9)) if is_velvet else float(rng.uniform(0.0, 0.2)),
    }


def _leather(rng: Generator) -> Surface:
    return {
        "pattern": "leather",
        "color": _draw_from(LEATHERS, rng),
        "cell_m": float(rng.uniform(0.004, 0.02)),
        "contrast": float(rng.uniform(0.06, 0.3)),
        "relief_m": float(rng.uniform(0.0003, 0.0015)),
        "roughness": float(rng.uniform(0.25, 0.5)),
        "roughness_spread": float(rng.uniform(0.03, 0.12)),
    }


def _metal(rng: Generator) -> Surface:
    is_brushed = rng.random() < 0.4
    color = linear(pick(METALS, rng))
    grit_per_m = 600 if is_brushed else 60
    return speckled(color, rng, contrast=0.05, roughness=(0.08, 0.45), grit_per_m=grit_per_m) | {
        "metallic": 1.0,
        "stretch": [1.0, 0.02, 1.0] if is_brushed else [1.0, 1.0, 1.0],
    }


def _glass(rng: Generator) -> Surface:
    tint = from_hsv(rng.random(), rng.uniform(0.0, 0.25), rng.uniform(0.75, 0.95))
    return speckled(tint, rng, contrast=0.0, roughness=(0.03, 0.12), grit_per_m=20) | {
        "transmission": float(rng.uniform(0.7, 1.0))
    }


def draw_mirror(rng: Generator) -> Surface:
    """Draw silvered glass, sometimes tinted."""
    tint = from_hsv(rng.random(), rng.uniform(0.0, 0.08), rng.uniform(0.8, 0.97))
    return speckled(tint, rng, contrast=0.0, roughness=(0.0, 0.03), grit_per_m=20) | {
        "metallic": 1.0,
        "roughness_spread": 0.0,
    }


def _plastic(rng: Generator) -> Surface:
    """Draw moulded plastic: uniform and glossy."""
    return speckled(_coat_color(rng), rng, contrast=0.02, roughness=(0.1, 0.38), grit_per_m=200)


def _painted(rng: Generator) -> Surface:
    """Draw paint, lacquer, laminate or powder coating: uniform, or sometimes worn or brushed."""
    color = _coat_color(rng)
    undercoat = list(WOODS.values())[rng.integers(len(WOODS))].early_hex
    wear = float(rng.uniform(0.1, 0.8)) if rng.random() < 0.08 else 0.0
    roughness = (0.15, 0.4) if rng.random() < 0.3 else (0.35, 0.8)
    return speckled(color, rng, contrast=0.03, roughness=roughness, grit_per_m=50) | {
        "wear": wear,
        "undercoat": linear(undercoat),
        "stretch": [1.0, 0.1, 1.0] if rng.random() < 0.2 else [1.0, 1.0, 1.0],
    }


def _ceramic(rng: Generator) -> Surface:
    """Draw glazed ceramic, for objects that stand on furniture. No furniture is made of it."""
    return speckled(draw_any_color(rng), rng, contrast=0.02, roughness=(0.05, 0.35), grit_per_m=20)


def _stone(rng: Generator) -> Surface:
    kind = rng.random()
    light, dark = linear(NEUTRALS[rng.integers(3)]), linear(NEUTRALS[rng.integers(2, 6)])
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
    return speckled(color, rng, contrast=0.15, roughness=(0.5, 0.9), grit_per_m=120)


def _other(rng: Generator) -> Surface:
    """Draw wicker, rattan, cane, paper cord or rope, mostly in the colours of straw, some grey, white or black."""
    if rng.random() < 0.75:
        color = from_hsv(rng.uniform(0.06, 0.13), rng.uniform(0.2, 0.65), rng.uniform(0.25, 0.88))
    else:
        color = draw_neutral(rng)
    width = float(rng.uniform(0.004, 0.014))
    return {
        "pattern": "wicker",
        "color": color,
        "second_color": clip_albedo(np.multiply(color, rng.uniform(0.15, 0.5))),
        "strand_m": width,
        "stake_m": width * float(rng.uniform(1.0, 4.0)),
        "contrast": float(rng.uniform(0.05, 0.3)),
        "relief_m": float(rng.uniform(0.3, 0.8)) * width,
        "roughness": float(rng.uniform(0.35, 0.9)),
        "roughness_spread": 0.05,
    }


SURFACES: dict[str, Callable[[Generator], Surface]] = {
    "other": _other,
    "wood": draw_wood,
    "fabric": draw_fabric,
    "leather": _leather,
    "metal": _metal,
    "glass": _glass,
    "plastic": _plastic,
    "painted": _painted,
    "stone": _stone,
    "ceramic": _ceramic,
}
"""The function that draws each class of MATERIALS, and ceramic."""


def speckled(
    color: Rgb, rng: Generator, *, contrast: float, roughness: tuple[float, float], grit_per_m: float
) -> Surface:
    """Draw a surface of one colour with blotches and grit.

    Args:
        contrast, grit_per_m: mean values, which are varied.
        roughness: range of the roughness.
    """
    return {
        "pattern": "speckled",
        "color": clip_albedo(color),
        "contrast": float(contrast * rng.uniform(0.3, 1.5)),
        "grit_per_m": float(grit_per_m * rng.uniform(0.5, 2.0)),
        "blotches_per_m": float(rng.uniform(1.0, 6.0)),
        "grit_share": float(rng.uniform(0.2, 0.8)),
        "roughness": float(rng.uniform(*roughness)),
        "roughness_spread": float(rng.uniform(0.01, 0.08)),
    }


def _draw_from(palette: dict[str, float], rng: Generator) -> Rgb:
    """Draw a colour of a palette, or sometimes an arbitrary one."""
    return draw_any_color(rng) if rng.random() < ARBITRARY_SHARE else draw_shade(palette, rng)


def _coat_color(rng: Generator) -> Rgb:
    """Draw a colour of paint or plastic: what shops sell, or any colour that does not look like plain wood."""
    is_arbitrary = rng.random() < ARBITRARY_SHARE
    while True:
        if is_arbitrary:
            color = from_hsv(rng.random(), rng.uniform(0.05, 0.9), rng.uniform(0.1, 0.95))
        else:
            color = draw_shade(COATS, rng, spread=0.025)
        if not looks_like_wood(color):
            return color
