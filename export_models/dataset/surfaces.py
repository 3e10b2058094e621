"""Draw random surfaces: what ``blender.surfaces`` builds. Plain Python; colours come out as linear RGB in [0, 1].

Surfaces are drawn apart from shapes: any role that may be wood gets any wood.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import Any

import numpy as np

from export_models.dataset.makers.piece import pick
from orchestrator.imaging.color import decode_srgb

Surface = dict[str, Any]
Rgb = tuple[float, float, float]
Random = np.random.Generator

MAX_ALBEDO = 0.95
"""Nothing that furniture is made of throws back more light."""

WOODS: tuple[tuple[str, str, float], ...] = (
    ("#EAD3AE", "#CBA679", 0.2), ("#E3C492", "#B58450", 0.5), ("#DDB88F", "#B5845A", 0.2), ("#D0A972", "#8D6234", 0.7),
    ("#C3B49C", "#7B6B55", 0.6), ("#BC8A4A", "#6C4622", 0.4), ("#B0693F", "#6B3219", 0.2), ("#8B452C", "#451B0F", 0.3),
    ("#80583A", "#3B2412", 0.4), ("#5A3E2D", "#271710", 0.5), ("#9C6B3E", "#5A3619", 0.4), ("#D8C7AA", "#A88E68", 0.5),
    ("#6E4B37", "#3A241A", 0.3), ("#A67C52", "#6B4A2B", 0.6), ("#3C3230", "#1B1614", 0.3), ("#B9A58C", "#8E7A63", 0.3),
)  # fmt: skip
"""Early wood and late wood of maple, pine, beech, oak, greyed ash, teak, cherry, mahogany, walnut, wenge, iroko, birch,
smoked oak, elm, ebonised and limed wood, in sRGB by eye from photographs, and how visible their pores are."""
METALS = {"#C9C7C3": 3.0, "#8E8C8A": 3.0, "#B58E46": 1.0, "#D8D2C4": 2.0, "#7E786F": 1.0}
"""Chrome, steel, brass, nickel, pewter (F0, in sRGB) and how often each is drawn; black metal is painted.

