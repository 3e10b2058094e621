"""Shelves: bookcases, cubes, ladders, steel-framed and étagères."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.cases import (
    Case,
    Cell,
    carcass,
    columns,
    cornice,
    put_doors,
    put_drawers,
    put_shelves,
    rows,
    stand,
    stand_height,
)
from export_models.dataset.makers.fronts import Look
from export_models.dataset.makers.legs import leaning
from export_models.dataset.makers.piece import Bench, Piece
from export_models.dataset.makers.solids import bar, board

DESIGNS = {"bookcase": 4, "cubes": 2, "posts": 3, "ladder": 1.5, "staggered": 1.5}


def shelf(rng: np.random.Generator) -> Piece:
    """Open boards to put things on."""
    bench = Bench(rng)
    {"bookcase": _bookcase, "cubes": _cubes, "posts": _posts, "ladder": _ladder, "staggered": _staggered}[
        bench.pick(DESIGNS)
    ](bench)
    return bench.piece("shelf")


def _case(bench: Bench, width: float, depth: float, height: float) -> Case:
    style = bench.pick({"floor": 4, "plinth": 2, "legs": 2, "sled": 0.5})
    lift = stand_height(bench, style, (0.08, 0.16))
    case = Case(
        (-width / 2, width / 2), (-depth / 2, depth / 2), (lift, height), bench.pick((0.018, 0.022, 0.028, 0.036))
    )
    stand(bench, case, style)
    return case


def _bookcase(bench: Bench) -> None:
    tall = bench.chance(0.65)
    width, height = bench.between(0.5, 1.6), bench.between(1.6, 2.1) if tall else bench.between(0.75, 1.2)
    case = _case(bench, width, bench.between(0.26, 0.38), height)
    cell = carcass(bench, case, back=bench.chance(0.7))
    if tall and bench.chance(0.35):
        lower, cell = rows(bench, case, cell, [1.0, bench.between(2.2, 4.0)])
        look = Look.drawn(bench, {"slab": 3, "panel": 3, "cane": 1, "louvre": 0.5})
        for part in columns(bench, case, lower, [1.0] * (1 if width < 1.0 else 2)):
            (put_doors if bench.chance(0.6) else _two_drawers)(bench, look, case, part)
    count = max(1, round(width / bench.between(0.6, 0.9)))
    for part in columns(bench, case, cell, [1.0] * count):
        put_shelves(bench, case, part, max(1, round((part.z[1] - part.z[0]) / bench.between(0.27, 0.4)) - 1))
    if bench.chance(0.2):
        cornice(bench, case)


def _two_drawers(bench: Bench, look: Look, case: Case, cell: Cell) -> None:
    put_drawers(bench, look, case, cell, [1.0, 1.0])


def _cubes(bench: Bench) -> None:
    across, up, size = int(bench.rng.integers(2, 5)), int(bench.rng.integers(2, 6)), bench.between(0.30, 0.38)
    case = _case(bench, across * size, bench.between(0.3, 0.39), up * size)
    back = bench.chance(0.5)
    cell = carcass(bench, case, back=back)
    look = Look.drawn(bench, {"slab": 3, "panel": 1, "cane": 1})
    for column in columns(bench, case, cell, [1.0] * across):
        for part in rows(bench, case, column, [1.0] * up, component="shelf"):
            if bench.chance(0.12):
                (put_doors if bench.chance(0.5) else _two_drawers)(bench, look, case, part)


def _posts(bench: Bench) -> None:
    """Boards between four or six posts of steel or wood."""
    role = bench.pick({"metal": 3, "wood": 2})
    width, depth = bench.between(0.6, 1.5), bench.between(0.28, 0.4)
    height, t = bench.between(0.8, 2.0), bench.between(0.018, 0.03) if role == "metal" else bench.between(0.03, 0.045)
    section, x, y = bench.pick(("board", "round", "board")), width / 2 - t / 2, depth / 2 - t / 2
    count = max(3, round(height / bench.between(0.32, 0.42)))
    thick = bench.between(0.016, 0.035)
    for px in (-x, x):
        for py in (-y, y):
            bench.put("leg", role, bar((px, py, 0), (px, py, height), t, section=section))
        for z in (0.12, height - t / 2 - 0.001):
            bench.put("frame", role, bar((px, -y, z), (px, y, z), 0.8 * t))
    shelf_role = bench.pick({"wood": 4, "glass": 1, "stone": 0.3, "wood2": 1})
    levels = np.linspace(0.14, height - 0.004 - thick, count)
    flush = bench.chance(0.5)
    for z in levels:
        if role == "metal" and flush:
            for py in (-y, y):
                bench.put("frame", role, bar((-x, py, z - 0.006), (x, py, z - 0.006), (0.7 * t, 0.7 * t)))
            bench.put(
                "shelf", shelf_role, board((-x + t * 0.3, -y + t * 0.2, z), (x - t * 0.3, y - t * 0.2, z + thick))
            )
        else:
            bench.put(
                "shelf", shelf_role, board((-x + t * 0.4, -y - t * 0.3, z), (x - t * 0.4, y + t * 0.3, z + thick))
            )
    way = bench.pick(("none", "cross", "bars"))
    if way == "cross":
        for start, end in (
            ((-x, y, 0.15), (x, y + 0.004, height - 0.1)),
            ((x, y + 0.006, 0.15), (-x, y + 0.01, height - 0.1)),
        ):
            bench.put("frame", "metal", bar(start, end, 0.008, section="round"))
    elif way == "bars":
        for z in levels[:-1]:
            for py in (-y, y) if bench.chance(0.3) else (y,):
                bench.put("frame", role, bar((-x, py, z + 0.09), (x, py, z + 0.09), 0.5 * t))


def _ladder(bench: Bench) -> None:
    """A leaning or an A-shaped stand whose boards grow deeper downwards."""
    width, height, depth = bench.between(0.5, 0.8), bench.between(1.5, 1.95), bench.between(0.38, 0.5)
    t, count = bench.between(0.025, 0.035), int(bench.rng.integers(4, 6))
    role = bench.pick({"wood": 3, "metal": 1})
    x, tip = width / 2 - t / 2, 0.16
    front = depth / 2 - tip
    bench.pair("leg", role, leaning((x, -depth / 2 + t / 2, 0), (x, front, height), [t, t]))
    bench.pair("leg", role, leaning((x, depth / 2 - t / 2, 0), (x, depth / 2 - t / 2, height), [t, t]))
    for i, z in enumerate(np.linspace(0.16, height - 0.05, count)):
        y = -depth / 2 + t / 2 + (front + depth / 2 - t / 2) * z / height
        bench.put(
            "shelf",
            bench.parts[0].role if role == "wood" else "wood",
            board((-x, y - 0.004, z), (x, depth / 2 - 0.002, z + 0.02)),
        )
        bench.pair("frame", role, board((x - t * 0.3, y, z - 0.03), (x + t * 0.3, depth / 2 - t / 2, z + 0.002)))
        if bench.chance(0.4) and i < count - 1:
            bench.put("frame", role, board((-x, depth / 2 - 0.014, z + 0.018), (x, depth / 2 - 0.002, z + 0.07)))


def _staggered(bench: Bench) -> None:
    """A case whose uprights stand elsewhere on each floor."""
    width, height = bench.between(0.8, 1.5), bench.between(1.1, 1.9)
    case = _case(bench, width, bench.between(0.28, 0.36), height)
    cell = carcass(bench, case, back=bench.chance(0.3))
    count = max(3, round(height / bench.between(0.3, 0.4)))
    for part in rows(bench, case, cell, [1.0] * count, component="shelf"):
        columns(bench, case, part, [bench.between(0.6, 1.4) for _ in range(int(bench.rng.integers(2, 4)))])
