"""Legs of many styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from export_models.dataset.makers.outlines import Floats, fillet, spline
from export_models.dataset.makers.piece import Bench
from export_models.dataset.makers.solids import Solid, bar, board, lathe, slab, sweep

WOODEN = {"square": 3, "tapered": 3, "splayed": 3, "turned": 2, "cabriole": 1, "saber": 1, "cone": 2}
METAL = {"hairpin": 2, "tube": 2, "flat_steel": 1}
LOW = {"block": 3, "cone": 3, "bun": 2, "tube": 1, "bracket": 2, "splayed": 2}
LegMaker = Callable[[int, int], list[tuple[str, str | None, Solid]]]
"""From a leg's corner (-1 or 1 in x and y) to (component, role or None, solid); its top is about x = y = 0."""


def four_legs(bench: Bench, style: str, half: tuple[float, float], height: float, thickness: float) -> None:
    """Put four legs of one style under a top.

    Args:
        half: from the middle to the outer faces of the legs' tops, in x and y.
        height: of their tops over the floor; they reach 1 mm higher, into what they carry.
        thickness: of a wooden leg at its top.
    """
    make = leg_maker(bench, style, height, thickness)
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * (half[0] - thickness / 2), sy * (half[1] - thickness / 2)
            for component, material, solid in make(sx, sy):
                bench.put(component, material or "wood", solid.moved(x, y))


def leg_maker(bench: Bench, style: str, height: float, thickness: float) -> LegMaker:
    """Draw one leg of that style, for all corners alike."""
    t, h = thickness, height + 0.001
    if style in ("square", "block"):
        return lambda _sx, _sy: [("leg", None, board((-t / 2, -t / 2, 0), (t / 2, t / 2, h), grain=(0, 0, 1)))]
    if style == "tapered":
        foot, shoulder = t * bench.between(0.45, 0.7), h - min(0.14, 0.3 * h)
        both = bench.chance(0.5)
        return lambda sx, sy: [("leg", None, _tapered(t, foot, shoulder, h, 0.0 if both else 1.0, sx, sy))]
    if style in ("splayed", "cone"):
        return _splayed(bench, style, h, t)
    if style == "turned":
        profile = turning(bench, h - min(0.13, 0.3 * h), t / 2)
        block = min(0.13, 0.3 * h)
        return lambda _sx, _sy: [
            ("leg", None, lathe(profile)),
            ("leg", None, board((-t / 2, -t / 2, h - block - 0.001), (t / 2, t / 2, h), grain=(0, 0, 1))),
        ]
    if style in ("cabriole", "saber"):
        return _curved(bench, style, h, t)
    if style == "bun":
        knots = [(0, 0.35 * t), (0.08 * h, 0.6 * t), (0.35 * h, 0.75 * t), (0.62 * h, 0.7 * t), (0.75 * h, 0.4 * t)]
        ball = lathe(np.concatenate([spline(knots, 14), [(h, 0.42 * t)]]))
        return lambda _sx, _sy: [("leg", None, ball)]
    if style == "bracket":
        return lambda sx, sy: [("leg", None, solid) for solid in _bracket(h, sx, sy, t)]
    return _steel(bench, style, h)


def turning(bench: Bench, height: float, radius: float) -> Floats:
    """[N, 2] (height, radius) of a turned leg or spindle up to ``height``, never thicker than ``radius``."""
    foot, ankle = bench.between(0.4, 0.7), bench.between(0.35, 0.55)
    bead, vase = bench.between(0.75, 1.0), bench.between(0.75, 1.0)
    low, middle = bench.between(0.05, 0.12), bench.between(0.4, 0.7)
    kind = bench.pick({"vase": 3, "reel": 2, "column": 2})
    if kind == "column":
        knots = [
            (0, foot),
            (low, 0.8 * bead),
            (low + 0.03, ankle),
            (0.85, 0.85 * vase),
            (0.92, 0.6),
            (0.96, bead),
            (1, 0.8),
        ]
    elif kind == "reel":
        beads = int(bench.rng.integers(3, 7))
        places = np.linspace(0.04, 0.96, 2 * beads + 1)
        knots = [(0, foot), *((p, bead if i % 2 else ankle) for i, p in enumerate(places)), (1, 0.8)]
    else:
        knots = [
            (0, foot), (low, bead), (low + 0.05, ankle), (middle, vase), (0.8, 0.42), (0.85, bead), (0.9, 0.55),
            (1, 0.9),
        ]  # fmt: skip
    at, size = np.array(knots).T
    smooth = np.linspace(0, 1, 44)
    return np.stack([smooth * height, PchipInterpolator(at, size)(smooth) * radius * 0.999], -1)


