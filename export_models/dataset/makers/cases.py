"""Case goods: the carcass, its compartments and what it stands on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from export_models.dataset.makers.fronts import Look, Span, door, drawer_front
from export_models.dataset.makers.legs import four_legs
from export_models.dataset.makers.outlines import rounded_rectangle
from export_models.dataset.makers.piece import Bench
from export_models.dataset.makers.solids import bar, board, slab
from export_models.dataset.makers.stands import plinth, sled

STANDS = {"legs": 4, "plinth": 2, "floor": 2, "bracket": 1, "steel": 1.5, "sled": 1}


@dataclass(frozen=True)
class Case:
    """A box of boards: outer size, metres."""

    x: Span
    y: Span  # front, back
    z: Span
    thick: float
    role: str = "wood"


@dataclass(frozen=True)
class Cell:
    """The opening of one compartment."""

    x: Span
    z: Span


def carcass(bench: Bench, case: Case, *, back: bool = True) -> Cell:
    """Sides, bottom, top and perhaps a back; returns the opening."""
    (x0, x1), (y0, y1), (z0, z1), t = case.x, case.y, case.z, case.thick
    for x in (x0, x1 - t):
        bench.put("body", case.role, board((x, y0, z0), (x + t, y1, z1), grain=(0, 0, 1)))
    for z in (z0, z1 - t):
        level = board((x0 + t - 0.001, y0 + 0.0005, z), (x1 - t + 0.001, y1, z + t), grain=(1, 0, 0))
        bench.put("body", case.role, level)
    if back:
        role = bench.pick((case.role, case.role, "panel"))
        low, high = (x0 + t - 0.004, y1 - 0.012, z0 + t - 0.004), (x1 - t + 0.004, y1 - 0.004, z1 - t + 0.004)
        bench.put("body", role, board(low, high, grain=(0, 0, 1)))
    return Cell((x0 + t, x1 - t), (z0 + t, z1 - t))


def columns(bench: Bench, case: Case, cell: Cell, shares: list[float]) -> list[Cell]:
    """Part a cell by upright boards."""
    return [Cell(span, cell.z) for span in _parted(bench, case, cell, shares, 0, "body")]


def rows(bench: Bench, case: Case, cell: Cell, shares: list[float], *, component: str = "body") -> list[Cell]:
    """Part a cell by level boards, from below."""
    return [Cell(cell.x, span) for span in _parted(bench, case, cell, shares, 1, component)]


def _parted(bench: Bench, case: Case, cell: Cell, shares: list[float], axis: int, component: str) -> list[Span]:
    low, high = (cell.x, cell.z)[axis]
    t = case.thick
    free = high - low - t * (len(shares) - 1)
    spans, at = [], low
    for i, share in enumerate(shares):
        end = at + free * share / sum(shares)
        spans.append((at, end))
        if i < len(shares) - 1:
            y = case.y[0] + 0.001, case.y[1] - 0.006
            if axis == 0:
                solid = board((end, y[0], cell.z[0] - 0.001), (end + t, y[1], cell.z[1] + 0.001), grain=(0, 0, 1))
            else:
                solid = board((cell.x[0] - 0.001, y[0], end), (cell.x[1] + 0.001, y[1], end + t), grain=(1, 0, 0))
            bench.put(component, case.role, solid)
        at = end + t
    return spans


def front_of(look: Look, case: Case, cell: Cell) -> tuple[Span, Span, float]:
    """Where a front over a cell lies: its x, its z and the y of its face."""
    out = -look.gap if look.inset else case.thick / 2 - look.gap / 2
    face = case.y[0] + 0.001 if look.inset else case.y[0] - look.thick + 0.0006
    return (cell.x[0] - out, cell.x[1] + out), (cell.z[0] - out, cell.z[1] + out), face


def put_drawers(bench: Bench, look: Look, case: Case, cell: Cell, shares: list[float]) -> None:
    """A stack of drawers, from below, one over the other."""
    x, z, face = front_of(look, case, cell)
    total = z[1] - z[0] - look.gap * (len(shares) - 1)
    at = z[0]
    if look.inset and len(shares) > 1:
        behind = case.y[0] + look.thick + 0.002
        low, high = (
            (cell.x[0] - 0.001, behind, cell.z[0] - 0.001),
            (cell.x[1] + 0.001, behind + 0.006, cell.z[1] + 0.001),
        )
        bench.put("body", case.role, board(low, high))
    for share in shares:
        end = at + total * share / sum(shares)
        drawer_front(
            bench, x, (at, end), face, look.thick, look.handles, style=look.drawer, role=look.role, edge=look.edge
        )
        at = end + look.gap


def put_doors(bench: Bench, look: Look, case: Case, cell: Cell, *, style: str | None = None) -> None:
    """One door, or two where the opening is wide; behind glass there are shelves."""
    x, z, face = front_of(look, case, cell)
    kind = style or look.door
    if x[1] - x[0] > 0.62:
        middle = (x[0] + x[1]) / 2
        door(bench, look, (x[0], middle - look.gap / 2), z, face, hinge="left", style=kind)
        door(bench, look, (middle + look.gap / 2, x[1]), z, face, hinge="right", style=kind)
    else:
        door(bench, look, x, z, face, hinge=bench.pick(("left", "right")), style=kind)
    if kind in ("glass", "muntins", "louvre"):
        put_shelves(bench, case, cell, max(1, round((cell.z[1] - cell.z[0]) / 0.36) - 1), set_back=look.thick + 0.01)


def put_shelves(bench: Bench, case: Case, cell: Cell, count: int, *, set_back: float = 0.006) -> None:
    """Boards at even heights."""
    t = min(case.thick, 0.02)
    for z in np.linspace(*cell.z, count + 2)[1:-1]:
        low = (cell.x[0] - 0.001, case.y[0] + set_back, z - t / 2)
        bench.put("shelf", case.role, board(low, (cell.x[1] + 0.001, case.y[1] - 0.006, z + t / 2), grain=(1, 0, 0)))


def put_sliding(bench: Bench, look: Look, case: Case, cell: Cell) -> None:
    """Two sliding doors, one behind the other, with round or long finger pulls."""
    middle, lap, t = (cell.x[0] + cell.x[1]) / 2, 0.03, 0.014
    z = cell.z[0] + 0.003, cell.z[1] - 0.003
    for i, x in enumerate(((cell.x[0] + 0.001, middle + lap), (middle - lap, cell.x[1] - 0.001))):
        face = case.y[0] + 0.006 + i * (t + 0.003)
        bench.put("door", look.role, board((x[0], face, z[0]), (x[1], face + t, z[1]), bevel=0.001))
        pull = x[0] + 0.05 if i == 0 else x[1] - 0.05
        tall = min(0.07, 0.3 * (z[1] - z[0]))
        plate = slab(rounded_rectangle(0.026, tall, 0.0129), 0.003, plane="xz", bevel=0.0008)
        bench.put("hardware", "fitting", plate.moved(pull, face + 0.001, (z[0] + z[1]) / 2))


def top_board(bench: Bench, case: Case, *, over: float, thick: float, role: str | None = None) -> None:
    """A board of its own on the carcass, that stands out at the front and the sides."""
    low = (case.x[0] - over, case.y[0] - over, case.z[1] - 0.001)
    edge = bench.pick((0.002, 0.004, min(0.009, 0.4 * thick)))
    solid = board(low, (case.x[1] + over, case.y[1], case.z[1] + thick), bevel=edge, grain=(1, 0, 0))
    bench.put("top", role or bench.pick({case.role: 4, "wood2": 1.5, "stone": 0.4}), solid)


def cornice(bench: Bench, case: Case) -> None:
    """Two stepped mouldings round the top of a tall piece."""
    for i, (over, tall) in enumerate(((0.012, 0.03), (0.035, 0.022))):
        z = case.z[1] - 0.001 + 0.029 * i
        bench.put(
            "frame",
            case.role,
            board((case.x[0] - over, case.y[0] - over, z), (case.x[1] + over, case.y[1], z + tall), bevel=0.008),
        )


def stand(bench: Bench, case: Case, style: str) -> None:
    """Carry a case whose underside is at ``case.z[0]``; ``floor`` wants that to be 0."""
    height, x, depth = case.z[0], case.x[1], (case.y[1] - case.y[0]) / 2
    middle = (case.y[0] + case.y[1]) / 2
    first = len(bench.parts)
    inset = bench.between(0.0, 0.05)
    if style == "legs":
        kind = bench.pick(
            {"block": 1, "cone": 3, "bun": 1, "splayed": 2, "tapered": 2, "turned": 1}
            if height < 0.2
            else {"tapered": 2, "splayed": 2, "square": 1, "turned": 1, "cabriole": 1}
        )
        thick = bench.between(0.035, 0.055) if kind not in ("bun",) else 0.06
        four_legs(bench, kind, (x - inset, depth - inset), height, thick)
    elif style == "bracket":
        four_legs(bench, "bracket", (x, depth), height, 0.04)
        bench.put(
            "leg",
            case.role,
            board((-x + 0.02, -depth + 0.004, 0.8 * height), (x - 0.02, -depth + 0.02, height + 0.001)),
        )
    elif style == "steel":
        four_legs(bench, bench.pick(("tube", "hairpin", "flat_steel")), (x - 0.05, depth - 0.05), height, 0.04)
    elif style == "sled":
        sled(
            bench,
            (x - 0.06, depth - 0.03),
            height + 0.001,
            (0.022, 0.022),
            role=bench.pick(("metal", "wood")),
        )
        for sy in (-1, 1):
            bench.put(
                "leg",
                bench.parts[-1].role,
                bar(
                    (-x + 0.06, sy * (depth - 0.06), height - 0.011),
                    (x - 0.06, sy * (depth - 0.06), height - 0.011),
                    0.022,
                ),
            )
    elif style == "plinth":
        plinth(bench, (x, depth), height, bench.between(0.005, 0.05))
    shift = np.array([0, middle, 0], np.float32)
    bench.parts[first:] = [replace(part, vertices=part.vertices + shift) for part in bench.parts[first:]]


def stand_height(bench: Bench, style: str, legs: Span = (0.1, 0.2)) -> float:
    """How high a stand lifts the case."""
    return {"floor": 0.0, "plinth": bench.between(0.04, 0.1), "bracket": bench.between(0.09, 0.14)}.get(
        style, bench.between(*legs)
    )
