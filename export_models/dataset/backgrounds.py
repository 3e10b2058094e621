"""Draws the surfaces of rooms and photo studios: floors, walls and backdrops. The distributions are not tuned."""

from __future__ import annotations

import numpy as np

from export_models.dataset.colors import (
    NEUTRALS,
    Generator,
    clip_albedo,
    draw_any_color,
    draw_neutral,
    draw_pale_color,
    linear,
)
from export_models.dataset.surfaces import Surface, draw_fabric, speckled
from export_models.dataset.woods import draw_wood

WALL_NEUTRALS = (0, 1, 2, 6, 7)
"""Indices of the neutrals of walls: the light ones."""


def draw_floor(rng: Generator) -> Surface:
    """Draw a floor of boards, tiles or carpet, or a plain one."""
    kind = rng.random()
    if kind < 0.4:
        wood = draw_wood(rng)
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
        color = draw_neutral(rng)
        return {
            "pattern": "planks",
            "tile_m": [side, side],
            "offset": float(rng.choice([0.0, 0.5])),
            "rotation_rad": float(rng.uniform(0, 3.14)),
            "joint_m": 0.005,
            "grain_per_m": [6.0, 6.0, 1.0],
            "color": color,
            "second_color": clip_albedo(np.multiply(color, 0.85)),
            "tone_range": [0.94, 1.06],
            "relief_m": 0.001,
            "roughness": float(rng.uniform(0.1, 0.6)),
            "roughness_spread": 0.05,
        }
    if kind < 0.75:
        carpet = speckled(draw_any_color(rng), rng, contrast=0.2, roughness=(0.9, 1.0), grit_per_m=350)
        return carpet | {"relief_m": 0.004}
    return speckled(draw_neutral(rng), rng, contrast=0.12, roughness=(0.3, 0.9), grit_per_m=60)


def draw_wall(rng: Generator) -> Surface:
    """Draw a wall of plaster, paint or wallpaper."""
    is_neutral = rng.random() < 0.5
    color = linear(NEUTRALS[rng.choice(WALL_NEUTRALS)]) if is_neutral else draw_pale_color(rng)
    if rng.random() < 0.2:
        return draw_fabric(rng) | {
            "color": color,
            "second_color": clip_albedo(np.multiply(color, rng.uniform(0.6, 0.95))),
            "relief_m": 0.0,
            "motif": str(rng.choice(["stripes", "print", "checks"])),
            "sheen": 0.0,
            "contrast": 0.02,
        }
    return speckled(color, rng, contrast=0.06, roughness=(0.6, 0.95), grit_per_m=120)


def draw_backdrop(rng: Generator) -> Surface:
    """Draw the paper backdrop of a photo studio, which is usually white."""
    grey = (0.8, 0.8, 0.8) if rng.random() < 0.65 else clip_albedo(np.full(3, rng.uniform(0.15, 0.7)))
    color = grey if rng.random() < 0.85 else draw_pale_color(rng)
    return speckled(color, rng, contrast=0.01, roughness=(0.5, 0.9), grit_per_m=20)
