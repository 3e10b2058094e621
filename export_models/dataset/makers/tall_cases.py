"""Tall and narrow cases: wardrobes, glazed display cases, filing and shoe cabinets, lockers."""

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
    split_columns,
    split_rows,
)
from export_models.dataset.makers.fronts import FrontStyle
from export_models.dataset.makers.open_cases import add_bins, draw_case, draw_fronts
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.racks import CASTER_HEIGHT, add_casters
from export_models.dataset.makers.solids import bar, board, sweep

TALL_STANDS = {"floor": 3, "plinth": 3, "legs": 2}


def build_louvred_wardrobe(builder: PieceBuilder) -> None:
    """Build a wardrobe or cupboard with louvred, cane or panelled doors."""
    width, height = builder.uniform(0.8, 1.6), builder.uniform(1.5, 2.1)
    case = draw_case(builder, width, builder.uniform(0.45, 0.6), height, stands=TALL_STANDS)
    fronts = draw_fronts(builder, case, {"louvre": 3, "cane": 2, "panel": 1, "reeded": 1})
    opening = add_carcass(builder, case)
    if builder.chance(0.4):
        lower, opening = split_rows(builder, case, opening, [1.0, builder.uniform(3.0, 4.5)])
        for column in split_columns(builder, case, lower, [1.0] * (1 if width < 1.0 else 2)):
            add_drawers(builder, fronts, case, column, [1.0])
    for column in split_columns(builder, case, opening, [1.0] * max(1, round(width / 0.8))):
        add_doors(builder, fronts, case, column)
    if builder.chance(0.3):
        add_cornice(builder, case)


def build_sliding_wardrobe(builder: PieceBuilder) -> None:
    """Build a wide wardrobe with two or three sliding doors of wood, paint, mirror, or bands of them."""
    width, height, depth = builder.uniform(1.4, 2.4), builder.uniform(1.95, 2.25), builder.uniform(0.58, 0.66)
    case = draw_case(builder, width, depth, height, stands={"floor": 3, "plinth": 1})
    opening = add_carcass(builder, case)
    count, overlap, t = 2 if width < 1.9 else 3, 0.03, 0.018
    span = (opening.x[1] - opening.x[0]) / count
    rail_role, roles = builder.pick(("metal", "wood")), {"wood": 3, "paint": 2, "mirror": 1.5, "wood2": 1}
    bands = builder.pick((1, 1, 3))
    panel_roles = [builder.pick(roles) for _ in range(count * bands)]
    for i in range(count):
        x = (opening.x[0] + i * span - (overlap if i else -0.001), opening.x[0] + (i + 1) * span - 0.001)
        face = case.y[0] + 0.004 + (i % 2) * (t + 0.006)
        z = np.linspace(opening.z[0] + 0.004, opening.z[1] - 0.004, bands + 1)
        for j in range(bands):
            role = panel_roles[(j if bands > 1 else i) % len(panel_roles)]
            front = face + (0.0 if role != "mirror" else 0.002)
            panel = board(
                (x[0] + 0.016, front, z[j] + 0.003), (x[1] - 0.016, face + t - 0.004, z[j + 1] - 0.003), grain=(0, 0, 1)
            )
            if role == "mirror":
                glass = board(
                    (x[0] + 0.016, front, z[j] + 0.003), (x[1] - 0.016, front + 0.004, z[j + 1] - 0.003), bevel=0.001
                )
                builder.add("door", "mirror", glass)
                panel = board(
                    (x[0] + 0.016, front + 0.0045, z[j] + 0.003), (x[1] - 0.016, face + t - 0.004, z[j + 1] - 0.003)
                )
                role = "panel"
            builder.add("door", role, panel)
        for edge in (x[0], x[1] - 0.018):
            stile = board((edge, face - 0.003, z[0]), (edge + 0.018, face + t, z[-1]), grain=(0, 0, 1))
            builder.add("door", rail_role, stile)
        for rail_z in z:
            low = min(max(rail_z - 0.005, z[0]), z[-1] - 0.01)
            rail = board(
                (x[0] + 0.017, face - 0.002, low), (x[1] - 0.017, face + t - 0.001, low + 0.01), grain=(1, 0, 0)
            )
            builder.add("door", rail_role, rail)


