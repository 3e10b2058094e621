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
from export_models.dataset.makers.legs import add_four_legs, add_splayed_legs, leaning_bar
from export_models.dataset.makers.outlines import ellipse, rounded_rectangle
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, extrude, lathe
from export_models.dataset.makers.tables import add_apron

WRITING_HEIGHT = 0.73
"""Approximate height in metres of the writing surface of a secretary."""


def build_frame_desk(builder: PieceBuilder) -> None:
    """Build a wooden top in a metal or wooden frame with a cable outlet, sometimes with shelves or a rack above."""
    width, depth, height = builder.uniform(1.0, 1.5), builder.uniform(0.5, 0.65), builder.uniform(0.73, 0.76)
    role = builder.pick({"metal": 4, "timber": 1, "paint": 1})
    top_role, t = builder.pick({"timber": 3, "wood": 3}), builder.uniform(0.022, 0.032)
    thickness = builder.uniform(0.018, 0.03)
    x, y, under = width / 2 - t / 2, depth / 2 - t / 2, height - thickness
    builder.add("top", top_role, board((-width / 2, -depth / 2, under), (width / 2, depth / 2, height)))
    has_rack = builder.chance(0.35)
    rear_top = height + builder.uniform(0.3, 0.55) if has_rack else under + 0.001
    rear_y = y + t if has_rack else y  # legs that carry a rack stand behind the top
    for sx in (-1, 1):
        builder.add("leg", role, bar((sx * x, -y, 0), (sx * x, -y, under + 0.001), t))
        builder.add("leg", role, bar((sx * x, rear_y, 0), (sx * x, rear_y, rear_top), t))
        for z in (0.12, under - 0.5 * t):
            builder.add("frame", role, bar((sx * x, -y, z), (sx * x, rear_y, z), 0.8 * t))
    builder.add("frame", role, bar((-x, y, under - 0.5 * t), (x, y, under - 0.5 * t), 0.78 * t))
    if has_rack:
        for z in np.linspace(height + 0.22, rear_top - 0.02, builder.pick((1, 2)))[::-1]:
            low, high = (-width / 2 - 0.004, y - 0.18, z), (width / 2 + 0.004, y + 1.6 * t, z + 0.018)
            builder.add("shelf", top_role, board(low, high, grain=(1, 0, 0)))
    if builder.chance(0.5):
        _add_side_shelves(builder, role, top_role, (x, y), under, t)
    elif builder.chance(0.5):
        brace_y = y + 0.3 * t
        for py, start_x in ((brace_y, -x), (brace_y - 0.012, x)):
            brace = bar((start_x, py, 0.14), (-start_x, py, under - 0.06), 0.01, section="round")
            builder.add("frame", role, brace)
    outlet = lathe([(0, 0.03), (0.002, 0.034), (0.004, 0.03)], 24)
    outlet_x = builder.pick((-0.3, 0.0, 0.3)) * width
    builder.add("hardware", "rubber", outlet.moved(outlet_x, 0.32 * depth, height - 0.0005))


