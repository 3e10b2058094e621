"""Cases with open compartments: television benches, sideboards, nightstands, shelves with bins."""

from __future__ import annotations

from export_models.dataset.makers.bins import add_bins
from export_models.dataset.makers.cases import (
    CARCASS_ROLES,
    Case,
    Opening,
    add_carcass,
    add_doors,
    add_drawer_row,
    add_drawers,
    add_shelves,
    add_top_board,
    draw_case,
    draw_fronts,
    split_columns,
    split_rows,
)
from export_models.dataset.makers.legs import add_four_legs
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import lathe


def build_television_bench(builder: PieceBuilder) -> None:
    """Build a low case with open bays, often beside doors or above drawers."""
    width, height = builder.uniform(1.0, 1.95), builder.uniform(0.38, 0.6)
    case = draw_case(builder, width, builder.uniform(0.34, 0.46), height)
    fronts = draw_fronts(builder, case, {"slab": 4, "panel": 2, "reeded": 1, "louvre": 1, "cane": 1})
    opening = add_carcass(builder, case)
    if builder.chance(0.4):
        add_top_board(builder, case, overhang=builder.pick((0.0, 0.012)), thickness=builder.uniform(0.018, 0.03))
    count = builder.pick({1: 0.6, 2: 2, 3: 3, 4: 1})
    shares = [1.0] * count if count != 3 else [1.0, builder.uniform(0.8, 1.8), 1.0]
    columns = split_columns(builder, case, opening, shares)
    layout = builder.pick({"all open": 3, "open middle": 3, "open above": 3, "mixed": 2})
    for i, column in enumerate(columns):
        is_middle = count > 2 and 0 < i < count - 1
        if layout == "open above":
            lower, column = split_rows(builder, case, column, [1.0, builder.uniform(0.6, 1.1)])
            add_drawers(builder, fronts, case, lower, [1.0])
        elif (layout == "open middle" and not is_middle and count > 1) or (layout == "mixed" and i % 2):
            add_doors(builder, fronts, case, column)
            continue
        if column.z[1] - column.z[0] > 0.22 and builder.chance(0.5):
            add_shelves(builder, case, column, 1)
        if builder.chance(0.5):
            _add_cable_outlet(builder, case, column)


def _add_cable_outlet(builder: PieceBuilder, case: Case, opening: Opening) -> None:
    """Add the ring of a cable outlet to the back board."""
    ring = lathe([(0, 0.026), (0.003, 0.03), (0.005, 0.028)], 24).rotated("x", 90)
    x, z = (opening.x[0] + opening.x[1]) / 2, opening.z[0] + 0.045
    builder.add("hardware", "rubber", ring.moved(x, case.y[1] - 0.011, z))


def build_open_sideboard(builder: PieceBuilder) -> None:
    """Build a sideboard or a low bookcase with deep open compartments and a back board."""
    width, height = builder.uniform(0.8, 1.7), builder.uniform(0.7, 1.1)
    case = draw_case(builder, width, builder.uniform(0.32, 0.46), height)
    fronts = draw_fronts(builder, case, {"slab": 3, "panel": 3, "raised": 1, "louvre": 1})
    opening = add_carcass(builder, case)
    if builder.chance(0.6):
        add_top_board(builder, case, overhang=builder.pick((0.0, 0.02)), thickness=builder.uniform(0.018, 0.035))
    columns = max(2, round(width / builder.uniform(0.4, 0.65)))
    fronted = builder.pick({"none": 2, "top": 3, "bottom": 1.5, "ends": 2})
    if fronted == "top":
        opening, drawers = split_rows(builder, case, opening, [builder.uniform(2.2, 3.5), 1.0])
    elif fronted == "bottom":
        drawers, opening = split_rows(builder, case, opening, [1.0, builder.uniform(1.0, 2.0)])
    if fronted in ("top", "bottom"):
        add_drawer_row(builder, fronts, case, drawers, columns)
    bin_role = builder.pick({"none": 4, "wicker": 1, "soft2": 1})
    for i, column in enumerate(split_columns(builder, case, opening, [1.0] * columns)):
        if fronted == "ends" and i in (0, columns - 1):
            add_doors(builder, fronts, case, column)
            continue
        shelves = max(0, round((column.z[1] - column.z[0]) / builder.uniform(0.24, 0.36)) - 1)
        add_shelves(builder, case, column, shelves, set_back=builder.pick((0.004, 0.02)))
        if bin_role != "none" and not shelves:
            add_bins(builder, bin_role, case, column)


def build_open_nightstand(builder: PieceBuilder) -> None:
    """Build a nightstand with an open compartment and perhaps a drawer, on short or long legs."""
    width, depth, height = builder.uniform(0.36, 0.54), builder.uniform(0.32, 0.42), builder.uniform(0.44, 0.64)
    role = builder.pick(CARCASS_ROLES)
    lift = builder.uniform(0.06, 0.2) if builder.chance(0.6) else height - builder.uniform(0.2, 0.28)
    case = Case.centred(width, depth, (lift, height), builder.pick((0.016, 0.02, 0.028)), role)
    styles = {"cone": 3, "splayed": 2, "tapered": 3, "square": 1, "tube": 1, "hairpin": 1}
    style = builder.pick(styles if lift > 0.12 else {"cone": 3, "tapered": 2, "block": 2, "bun": 1, "tube": 1})
    inset = builder.pick((0.0, 0.02, 0.035))
    add_four_legs(builder, style, (width / 2 - inset, depth / 2 - inset), lift, builder.uniform(0.026, 0.042))
    fronts = draw_fronts(builder, case, {"slab": 4, "panel": 2, "reeded": 1, "cane": 1})
    opening = add_carcass(builder, case)
    if builder.chance(0.3):
        add_top_board(builder, case, overhang=builder.pick((0.0, 0.01)), thickness=builder.uniform(0.016, 0.025))
    height_inside = opening.z[1] - opening.z[0]
    layout = builder.pick({"open": 1, "drawer above": 3, "drawer below": 2}) if height_inside > 0.2 else "open"
    if layout == "drawer above":
        opening, drawer = split_rows(builder, case, opening, [builder.uniform(0.8, 1.6), 1.0])
        add_drawers(builder, fronts, case, drawer, [1.0])
    elif layout == "drawer below":
        drawer, opening = split_rows(builder, case, opening, [builder.uniform(0.9, 1.6), 1.0])
        add_drawers(builder, fronts, case, drawer, [1.0])
    elif height_inside > 0.26 and builder.chance(0.5):
        add_shelves(builder, case, opening, 1)


def build_bin_shelf(builder: PieceBuilder) -> None:
    """Build a grid of compartments, some of them with bins."""
    columns, rows, size = builder.pick((2, 2, 3, 3, 4)), builder.pick((1, 2, 2, 3, 4)), builder.uniform(0.3, 0.38)
    stands = {"floor": 3, "plinth": 1, "legs": 2}
    case = draw_case(builder, columns * size, builder.uniform(0.3, 0.4), rows * size + 0.1, stands=stands)
    opening = add_carcass(builder, case)
    role, filled = builder.pick({"soft2": 3, "wicker": 2, "timber": 1, "linen": 1}), builder.uniform(0.3, 1.0)
    for column in split_columns(builder, case, opening, [1.0] * columns):
        for cell in split_rows(builder, case, column, [1.0] * rows, component="shelf"):
            if builder.chance(filled):
                add_bins(builder, role, case, cell)
