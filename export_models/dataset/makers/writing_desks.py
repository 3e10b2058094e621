"""Desks with metal frames and wooden tops, desks with cubbies, secretaries, leaning desks; children's tables."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.cases import (
    Case,
    add_carcass,
    add_drawers,
    add_shelves,
    draw_fronts,
    split_columns,
    split_rows,
)
from export_models.dataset.makers.legs import add_four_legs, leaning_bar
from export_models.dataset.makers.outlines import ellipse, rounded_rectangle
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, extrude, lathe
from export_models.dataset.makers.tables import add_apron


def build_frame_desk(builder: PieceBuilder) -> None:
    """Build a wooden top in a metal or wooden frame with shelves at one side or a rack above, and a cable outlet."""
    width, depth, height = builder.uniform(1.0, 1.5), builder.uniform(0.5, 0.65), builder.uniform(0.73, 0.76)
    role = builder.pick({"metal": 4, "timber": 1, "paint": 1})
    top_role, t = builder.pick({"timber": 3, "wood": 3}), builder.uniform(0.022, 0.032)
    thickness = builder.uniform(0.018, 0.03)
    x, y, under = width / 2 - t / 2, depth / 2 - t / 2, height - thickness
    builder.add("top", top_role, board((-width / 2, -depth / 2, under), (width / 2, depth / 2, height)))
    has_rack = builder.chance(0.35)
    rise = height + builder.uniform(0.3, 0.55) if has_rack else under + 0.001
    for sx in (-1, 1):
        builder.add("leg", role, bar((sx * x, -y, 0), (sx * x, -y, under + 0.001), t))
        builder.add(
            "leg", role, bar((sx * x, y + (t if has_rack else 0), 0), (sx * x, y + (t if has_rack else 0), rise), t)
        )
        for z in (0.12, under - 0.5 * t):
            builder.add("frame", role, bar((sx * x, -y, z), (sx * x, y + (t if has_rack else 0), z), 0.8 * t))
    builder.add("frame", role, bar((-x, y, under - 0.5 * t), (x, y, under - 0.5 * t), 0.78 * t))
    if has_rack:
        for z in np.linspace(height + 0.22, rise - 0.02, builder.pick((1, 2)))[::-1]:
            shelf = board(
                (-width / 2 - 0.004, y - 0.18, z), (width / 2 + 0.004, y + 1.6 * t, z + 0.018), grain=(1, 0, 0)
            )
            builder.add("shelf", top_role, shelf)
    if builder.chance(0.5):
        side, reach = builder.pick((-1, 1)), builder.uniform(0.28, 0.38)
        inner = side * (x - reach)
        for sy in (-1, 1):
            builder.add("leg", role, bar((inner, sy * y, 0), (inner, sy * y, under + 0.0005), 0.9 * t))
        for z in np.linspace(0.13, 0.42, builder.pick((1, 2))):
            shelf = board((inner, -y - 0.2 * t, z), (side * x, y + 0.2 * t, z + 0.016), grain=(0, 1, 0))
            builder.add("shelf", top_role, shelf)
    elif builder.chance(0.5):
        brace_y = y + 0.3 * t
        for start, end in (((-x, 0.14), (x, under - 0.06)), ((x, 0.14), (-x, under - 0.06))):
            path_y = brace_y if start[0] < 0 else brace_y - 0.012
            builder.add(
                "frame", role, bar((start[0], path_y, start[1]), (end[0], path_y, end[1]), 0.01, section="round")
            )
    outlet = lathe([(0, 0.03), (0.002, 0.034), (0.004, 0.03)], 24)
    builder.add(
        "hardware", "rubber", outlet.moved(builder.pick((-0.3, 0.0, 0.3)) * width, 0.32 * depth, height - 0.0005)
    )


def build_cubby_desk(builder: PieceBuilder) -> None:
    """Build a writing desk whose top carries a row of open cubbies and small drawers, on slender legs."""
    width, depth, height = builder.uniform(0.98, 1.3), builder.uniform(0.54, 0.64), builder.uniform(0.73, 0.76)
    role = builder.pick({"wood": 4, "timber": 1})
    under = height - 0.022
    builder.add("top", role, board((-width / 2, -depth / 2, under), (width / 2, depth / 2, height), bevel=0.003))
    half_size = (width / 2 - 0.02, depth / 2 - 0.02)
    leg = builder.uniform(0.034, 0.045)
    style = builder.pick({"tapered": 3, "square": 1, "turned": 1})
    add_four_legs(builder, style, half_size, under, leg)
    add_apron(builder, half_size, under, builder.uniform(0.08, 0.12), leg, drawers=builder.chance(0.6), role="wood")
    rack_depth, rack = builder.uniform(0.16, 0.24), builder.uniform(0.12, 0.32)
    y = (depth / 2 - rack_depth, depth / 2)
    case = Case((-width / 2 + 0.004, width / 2 - 0.004), y, (height - 0.001, height + rack), 0.014, role)
    fronts = draw_fronts(builder, case, {"slab": 1})
    opening = add_carcass(builder, case, back=builder.chance(0.8))
    columns = int(builder.rng.integers(3, 6))
    for i, column in enumerate(split_columns(builder, case, opening, [1.0] * columns)):
        if builder.chance(0.4 if i in (0, columns - 1) else 0.2):
            add_drawers(builder, fronts, case, column, [1.0] * (2 if rack > 0.2 else 1))
        elif rack > 0.2:
            split_rows(builder, case, column, [1.0, 1.0], component="shelf")


def build_secretary(builder: PieceBuilder) -> None:
    """Build a secretary: drawers or legs below, an open flap as the writing surface, and pigeonholes behind it."""
    width, depth, height = builder.uniform(0.7, 1.0), builder.uniform(0.36, 0.44), builder.uniform(1.05, 1.4)
    role, desk = builder.pick({"wood": 4, "timber": 1, "paint": 1}), 0.73
    case = Case((-width / 2, width / 2), (-depth / 2, depth / 2), (0.12, height), 0.019, role)
    add_four_legs(builder, builder.pick(("block", "tapered", "cone")), (width / 2, depth / 2), 0.12, 0.045)
    fronts = draw_fronts(builder, case, {"slab": 3, "panel": 2})
    opening = add_carcass(builder, case)
    lower, upper = split_rows(builder, case, opening, [desk - 0.14, height - desk])
    if builder.chance(0.7):
        add_drawers(builder, fronts, case, lower, [1.3, 1.0, 1.0])
    else:
        add_shelves(builder, case, lower, 1)
    front, z = -depth / 2, upper.z[0]
    flap_low, flap_high = (
        (upper.x[0] + 0.002, front - builder.uniform(0.26, 0.36), z - 0.019),
        (upper.x[1] - 0.002, front, z - 0.001),
    )
    builder.add("top", fronts.role, board(flap_low, flap_high, grain=(1, 0, 0)))
    stay_x = width / 2 - 0.022
    stay = bar((stay_x, front - 0.18, z - 0.002), (stay_x, front + 0.03, z + 0.24), 0.008, section="round")
    builder.add_pair("hardware", "fitting", stay)
    for i, column in enumerate(split_columns(builder, case, upper, [1.0, 1.6, 1.0])):
        rows = split_rows(builder, case, column, [1.0] * (2 if i == 1 else 3), component="shelf")
        if i != 1:
            add_drawers(builder, fronts, case, rows[0], [1.0])


def build_leaning_desk(builder: PieceBuilder) -> None:
    """Build a desk between two leaning rails, with shelves above the top."""
    width, height, lean = builder.uniform(0.7, 0.95), builder.uniform(1.6, 1.9), builder.uniform(0.36, 0.46)
    role, t = builder.pick({"wood": 3, "metal": 2, "paint": 1}), builder.uniform(0.024, 0.036)
    board_role = "timber" if role in ("metal", "paint") else "wood"
    x, back = width / 2 - t / 2, lean / 2
    builder.add_pair("leg", role, leaning_bar((x, -back, 0), (x, back - t, height), [t, 1.3 * t, t]))
    rail_y = -back + (2 * back - t) * 0.74 / height
    top = board((-x, rail_y - 0.36, 0.72), (x, back, 0.745), grain=(1, 0, 0))
    builder.add("top", board_role, top)
    builder.add_pair("frame", role, board((x - 0.014, rail_y - 0.3, 0.655), (x + 0.004, back - 0.01, 0.7215)))
    for z in np.linspace(1.08, height - 0.16, builder.pick((2, 3))):
        front = -back + (2 * back - t) * z / height
        builder.add("shelf", board_role, board((-x, front - 0.02, z), (x, back, z + 0.018), grain=(1, 0, 0)))
    for z in (0.16, height - t):
        rear = -back + (2 * back - t) * z / height
        builder.add("frame", role, bar((-x, rear, z), (x, rear, z), 0.8 * t))


def build_childrens_table(builder: PieceBuilder) -> None:
    """Build a low table for children, round or rectangular, on stout legs, sometimes with a bin or a paper roll."""
    width, height = builder.uniform(0.55, 0.8), builder.uniform(0.42, 0.52)
    depth, is_round = width * builder.uniform(0.7, 1.0), builder.chance(0.35)
    role = builder.pick({"wood": 3, "paint": 2, "timber": 2, "shell": 1})
    leg_role = builder.pick(("timber", "wood", "paint"))
    t, under = builder.uniform(0.018, 0.026), height - 0.02
    if is_round:
        top = extrude(ellipse(width, width, 56), 0.02, bevel=0.004, smooth=True).with_grain((1, 0, 0))
    else:
        top = extrude(rounded_rectangle(width, depth, 0.05), 0.02, bevel=0.004).with_grain((1, 0, 0))
    builder.add("top", role, top.moved(z=under))
    x = (0.3 if is_round else 0.42) * width
    y = x if is_round else 0.4 * depth
    for sx in (-1, 1):
        for sy in (-1, 1):
            foot, head = (1.12 * sx * x, 1.12 * sy * y, 0.0), (sx * x, sy * y, under + 0.002)
            builder.add("leg", leg_role, leaning_bar(foot, head, [1.5 * t, 1.9 * t], "round"))
    if builder.chance(0.5):
        for sy in (-1, 1):
            rail = board((-x, sy * y - 0.009, under - 0.05), (x, sy * y + 0.009, under + 0.001))
            builder.add("frame", leg_role, rail)