def build_open_wardrobe(builder: PieceBuilder) -> None:
    """Build a wardrobe without doors: a clothes rail, shelves and drawers or bins in a case."""
    width, height = builder.uniform(0.8, 1.7), builder.uniform(1.7, 2.1)
    case = draw_case(builder, width, builder.uniform(0.42, 0.55), height, stands=TALL_STANDS)
    fronts = draw_fronts(builder, case, {"slab": 3, "panel": 1})
    opening = add_carcass(builder, case, back=builder.chance(0.8))
    columns = split_columns(builder, case, opening, [1.0] if width < 1.0 else [builder.uniform(1.0, 1.8), 1.0])
    for i, column in enumerate(columns):
        if i:
            add_shelves(builder, case, column, int(builder.rng.integers(3, 6)))
            continue
        lower, column = split_rows(builder, case, column, [1.0, builder.uniform(2.4, 3.6)])
        filling = builder.pick({"drawers": 2, "bins": 1, "open": 1})
        if filling == "drawers":
            add_drawers(builder, fronts, case, lower, [1.0, 1.0])
        elif filling == "bins":
            add_bins(builder, builder.pick(("soft2", "wicker")), case, lower)
        z, y = column.z[1] - builder.uniform(0.06, 0.3), (case.y[0] + case.y[1]) / 2
        if column.z[1] - z > 0.2:
            shelf = board(
                (column.x[0] - 0.001, case.y[0] + 0.004, z + 0.04), (column.x[1] + 0.001, case.y[1] - 0.006, z + 0.06)
            )
            builder.add("shelf", case.role, shelf.with_grain((1, 0, 0)))
        rail = bar((column.x[0] - 0.001, y, z), (column.x[1] + 0.001, y, z), 0.026, section="round")
        builder.add("frame", "metal", rail)


def build_display_case(builder: PieceBuilder) -> None:
    """Build a glazed cabinet: glass doors and glass sides in a slender frame, before a wooden back and shelves."""
    width, depth, height = builder.uniform(0.5, 1.1), builder.uniform(0.34, 0.42), builder.uniform(1.0, 1.85)
    role, t = builder.pick({"wood": 4, "timber": 1, "paint": 2, "metal": 2}), builder.uniform(0.024, 0.036)
    lift = builder.pick((0.06, builder.uniform(0.12, 0.3)))
    x, y = width / 2, depth / 2
    inner_role = {"metal": "timber", "paint": builder.pick(("timber", "paint"))}.get(role, role)
    for sx in (-1, 1):
        for sy in (-1, 1):
            builder.add(
                "frame",
                role,
                bar((sx * (x - t / 2), sy * (y - t / 2), 0), (sx * (x - t / 2), sy * (y - t / 2), height - 0.001), t),
            )
    builder.add(
        "body", role, board((-x + 0.002, -y + 0.002, lift), (x - 0.002, y - 0.002, lift + 0.022), grain=(1, 0, 0))
    )
    builder.add(
        "body",
        role,
        board((-x - 0.004, -y - 0.004, height - 0.002), (x + 0.004, y + 0.004, height + 0.022), grain=(1, 0, 0)),
    )
    back = board((-x + 0.4 * t, y - 0.014, lift + 0.02), (x - 0.4 * t, y - 0.006, height - 0.0015), grain=(0, 0, 1))
    builder.add("body", inner_role, back)
    pane = board(
        (x - 0.6 * t, -y + t - 0.002, lift + 0.021), (x - 0.6 * t + 0.004, y - t + 0.002, height - 0.0015), bevel=0.001
    )
    builder.add_pair("body", "glass", pane)
    shelf_role = builder.pick({inner_role: 2, "glass": 1})
    for z in np.linspace(lift, height, max(3, round((height - lift) / 0.36)) + 1)[1:-1]:
        thickness = 0.007 if shelf_role == "glass" else 0.018
        shelf = board((-x + 0.62 * t, -y + 0.03, z), (x - 0.62 * t, y - 0.013, z + thickness), grain=(1, 0, 0))
        builder.add("shelf", shelf_role, shelf)
    style = builder.pick(("glass", "glass", "muntins"))
    fronts = FrontStyle.random(builder, {style: 1}, roles=(role,))
    case = Case((-x, x), (-y, y), (lift, height), t, role)
    count = 1 if width < 0.62 else 2
    span = (2 * x - 2 * t) / count
    for i in range(count):
        column = Opening((-x + t + i * span, -x + t + (i + 1) * span), (lift + 0.022, height - 0.002))
        _add_glazed_door(builder, fronts, case, column, hinge="left" if i == 0 and count == 2 else "right")


def _add_glazed_door(builder: PieceBuilder, fronts: FrontStyle, case: Case, column: Opening, *, hinge: str) -> None:
    """Add one framed pane as a door, without the shelves that ``add_doors`` adds."""
    (x0, x1), (z0, z1), gap, stile = column.x, column.z, 0.003, 0.03
    face = case.y[0] + 0.002
    for left in (x0 + gap, x1 - gap - stile):
        upright = board((left, face, z0 + gap), (left + stile, face + 0.018, z1 - gap), grain=(0, 0, 1))
        builder.add("door", fronts.role, upright)
    bars = [z0 + gap, z1 - gap - stile]
    if fronts.door_style == "muntins":
        bars += [float(z) for z in np.linspace(z0, z1, max(2, round((z1 - z0) / 0.36)) + 1)[1:-1]]
    for i, low in enumerate(bars):
        size = stile if i < 2 else 0.012
        rail = board(
            (x0 + gap + stile - 0.001, face + 0.0005, low),
            (x1 - gap - stile + 0.001, face + 0.0175, low + size),
            grain=(1, 0, 0),
        )
        builder.add("door", fronts.role, rail)
    glass = board((x0 + 0.02, face + 0.007, z0 + 0.02), (x1 - 0.02, face + 0.011, z1 - 0.02), bevel=0.001)
    builder.add("door", "glass", glass)
    knob_x = x1 - gap - 0.5 * stile if hinge == "left" else x0 + gap + 0.5 * stile
    fronts.handles.add_to_door(builder, knob_x, face, z0 + 0.5 * (z1 - z0))


