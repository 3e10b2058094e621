"""Nesting, tray, C-shaped, drum, storage, drop-leaf and tulip tables."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.cases import (
    CARCASS_ROLES,
    Case,
    add_carcass,
    add_drawers,
    add_shelves,
    add_stand,
    draw_fronts,
    split_columns,
)
from export_models.dataset.makers.legs import add_four_legs, add_splayed_legs, leaning_bar
from export_models.dataset.makers.outlines import Floats, at_height, ellipse, fillet, rounded_rectangle
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, extrude, lathe, sweep
from export_models.dataset.makers.stands import add_pedestal
from export_models.dataset.makers.tables import add_apron

METAL_FRAME_TOPS = {"timber": 4, "wood": 3, "stone": 1.5, "glass": 1}
"""The roles of tops on metal frames."""
REED_PITCH = 0.028
"""Distance in metres between the half-round beads of a reeded drum."""


def _top_board(shape: str, width: float, depth: float, thickness: float, under: float) -> Solid:
    """Return a top board with the underside at ``under``. Shapes: ``round``, ``rounded`` or ``rectangle``."""
    if shape == "rectangle":
        low, high = (-width / 2, -depth / 2, under), (width / 2, depth / 2, under + thickness)
        return board(low, high, grain=(1, 0, 0))
    outline = ellipse(width, depth, 64) if shape == "round" else rounded_rectangle(width, depth, 0.12 * width)
    return extrude(outline, thickness, bevel=min(0.003, 0.2 * thickness), smooth=shape == "round").moved(z=under)


def build_nesting_tables(builder: PieceBuilder) -> None:
    """Build two or three tables of decreasing size, each partly under the next larger one."""
    shape, count = builder.pick({"rectangle": 3, "rounded": 1, "round": 2}), builder.pick((2, 2, 3))
    width, height = builder.uniform(0.45, 0.75), builder.uniform(0.45, 0.56)
    depth = width if shape == "round" else width * builder.uniform(0.65, 0.95)
    frame = builder.pick({"metal": 3, "wood": 3, "timber": 1})
    role = builder.pick(METAL_FRAME_TOPS if frame == "metal" else {"wood": 4, "timber": 1})
    t = builder.uniform(0.012, 0.02) if frame == "metal" else builder.uniform(0.024, 0.034)
    thickness, gap = builder.uniform(0.014, 0.028), builder.uniform(0.012, 0.03)
    side = builder.pick((-1, 1))  # towards which the smaller tables project
    for i in range(count):
        shrink = i * (2 * t + gap + 0.02)
        w, d, under = width - shrink, max(depth - 0.6 * shrink, 0.22), height - thickness - i * (thickness + gap + t)
        first = len(builder.parts)
        builder.add("top", role, _top_board(shape, w, d, thickness, under))
        share = 0.66 if shape == "round" else 0.94  # the legs stand inside a round top
        _add_open_frame(builder, frame, (share * w / 2 - t / 2, share * d / 2 - t / 2), under, t)
        # Rounding to float32 keeps the vertices of each seed the same to the last bit.
        x_offset, y_offset = np.array([side * 0.4 * i * t, -0.45 * i * d], np.float32)
        builder.move(x_offset, y_offset, 0.0, first=first)


def _add_open_frame(builder: PieceBuilder, role: str, half_size: tuple[float, float], under: float, t: float) -> None:
    """Add four legs of thickness ``t`` and rails under a top, which leave the front open for a smaller table."""
    x, y = half_size
    for sx in (-1, 1):
        legs = [bar((sx * x, sy * y, 0), (sx * x, sy * y, under + 0.001), t) for sy in (-1, 1)]
        builder.add("leg", role, *legs)
        rail = board((sx * x - 0.4 * t, -y, under - 0.9 * t), (sx * x + 0.4 * t, y, under + 0.0005))
        builder.add("frame", role, rail)
    builder.add("frame", role, board((-x, y - 0.4 * t, under - 0.85 * t), (x, y + 0.4 * t, under + 0.0007)))


def build_tray_table(builder: PieceBuilder) -> None:
    """Build a side table with a tray on crossed, splayed or straight legs."""
    width, height = builder.uniform(0.36, 0.6), builder.uniform(0.42, 0.6)
    is_round = builder.chance(0.5)
    depth = width if is_round else width * builder.uniform(0.65, 0.9)
    role = builder.pick({"wood": 4, "timber": 1, "metal": 1.5, "paint": 1})
    frame = builder.pick(("wood", "metal", "timber"))
    t, lip = builder.uniform(0.014, 0.026), builder.uniform(0.02, 0.06)
    under = height - lip
    _add_tray(builder, role, (width, depth), height, lip, is_round=is_round)
    x, y = (0.33 if is_round else 0.44) * width, (0.33 if is_round else 0.42) * depth
    if builder.chance(0.45):
        _add_crossed_legs(builder, frame, (x, y), under, t)
    else:
        spread = builder.uniform(1.0, 1.25)
        add_splayed_legs(builder, frame, (spread * x, spread * y), (x, y), under + 0.002, [0.8 * t, t], "round")


def _add_tray(
    builder: PieceBuilder, role: str, size: tuple[float, float], height: float, lip: float, *, is_round: bool
) -> None:
    """Add a board of this width and depth with a rim from ``lip`` below ``height`` to ``height``."""
    (width, depth), under = size, height - lip
    x, y = width / 2, depth / 2
    if is_round:
        builder.add("top", role, extrude(ellipse(width - 0.004, depth - 0.004, 56), 0.014, bevel=0.003).moved(z=under))
        ring = at_height(ellipse(width, depth, 56), under + lip / 2)
        builder.add("top", role, sweep(ring, (lip, 0.01), closed=True, side=(0, 0, 1), bevel=0.003))
        return
    builder.add("top", role, board((-x, -y, under), (x, y, under + 0.012)))
    for sy in (-1, 1):
        builder.add("top", role, board((-x, sy * (y - 0.012), under + 0.001), (x, sy * y, height)))
    wall = board((x - 0.011, -y, under + 0.002), (x + 0.001, y, height - 0.001))
    builder.add_pair("top", role, wall)


def _add_crossed_legs(builder: PieceBuilder, role: str, half_size: tuple[float, float], under: float, t: float) -> None:
    """Add two X-shaped pairs of legs, joined by rods near the floor and under the top."""
    x, y = half_size
    for sy in (-1, 1):
        for sx in (-1, 1):
            py = sy * y + 0.5 * t * sx * sy
            builder.add("leg", role, leaning_bar((sx * x, py, 0), (-sx * x, py, under + 0.002), [t, t]))
    for z, component in ((0.05, "leg"), (under - 0.4 * t, "frame")):
        reach = x * abs(1 - 2 * z / under)
        builder.add_pair(component, role, bar((reach, -y, z), (reach, y, z), 0.7 * t, section="round"))


def build_c_table(builder: PieceBuilder) -> None:
    """Build a C-shaped side table that reaches over a seat: two loops of bar, or a post on a foot."""
    width, depth, height = builder.uniform(0.38, 0.55), builder.uniform(0.26, 0.36), builder.uniform(0.55, 0.68)
    frame = builder.pick({"metal": 4, "wood": 1.5, "timber": 1})
    role = builder.pick(METAL_FRAME_TOPS if frame == "metal" else {"wood": 1})
    t = builder.uniform(0.018, 0.028)
    thickness = builder.uniform(0.014, 0.026)
    x, y, under = width / 2, depth / 2, height - thickness
    if builder.chance(0.6):
        left, right, low, high = -x + t / 2, x - 0.02, t / 2, under - t / 2
        for sy in (-1, 1):
            py = sy * (y - t / 2 - 0.01)
            path = [(right, py, high), (left, py, high), (left, py, low), (right, py, low)]
            builder.add("leg", frame, sweep(fillet(path, 0.004, 2), t, side=(0, 1, 0), bevel=0.001))
        for px, z in ((left, low), (x - 0.04, low), (x - 0.04, high)):
            cross = bar((px, -y + t, z - 0.001), (px, y - t, z - 0.001), 0.86 * t)
            builder.add("leg", frame, cross)
    else:
        post_x = -x + 0.02
        builder.add("leg", frame, board((post_x, -0.03, 0.01), (post_x + t, 0.03, under + 0.001), grain=(0, 0, 1)))
        foot = extrude(rounded_rectangle(0.9 * width, 0.9 * depth, 0.03), 0.012, bevel=0.003)
        builder.add("leg", frame, foot.with_grain((1, 0, 0)))
        builder.add("frame", frame, board((post_x, -0.029, under - t), (0.7 * x, 0.029, under + 0.0005)))
    builder.add("top", role, _top_board(builder.pick(("rectangle", "rounded")), width, depth, thickness, under))


def build_drum_table(builder: PieceBuilder) -> None:
    """Build a side or coffee table: a plain or reeded drum with a top, a stump, or a box open at front and rear."""
    width, height = builder.uniform(0.34, 0.8), builder.uniform(0.36, 0.5)
    role = builder.pick({"wood": 4, "timber": 2, "paint": 1, "stone": 0.7})
    style = builder.pick({"reeded": 3, "drum": 2, "box": 2, "stump": 1})
    if style == "box":
        _add_open_box(builder, role, width, height)
        return
    radius, t = width / 2, builder.uniform(0.02, 0.03)
    if style == "stump":
        z = np.linspace(0, 1, 12)
        bulge = 1 + 0.08 * np.sin(z * builder.uniform(2, 6) + builder.uniform(0, 6))
        builder.add("body", role, lathe(np.stack([z * height, radius * bulge], -1), 40))
        return
    body_radius = radius - builder.pick((0.004, 0.02))
    drum = lathe([(0, body_radius - 0.004), (0.004, body_radius), (height - t + 0.001, body_radius)], 64)
    builder.add("body", role, drum)
    if style == "reeded":
        count = round(2 * np.pi * body_radius / REED_PITCH)
        for k in range(count):
            angle = 2 * np.pi * k / count
            px, py = body_radius * np.cos(angle), body_radius * np.sin(angle)
            builder.add("body", role, bar((px, py, 0.004), (px, py, height - t + 0.0005), 0.026, section="round"))
    top_radius = radius + (0.012 if style == "reeded" else 0.0)
    top = lathe([(0, top_radius - 0.003), (0.003, top_radius), (t - 0.003, top_radius), (t, top_radius - 0.003)], 64)
    builder.add("top", builder.pick((role, "timber", "stone")), top.moved(z=height - t).with_grain((1, 0, 0)))


def _add_open_box(builder: PieceBuilder, role: str, width: float, height: float) -> None:
    """Add two sides, a top and a shelf."""
    t, depth = builder.uniform(0.018, 0.03), width * builder.uniform(0.6, 1.0)
    x, y = width / 2, depth / 2
    builder.add_pair("leg", role, board((x - t, -y, 0), (x, y, height - t + 0.001), grain=(0, 0, 1)))
    builder.add("top", role, board((-x, -y - 0.0005, height - t), (x, y + 0.0005, height), grain=(1, 0, 0)))
    z = builder.uniform(0.02, 0.5 * height)
    shelf = board((-x + t - 0.001, -y + 0.002, z), (x - t + 0.001, y - 0.002, z + t), grain=(1, 0, 0))
    builder.add("shelf", role, shelf)


def build_storage_coffee_table(builder: PieceBuilder) -> None:
    """Build a coffee table whose base is a case with open bays and drawers; its top may be lifted."""
    width, depth, height = builder.uniform(0.9, 1.25), builder.uniform(0.5, 0.65), builder.uniform(0.38, 0.46)
    role, t = builder.pick(CARCASS_ROLES), builder.uniform(0.018, 0.026)
    lift = builder.pick((0.0, builder.uniform(0.05, 0.16)))
    top = builder.uniform(0.02, 0.035)
    x, y = width / 2, depth / 2
    case = Case((-x + 0.02, x - 0.02), (-y + 0.01, y - 0.01), (lift, height - top), t, role)
    add_stand(builder, case, "legs" if lift else "floor")
    opening = add_carcass(builder, case, back=builder.chance(0.3))
    fronts = draw_fronts(builder, case, {"slab": 3, "panel": 2})
    columns = split_columns(builder, case, opening, [1.0] * builder.pick((1, 2, 2, 3)))
    for column in columns:
        if builder.chance(0.35) and len(columns) > 1:
            add_drawers(builder, fronts, case, column, [1.0])
        elif column.z[1] - column.z[0] > 0.24 and builder.chance(0.5):
            add_shelves(builder, case, column, 1)
    top_role = {"paint": "timber"}.get(role, builder.pick((role, role, "wood2")))
    raised = builder.uniform(0.1, 0.16) if builder.chance(0.3) else 0.0  # distance upwards and forwards
    low = height - top - 0.001 + raised
    builder.add("top", top_role, board((-x, -y - raised, low), (x, y - raised, low + top)))
    if raised:
        for sx in (-1, 1):
            px = sx * (x - 0.1)
            path = [(px, 0.12, height - top - 0.002), (px, 0.02 - raised, low + 0.002)]
            arm = sweep(path, (0.006, 0.022), side=(1, 0, 0))
            builder.add("hardware", "metal", arm, arm.moved(x=-0.008 * sx, y=-0.1))


def build_drop_leaf_table(builder: PieceBuilder) -> None:
    """Build a narrow table on legs with a leaf at each side that hangs down or is raised on a support."""
    depth, height = builder.uniform(0.7, 0.85), builder.uniform(0.72, 0.76)
    middle, leaf = builder.uniform(0.28, 0.5), builder.uniform(0.3, 0.42)
    role, t = builder.pick({"wood": 3, "timber": 2, "paint": 0.7}), builder.uniform(0.018, 0.024)
    under, leg = height - t, builder.uniform(0.045, 0.06)
    x = middle / 2
    builder.add("top", role, board((-x, -depth / 2, under), (x, depth / 2, height), grain=(0, 1, 0)))
    raised_leaves = builder.pick((0, 0, 1, 2))
    is_round = builder.chance(0.3)
    flap = extrude(_leaf_outline(leaf, depth, 0.45 * leaf if is_round else 0.01), t)
    raised = flap.moved(x=x + 0.003, z=under).with_grain((0, 1, 0))
    hanging = flap.rotated("y", 90).moved(x=x + 0.002, z=height - 0.003).with_grain((0, 1, 0))
    support = board((0.0, -0.012, under - 0.05), (x + 0.7 * leaf, 0.012, under + 0.001))
    for i in range(2):  # the right leaf, then the left
        solids = [("top", raised), ("frame", support)] if i < raised_leaves else [("top", hanging)]
        for component, solid in solids:
            builder.add(component, role, solid if i == 0 else solid.mirrored())
    half_size = (x - 0.03, depth / 2 - 0.05)
    add_four_legs(builder, builder.pick(("square", "turned", "tapered")), half_size, under, leg)
    add_apron(builder, half_size, under, builder.uniform(0.08, 0.12), leg, drawers=builder.chance(0.4))


def _leaf_outline(width: float, depth: float, radius: float) -> Floats:
    """Return a counter-clockwise outline [N, 2] with its straight side at x = 0 and two rounded corners."""
    corners = np.split(rounded_rectangle(2 * width, depth, radius), 4)
    return np.concatenate([[(0.0, -depth / 2)], corners[3], corners[0], [(0.0, depth / 2)]])


def build_tulip_table(builder: PieceBuilder) -> None:
    """Build a round or oval table on a pedestal of metal, wood or stone, after Saarinen's tulip (1957)."""
    use = builder.pick({"dining": 3, "side": 2, "coffee": 1})
    width = {
        "dining": builder.uniform(0.8, 1.3),
        "side": builder.uniform(0.4, 0.55),
        "coffee": builder.uniform(0.7, 0.95),
    }[use]
    height = {"dining": 0.74, "side": builder.uniform(0.5, 0.58), "coffee": builder.uniform(0.36, 0.42)}[use]
    depth = width * builder.pick((1.0, 1.0, 0.65)) if use != "side" else width
    thickness = builder.uniform(0.018, 0.03)
    under = height - thickness
    outline = ellipse(width, depth, 72)
    role = builder.pick({"wood": 3, "timber": 1, "stone": 2, "paint": 1, "glass": 0.5})
    top = extrude(outline, thickness, bevel=min(0.01, 0.4 * thickness), smooth=True).with_grain((1, 0, 0))
    builder.add("top", role, top.moved(z=under))
    style = builder.pick({"tulip": 4, "disc": 2, "turned": 1, "drum": 1})
    base = builder.pick({"paint": 3, "metal": 2, "wood": 1}) if style in ("tulip", "disc") else "wood"
    add_pedestal(builder, under, 0.32 * depth if use == "dining" else 0.36 * depth, style=style, role=base)
