"""What carries furniture besides single legs: stretchers, plinths, sleds, trestles and pedestals."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.legs import leaning, turning
from export_models.dataset.makers.outlines import fillet, spline
from export_models.dataset.makers.piece import Bench
from export_models.dataset.makers.solids import board, lathe, slab, sweep


def stretchers(bench: Bench, half: tuple[float, float], height: float, size: tuple[float, float], *, kind: str) -> None:
    """Join legs that stand with their middles at ``half``: ``box``, ``H`` or ``side`` bars (width, height) thick."""
    x, y = half
    wide, tall = size
    bench.pair("leg", "wood", board((x - wide / 2, -y, height - tall / 2), (x + wide / 2, y, height + tall / 2)))
    if kind == "H":
        bench.put("leg", "wood", board((-x, -wide / 2, height - tall / 2), (x, wide / 2, height + tall / 2)))
    elif kind == "box":
        rise = bench.pick((0.0, 0.0, 0.06))
        for sy in (-1, 1):
            low, high = height + rise - tall / 2, height + rise + tall / 2
            bench.put("leg", "wood", board((-x, sy * y - wide / 2, low), (x, sy * y + wide / 2, high)))


def plinth(bench: Bench, half: tuple[float, float], height: float, inset: float) -> None:
    """A closed base, set back at the front and the sides."""
    x, y, t = half[0] - inset, half[1], 0.018
    bench.put("leg", "wood", board((-x, -y + inset, 0), (x, -y + inset + t, height + 0.001)))
    bench.put("leg", "wood", board((-x, y - t, 0), (x, y, height + 0.001)))
    bench.pair("leg", "wood", board((x - t, -y + inset + t, 0), (x, y - t, height + 0.001)))


def sled(bench: Bench, half: tuple[float, float], height: float, size: tuple[float, float], *, role: str) -> None:
    """Two open loops of bar, (width, depth) thick, that run along y at x = ±half."""
    x, y = half
    wide, deep = size
    corners = [(-y, height), (-y, deep / 2), (y, deep / 2), (y, height)]
    flat = fillet(corners, bench.pick((0.004, 0.004, 0.05)), steps=3)
    section = "board" if wide != deep else bench.pick(("board", "round"))
    for sign in (-1, 1):
        path = np.insert(flat, 0, sign * x, axis=1)
        bench.put("leg", role, sweep(path, (wide, deep), section=section, side=(1, 0, 0), bevel=0.001))


def trestle(bench: Bench, half: tuple[float, float], height: float) -> None:
    """Two A- or X-frames across y at x = ±half, and a beam between them."""
    x, y = half
    t = bench.between(0.045, 0.075)
    crossed = bench.chance(0.5)
    for sx in (-1, 1):
        for i, sy in enumerate((-1, 1)):
            shift = (i - 0.5) * t * 0.8 if crossed else 0.0
            top = -sy * 0.8 * y if crossed else sy * 0.35 * y
            start, end = (sx * x + shift, sy * y, 0.0), (sx * x + shift, top, height)
            bench.put("leg", "wood", leaning(start, end, [t * 0.85, t * 0.85]))
        if not crossed:
            low = board((sx * x - t * 0.3, -0.72 * y, 0.3 * height), (sx * x + t * 0.3, 0.72 * y, 0.3 * height + t))
            bench.put("leg", "wood", low)
        bench.put("frame", "wood", board((sx * x - t, -0.9 * y, height - 0.04), (sx * x + t, 0.9 * y, height + 0.001)))
    middle = height * (0.5 * 1.0 if crossed else 0.3)
    bench.put("leg", "wood", board((-x, -t * 0.3, middle), (x, t * 0.3, middle + 1.4 * t)))


def pedestal(bench: Bench, height: float, reach: float, *, style: str, role: str = "wood") -> None:
    """One column: ``turned`` on curved feet, ``disc`` on a round plate, ``tulip``, ``drum``, or ``cross`` of boards."""
    h = height + 0.001
    if style == "turned":
        foot = 0.14 + bench.between(0, 0.08)
        column = turning(bench, h - foot, bench.between(0.05, 0.08))
        bench.put("leg", role, lathe(column + np.array([foot, 0.0]), sides=24))
        count = int(bench.rng.integers(3, 5))
        scale = min(1.0, 0.35 + 1.8 * reach)
        toe = 0.018 * scale
        curve = [
            (0.0, foot + 0.05),
            (0.25 * reach, foot + 0.02),
            (0.62 * reach, 0.065),
            (0.88 * reach, toe),
            (reach, toe),
        ]
        for k in range(count):
            path = np.insert(spline(curve, 14), 1, 0.0, axis=1)
            size = np.linspace(1, 0.5, 14)[:, None] * np.array([0.05, 0.075]) * scale
            bench.put("leg", role, sweep(path, size, side=(0, 1, 0)).floored().turned("z", 360 * k / count + 45))
    elif style == "tulip":
        knots = [(0, reach), (0.006, reach), (0.03, 0.75 * reach), (0.12, 0.2 * reach), (0.4, 0.055), (0.7, 0.05)]
        scaled = [(z * h if z > 0.01 else z, r) for z, r in [*knots, (0.93, 0.1), (1, 0.16)]]
        at, size = np.array(scaled).T
        z = np.concatenate([[0, 0.006], np.linspace(0.012, h, 36)])
        bench.put("leg", role, lathe(np.stack([z, np.interp(z, at, size)], -1), sides=40))
    elif style == "disc":
        radius = bench.between(0.03, 0.05)
        bench.put("leg", role, lathe([(0, reach - 0.004), (0.004, reach), (0.014, reach), (0.02, reach - 0.012)], 48))
        bench.put(
            "leg", role, lathe([(0.018, radius), (h - 0.012, radius), (h - 0.011, 3 * radius), (h, 3 * radius)], 28)
        )
    elif style == "drum":
        radius = reach * bench.between(0.7, 0.95)
        bench.put("leg", role, lathe([(0, radius - 0.004), (0.004, radius), (h - 0.001, radius), (h, radius)], 56))
    else:
        t = bench.between(0.03, 0.06)
        profile = [(-reach, 0), (reach, 0), (reach * 0.95, 0.05), (0.3 * reach, 0.45 * h), (0.75 * reach, h)]
        outline = np.array([*profile, *((-x, z) for x, z in profile[:1:-1])])
        for turn in (45, 135):
            bench.put("leg", role, slab(outline, t, plane="xz").moved(y=t / 2).grained((0, 0, 1)).turned("z", turn))