def build_filing_cabinet(builder: PieceBuilder) -> None:
    """Build a narrow stack of drawers of metal, paint or wood, with handles and label holders, often on casters."""
    width, depth, count = builder.uniform(0.38, 0.5), builder.uniform(0.44, 0.6), builder.pick((2, 3, 3, 4))
    role = builder.pick({"metal": 2, "paint": 2, "wood": 2})
    on_casters = count < 4 and builder.chance(0.5)
    lift = CASTER_HEIGHT if on_casters else 0.0
    height = lift + count * builder.uniform(0.2, 0.3) + 0.04
    case = Case((-width / 2, width / 2), (-depth / 2, depth / 2), (lift, height), 0.016, role)
    if on_casters:
        add_casters(builder, width / 2 - 0.04, depth / 2 - 0.05)
    fronts = FrontStyle.random(builder, {"slab": 1}, roles=(role, "timber") if role == "paint" else (role,))
    opening = add_carcass(builder, case)
    first = len(builder.parts)
    add_drawers(builder, fronts, case, opening, builder.pick(([1.0] * count, [1.6] + [1.0] * (count - 1))))
    if builder.chance(0.5):
        fronts_added = [part for part in builder.parts[first:] if part.component == "drawer"]
        for part in fronts_added:
            face, top = float(part.vertices[:, 1].min()), float(part.vertices[:, 2].max())
            holder = board((-0.035, face - 0.003, top - 0.06), (0.035, face + 0.001, top - 0.03), bevel=0.001)
            builder.add("hardware", "fitting", holder)
    lock = bar(
        (width / 2 - 0.04, -depth / 2 - fronts.thickness - 0.002, height - 0.03),
        (width / 2 - 0.04, -depth / 2 + 0.03, height - 0.03),
        0.012,
        section="round",
    )
    builder.add("hardware", "fitting", lock)


def build_shoe_cabinet(builder: PieceBuilder) -> None:
    """Build a shallow cabinet with tall tilting fronts, on legs or on the floor."""
    width, height = builder.uniform(0.5, 1.1), builder.uniform(0.7, 1.25)
    case = draw_case(builder, width, builder.uniform(0.2, 0.3), height, stands={"floor": 2, "legs": 2, "plinth": 1})
    fronts = draw_fronts(builder, case, {"slab": 4, "panel": 2, "reeded": 1.5, "louvre": 1})
    opening = add_carcass(builder, case)
    if builder.chance(0.4):
        opening, upper = split_rows(builder, case, opening, [builder.uniform(3.0, 5.0), 1.0])
        for column in split_columns(builder, case, upper, [1.0] * (1 if width < 0.8 else 2)):
            if builder.chance(0.7):
                add_drawers(builder, fronts, case, column, [1.0])
    rows = max(1, round((opening.z[1] - opening.z[0]) / 0.4))
    for column in split_columns(builder, case, opening, [1.0] * (1 if width < 0.8 else 2)):
        add_drawers(builder, fronts, case, column, [1.0] * rows)


def build_locker(builder: PieceBuilder) -> None:
    """Build a metal or painted locker with vented doors, on legs or a plinth."""
    columns, width = builder.pick((1, 2, 2, 3)), builder.uniform(0.32, 0.4)
    height, role = (
        builder.pick((builder.uniform(0.55, 0.9), builder.uniform(1.3, 1.85))),
        builder.pick(("metal", "paint")),
    )
    lift, depth = builder.pick((0.0, builder.uniform(0.1, 0.16))), builder.uniform(0.38, 0.48)
    x = columns * width / 2
    case = Case((-x, x), (-depth / 2, depth / 2), (lift, height), 0.012, role)
    if lift:
        for sy in (-1, 1):
            leg = bar((x - 0.02, sy * (depth / 2 - 0.02), 0), (x - 0.02, sy * (depth / 2 - 0.02), lift + 0.001), 0.026)
            builder.add_pair("leg", role, leg)
    fronts = FrontStyle.random(builder, {"slab": 1}, roles=(role,))
    opening = add_carcass(builder, case)
    rows = builder.pick((1, 1, 2)) if height > 1.0 else 1
    for column in split_columns(builder, case, opening, [1.0] * columns):
        for cell in split_rows(builder, case, column, [1.0] * rows):
            add_doors(builder, fronts, case, cell)
            middle, face = (
                (cell.x[0] + cell.x[1]) / 2,
                min(case.y[0], case.y[0] - fronts.thickness * (not fronts.inset)),
            )
            for z in (cell.z[1] - 0.07, cell.z[1] - 0.09, cell.z[1] - 0.11):
                path = [(middle - 0.06, face - 0.001, z), (middle + 0.06, face - 0.001, z)]
                builder.add("door", role, sweep(path, (0.01, 0.006), side=(0.0, 0.5, 0.86)))
