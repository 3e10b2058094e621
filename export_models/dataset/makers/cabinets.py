"""Cabinets: sideboards, television benches, wardrobes, display cabinets, nightstands, cupboards, buffets."""

from __future__ import annotations

from export_models.dataset.makers.cases import (
    STAND_STYLES,
    Case,
    Opening,
    add_carcass,
    add_cornice,
    add_doors,
    add_drawer_row,
    add_drawers,
    add_shelves,
    add_sliding_doors,
    add_stand,
    add_top_board,
    draw_stand_height,
    split_columns,
    split_rows,
)
from export_models.dataset.makers.fronts import DOOR_STYLES, FrontStyle
from export_models.dataset.makers.piece import PieceBuilder

USES = {"sideboard": 3, "television": 2, "wardrobe": 2, "display": 1.5, "nightstand": 2, "cupboard": 2, "buffet": 1}


def build_cabinet(builder: PieceBuilder) -> None:
    """Build a case with doors, and often with drawers and open compartments."""
    use = builder.pick(USES)
    fronts = FrontStyle.random(builder, {"glass": 2, "muntins": 2} if use == "display" else DOOR_STYLES)
    stands = {"legs": 1, "plinth": 3, "floor": 3, "bracket": 1} if use == "wardrobe" else STAND_STYLES
    stand_style = builder.pick(stands)
    lift = draw_stand_height(builder, stand_style)
    case = _draw_case(builder, use, lift)
    has_top = use in ("sideboard", "nightstand", "cupboard", "buffet") and builder.chance(0.7)
    opening = add_carcass(builder, case)
    if has_top:
        overhang = builder.pick((0.0, 0.012, 0.025))
        add_top_board(builder, case, overhang=overhang, thickness=builder.uniform(0.018, 0.035))
    add_stand(builder, case, stand_style)
    fill = {
        "sideboard": _fill_sideboard,
        "television": _fill_sideboard,
        "wardrobe": _fill_wardrobe,
        "display": _fill_display,
        "nightstand": _fill_nightstand,
        "cupboard": _fill_cupboard,
        "buffet": _fill_sideboard,
    }[use]
    fill(builder, fronts, case, opening)
    if use == "buffet":
        _add_buffet_top(builder, fronts, case)
    elif use in ("wardrobe", "display", "cupboard") and not has_top and builder.chance(0.4):
        add_cornice(builder, case)


def _draw_case(builder: PieceBuilder, use: str, lift: float) -> Case:
    width, height, depth = {
        "sideboard": (builder.uniform(1.1, 2.1), builder.uniform(0.68, 0.95), builder.uniform(0.38, 0.5)),
        "television": (builder.uniform(1.1, 2.1), builder.uniform(0.4, 0.6), builder.uniform(0.36, 0.48)),
        "wardrobe": (builder.uniform(0.8, 2.0), builder.uniform(1.75, 2.2), builder.uniform(0.52, 0.62)),
        "display": (builder.uniform(0.6, 1.2), builder.uniform(1.4, 2.0), builder.uniform(0.34, 0.45)),
        "nightstand": (builder.uniform(0.38, 0.56), builder.uniform(0.45, 0.66), builder.uniform(0.34, 0.45)),
        "cupboard": (builder.uniform(0.6, 1.1), builder.uniform(0.8, 1.45), builder.uniform(0.34, 0.46)),
        "buffet": (builder.uniform(0.9, 1.5), builder.uniform(0.78, 0.92), builder.uniform(0.42, 0.5)),
    }[use]
    thickness = builder.pick((0.016, 0.019, 0.022, 0.028))
    return Case.centred(width, depth, (lift, height), thickness)


def _fill_sideboard(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening) -> None:
    """Add a row of compartments, each with doors, drawers or shelves, or close the whole front with sliding doors."""
    width = opening.x[1] - opening.x[0]
    if builder.chance(0.18):
        columns = split_columns(builder, case, opening, [1.0] * (2 if width > 1.5 and builder.chance(0.4) else 1))
        for column in columns:
            add_sliding_doors(builder, fronts, case, column)
        return
    count = max(2, min(4, round(width / builder.uniform(0.42, 0.62))))
    shares = [1.0] * count
    if count == 3 and builder.chance(0.5):
        shares = [1.0, builder.uniform(0.8, 1.6), 1.0]
    fillings = [builder.pick({"door": 4, "drawers": 2.5, "open": 1.3, "mixed": 1.5}) for _ in shares]
    if builder.chance(0.6):  # symmetrical
        fillings = [fillings[min(i, count - 1 - i)] for i in range(count)]
    for column, filling in zip(split_columns(builder, case, opening, shares), fillings, strict=True):
        _fill_compartment(builder, fronts, case, column, filling)


