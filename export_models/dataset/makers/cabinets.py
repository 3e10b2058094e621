"""Cabinets: sideboards, television benches, wardrobes, display cabinets, nightstands, cupboards, buffets."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.cases import (
    STANDS,
    Case,
    Cell,
    carcass,
    columns,
    cornice,
    put_doors,
    put_drawers,
    put_shelves,
    put_sliding,
    rows,
    stand,
    stand_height,
    top_board,
)
from export_models.dataset.makers.fronts import DOORS, Look
from export_models.dataset.makers.piece import Bench, Piece

USES = {"sideboard": 3, "television": 2, "wardrobe": 2, "display": 1.5, "nightstand": 2, "cupboard": 2, "buffet": 1}


def cabinet(rng: np.random.Generator) -> Piece:
    """A case with doors, and often drawers and open compartments."""
    bench = Bench(rng)
    use = bench.pick(USES)
    look = Look.drawn(bench, {"glass": 2, "muntins": 2} if use == "display" else DOORS)
    style = bench.pick({"legs": 1, "plinth": 3, "floor": 3, "bracket": 1} if use == "wardrobe" else STANDS)
    lift = stand_height(bench, style)
    case = _case(bench, use, lift)
    has_top = use in ("sideboard", "nightstand", "cupboard", "buffet") and bench.chance(0.7)
    cell = carcass(bench, case)
    if has_top:
        top_board(bench, case, over=bench.pick((0.0, 0.012, 0.025)), thick=bench.between(0.018, 0.035))
    stand(bench, case, style)
    {
        "sideboard": _low, "television": _low, "wardrobe": _wardrobe, "display": _display, "nightstand": _nightstand,
        "cupboard": _cupboard, "buffet": _low,
    }[use](bench, look, case, cell)  # fmt: skip
    if use == "buffet":
        _upper(bench, look, case)
    elif use in ("wardrobe", "display", "cupboard") and not has_top and bench.chance(0.4):
        cornice(bench, case)
    return bench.piece("cabinet")


def _case(bench: Bench, use: str, lift: float) -> Case:
    width, height, depth = {
        "sideboard": (bench.between(1.1, 2.1), bench.between(0.68, 0.95), bench.between(0.38, 0.5)),
        "television": (bench.between(1.1, 2.1), bench.between(0.4, 0.6), bench.between(0.36, 0.48)),
        "wardrobe": (bench.between(0.8, 2.0), bench.between(1.75, 2.2), bench.between(0.52, 0.62)),
        "display": (bench.between(0.6, 1.2), bench.between(1.4, 2.0), bench.between(0.34, 0.45)),
        "nightstand": (bench.between(0.38, 0.56), bench.between(0.45, 0.66), bench.between(0.34, 0.45)),
        "cupboard": (bench.between(0.6, 1.1), bench.between(0.8, 1.45), bench.between(0.34, 0.46)),
        "buffet": (bench.between(0.9, 1.5), bench.between(0.78, 0.92), bench.between(0.42, 0.5)),
    }[use]
    return Case(
        (-width / 2, width / 2), (-depth / 2, depth / 2), (lift, height), bench.pick((0.016, 0.019, 0.022, 0.028))
    )


def _low(bench: Bench, look: Look, case: Case, cell: Cell) -> None:
    """A row of compartments: doors, drawers, open ones; or sliding doors."""
    width = cell.x[1] - cell.x[0]
    if bench.chance(0.18):
        parts = columns(bench, case, cell, [1.0] * (2 if width > 1.5 and bench.chance(0.4) else 1))
        for part in parts:
            put_sliding(bench, look, case, part)
        return
    count = max(2, min(4, round(width / bench.between(0.42, 0.62))))
    shares = [1.0] * count
    if count == 3 and bench.chance(0.5):
        shares = [1.0, bench.between(0.8, 1.6), 1.0]
    fills = [bench.pick({"door": 4, "drawers": 2.5, "open": 1.3, "mixed": 1.5}) for _ in shares]
    if bench.chance(0.6):
        fills = [fills[min(i, count - 1 - i)] for i in range(count)]
    for part, fill in zip(columns(bench, case, cell, shares), fills, strict=True):
        _fill(bench, look, case, part, fill)


def _fill(bench: Bench, look: Look, case: Case, cell: Cell, fill: str) -> None:
    tall = cell.z[1] - cell.z[0]
    if fill == "door":
        put_doors(bench, look, case, cell)
    elif fill == "drawers":
        put_drawers(bench, look, case, cell, [1.0] * max(1, min(5, round(tall / bench.between(0.15, 0.22)))))
    elif fill == "open":
        put_shelves(bench, case, cell, max(0, round(tall / 0.3) - 1))
    else:
        lower, upper = rows(bench, case, cell, [bench.between(1.6, 3.0), 1.0])
        put_drawers(bench, look, case, upper, [1.0])
        _fill(bench, look, case, lower, bench.pick({"door": 3, "open": 1}))


def _wardrobe(bench: Bench, look: Look, case: Case, cell: Cell) -> None:
    if bench.chance(0.3):
        lower, cell = rows(bench, case, cell, [1.0, bench.between(3.0, 5.0)])
        for part in columns(bench, case, lower, [1.0] * (1 if lower.x[1] - lower.x[0] < 1.1 else 2)):
            put_drawers(bench, look, case, part, [1.0])
    if bench.chance(0.15):
        put_sliding(bench, look, case, cell)
        return
    width = cell.x[1] - cell.x[0]
    count = max(1, round(width / 0.95))
    for part in columns(bench, case, cell, [1.0] * count):
        put_doors(bench, look, case, part)


def _display(bench: Bench, look: Look, case: Case, cell: Cell) -> None:
    if bench.chance(0.6):
        lower, cell = rows(bench, case, cell, [1.0, bench.between(1.4, 2.6)])
        if bench.chance(0.5):
            put_doors(bench, look, case, lower, style=bench.pick(("slab", "panel")))
        else:
            put_drawers(bench, look, case, lower, [1.0] * int(bench.rng.integers(1, 4)))
    put_doors(bench, look, case, cell)


def _nightstand(bench: Bench, look: Look, case: Case, cell: Cell) -> None:
    fill = bench.pick({"drawers": 3, "over": 3, "door": 1})
    if fill == "over":
        lower, upper = rows(bench, case, cell, [bench.between(1.0, 1.8), 1.0])
        put_drawers(bench, look, case, upper, [1.0])
        if bench.chance(0.5):
            put_doors(bench, look, case, lower)
    else:
        _fill(bench, look, case, cell, fill)


def _cupboard(bench: Bench, look: Look, case: Case, cell: Cell) -> None:
    fill = bench.pick({"doors": 3, "mixed": 3, "tilting": 1})
    if fill == "tilting":
        for part in rows(bench, case, cell, [1.0] * max(2, round((cell.z[1] - cell.z[0]) / 0.4))):
            put_drawers(bench, look, case, part, [1.0])
    elif fill == "mixed":
        lower, upper = rows(bench, case, cell, [bench.between(2.5, 4.0), 1.0])
        for part in columns(bench, case, upper, [1.0] * int(bench.rng.integers(1, 4))):
            put_drawers(bench, look, case, part, [1.0])
        put_doors(bench, look, case, lower)
    else:
        put_doors(bench, look, case, cell)


def _upper(bench: Bench, look: Look, case: Case) -> None:
    """The upper part of a buffet: open shelves or glass, set back."""
    depth = bench.between(0.26, 0.32)
    z = max(float(part.vertices[:, 2].max()) for part in bench.parts) - 0.001
    upper = Case(
        (case.x[0] + 0.02, case.x[1] - 0.02),
        (case.y[1] - depth, case.y[1]),
        (z, z + bench.between(0.8, 1.1)),
        case.thick,
    )
    cell = carcass(bench, upper)
    if bench.chance(0.5):
        style = bench.pick(("glass", "muntins"))
        for part in columns(bench, upper, cell, [1.0] * (2 if case.x[1] > 0.55 else 1)):
            put_doors(bench, look, upper, part, style=style)
    else:
        put_shelves(bench, upper, cell, int(bench.rng.integers(1, 4)))
    if bench.chance(0.6):
        cornice(bench, upper)
