"""Chairs without posts: moulded shells, upholstered parsons chairs, cantilevers, office chairs."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import leaned, shell, upholstered_back
from export_models.dataset.makers.legs import four_legs
from export_models.dataset.makers.outlines import fillet
from export_models.dataset.makers.piece import Bench
from export_models.dataset.makers.seat_bases import BASES, cantilever, seat_base, star_base
from export_models.dataset.makers.solids import bar, board, sheet, sweep
from export_models.dataset.makers.upholstery import pad, piping


def shell_chair(bench: Bench, width: float, depth: float, seat: float, back: float) -> None:
    """A moulded shell, of plastic, plywood or covered, on one of many bases."""
    arms = bench.pick((0.0, 0.0, bench.between(0.12, 0.2)))
    plain = not arms and bench.chance(0.3)
    role = bench.pick({"shell": 3, "wood2": 1.5 if plain else 0.3, "soft": 1})
    solid = shell(bench, width, depth, 0.85 * back, arms=arms, plain=plain)
    bench.put("seat", role, solid.moved(z=seat))
    under = seat - 0.016
    seat_base(bench, bench.pick(BASES), (0.34 * width, 0.32 * depth), under)
    if role != "soft" and bench.chance(0.3):
        soft = pad((0.78 * width, 0.74 * depth, 0.03), radius=0.014, crown=0.006)
        bench.put("cushion", "soft", soft.moved(y=-0.02, z=seat + 0.012))


def parsons_chair(bench: Bench, width: float, depth: float, seat: float, back: float) -> None:
    """An upholstered seat and back on four legs."""
    width, thick = width + 0.02, bench.between(0.07, 0.12)
    block, crown = (width, depth + 0.04, thick), bench.between(0.006, 0.018)
    bench.put("cushion", "soft", pad(block, radius=0.025, crown=crown).moved(z=seat - thick / 2))
    if bench.chance(0.4):
        bench.put("cushion", "soft", piping(block, 0.025, thick / 2 - 0.02, crown=crown).moved(z=seat - thick / 2))
    deep = bench.between(0.055, 0.09)
    low = bench.pick((-0.02, -0.02, 0.07))
    place = leaned(bench.between(5, 12), depth / 2 - deep / 2 - 0.01, seat + low)
    upholstered_back(bench, width - bench.pick((0.0, 0.03)), back + 0.05 - low, deep, place)
    if low > 0:
        for x in (-0.3 * width, 0.3 * width):
            post = board((x - 0.015, -0.004, -low - 0.03), (x + 0.015, 0.012, 0.1))
            bench.put("frame", "wood", place(post.moved(y=deep / 2)))
    style = bench.pick({"square": 2, "tapered": 3, "turned": 1, "saber": 1, "cabriole": 1, "splayed": 2, "tube": 1})
    four_legs(bench, style, (width / 2 - 0.01, depth / 2), seat - thick + 0.012, bench.between(0.034, 0.044))


def cantilever_chair(bench: Bench, width: float, depth: float, seat: float, back: float) -> None:
    """A bent tube with a seat and a back of cane, leather or a padded board (Breuer's B32, 1928)."""
    under = seat - 0.02
    cantilever(bench, width, depth, under, back)
    role = bench.pick(("soft", "cane", "wood", "soft"))
    if role == "soft":
        soft = pad((width + 0.015, depth + 0.02, 0.045), radius=0.018, crown=0.008)
        bench.put("cushion", role, soft.moved(z=under + 0.012))
    elif role == "cane":
        bench.put(
            "frame",
            "wood",
            board((-width / 2 - 0.01, -depth / 2, under - 0.008), (width / 2 + 0.01, depth / 2, under + 0.016)),
        )
        low = (-width / 2 + 0.025, -depth / 2 + 0.035, under)
        bench.put("seat", role, board(low, (width / 2 - 0.025, depth / 2 - 0.035, under + 0.02), bevel=0.003))
    else:
        bench.put(
            "seat",
            role,
            board((-width / 2 - 0.01, -depth / 2, under - 0.004), (width / 2 + 0.01, depth / 2, under + 0.016)),
        )
    tall = min(bench.between(0.18, 0.34), 0.7 * back)
    y = depth / 2 + 0.03
    place = leaned(np.degrees(np.arctan(0.2)), y, under)
    high = back + 0.02
    if role == "soft":
        upholstered_back(
            bench, width + 0.01, tall, 0.04, lambda s: place(s.moved(y=-0.03, z=high - tall)), style="plain"
        )
    else:
        x = np.linspace(-width / 2, width / 2, 13)
        z = np.linspace(high - tall, high, 6)
        grid = np.stack(np.broadcast_arrays(x[:, None], 0.03 * (1 - (2 * x[:, None] / width) ** 2), z), -1)
        bench.put("back", role, place(sheet(grid, 0.014).moved(y=-0.008)))
    if bench.chance(0.4):
        _tube_arms(bench, width / 2, depth, seat)


def _tube_arms(bench: Bench, x: float, depth: float, seat: float) -> None:
    z, t = seat + 0.2, 0.02
    path = [
        (x + 0.004, -depth / 2 + 0.06, seat - 0.03),
        (x + 0.012, -depth / 2 + 0.03, z),
        (x + 0.004, depth / 2 + 0.075, z),
    ]
    bench.pair("arm", "metal", sweep(fillet(path, 0.06, 7), (t, t), section="round"))
    rest = board((x - 0.012, -depth / 2 + 0.09, z + 0.004), (x + 0.034, depth / 2 + 0.01, z + 0.026), bevel=0.006)
    bench.pair("arm", bench.pick(("wood", "rubber")), rest)


def office_chair(bench: Bench, width: float, depth: float, seat: float, back: float) -> None:
    """A swivel chair on casters."""
    width, thick = width + 0.03, bench.between(0.05, 0.09)
    star_base(bench, seat - thick + 0.008, casters=True)
    soft = pad((width, depth + 0.04, thick), radius=0.45 * thick, crown=0.012)
    bench.put("cushion", "soft", soft.moved(z=seat - thick / 2))
    low, deep = bench.between(0.02, 0.16), bench.between(0.035, 0.07)
    y = depth / 2 - 0.01
    place = leaned(bench.between(6, 12), y, seat + low)
    upholstered_back(bench, width * bench.between(0.85, 1.0), back + 0.05, deep, place)
    spine = fillet(
        [
            (0, 0.02, seat - thick + 0.002),
            (0, y + 0.09, seat - thick + 0.002),
            (0, y + 0.7 * deep + 0.02, seat + low + 0.14),
        ],
        0.06,
        6,
    )
    bench.put("frame", "rubber", sweep(spine, (0.07, 0.016), side=(1, 0, 0)))
    if bench.chance(0.7):
        x, z = width / 2 + 0.025, seat + bench.between(0.18, 0.24)
        role = bench.pick(("rubber", "metal"))
        hold = fillet([(x - 0.1, 0.03, seat - thick + 0.004), (x, 0.03, seat - thick + 0.004), (x, 0.03, z)], 0.04, 5)
        bench.pair("arm", role, sweep(hold, (0.045, 0.014), side=(0, 1, 0)))
        rest = pad((0.07, 0.25, 0.028), radius=0.012).moved(x, -0.01, z)
        bench.pair("arm", "rubber", rest)
    if bench.chance(0.2):
        top = place(bar((0, deep / 2, back), (0, deep / 2, back + 0.12), 0.02))
        bench.put("hardware", "metal", top)
        rest = pad((0.26, 0.15, 0.06), radius=0.026, crown=0.01).turned("x", 90)
        bench.put("back", "soft", place(rest.moved(y=deep / 2 - 0.01, z=back + 0.17)))
