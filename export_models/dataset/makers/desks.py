"""Desks: on legs, pedestals, trestles and steel frames, with drawers, hutches and modesty panels."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.cases import Case, carcass, columns, put_doors, put_drawers, put_shelves, rows
from export_models.dataset.makers.fronts import Look
from export_models.dataset.makers.legs import four_legs
from export_models.dataset.makers.outlines import rounded_rectangle
from export_models.dataset.makers.piece import Bench, Piece
from export_models.dataset.makers.solids import bar, board, lathe, slab
from export_models.dataset.makers.stands import sled, trestle
from export_models.dataset.makers.tables import apron

DESIGNS = {"apron": 4, "pedestal": 4, "pedestals": 2, "trestle": 1, "sled": 1.5, "lift": 1.5, "steel": 1.5}


def desk(rng: np.random.Generator) -> Piece:
    """A writing table or an office desk."""
    bench = Bench(rng)
    width, depth, height = bench.between(1.0, 1.8), bench.between(0.52, 0.8), bench.between(0.72, 0.76)
    thick = bench.between(0.02, 0.034)
    under, role = height - thick, bench.pick({"wood": 5, "wood2": 2, "glass": 0.4})
    design = bench.pick(DESIGNS)
    if role == "glass" and design in ("pedestal", "pedestals"):
        role = "wood"
    radius = bench.pick((0.0, 0.0, 0.02, 0.06))
    if radius:
        top = slab(rounded_rectangle(width, depth, radius), thick, bevel=0.002).grained((1, 0, 0))
        bench.put("top", role, top.moved(z=under))
    else:
        bench.put(
            "top",
            role,
            board((-width / 2, -depth / 2, under), (width / 2, depth / 2, height), bevel=bench.pick((0.002, 0.004))),
        )
    least = 0.35 * radius  # so that no leg stands out of a rounded corner
    half = width / 2 - bench.between(least, least + 0.03), depth / 2 - bench.between(least, least + 0.03)
    _carry(bench, design, half, under)
    if bench.chance(0.25) and role != "glass":
        _hutch(bench, width, depth, height)
    return bench.piece("desk")


def _carry(bench: Bench, design: str, half: tuple[float, float], under: float) -> None:
    x, y = half
    if design == "apron":
        leg = bench.between(0.036, 0.055)
        style = bench.pick({"square": 3, "tapered": 4, "turned": 1.5, "cabriole": 1})
        four_legs(bench, style, half, under, leg)
        apron(bench, half, under, bench.between(0.07, 0.13), leg, drawers=bench.chance(0.75))
    elif design in ("pedestal", "pedestals"):
        _pedestals(bench, half, under, both=design == "pedestals")
    elif design == "trestle":
        trestle(bench, (0.7 * x, 0.85 * y), under)
    elif design == "sled":
        reach = (x - 0.03, y - 0.02)
        size = bench.pick(((0.03, 0.03), (0.05, 0.025), (0.02, 0.06)))
        role = bench.pick({"metal": 2, "wood": 1})
        sled(bench, reach, under + 0.001, size, role=role)
        for sy in (-0.8, 0.8):
            bench.put(
                "frame",
                role,
                board((-reach[0], sy * y - 0.015, under - 0.03), (reach[0], sy * y + 0.015, under + 0.001)),
            )
        _modesty(bench, reach[0], 0.6 * y, under)
        if bench.chance(0.5):
            _hung_drawers(bench, (x, y), under)
    elif design == "lift":
        _lift(bench, x, y, under)
    else:
        four_legs(bench, bench.pick(("tube", "hairpin", "cone", "splayed")), (x - 0.04, y - 0.04), under, 0.05)
        if bench.chance(0.6):
            _hung_drawers(bench, (x - 0.1, y), under)


def _pedestals(bench: Bench, half: tuple[float, float], under: float, *, both: bool) -> None:
    """Cases of drawers under one or both ends; the other end on legs or a panel."""
    x, y = half
    look = Look.drawn(bench, {"slab": 5, "panel": 2, "louvre": 0.3})
    wide = bench.between(0.34, 0.45)
    lift = bench.pick((0.0, 0.05, bench.between(0.08, 0.14)))
    sides = [-1, 1] if both else [bench.pick((-1, 1))]
    count = int(bench.rng.integers(2, 5))
    shares = [bench.between(1.0, 2.0), *([1.0] * (count - 1))]
    doored = bench.chance(0.25)
    for side in sides:
        span = (x - wide, x) if side > 0 else (-x, wide - x)
        case = Case(span, (-y + 0.006, y), (lift, under + 0.001), 0.018)
        cell = carcass(bench, case)
        if doored:
            lower, upper = rows(bench, case, cell, [2.4, 1.0])
            put_doors(bench, look, case, lower)
            put_drawers(bench, look, case, upper, [1.0])
        else:
            put_drawers(bench, look, case, cell, shares)
        if lift:
            for px in (span[0] + 0.03, span[1] - 0.03):
                for py in (-y + 0.04, y - 0.03):
                    bench.put(
                        "leg",
                        "wood",
                        board((px - 0.02, py - 0.02, 0), (px + 0.02, py + 0.02, lift + 0.001), grain=(0, 0, 1)),
                    )
    if not both:
        far = -sides[0]
        style = bench.pick({"panel": 2, "square": 2, "tapered": 2, "tube": 1.5})
        if style == "panel":
            edge = far * x
            bench.put(
                "leg", "wood", board((edge - far * 0.025, -y + 0.01, 0), (edge, y, under + 0.001), grain=(0, 0, 1))
            )
        else:
            first = len(bench.parts)
            four_legs(bench, style, (x, y), under, 0.045)
            kept = [part for part in bench.parts[first:] if float(part.vertices[:, 0].mean()) * far > 0]
            bench.parts[first:] = kept
    inner = x - wide
    low, high = (-inner, inner) if both else sorted((-sides[0] * (x - 0.02), sides[0] * inner))
    if bench.chance(0.7):
        drop = bench.between(0.1, 0.4)
        bench.put(
            "frame",
            "wood",
            board((low - 0.002, y - 0.05, under - drop), (high + 0.002, y - 0.032, under + 0.001), grain=(1, 0, 0)),
        )
    if both and bench.chance(0.6):
        case = Case((low - 0.001, high + 0.001), (-y + 0.006, y - 0.06), (under - 0.11, under + 0.001), 0.012)
        put_drawers(bench, look, case, carcass(bench, case, back=False), [1.0])


def _hung_drawers(bench: Bench, half: tuple[float, float], under: float) -> None:
    """A flat case under the top."""
    x, y = half
    look = Look.drawn(bench, {"slab": 1})
    wide = bench.pick((min(1.7 * x, 1.2), 0.45))
    shift = 0.0 if wide > 0.5 else bench.pick((-1, 1)) * (x - wide / 2 - 0.06)
    case = Case(
        (shift - wide / 2, shift + wide / 2),
        (-y + 0.05, y - 0.12),
        (under - bench.between(0.1, 0.14), under + 0.001),
        0.014,
    )
    cell = carcass(bench, case)
    for part in columns(bench, case, cell, [1.0] * (1 if wide < 0.7 else 2)):
        put_drawers(bench, look, case, part, [1.0])


def _modesty(bench: Bench, x: float, y: float, under: float) -> None:
    if bench.chance(0.5):
        panel = board((-x, y, under - bench.between(0.2, 0.4)), (x, y + 0.016, under + 0.001), grain=(1, 0, 0))
        bench.put("frame", bench.pick(("wood", "metal")), panel)


def _lift(bench: Bench, x: float, y: float, under: float) -> None:
    """A height-adjustable steel frame: two columns on flat feet."""
    at, wide = x - bench.between(0.15, 0.25), bench.between(0.06, 0.08)
    round_columns = bench.chance(0.3)
    for sx in (-1, 1):
        px = sx * at
        bench.put("leg", "metal", board((px - 0.04, -0.92 * y, 0.008), (px + 0.04, 0.92 * y, 0.034), bevel=0.006))
        for sy in (-0.86, 0.86):
            glide = lathe([(0, 0.018), (0.004, 0.022), (0.012, 0.022)], 16).moved(px, sy * y)
            bench.put("hardware", "rubber", glide)
        middle = 0.55 * under
        section = "round" if round_columns else "board"
        bench.put("leg", "metal", bar((px, 0, 0.03), (px, 0, middle), (wide, wide), section))
        bench.put(
            "leg", "metal", bar((px, 0, middle - 0.01), (px, 0, under - 0.025), (0.8 * wide, 0.8 * wide), section)
        )
        bench.put(
            "frame",
            "metal",
            board((px - 0.03, -0.85 * y, under - 0.03), (px + 0.03, 0.85 * y, under + 0.001), bevel=0.003),
        )
    for sy in (-0.08, 0.08):
        bench.put(
            "frame", "metal", board((-at, sy - 0.015, under - 0.032), (at, sy + 0.015, under - 0.004), bevel=0.002)
        )
    if bench.chance(0.5):
        place = at - 0.05
        bench.put(
            "hardware",
            "rubber",
            board((place, -y + 0.012, under - 0.018), (place + 0.11, -y + 0.06, under + 0.001), bevel=0.003),
        )


def _hutch(bench: Bench, width: float, depth: float, height: float) -> None:
    """A low shelf case, or a rack of small compartments, on the back of the top."""
    tall = bench.pick((bench.between(0.12, 0.2), bench.between(0.3, 0.75)))
    wide = width - bench.pick((0.0, 0.04, 0.3))
    case = Case(
        (-wide / 2, wide / 2), (depth / 2 - bench.between(0.2, 0.28), depth / 2), (height - 0.001, height + tall), 0.016
    )
    cell = carcass(bench, case, back=bench.chance(0.7))
    look = Look.drawn(bench, {"slab": 3, "panel": 2, "glass": 1})
    parts = columns(bench, case, cell, [1.0, bench.between(0.8, 2.0), 1.0])
    for i, part in enumerate(parts):
        if i != 1 and bench.chance(0.4):
            count = max(1, round((part.z[1] - part.z[0]) / 0.14))
            if tall < 0.3:
                put_drawers(bench, look, case, part, [1.0] * count)
            else:
                put_doors(bench, look, case, part)
        elif tall > 0.4:
            put_shelves(bench, case, part, 1)
