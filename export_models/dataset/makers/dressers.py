"""Dressers: chests of drawers, low and tall."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.cases import (
    STANDS,
    Case,
    carcass,
    columns,
    put_doors,
    put_drawers,
    rows,
    stand,
    stand_height,
    top_board,
)
from export_models.dataset.makers.fronts import Look
from export_models.dataset.makers.piece import Bench, Piece


def dresser(rng: np.random.Generator) -> Piece:
    """Drawers in rows, the upper ones often smaller."""
    bench = Bench(rng)
    look = Look.drawn(bench, {"slab": 5, "panel": 3, "reeded": 0.7})
    shape = bench.pick({"chest": 4, "wide": 4, "tall": 2})
    width, height = {
        "chest": (bench.between(0.7, 1.0), bench.between(0.75, 1.05)),
        "wide": (bench.between(1.2, 1.7), bench.between(0.7, 0.9)),
        "tall": (bench.between(0.4, 0.65), bench.between(1.05, 1.4)),
    }[shape]
    depth = bench.between(0.4, 0.52)
    style = bench.pick(STANDS)
    lift = stand_height(bench, style)
    thick = bench.pick((0.018, 0.022, 0.03))
    case = Case((-width / 2, width / 2), (-depth / 2, depth / 2), (lift, height - thick), thick)
    cell = carcass(bench, case)
    top_board(bench, case, over=bench.pick((0.0, 0.01, 0.022)), thick=thick)
    stand(bench, case, style)
    count = {
        "chest": int(bench.rng.integers(3, 6)),
        "wide": int(bench.rng.integers(3, 5)),
        "tall": int(bench.rng.integers(5, 8)),
    }[shape]
    shares = list(np.linspace(bench.pick((1.0, 1.3, 1.6)), 1.0, count))
    if shape == "wide":
        parts = columns(bench, case, cell, [1.0] * (3 if width > 1.45 and bench.chance(0.5) else 2))
        for i, part in enumerate(parts):
            if len(parts) == 3 and i == 1 and bench.chance(0.3):
                put_doors(bench, look, case, part, style="slab")
            else:
                put_drawers(bench, look, case, part, shares)
    elif shape == "chest" and bench.chance(0.5):
        lower, upper = rows(bench, case, cell, [sum(shares[:-1]), shares[-1]])
        put_drawers(bench, look, case, lower, shares[:-1])
        for part in columns(bench, case, upper, [1.0] * int(bench.rng.integers(2, 4))):
            put_drawers(bench, look, case, part, [1.0])
    else:
        put_drawers(bench, look, case, cell, shares)
    return bench.piece("dresser")
