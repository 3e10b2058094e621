"""Draws wood: its species, stain, figure and finish.

Colours are linear RGB. The distributions follow what furniture shops sell, by eye; they are not tuned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.colors import Generator, clip_albedo, draw_neutral, from_hsv, linear
from export_models.dataset.makers.piece import pick

Floats = NDArray[np.float64]


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
    "rubberwood": WoodSpecies("#DFC093", "#C09460", 0.4),
    "acacia": WoodSpecies("#A9713F", "#4E2C17", 0.3),
    "sheesham": WoodSpecies("#8A5530", "#3C1F10", 0.3),
    "bamboo": WoodSpecies("#E2C791", "#C9A567", 0.1),
    "white oak": WoodSpecies("#DCC5A0", "#B39468", 0.7),
    "ash": WoodSpecies("#E3D3B6", "#BFA57C", 0.7),
}
"""Chosen by eye from photographs."""

PALE_WOODS = ("maple", "birch", "ash", "white oak", "beech", "pine", "bamboo", "rubberwood")
KNOTTY_WOODS = ("pine", "acacia", "oak", "elm")

FINISHES = {
    "natural": 0.3,
    "brown": 0.2,
    "near black": 0.13,
    "pale": 0.11,
    "whitewashed": 0.07,
    "red-brown": 0.08,
    "grey-brown": 0.06,
    "antique": 0.03,
    "colored film": 0.02,
}
"""How the wood is coloured, with weights."""

CONSTRUCTIONS = {"solid": 0.3, "veneer": 0.42, "boards": 0.15, "butcher block": 0.06, "plywood": 0.07}
"""How boards are made, with weights. Bamboo is always in strips."""


def draw_wood(rng: Generator) -> dict[str, Any]:
    """Draw a wooden surface, see ``blender.surfaces`` for its keys."""
    finish = pick(FINISHES, rng)
    name = str(rng.choice(PALE_WOODS)) if finish in ("pale", "whitewashed") else str(rng.choice(list(WOODS)))
    species = WOODS[name]
    early, late, figure = COLORINGS[finish](
        np.array(linear(species.early_hex)), np.array(linear(species.late_hex)), rng
    )
    late = early + figure * rng.uniform(0.35, 1.0) * (late - early)
    jitter = np.exp(rng.normal(0.0, 0.04, 3))
    varnish = rng.random()
    is_worn = rng.random() < (0.7 if finish == "antique" else 0.08)
    undercoat = draw_neutral(rng) if rng.random() < 0.2 else early * 0.5
    return _draw_figure(name, figure, rng) | {
        "pattern": "wood",
        "early_color": clip_albedo(early * jitter),
        "late_color": clip_albedo(late * jitter),
        "pore_contrast": float(species.pores * figure * rng.uniform(0.0, 0.8)),
        "relief_m": float(rng.uniform(0.0, 0.0007)),
        "roughness": float(rng.uniform(0.55, 0.85) if varnish < 0.35 else rng.uniform(0.2, 0.55)),
        "roughness_spread": float(rng.uniform(0.02, 0.12)),
        "coat": float(rng.uniform(0.1, 0.6)) if varnish > 0.85 else 0.0,
        "coat_roughness": float(rng.uniform(0.04, 0.25)),
        "wear": float(rng.random() ** 2) if is_worn else 0.0,
        "undercoat": clip_albedo(undercoat),
    }


def _draw_figure(name: str, figure: float, rng: Generator) -> dict[str, Any]:
    """Draw the figure of the boards: their widths, rings, streaks, knots and layers.

    Args:
        figure: visibility of the figure, 0 to 1.
    """
    construction = "bamboo" if name == "bamboo" else pick(CONSTRUCTIONS, rng)
    tone = rng.uniform(0.02, 0.1) * (0.3 + 0.7 * figure)
    values = {
        "ring_m": float(rng.uniform(0.004, 0.016)),
        "plank_m": 5.0,
        "pith_across_m": float(rng.uniform(0.02, 0.12)),
        "pith_below_m": float(rng.uniform(0.005, 0.15)),
        "bend": float(rng.uniform(2.0, 11.0)),
        "ring_contrast": float(rng.uniform(0.1, 0.75)),
        "streak_contrast": float(rng.uniform(0.3, 0.9)),
        "fibre_contrast": float(rng.uniform(0.03, 0.25)),
        "knot_size": 0.0,
        "node_m": 0.0,
        "ply_m": 0.0,
        "tone_range": [1.0 - tone, 1.0 + tone],
        "scale": float(rng.uniform(0.8, 1.5)),
    }
    if name in KNOTTY_WOODS and construction in ("solid", "boards") and rng.random() < 0.5:
        values["knot_size"] = float(rng.uniform(0.08, 0.22))
    if construction == "solid":
        values["plank_m"] = float(rng.uniform(0.08, 0.25)) if rng.random() < 0.6 else 5.0
    elif construction == "veneer" and rng.random() < 0.6:  # quarter-cut: straight lines, no cathedrals
        values |= {"bend": float(rng.uniform(0.2, 1.5)), "pith_below_m": float(rng.uniform(0.4, 1.0))}
    elif construction == "boards":
        tone = rng.uniform(0.06, 0.2)
        values |= {"plank_m": float(rng.uniform(0.06, 0.18)), "tone_range": [1.0 - tone, 1.0 + tone]}
    elif construction == "butcher block":
        tone = rng.uniform(0.08, 0.25)
        values |= {"plank_m": float(rng.uniform(0.025, 0.05)), "tone_range": [1.0 - tone, 1.0 + tone]}
    elif construction == "plywood":
        values |= {"ply_m": float(rng.uniform(0.0012, 0.003)), "bend": float(rng.uniform(2.0, 14.0))}
    elif construction == "bamboo":
        values |= {
            "plank_m": float(rng.uniform(0.015, 0.03)),
            "node_m": float(rng.uniform(0.18, 0.35)),
            "ring_contrast": 0.05,
            "bend": 0.3,
        }
    return values


def _natural(early: Floats, late: Floats, rng: Generator) -> tuple[Floats, Floats, float]:
    """Clear varnish or oil, which deepens the colour a little."""
    film = np.array(from_hsv(rng.uniform(0.05, 0.12), rng.uniform(0.0, 0.3), rng.uniform(0.85, 1.0)))
    return early * film, late * film, float(rng.uniform(0.4, 1.0))


def _brown(early: Floats, late: Floats, rng: Generator) -> tuple[Floats, Floats, float]:
    """A brown translucent stain (Beer–Lambert)."""
    film = np.array(from_hsv(rng.uniform(0.03, 0.1), rng.uniform(0.3, 0.75), rng.uniform(0.3, 0.8)))
    return early * film, late * film ** rng.uniform(0.7, 1.2), float(rng.uniform(0.3, 1.0))


def _near_black(early: Floats, late: Floats, rng: Generator) -> tuple[Floats, Floats, float]:
    """A black or black-brown stain that leaves little of the figure. L* is at most 25."""
    value = rng.uniform(0.06, 0.23)
    color = np.array(from_hsv(rng.uniform(0.0, 0.1), rng.uniform(0.0, 0.5), value))
    ratio = (late / early) ** rng.uniform(0.2, 0.7)
    return color, color * ratio, float(rng.uniform(0.05, 0.8))


def _pale(early: Floats, late: Floats, rng: Generator) -> tuple[Floats, Floats, float]:
    """Bleached or untreated pale wood, nearly as light as paper."""
    share = rng.uniform(0.1, 0.6)
    white = np.array([0.86, 0.80, 0.70]) * rng.uniform(0.85, 1.05)
    return early + share * (white - early), late + share * (white - late), float(rng.uniform(0.2, 0.9))


def _whitewashed(early: Floats, late: Floats, rng: Generator) -> tuple[Floats, Floats, float]:
    """A white or grey wash over wood; limed wood has white pores, so that the late wood may be the lighter one."""
    wash = np.array(from_hsv(rng.uniform(0.06, 0.14), rng.uniform(0.0, 0.12), rng.uniform(0.75, 0.97)))
    cover = rng.uniform(0.35, 0.8)
    early, late = early + cover * (wash - early), late + cover * (wash - late)
    if rng.random() < 0.3:
        early, late = late, early
    return early, late, float(rng.uniform(0.4, 1.0))


def _red_brown(early: Floats, late: Floats, rng: Generator) -> tuple[Floats, Floats, float]:
    """A cherry or mahogany stain."""
    film = np.array(from_hsv(rng.uniform(0.0, 0.045), rng.uniform(0.45, 0.8), rng.uniform(0.35, 0.8)))
    return early * film, late * film, float(rng.uniform(0.2, 0.9))


def _grey_brown(early: Floats, late: Floats, rng: Generator) -> tuple[Floats, Floats, float]:
    """Weathered wood, or a grey stain."""
    share = rng.uniform(0.5, 0.95)
    tint = np.array([1.0, 0.95, 0.88]) ** rng.uniform(0.3, 1.5) * rng.uniform(0.6, 1.05)
    grey = [color.mean() * tint for color in (early, late)]
    return early + share * (grey[0] - early), late + share * (grey[1] - late), float(rng.uniform(0.4, 1.0))


def _antique(early: Floats, late: Floats, rng: Generator) -> tuple[Floats, Floats, float]:
    """Old varnish, dark in the late wood."""
    film = np.array(from_hsv(rng.uniform(0.04, 0.09), rng.uniform(0.5, 0.8), rng.uniform(0.4, 0.75)))
    return early * film, late * film**1.6, float(rng.uniform(0.5, 1.0))


def _colored_film(early: Floats, late: Floats, rng: Generator) -> tuple[Floats, Floats, float]:
    """A translucent stain of any hue."""
    film = np.array(from_hsv(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.4, 0.9)))
    return early * film, late * film, float(rng.uniform(0.5, 1.0))


COLORINGS: dict[str, Callable[[Floats, Floats, Generator], tuple[Floats, Floats, float]]] = {
    "natural": _natural,
    "brown": _brown,
    "near black": _near_black,
    "pale": _pale,
    "whitewashed": _whitewashed,
    "red-brown": _red_brown,
    "grey-brown": _grey_brown,
    "antique": _antique,
    "colored film": _colored_film,
}
"""From the colours of early and late wood to those under a finish, and the visibility of the figure in [0, 1]."""
