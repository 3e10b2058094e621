"""Dressers: low and tall chests of drawers."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.cases import (
    STAND_STYLES,
    Case,
    Opening,
    add_carcass,
    add_doors,
    add_drawer_row,
    add_drawers,
    add_stand,
    add_top_board,
    draw_stand_height,
    split_columns,
    split_rows,
)
from export_models.dataset.makers.fronts import FrontStyle
from export_models.dataset.makers.piece import PieceBuilder

SHAPES = {"chest": 4, "wide": 4, "tall": 2}


def build_dresser(builder: PieceBuilder) -> None:
    """Build a chest of drawers. The upper drawers are often less high than the lower ones."""
    fronts = FrontStyle.random(builder, {"slab": 5, "panel": 3, "reeded": 0.7})
    shape = builder.pick(SHAPES)
    width, height = {
        "chest": (builder.uniform(0.7, 1.0), builder.uniform(0.75, 1.05)),
        "wide": (builder.uniform(1.2, 1.7), builder.uniform(0.7, 0.9)),
        "tall": (builder.uniform(0.4, 0.65), builder.uniform(1.05, 1.4)),
    }[shape]
    depth = builder.uniform(0.4, 0.52)
    stand_style = builder.pick(STAND_STYLES)
    lift = draw_stand_height(builder, stand_style)
    thickness = builder.pick((0.018, 0.022, 0.03))
    case = Case.centred(width, depth, (lift, height - thickness), thickness)
    opening = add_carcass(builder, case)
    add_top_board(builder, case, overhang=builder.pick((0.0, 0.01, 0.022)), thickness=thickness)
    add_stand(builder, case, stand_style)
    count = {
        "chest": int(builder.rng.integers(3, 6)),
        "wide": int(builder.rng.integers(3, 5)),
        "tall": int(builder.rng.integers(5, 8)),
    }[shape]
    shares = list(np.linspace(builder.pick((1.0, 1.3, 1.6)), 1.0, count))
    if shape == "wide":
        _fill_columns(builder, fronts, case, opening, shares, width)
    elif shape == "chest" and builder.chance(0.5):
        lower, upper = split_rows(builder, case, opening, [sum(shares[:-1]), shares[-1]])
        add_drawers(builder, fronts, case, lower, shares[:-1])
        add_drawer_row(builder, fronts, case, upper, int(builder.rng.integers(2, 4)))
    else:
        add_drawers(builder, fronts, case, opening, shares)


def _fill_columns(
    builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening, shares: list[float], width: float
) -> None:
    """Add two or three columns of drawers; the middle one of three sometimes has a door."""
    columns = split_columns(builder, case, opening, [1.0] * (3 if width > 1.45 and builder.chance(0.5) else 2))
    for i, column in enumerate(columns):
        if len(columns) == 3 and i == 1 and builder.chance(0.3):
            add_doors(builder, fronts, case, column, style="slab")
        else:
            add_drawers(builder, fronts, case, column, shares)