def turned_between(start: Floats | tuple[float, ...], end: Floats | tuple[float, ...], profile: Floats) -> Solid:
    """A turning (height, radius), as long as the way, laid from start up to end; its foot is pressed level at z = 0."""
    low, way = np.asarray(start, np.float64), np.asarray(end, np.float64) - np.asarray(start, np.float64)
    length = float(np.linalg.norm(way))
    axis = way / length
    side = np.cross((0.0, 1.0, 0.0), axis)
    side = side / np.linalg.norm(side)
    turn = np.stack([side, np.cross(axis, side), axis])
    scaled = profile * (length / profile[-1, 0], 1.0)
    solid = lathe(scaled, 14)
    return replace(solid, vertices=solid.vertices @ turn + low, grain=axis).floored()


def _tapered(top: float, foot: float, shoulder: float, height: float, inward: float, sx: int, sy: int) -> Solid:
    """The outer faces stay upright when ``inward`` is 1."""
    shift = inward * (top - foot) / 2
    path = [(sx * shift, sy * shift, 0.0), (0.0, 0.0, shoulder), (0.0, 0.0, height)]
    return sweep(path, [(foot, foot), (top, top), (top, top)]).floored()


def _splayed(bench: Bench, style: str, h: float, t: float) -> LegMaker:
    lean = h * np.tan(np.radians(bench.between(4, 12)))
    foot = t * bench.between(0.45, 0.65)
    section = "round" if style == "cone" else bench.pick(("board", "plump", "round"))
    tip = bench.chance(0.35) and section == "round"

    def make(sx: int, sy: int) -> list[tuple[str, str | None, Solid]]:
        def at(z: float) -> tuple[float, float, float]:
            return (sx * lean * (1 - z / h), sy * lean * (1 - z / h), z)

        made: list[tuple[str, str | None, Solid]] = []
        cut = min(0.05, 0.3 * h) if tip else 0.0
        size = foot + (t - foot) * cut / h
        made.append(("leg", None, leaning(at(cut), at(h), [size, (t + foot) / 2, t], section)))
        if tip:
            made.append(("hardware", "fitting", leaning(at(0), at(cut + 0.001), [foot, size * 1.06], section)))
        return made

    return make


def _curved(bench: Bench, style: str, h: float, t: float) -> LegMaker:
    if style == "cabriole":
        knee = min(0.6 * t, 0.03) * bench.between(0.8, 1.2)
        z = np.array([0.0, 0.03, 0.1, 0.3, 0.6, 0.82, 1.0])
        out = np.array([0.9, 0.8, 0.1, -0.25, 0.3, 0.8, 0.0]) * knee
        size = np.array([0.62, 0.7, 0.45, 0.5, 0.75, 1.05, 1.0]) * t
    else:
        sweep_out = h * bench.between(0.12, 0.2)
        z = np.array([0.0, 0.35, 0.7, 1.0])
        out = np.array([1.0, 0.4, 0.08, 0.0]) * sweep_out
        size = np.array([0.6, 0.7, 0.85, 1.0]) * t
    smooth = spline(np.stack([z * h, out, size], -1), 22)
    section = bench.pick(("plump", "board"))
    only_deep = style == "saber" and bench.chance(0.5)

    def make(sx: int, sy: int) -> list[tuple[str, str | None, Solid]]:
        path = np.stack([(0.0 if only_deep else sx) * smooth[:, 1], sy * smooth[:, 1], smooth[:, 0]], -1)
        leg = sweep(path, np.repeat(smooth[:, 2:], 2, 1), section=section, sides=16)
        return [("leg", None, _cut_level(leg, h))]

    return make


