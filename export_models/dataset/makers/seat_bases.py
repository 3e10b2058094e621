"""Bases that carry a moulded or an upholstered seat: wire, four-star, office star, cantilever tube, sled."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.legs import four_legs
from export_models.dataset.makers.outlines import fillet
from export_models.dataset.makers.piece import Bench
from export_models.dataset.makers.solids import bar, board, lathe, sweep

BASES = {"splayed": 4, "wire": 2, "tube": 2, "sled": 2, "star": 1.5, "office": 1, "hairpin": 0.5}


def seat_base(bench: Bench, style: str, half: tuple[float, float], height: float) -> None:
    """Carry a seat whose underside is at ``height``; ``half`` is from the middle to the legs' tops."""
    x, y = half
    if style == "splayed":
        four_legs(bench, bench.pick(("splayed", "cone")), half, height, bench.between(0.03, 0.04))
        z = height - 0.02
        bench.pair("frame", "wood", board((x - 0.03, -y + 0.01, z - 0.03), (x - 0.008, y - 0.01, z + 0.021)))
        bench.put("frame", "wood", board((-x + 0.02, -0.02, z - 0.02), (x - 0.02, 0.02, z + 0.021)))
    elif style in ("tube", "hairpin"):
        four_legs(bench, style, half, height, 0.04)
        _under_frame(bench, x - 0.02, y - 0.02, height)
    elif style == "wire":
        _wire(bench, x, y, height)
    elif style == "sled":
        _sled(bench, x, y, height)
    else:
        star_base(bench, height, casters=style == "office")


def star_base(bench: Bench, height: float, *, casters: bool) -> None:
    """A column on a star of four or five feet, with casters or glides."""
    count, reach = (5, bench.between(0.29, 0.34)) if casters else (4, bench.between(0.27, 0.33))
    low = 0.058 if casters else 0.012
    role = bench.pick(("metal", "rubber")) if casters else "metal"
    hub = low + 0.03
    for k in range(count):
        turn = 360.0 * k / count + 45.0
        arm = sweep([(0, 0, hub + 0.03), (0.5 * reach, 0, hub + 0.012), (reach, 0, low + 0.012)],
                    [(0.05, 0.045), (0.04, 0.032), (0.03, 0.022)], side=(0, 1, 0), bevel=0.004)  # fmt: skip
        bench.put("leg", role, arm.turned("z", turn))
        if casters:
            wheel = lathe([(-0.011, 0.02), (-0.008, 0.026), (0.008, 0.026), (0.011, 0.02)], 18).turned("x", 90)
            pair = [wheel.moved(reach - 0.012, side * 0.0125, 0.026) for side in (-1, 1)]
            stem = bar((reach - 0.012, 0, 0.03), (reach - 0.012, 0, low + 0.006), 0.014, section="round")
            bench.put("hardware", "rubber", *(part.turned("z", turn) for part in (*pair, stem)))
        else:
            glide = lathe([(0, 0.012), (0.003, 0.015), (low + 0.004, 0.015)], 14).moved(reach - 0.015)
            bench.put("hardware", "rubber", glide.turned("z", turn))
    radius = bench.between(0.022, 0.032)
    middle = hub + 0.45 * (height - hub)
    column = [(hub - 0.005, 0.04), (hub + 0.05, 0.036), (hub + 0.052, radius), (middle, radius)]
    bench.put("leg", role, lathe(column, 20))
    bench.put("leg", "metal", lathe([(middle - 0.01, 0.62 * radius), (height - 0.02, 0.62 * radius)], 16))
    plate = 0.09
    bench.put("hardware", "metal", board((-plate, -plate, height - 0.024), (plate, plate, height + 0.002), bevel=0.006))


def cantilever(bench: Bench, width: float, depth: float, seat: float, back: float) -> None:
    """One bent tube from the seat's back forward, down and along the floor; two more tubes rise beside the back."""
    t = bench.between(0.020, 0.026)
    x, y = width / 2, depth / 2
    z, r = seat - t / 2, bench.between(0.05, 0.09)
    right = [(x, y, z), (x, -y - 0.02, z), (x, -y + 0.03, t / 2), (x, y + 0.02, t / 2)]
    left = [(-px, py, pz) for px, py, pz in reversed(right)]
    bench.put("leg", "metal", sweep(fillet([*right, *left], r, 7), (t, t), section="round"))
    rise = fillet([(x, y - 0.03, z), (x, y + 0.03, z), (x, y + 0.03 + 0.2 * back, seat + back)], 0.06, 7)
    tube = sweep(rise, (t, t), section="round")
    bench.pair("frame", "metal", tube)


def _wire(bench: Bench, x: float, y: float, height: float) -> None:
    t, foot = 0.009, 1.15
    for sx in (-1, 1):
        for sy in (-1, 1):
            base = np.array([sx * x * foot, sy * y * foot, t / 2])
            for top in ((-sx * 0.35 * x, sy * 0.8 * y, height), (sx * 0.9 * x, -sy * 0.1 * y, height)):
                bench.put("leg", "metal", bar(base.tolist(), top, t, section="round"))
            glide = lathe([(0, 0.008), (0.01, 0.009), (0.02, 0.008)], 12).moved(base[0], base[1])
            bench.put("hardware", "rubber", glide)
    _under_frame(bench, 0.9 * x, 0.8 * y, height, t)


def _sled(bench: Bench, x: float, y: float, height: float) -> None:
    t = bench.between(0.011, 0.018)
    for sx in (-1, 1):
        foot = x * 1.12
        path = [(sx * 0.5 * x, -y * 0.7, height), (sx * foot, -y * 1.05, t / 2), (sx * foot, y * 1.15, t / 2),
                (sx * 0.5 * x, y * 0.7, height)]  # fmt: skip
        bench.put("leg", "metal", sweep(fillet(path, 0.05, 6), (t, t), section="round"))
    _under_frame(bench, 0.6 * x, 0.72 * y, height, t)


def _under_frame(bench: Bench, x: float, y: float, height: float, t: float = 0.016) -> None:
    """A cross under the seat that the legs are welded to."""
    z = height - t / 2 + 0.002
    path = fillet([(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)], 0.03, 4, closed=True)
    bench.put("frame", "metal", sweep(path, (t, t), section="round", closed=True, sides=10))
    bench.put("frame", "metal", bar((-x, 0, z), (x, 0, z), t, section="round"))