Copper and bronze are left out: in a photo of a room a leg of either is the picture of one of dark wood.
"""
NEUTRALS = ("#F1EEE8", "#D8D4CC", "#A9A6A1", "#6E6C6A", "#3A393A", "#1C1C1E", "#E4D9C5", "#B7A78E")
BROWNS = (0.02, 0.14)
"""Hues of wood."""


def surface(kind: str, random: Random, size_m: float) -> Surface:
    """Draw a surface of class ``kind`` for a piece ``size_m`` long: on large ones the figure is larger."""
    return MAKERS[kind](random) | {"class": kind, "scale": float(np.clip(size_m / 0.8, 0.7, 2.0))}


def wood(random: Random) -> Surface:
    light_hex, dark_hex, pores = WOODS[random.integers(len(WOODS))]
    light, dark = linear(light_hex), linear(dark_hex)
    if random.random() < 0.4:  # a stain: a film over it, Beer–Lambert per channel
        film = np.array(hsv(random.uniform(0.0, 0.13), random.uniform(0.2, 0.8), random.uniform(0.35, 0.95)))
        light, dark = tuple(np.multiply(light, film)), tuple(np.multiply(dark, film ** random.uniform(0.6, 1.2)))
    if random.random() < 0.06:  # coloured stains: grey, green, blue, red
        film = np.array(hsv(random.random(), random.uniform(0.1, 0.6), random.uniform(0.4, 0.9)))
        light, dark = tuple(np.multiply(light, film)), tuple(np.multiply(dark, film))
    jitter = random.normal(0.0, 0.04, 3)
    contrast = random.uniform(0.6, 1.0)
    dark = tuple(np.add(light, contrast * np.subtract(dark, light)))
    spread = random.uniform(0.02, 0.12)
    finish = random.random()
    below = (
        linear(NEUTRALS[random.integers(len(NEUTRALS))]) if random.random() < 0.3 else tuple(np.multiply(light, 0.5))
    )
    return {
        "pattern": "wood",
        "light": rgb(np.multiply(light, np.exp(jitter))),
        "dark": rgb(np.multiply(dark, np.exp(jitter))),
        "ring_m": float(random.uniform(0.004, 0.016)),
        "plank_m": float(random.uniform(0.06, 0.25)) if random.random() < 0.7 else 5.0,
        "pith_across_m": float(random.uniform(0.02, 0.12)),
        "pith_below_m": float(random.uniform(0.005, 0.15)),
        "bend": float(random.uniform(2.0, 11.0)),
        "rings": float(random.uniform(0.1, 0.75)),
        "streaks": float(random.uniform(0.4, 0.9)),
        "fibres": float(random.uniform(0.05, 0.25)),
        "pores": float(pores * random.uniform(0.0, 0.8)),
        "knots": float(random.uniform(0.1, 0.25)) if random.random() < 0.2 else 0.0,
        "tones": [1.0 - spread, 1.0 + spread],
        "relief_m": float(random.uniform(0.0, 0.0007)),
        "roughness": float(random.uniform(0.55, 0.85) if finish < 0.35 else random.uniform(0.22, 0.55)),
        "roughness_spread": float(random.uniform(0.03, 0.14)),
        "coat": float(random.uniform(0.1, 0.6)) if finish > 0.85 else 0.0,
        "coat_roughness": float(random.uniform(0.04, 0.25)),
        "wear": float(random.random() ** 2) if random.random() < 0.2 else 0.0,
        "below": rgb(below),
    }


def fabric(random: Random) -> Surface:
    color = any_color(random)
    velvet = random.random() < 0.15
    motif = str(random.choice(["none", "stripes", "checks", "print"], p=[0.72, 0.12, 0.08, 0.08]))
    return {
        "pattern": "woven",
        "color": color,
        "second": any_color(random),
        "motif": motif,
        "motif_m": float(random.uniform(0.03, 0.14)),
        "share": float(random.uniform(0.15, 0.6)),
        "thread_m": float(random.uniform(0.002, 0.009)),
        "fuzz": float(random.uniform(60, 500)),
        "contrast": float(random.uniform(0.08, 0.35)),
        "relief_m": 0.0004 if velvet else float(random.uniform(0.0005, 0.0025)),
        "roughness": float(random.uniform(0.78, 0.98)),
        "roughness_spread": 0.04,
        "sheen": float(random.uniform(0.3, 0.9)) if velvet else float(random.uniform(0.0, 0.2)),
    }


def leather(random: Random) -> Surface:
    brown = hsv(random.uniform(0.02, 0.09), random.uniform(0.35, 0.85), random.uniform(0.12, 0.75))
    color = brown if random.random() < 0.7 else any_color(random)
    return {
        "pattern": "leather",
        "color": color,
        "cell_m": float(random.uniform(0.004, 0.02)),
        "contrast": float(random.uniform(0.06, 0.3)),
        "relief_m": float(random.uniform(0.0003, 0.0015)),
        "roughness": float(random.uniform(0.25, 0.5)),
        "roughness_spread": float(random.uniform(0.03, 0.12)),
    }


def metal(random: Random) -> Surface:
    brushed = random.random() < 0.4
    color, fine = linear(pick(METALS, random)), 600 if brushed else 60
    return speckled(color, random, contrast=0.05, roughness=(0.08, 0.38), fine=fine) | {
        "metallic": 1.0,
        "stretch": [1.0, 0.02, 1.0] if brushed else [1.0, 1.0, 1.0],
    }


def glass(random: Random) -> Surface:
    tint = hsv(random.random(), random.uniform(0.0, 0.25), random.uniform(0.75, 0.95))
    return speckled(tint, random, contrast=0.0, roughness=(0.03, 0.12), fine=20) | {
        "transmission": float(random.uniform(0.7, 1.0))
    }


def plastic(random: Random) -> Surface:
    """Moulded: one colour, glossy."""
    return speckled(coat_color(random), random, contrast=0.02, roughness=(0.1, 0.38), fine=200)


def painted(random: Random) -> Surface:
    color = coat_color(random)
    light_hex, _, _ = WOODS[random.integers(len(WOODS))]
    chipped = float(random.uniform(0.1, 0.8)) if random.random() < 0.2 else 0.0
    return speckled(color, random, contrast=0.06, roughness=(0.38, 0.8), fine=50) | {
        "wear": chipped,
        "below": linear(light_hex),
        "stretch": [1.0, 0.1, 1.0] if random.random() < 0.3 else [1.0, 1.0, 1.0],
    }


def ceramic(random: Random) -> Surface:
    """Glazed, of any colour: what stands on furniture, never furniture itself."""
    return speckled(any_color(random), random, contrast=0.02, roughness=(0.05, 0.35), fine=20)


def stone(random: Random) -> Surface:
    kind = random.random()
    light, dark = linear(NEUTRALS[random.integers(3)]), linear(NEUTRALS[random.integers(2, 6)])
    ground, second = (light, dark) if random.random() < 0.6 else (dark, light)
    base = {"roughness": float(random.uniform(0.08, 0.5)), "roughness_spread": 0.04, "color": ground, "second": second}
    if kind < 0.5:
        return base | {
            "pattern": "marble",
            "vein_m": float(random.uniform(0.15, 0.6)),
            "vein_width": float(random.uniform(0.01, 0.06)),
        }
    if kind < 0.8:
        return base | {"pattern": "granite", "cell_m": float(random.uniform(0.004, 0.02))}
    return speckled(ground, random, contrast=0.15, roughness=(0.5, 0.9), fine=120)


def other(random: Random) -> Surface:
    """Rattan, cane, paper, rope: rough, of the colours of straw."""
    straw = hsv(random.uniform(0.06, 0.13), random.uniform(0.2, 0.6), random.uniform(0.3, 0.85))
    return fabric(random) | {"color": straw, "second": rgb(np.multiply(straw, 0.6)), "motif": "checks",
                                     "motif_m": float(random.uniform(0.008, 0.02)), "sheen": 0.0}  # fmt: skip


MAKERS: dict[str, Callable[[Random], Surface]] = {
    "other": other,
    "wood": wood,
    "fabric": fabric,
    "leather": leather,
    "metal": metal,
    "glass": glass,
    "plastic": plastic,
    "painted": painted,
    "stone": stone,
    "ceramic": ceramic,
}


def floor(random: Random) -> Surface:
    """Boards, tiles, carpet or a plain floor."""
    kind = random.random()
    if kind < 0.4:
        boards = wood(random)
        return {
            "pattern": "planks", "tile_m": [float(random.uniform(0.5, 2.2)), float(random.uniform(0.06, 0.22))],
            "offset": 0.37, "turn_rad": float(random.uniform(0, 3.14)), "joint_m": 0.002, "grain": [3.0, 60.0, 1.0],
            "color": boards["light"], "second": boards["dark"], "tones": [0.8, 1.15], "relief_m": 0.0005,
            "roughness": boards["roughness"], "roughness_spread": 0.08,
        }  # fmt: skip
    if kind < 0.55:
        side = float(random.uniform(0.2, 0.8))
        color = linear(NEUTRALS[random.integers(len(NEUTRALS))])
        return {
            "pattern": "planks", "tile_m": [side, side], "offset": float(random.choice([0.0, 0.5])),
            "turn_rad": float(random.uniform(0, 3.14)), "joint_m": 0.005, "grain": [6.0, 6.0, 1.0],
            "color": color, "second": rgb(np.multiply(color, 0.85)), "tones": [0.94, 1.06], "relief_m": 0.001,
            "roughness": float(random.uniform(0.1, 0.6)), "roughness_spread": 0.05,
        }  # fmt: skip
    if kind < 0.75:
        return speckled(any_color(random), random, contrast=0.2, roughness=(0.9, 1.0), fine=350) | {"relief_m": 0.004}
    return speckled(
        linear(NEUTRALS[random.integers(len(NEUTRALS))]), random, contrast=0.12, roughness=(0.3, 0.9), fine=60
    )


def wall(random: Random) -> Surface:
    """Plaster, paint or paper."""
    neutral = random.random() < 0.5
    color = linear(NEUTRALS[random.choice([0, 1, 2, 6, 7])]) if neutral else pale(random)
    if random.random() < 0.2:
        papered = fabric(random)
        return papered | {"color": color, "second": rgb(np.multiply(color, random.uniform(0.6, 0.95))), "relief_m": 0.0,
                          "motif": str(random.choice(["stripes", "print", "checks"])), "sheen": 0.0,
                          "contrast": 0.02}  # fmt: skip
    return speckled(color, random, contrast=0.06, roughness=(0.6, 0.95), fine=120)


def paper(random: Random) -> Surface:
    """The sheet of a photo studio: white most of the time."""
    white = (0.8, 0.8, 0.8) if random.random() < 0.65 else rgb(np.full(3, random.uniform(0.15, 0.7)))
    color = white if random.random() < 0.85 else pale(random)
    return speckled(color, random, contrast=0.01, roughness=(0.5, 0.9), fine=20)


def speckled(color: Rgb, random: Random, *, contrast: float, roughness: tuple[float, float], fine: float) -> Surface:
    return {
        "pattern": "speckled",
        "color": rgb(color),
        "contrast": float(contrast * random.uniform(0.3, 1.5)),
        "fine": float(fine * random.uniform(0.5, 2.0)),
        "coarse": float(random.uniform(1.0, 6.0)),
        "grit": float(random.uniform(0.2, 0.8)),
        "roughness": float(random.uniform(*roughness)),
        "roughness_spread": float(random.uniform(0.01, 0.08)),
    }


def any_color(random: Random) -> Rgb:
    """What things in homes are dyed and painted with: half of it is near grey."""
    if random.random() < 0.45:
        return linear(NEUTRALS[random.integers(len(NEUTRALS))])
    return hsv(random.random(), random.uniform(0.1, 0.85), random.uniform(0.12, 0.92))


def coat_color(random: Random) -> Rgb:
    """What is painted or moulded: near grey, or any hue but the browns, which nobody could tell from plain wood.

    The last of the neutrals, which is a tan, is one of those.
    """
    if random.random() < 0.6:
        return linear(NEUTRALS[random.integers(len(NEUTRALS) - 1)])
    hue = (BROWNS[1] + random.uniform(0.0, 1.0 - BROWNS[1] + BROWNS[0])) % 1.0
    return hsv(hue, random.uniform(0.1, 0.85), random.uniform(0.12, 0.92))


def pale(random: Random) -> Rgb:
    return hsv(random.random(), random.uniform(0.05, 0.45), random.uniform(0.45, 0.92))


def hsv(hue: float, saturation: float, value: float) -> Rgb:
    """Linear RGB of a colour given as HSV of sRGB."""
    return rgb(decode_srgb(colorsys.hsv_to_rgb(hue, saturation, value)))


def linear(color_hex: str) -> Rgb:
    """Linear RGB of ``#RRGGBB``."""
    return rgb(decode_srgb([int(color_hex[at : at + 2], 16) / 255 for at in (1, 3, 5)]))


def rgb(color: Any) -> Rgb:
    red, green, blue = (float(np.clip(channel, 0.004, MAX_ALBEDO)) for channel in color)
    return red, green, blue
