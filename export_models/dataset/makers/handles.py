"""Handles of doors and drawers: knobs, bars, cups, rings, edge pulls and straps."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.outlines import fillet
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, lathe, sheet, sweep

HANDLE_STYLES = {"knob": 4, "bar": 3, "bow": 2, "cup": 1.5, "ring": 1, "edge": 1, "leather": 0.5, "none": 1.5}


class Handles:
    """The handles of one piece, all of one random style."""

    def __init__(self, builder: PieceBuilder) -> None:
        self.style = builder.pick(HANDLE_STYLES)
        self.role = "soft" if self.style == "leather" else "fitting"
        scale = builder.uniform(0.85, 1.25)
        length = builder.uniform(0.09, 0.2)
        # All styles are built, so that this takes the same number of random values for each style.
        self._solids: list[Solid] = {
            "knob": _knob(builder, scale),
            "cup": _cup(scale),
            "ring": _ring(scale),
            "edge": _edge_pull(length),
            "none": [],
            "leather": _strap(scale),
            "bar": _bar_pull(builder, length),
            "bow": _bow(length),
        }[self.style]

    def add_to_drawer(self, builder: PieceBuilder, x: float, y: float, z: float, width: float, height: float) -> None:
        """Add one or two handles to a drawer front.

        Args:
            x, z: centre of the front.
            y: outer face of the front.
            width, height: size of the front.
        """
        if self.style == "edge":
            z += height / 2 - 0.004
        positions = [x] if width < 0.55 or self.style == "edge" else [x - 0.27 * width, x + 0.27 * width]
        for position in positions:
            builder.add("hardware", self.role, *(solid.moved(position, y, z) for solid in self._solids))

    def add_to_door(self, builder: PieceBuilder, x: float, y: float, z: float) -> None:
        """Add a handle to a door at x, y, z.

        Bars are upright. Doors have knobs if the drawers have cups or edge pulls.
        """
        if self.style in ("cup", "edge"):
            builder.add("hardware", self.role, *(solid.moved(x, y, z) for solid in _knob(builder, 1.0)))
            return
        is_upright = self.style in ("bar", "bow")
        for solid in self._solids:
            builder.add("hardware", self.role, (solid.rotated("y", 90) if is_upright else solid).moved(x, y, z))


def _knob(builder: PieceBuilder, scale: float) -> list[Solid]:
    radius = 0.014 * scale
    profiles = {
        "mushroom": [
            (-0.001, 0.4), (0.012, 0.35), (0.016, 0.8), (0.021, 1.0), (0.026, 0.85), (0.029, 0.45), (0.03, 0.05),
        ],
        "disc": [(-0.001, 0.35), (0.012, 0.35), (0.013, 1.0), (0.02, 1.0), (0.022, 0.9)],
        "peg": [(-0.001, 0.55), (0.02, 0.8), (0.028, 0.85), (0.03, 0.75)],
    }  # fmt: skip
    scaled = np.array(profiles[builder.pick(tuple(profiles))]) * (scale, radius)
    return [lathe(scaled, 18).rotated("x", 90)]


def _bar_pull(builder: PieceBuilder, length: float) -> list[Solid]:
    t, projection = builder.uniform(0.008, 0.013), 0.03
    section = builder.pick(("round", "rectangle"))
    grip = bar((-length / 2, -projection, 0), (length / 2, -projection, 0), t, section)
    posts = [bar((x, 0.001, 0), (x, -projection, 0), 0.8 * t, section) for x in (-0.4 * length, 0.4 * length)]
    return [grip, *posts]


def _bow(length: float) -> list[Solid]:
    corners = [(-length / 2, 0.001, 0), (-length / 2, -0.028, 0), (length / 2, -0.028, 0), (length / 2, 0.001, 0)]
    return [sweep(fillet(corners, 0.024, 6), (0.011, 0.008), section="squircle", side=(0, 0, 1), sides=10)]


def _cup(scale: float) -> list[Solid]:
    angle, tilt = np.meshgrid(np.linspace(np.pi, 0, 15), np.linspace(0, np.pi / 2, 6), indexing="ij")
    x = 0.042 * scale * np.cos(angle) * np.cos(tilt * 0.98)
    y = -0.024 * scale * np.sin(angle) * np.cos(tilt * 0.98)
    z = 0.026 * scale * np.sin(tilt) - 0.01
    return [sheet(np.stack([x, y, z], -1), 0.003)]


def _ring(scale: float) -> list[Solid]:
    plate = lathe([(-0.001, 0.016), (0.002, 0.016), (0.004, 0.012), (0.012, 0.006)], 18).rotated("x", 90)
    angle = np.arange(26) * 2 * np.pi / 26
    radius = 0.024 * scale
    circle = np.stack([radius * np.cos(angle), np.full(26, -0.01), radius * np.sin(angle) - radius], -1)
    return [plate, sweep(circle, 0.005, section="round", closed=True, sides=8)]


def _edge_pull(length: float) -> list[Solid]:
    top = board((-length / 2, -0.014, 0.0), (length / 2, 0.001, 0.003), bevel=0.001)
    lip = board((-length / 2, -0.014, -0.012), (length / 2, -0.011, 0.0005), bevel=0.001)
    return [top, lip]


def _strap(scale: float) -> list[Solid]:
    corners = [(0, 0.001, 0.012), (0, -0.006, 0.012), (0, -0.012, -0.022), (0, -0.003, -0.026), (0, 0.001, 0.004)]
    return [sweep(fillet(corners, 0.006, 4), (0.024 * scale, 0.003), side=(1, 0, 0), bevel=0.0008)]
