"""Shelves: bookcases, cubes, ladders and shelves between posts."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.cases import (
    Case,
    Opening,
    add_carcass,
    add_cornice,
    add_doors,
    add_drawers,
    add_shelves,
    add_stand,
    draw_stand_height,
    split_columns,
    split_rows,
)
from export_models.dataset.makers.fronts import FrontStyle
from export_models.dataset.makers.legs import leaning_bar
from export_models.dataset.makers.piece import Design, PieceBuilder
from export_models.dataset.makers.solids import bar, board


def build_shelf(builder: PieceBuilder) -> None:
    """Build a piece of open shelves."""
    designs: dict[Design, float] = {
        _build_bookcase: 4,
        _build_cubes: 2,
        _build_posts: 3,
        _build_ladder: 1.5,
        _build_staggered: 1.5,
    }
    build = builder.pick(designs)
    build(builder)


def _draw_case(builder: PieceBuilder, width: float, depth: float, height: float) -> Case:
    """Draw a case on a stand, and add the stand."""
    style = builder.pick({"floor": 4, "plinth": 2, "legs": 2, "sled": 0.5})
    lift = draw_stand_height(builder, style, (0.08, 0.16))
    thickness = builder.pick((0.018, 0.022, 0.028, 0.036))
    case = Case.centred(width, depth, (lift, height), thickness)
    add_stand(builder, case, style)
    return case


def _build_bookcase(builder: PieceBuilder) -> None:
    """Build a case with shelves, sometimes above doors or drawers."""
    is_tall = builder.chance(0.65)
    width = builder.uniform(0.5, 1.6)
    height = builder.uniform(1.6, 2.1) if is_tall else builder.uniform(0.75, 1.2)
    case = _draw_case(builder, width, builder.uniform(0.26, 0.38), height)
    opening = add_carcass(builder, case, back=builder.chance(0.7))
    if is_tall and builder.chance(0.35):
        lower, opening = split_rows(builder, case, opening, [1.0, builder.uniform(2.2, 4.0)])
        fronts = FrontStyle.random(builder, {"slab": 3, "panel": 3, "cane": 1, "louvre": 0.5})
        for column in split_columns(builder, case, lower, [1.0] * (1 if width < 1.0 else 2)):
            _add_door_or_drawers(builder, fronts, case, column, 0.6)
    count = max(1, round(width / builder.uniform(0.6, 0.9)))
    for column in split_columns(builder, case, opening, [1.0] * count):
        shelves = max(1, round((column.z[1] - column.z[0]) / builder.uniform(0.27, 0.4)) - 1)
        add_shelves(builder, case, column, shelves)
    if builder.chance(0.2):
        add_cornice(builder, case)


def _add_door_or_drawers(
    builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening, door_probability: float
) -> None:
    """Add doors or two drawers."""
    if builder.chance(door_probability):
        add_doors(builder, fronts, case, opening)
    else:
        add_drawers(builder, fronts, case, opening, [1.0, 1.0])


def _build_cubes(builder: PieceBuilder) -> None:
    """Build a grid of square compartments, a few with doors or drawers."""
    columns, rows = int(builder.rng.integers(2, 5)), int(builder.rng.integers(2, 6))
    size = builder.uniform(0.30, 0.38)
    case = _draw_case(builder, columns * size, builder.uniform(0.3, 0.39), rows * size)
    opening = add_carcass(builder, case, back=builder.chance(0.5))
    fronts = FrontStyle.random(builder, {"slab": 3, "panel": 1, "cane": 1})
    for column in split_columns(builder, case, opening, [1.0] * columns):
        for cube in split_rows(builder, case, column, [1.0] * rows, component="shelf"):
            if builder.chance(0.12):
                _add_door_or_drawers(builder, fronts, case, cube, 0.5)


def _build_posts(builder: PieceBuilder) -> None:
    """Build shelves between four posts of steel or wood."""
    role = builder.pick({"metal": 3, "wood": 2})
    width, depth = builder.uniform(0.6, 1.5), builder.uniform(0.28, 0.4)
    height = builder.uniform(0.8, 2.0)
    t = builder.uniform(0.018, 0.03) if role == "metal" else builder.uniform(0.03, 0.045)
    section = builder.pick(("rectangle", "round", "rectangle"))
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    count = max(3, round(height / builder.uniform(0.32, 0.42)))
    thickness = builder.uniform(0.016, 0.035)
    for px in (-x, x):
        for py in (-y, y):
            builder.add("leg", role, bar((px, py, 0), (px, py, height), t, section=section))
        for z in (0.12, height - t / 2 - 0.001):
            builder.add("frame", role, bar((px, -y, z), (px, y, z), 0.8 * t))
    shelf_role = builder.pick({"wood": 4, "glass": 1, "stone": 0.3, "wood2": 1})
    levels = np.linspace(0.14, height - 0.004 - thickness, count)
    in_rails = builder.chance(0.5)
    for z in levels:
        if role == "metal" and in_rails:
            for py in (-y, y):
                builder.add("frame", role, bar((-x, py, z - 0.006), (x, py, z - 0.006), 0.7 * t))
            low, high = (-x + t * 0.3, -y + t * 0.2, z), (x - t * 0.3, y - t * 0.2, z + thickness)
        else:
            low, high = (-x + t * 0.4, -y - t * 0.3, z), (x - t * 0.4, y + t * 0.3, z + thickness)
        builder.add("shelf", shelf_role, board(low, high))
    bracing = builder.pick(("none", "cross", "bars"))
    if bracing == "cross":
        diagonals = (
            ((-x, y, 0.15), (x, y + 0.004, height - 0.1)),
            ((x, y + 0.006, 0.15), (-x, y + 0.01, height - 0.1)),
        )
        for start, end in diagonals:
            builder.add("frame", "metal", bar(start, end, 0.008, section="round"))
    elif bracing == "bars":
        for z in levels[:-1]:
            for py in (-y, y) if builder.chance(0.3) else (y,):
                builder.add("frame", role, bar((-x, py, z + 0.09), (x, py, z + 0.09), 0.5 * t))


def _build_ladder(builder: PieceBuilder) -> None:
    """Build a shelf with slanted front legs. Its boards become deeper towards the floor."""
    width, height, depth = builder.uniform(0.5, 0.8), builder.uniform(1.5, 1.95), builder.uniform(0.38, 0.5)
    t, count = builder.uniform(0.025, 0.035), int(builder.rng.integers(4, 6))
    role = builder.pick({"wood": 3, "metal": 1})
    x, top_depth = width / 2 - t / 2, 0.16
    front_top = depth / 2 - top_depth
    builder.add_pair("leg", role, leaning_bar((x, -depth / 2 + t / 2, 0), (x, front_top, height), [t, t]))
    builder.add_pair("leg", role, leaning_bar((x, depth / 2 - t / 2, 0), (x, depth / 2 - t / 2, height), [t, t]))
    for i, z in enumerate(np.linspace(0.16, height - 0.05, count)):
        y = -depth / 2 + t / 2 + (front_top + depth / 2 - t / 2) * z / height
        builder.add("shelf", "wood", board((-x, y - 0.004, z), (x, depth / 2 - 0.002, z + 0.02)))
        bracket = board((x - t * 0.3, y, z - 0.03), (x + t * 0.3, depth / 2 - t / 2, z + 0.002))
        builder.add_pair("frame", role, bracket)
        if builder.chance(0.4) and i < count - 1:
            back = board((-x, depth / 2 - 0.014, z + 0.018), (x, depth / 2 - 0.002, z + 0.07))
            builder.add("frame", role, back)


def _build_staggered(builder: PieceBuilder) -> None:
    """Build a case whose dividers are at different positions in each row."""
    width, height = builder.uniform(0.8, 1.5), builder.uniform(1.1, 1.9)
    case = _draw_case(builder, width, builder.uniform(0.28, 0.36), height)
    opening = add_carcass(builder, case, back=builder.chance(0.3))
    count = max(3, round(height / builder.uniform(0.3, 0.4)))
    for row in split_rows(builder, case, opening, [1.0] * count, component="shelf"):
        shares = [builder.uniform(0.6, 1.4) for _ in range(int(builder.rng.integers(2, 4)))]
        split_columns(builder, case, row, shares)