def _fill_compartment(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening, filling: str) -> None:
    """Fill a compartment: doors (``door``), ``drawers``, shelves (``open``), or a drawer above others (``mixed``)."""
    height = opening.z[1] - opening.z[0]
    if filling == "door":
        add_doors(builder, fronts, case, opening)
    elif filling == "drawers":
        count = max(1, min(5, round(height / builder.uniform(0.15, 0.22))))
        add_drawers(builder, fronts, case, opening, [1.0] * count)
    elif filling == "open":
        add_shelves(builder, case, opening, max(0, round(height / 0.3) - 1))
    else:
        lower, upper = split_rows(builder, case, opening, [builder.uniform(1.6, 3.0), 1.0])
        add_drawers(builder, fronts, case, upper, [1.0])
        _fill_compartment(builder, fronts, case, lower, builder.pick({"door": 3, "open": 1}))


def _fill_wardrobe(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening) -> None:
    """Add tall doors or sliding doors, sometimes above drawers."""
    if builder.chance(0.3):
        lower, opening = split_rows(builder, case, opening, [1.0, builder.uniform(3.0, 5.0)])
        add_drawer_row(builder, fronts, case, lower, 1 if lower.x[1] - lower.x[0] < 1.1 else 2)
    if builder.chance(0.15):
        add_sliding_doors(builder, fronts, case, opening)
        return
    width = opening.x[1] - opening.x[0]
    for column in split_columns(builder, case, opening, [1.0] * max(1, round(width / 0.95))):
        add_doors(builder, fronts, case, column)


def _fill_display(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening) -> None:
    """Add glass doors, often above closed doors or drawers."""
    if builder.chance(0.6):
        lower, opening = split_rows(builder, case, opening, [1.0, builder.uniform(1.4, 2.6)])
        if builder.chance(0.5):
            add_doors(builder, fronts, case, lower, style=builder.pick(("slab", "panel")))
        else:
            add_drawers(builder, fronts, case, lower, [1.0] * int(builder.rng.integers(1, 4)))
    add_doors(builder, fronts, case, opening)


def _fill_nightstand(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening) -> None:
    """Add drawers, a door, or a drawer above an open or closed compartment."""
    filling = builder.pick({"drawers": 3, "drawer above": 3, "door": 1})
    if filling == "drawer above":
        lower, upper = split_rows(builder, case, opening, [builder.uniform(1.0, 1.8), 1.0])
        add_drawers(builder, fronts, case, upper, [1.0])
        if builder.chance(0.5):
            add_doors(builder, fronts, case, lower)
    else:
        _fill_compartment(builder, fronts, case, opening, filling)


def _fill_cupboard(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening) -> None:
    """Add doors, doors below drawers, or the tilting fronts of a shoe cabinet."""
    filling = builder.pick({"doors": 3, "mixed": 3, "tilting": 1})
    if filling == "tilting":
        count = max(2, round((opening.z[1] - opening.z[0]) / 0.4))
        for row in split_rows(builder, case, opening, [1.0] * count):
            add_drawers(builder, fronts, case, row, [1.0])
    elif filling == "mixed":
        lower, upper = split_rows(builder, case, opening, [builder.uniform(2.5, 4.0), 1.0])
        add_drawer_row(builder, fronts, case, upper, int(builder.rng.integers(1, 4)))
        add_doors(builder, fronts, case, lower)
    else:
        add_doors(builder, fronts, case, opening)


def _add_buffet_top(builder: PieceBuilder, fronts: FrontStyle, case: Case) -> None:
    """Add the shallower upper case of a buffet, with open shelves or glass doors."""
    depth = builder.uniform(0.26, 0.32)
    low = max(float(part.vertices[:, 2].max()) for part in builder.parts) - 0.001
    high = low + builder.uniform(0.8, 1.1)
    x, y = (case.x[0] + 0.02, case.x[1] - 0.02), (case.y[1] - depth, case.y[1])
    upper = Case(x, y, (low, high), case.thickness)
    opening = add_carcass(builder, upper)
    if builder.chance(0.5):
        style = builder.pick(("glass", "muntins"))
        for column in split_columns(builder, upper, opening, [1.0] * (2 if case.x[1] > 0.55 else 1)):
            add_doors(builder, fronts, upper, column, style=style)
    else:
        add_shelves(builder, upper, opening, int(builder.rng.integers(1, 4)))
    if builder.chance(0.6):
        add_cornice(builder, upper)