def _steel(bench: Bench, style: str, h: float) -> LegMaker:
    if style == "hairpin":
        rod, spread = bench.between(0.009, 0.013), bench.between(0.06, 0.09)
        rods = 3 if bench.chance(0.4) else 2

        def hairpin(sx: int, sy: int) -> list[tuple[str, str | None, Solid]]:
            foot = np.array([0.03 * sx, 0.03 * sy, rod / 2])
            tops = [np.array([-sx * spread, sy * 0.01, h]), np.array([sx * 0.01, -sy * spread, h])]
            path = fillet([tops[0], foot, tops[1]], 0.02, steps=6)
            path[:, 2] -= (path[:, 2].min() - rod / 2) * np.clip(1 - path[:, 2] / h, 0, 1)
            parts: list[tuple[str, str | None, Solid]] = []
            parts.append(("leg", "metal", sweep(path, (rod, rod), section="round", sides=10).floored()))
            if rods == 3:
                start, end = (0.03 * sx, 0.03 * sy, rod / 2 + 0.006), (-sx * spread, -sy * spread, h)
                parts.append(("leg", "metal", bar(start, end, rod, "round")))
            low, high = sorted((-sx * (spread + 0.02), sx * 0.02)), sorted((-sy * (spread + 0.02), sy * 0.02))
            plate = board((low[0], high[0], h - 0.005), (low[1], high[1], h + 0.001), bevel=0.001)
            return [*parts, ("hardware", "metal", plate)]

        return hairpin
    if style == "flat_steel":
        wide = bench.between(0.04, 0.06)
        leg = sweep([(0, 0, 0), (0, 0, h)], (0.008, wide), bevel=0.001)
        return lambda sx, sy: [("leg", "metal", leg.turned("z", 45.0 * sx * sy))]
    radius = bench.between(0.012, 0.022)
    glide = lathe([(0, radius * 0.7), (0.004, radius * 1.1), (0.014, radius * 1.1), (0.015, radius)], 18)
    return lambda _sx, _sy: [
        ("leg", "metal", bar((0, 0, 0.013), (0, 0, h), 2 * radius, "round")),
        ("hardware", "rubber", glide),
    ]


def _bracket(h: float, sx: int, sy: int, t: float) -> list[Solid]:
    """A bracket foot: two boards that meet at the corner, their inner ends curved."""
    reach, thick = max(0.13, 1.3 * h), 0.02
    curve = spline([(0.4 * reach, 0.0), (0.55 * reach, 0.5 * h), (0.8 * reach, 0.72 * h), (reach, 0.8 * h)], 8)
    outline = np.concatenate([[(0.0, 0.0)], curve, [(reach, h), (0.0, h)]])
    front = slab(outline, thick, plane="xz").moved(x=-t / 2, y=-t / 2 + thick)  # for the corner at -x, -y
    side = slab(outline, thick, plane="yz").moved(x=-t / 2, y=-t / 2)
    pair = [front.grained((1, 0, 0)), side.grained((0, 1, 0))]
    if sx > 0:
        pair = [solid.mirrored(0) for solid in pair]
    if sy > 0:
        pair = [solid.mirrored(1) for solid in pair]
    return pair


def leaning(
    start: Floats | tuple[float, ...], end: Floats | tuple[float, ...], sizes: list[float], section: str = "board"
) -> Solid:
    """A straight bar between two heights, both ends sawn level; ``sizes`` are spread evenly along it."""
    low, high = np.asarray(start, np.float64), np.asarray(end, np.float64)
    rise = high[2] - low[2]
    slope = (high - low) / rise
    more = 0.75 * max(sizes) * float(np.linalg.norm(slope[:2]))
    path = [
        low - slope * more,
        *(low + (high - low) * s for s in np.linspace(0, 1, len(sizes))[1:-1]),
        high + slope * more,
    ]
    solid = sweep(path, np.repeat(np.array(sizes)[:, None], 2, 1), section=section, sides=16, side=(1, 0, 0))
    return _cut_level(solid, float(high[2]), float(low[2]))


def _cut_level(solid: Solid, top: float, low: float = 0.0) -> Solid:
    """Saw both ends of a leaning leg level."""

    def place(points: Floats) -> Floats:
        return np.concatenate([points[:, :2], np.clip(points[:, 2:], low, top)], 1)

    return solid.bent(place)