def _add_side_shelves(
    builder: PieceBuilder, role: str, shelf_role: str, half_size: tuple[float, float], under: float, t: float
) -> None:
    """Add one or two shelves under the top at one side, between the legs there and two more legs.

    Args:
        half_size: distance in x and y from the centre to the axes of the legs.
        t: thickness of the legs.
    """
    x, y = half_size
    side, reach = builder.pick((-1, 1)), builder.uniform(0.28, 0.38)
    inner = side * (x - reach)
    for sy in (-1, 1):
        builder.add("leg", role, bar((inner, sy * y, 0), (inner, sy * y, under + 0.0005), 0.9 * t))
    for z in np.linspace(0.13, 0.42, builder.pick((1, 2))):
        shelf = board((inner, -y - 0.2 * t, z), (side * x, y + 0.2 * t, z + 0.016), grain=(0, 1, 0))
        builder.add("shelf", shelf_role, shelf)


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
    """Build a secretary: drawers or a shelf below, an open flap as the writing surface, and pigeonholes behind it."""
    width, depth, height = builder.uniform(0.7, 1.0), builder.uniform(0.36, 0.44), builder.uniform(1.05, 1.4)
    role = builder.pick({"wood": 4, "timber": 1, "paint": 1})
    case = Case.centred(width, depth, (0.12, height), 0.019, role)
    add_four_legs(builder, builder.pick(("block", "tapered", "cone")), (width / 2, depth / 2), 0.12, 0.045)
    fronts = draw_fronts(builder, case, {"slab": 3, "panel": 2})
    opening = add_carcass(builder, case)
    lower, upper = split_rows(builder, case, opening, [WRITING_HEIGHT - 0.14, height - WRITING_HEIGHT])
    if builder.chance(0.7):
        add_drawers(builder, fronts, case, lower, [1.3, 1.0, 1.0])
    else:
        add_shelves(builder, case, lower, 1)
    front, z = -depth / 2, upper.z[0]
    flap_low = (upper.x[0] + 0.002, front - builder.uniform(0.26, 0.36), z - 0.019)
    flap_high = (upper.x[1] - 0.002, front, z - 0.001)
    builder.add("top", fronts.role, board(flap_low, flap_high, grain=(1, 0, 0)))
    stay_x = width / 2 - 0.022
    stay = bar((stay_x, front - 0.18, z - 0.002), (stay_x, front + 0.03, z + 0.24), 0.008, section="round")
    builder.add_pair("hardware", "fitting", stay)
    for i, column in enumerate(split_columns(builder, case, upper, [1.0, 1.6, 1.0])):
        rows = split_rows(builder, case, column, [1.0] * (2 if i == 1 else 3), component="shelf")
        if i != 1:
            add_drawers(builder, fronts, case, rows[0], [1.0])


def build_leaning_desk(builder: PieceBuilder) -> None:
    """Build a desk between two rails that lean against a wall, with shelves above the top."""
    width, height, lean = builder.uniform(0.7, 0.95), builder.uniform(1.6, 1.9), builder.uniform(0.36, 0.46)
    role, t = builder.pick({"wood": 3, "metal": 2, "paint": 1}), builder.uniform(0.024, 0.036)
    board_role = "timber" if role in ("metal", "paint") else "wood"
    x, back = width / 2 - t / 2, lean / 2

    def rail_y(z: float) -> float:
        return -back + (2 * back - t) * z / height

    builder.add_pair("leg", role, leaning_bar((x, -back, 0), (x, back - t, height), [t, 1.3 * t, t]))
    desk_y = rail_y(0.74)
    builder.add("top", board_role, board((-x, desk_y - 0.36, 0.72), (x, back, 0.745), grain=(1, 0, 0)))
    builder.add_pair("frame", role, board((x - 0.014, desk_y - 0.3, 0.655), (x + 0.004, back - 0.01, 0.7215)))
    for z in np.linspace(1.08, height - 0.16, builder.pick((2, 3))):
        shelf = board((-x, rail_y(z) - 0.02, z), (x, back, z + 0.018), grain=(1, 0, 0))
        builder.add("shelf", board_role, shelf)
    for z in (0.16, height - t):
        builder.add("frame", role, bar((-x, rail_y(z), z), (x, rail_y(z), z), 0.8 * t))


def build_childrens_table(builder: PieceBuilder) -> None:
    """Build a low table for children, round or rectangular, on stout legs."""
    width, height = builder.uniform(0.55, 0.8), builder.uniform(0.42, 0.52)
    depth, is_round = width * builder.uniform(0.7, 1.0), builder.chance(0.35)
    role = builder.pick({"wood": 3, "paint": 2, "timber": 2, "shell": 1})
    leg_role = builder.pick(("timber", "wood", "paint"))
    t, under = builder.uniform(0.018, 0.026), height - 0.02
    outline = ellipse(width, width, 56) if is_round else rounded_rectangle(width, depth, 0.05)
    top = extrude(outline, 0.02, bevel=0.004, smooth=is_round).with_grain((1, 0, 0))
    builder.add("top", role, top.moved(z=under))
    x = (0.3 if is_round else 0.42) * width
    y = x if is_round else 0.4 * depth
    add_splayed_legs(builder, leg_role, (1.12 * x, 1.12 * y), (x, y), under + 0.002, [1.5 * t, 1.9 * t], "round")
    if builder.chance(0.5):
        for sy in (-1, 1):
            rail = board((-x, sy * y - 0.009, under - 0.05), (x, sy * y + 0.009, under + 0.001))
            builder.add("frame", leg_role, rail)
