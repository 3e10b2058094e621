"""Knobs, bars, cups and rings on doors and drawers."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.outlines import fillet
from export_models.dataset.makers.piece import Bench
from export_models.dataset.makers.solids import Solid, bar, board, lathe, sheet, sweep

STYLES = {"knob": 4, "bar": 3, "bow": 2, "cup": 1.5, "ring": 1, "edge": 1, "leather": 0.5, "none": 1.5}


class Handles:
    """One style for a whole piece."""

    def __init__(self, bench: Bench, styles: dict[str, float] = STYLES) -> None:
        self.style = bench.pick(styles)
        self.role = "soft" if self.style == "leather" else "fitting"
        size = bench.between(0.85, 1.25)
        self.length = bench.between(0.09, 0.2)
        self._fixed = {
            "knob": _knob(bench, size), "cup": _cup(size), "ring": _ring(size), "edge": _edge(self.length), "none": [],
            "leather": _strap(size), "bar": _bar(bench, self.length), "bow": _bow(self.length),
        }[self.style]  # fmt: skip

    def drawer(self, bench: Bench, x: float, y: float, z: float, width: float, height: float) -> None:
        """On a drawer front whose face is at ``y`` and whose middle is at x, z."""
        if self.style == "edge":
            z += height / 2 - 0.004
        places = [x] if width < 0.55 or self.style == "edge" else [x - 0.27 * width, x + 0.27 * width]
        for place in places:
            bench.put("hardware", self.role, *(solid.moved(place, y, z) for solid in self._fixed))

    def door(self, bench: Bench, x: float, y: float, z: float) -> None:
        """On a door; bars stand upright."""
        upright = self.style in ("bar", "bow")
        if self.style in ("cup", "edge"):
            knob = _knob(bench, 1.0)
            bench.put("hardware", self.role, *(solid.moved(x, y, z) for solid in knob))
            return
        for solid in self._fixed:
            bench.put("hardware", self.role, (solid.turned("y", 90) if upright else solid).moved(x, y, z))


def _knob(bench: Bench, size: float) -> list[Solid]:
    radius = 0.014 * size
    shapes = {
        "mushroom": [
            (-0.001, 0.4),
            (0.012, 0.35),
            (0.016, 0.8),
            (0.021, 1.0),
            (0.026, 0.85),
            (0.029, 0.45),
            (0.03, 0.05),
        ],
        "disc": [(-0.001, 0.35), (0.012, 0.35), (0.013, 1.0), (0.02, 1.0), (0.022, 0.9)],
        "peg": [(-0.001, 0.55), (0.02, 0.8), (0.028, 0.85), (0.03, 0.75)],
    }
    scaled = np.array(shapes[bench.pick(tuple(shapes))]) * (size, radius)
    return [lathe(scaled, 18).turned("x", 90)]


def _bar(bench: Bench, length: float) -> list[Solid]:
    thick, out = bench.between(0.008, 0.013), 0.03
    section = bench.pick(("round", "board"))
    grip = bar((-length / 2, -out, 0), (length / 2, -out, 0), thick, section)
    posts = [bar((x, 0.001, 0), (x, -out, 0), 0.8 * thick, section) for x in (-0.4 * length, 0.4 * length)]
    return [grip, *posts]


def _bow(length: float) -> list[Solid]:
    path = fillet(
        [(-length / 2, 0.001, 0), (-length / 2, -0.028, 0), (length / 2, -0.028, 0), (length / 2, 0.001, 0)], 0.024, 6
    )
    return [sweep(path, (0.011, 0.008), section="plump", side=(0, 0, 1), sides=10)]


def _cup(size: float) -> list[Solid]:
    angle, tilt = np.meshgrid(np.linspace(np.pi, 0, 15), np.linspace(0, np.pi / 2, 6), indexing="ij")
    x = 0.042 * size * np.cos(angle) * np.cos(tilt * 0.98)
    y = -0.024 * size * np.sin(angle) * np.cos(tilt * 0.98)
    z = 0.026 * size * np.sin(tilt) - 0.01
    return [sheet(np.stack([x, y, z], -1), 0.003)]


def _ring(size: float) -> list[Solid]:
    plate = lathe([(-0.001, 0.016), (0.002, 0.016), (0.004, 0.012), (0.012, 0.006)], 18).turned("x", 90)
    angle = np.arange(26) * 2 * np.pi / 26
    radius = 0.024 * size
    circle = np.stack([radius * np.cos(angle), np.full(26, -0.01), radius * np.sin(angle) - radius], -1)
    return [plate, sweep(circle, (0.005, 0.005), section="round", closed=True, sides=8)]


def _edge(length: float) -> list[Solid]:
    return [board((-length / 2, -0.014, 0.0), (length / 2, 0.001, 0.003), bevel=0.001),
            board((-length / 2, -0.014, -0.012), (length / 2, -0.011, 0.0005), bevel=0.001)]  # fmt: skip


def _strap(size: float) -> list[Solid]:
    path = fillet(
        [(0, 0.001, 0.012), (0, -0.006, 0.012), (0, -0.012, -0.022), (0, -0.003, -0.026), (0, 0.001, 0.004)], 0.006, 4
    )
    return [sweep(path, (0.024 * size, 0.003), side=(1, 0, 0), bevel=0.0008)]
