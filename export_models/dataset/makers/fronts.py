"""Doors and drawer fronts: slab, frame and panel, glass, louvres, cane, reeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export_models.dataset.makers.handles import STYLES, Handles
from export_models.dataset.makers.piece import Bench
from export_models.dataset.makers.solids import Floats, Solid, bar, board, sweep

DOORS = {"slab": 4, "panel": 4, "raised": 1.5, "glass": 1.2, "muntins": 0.8, "louvre": 1, "cane": 1, "reeded": 0.8}
Span = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """How the fronts of one piece look."""

    role: str  # of doors and drawers
    door: str
    drawer: str  # "slab", "panel" or "reeded"
    handles: Handles
    inset: bool  # fronts lie between the boards of the carcass, not before them
    gap: float  # metres between neighbours
    thick: float
    edge: float  # bevel

    @staticmethod
    def drawn(bench: Bench, doors: dict[str, float] = DOORS) -> Look:
        door = bench.pick(doors)
        drawer = {"panel": bench.pick(("panel", "slab")), "raised": "panel", "reeded": "reeded"}.get(door, "slab")
        return Look(
            role=bench.pick({"wood": 4, "wood2": 2}),
            door=door,
            drawer=drawer,
            handles=Handles(bench, STYLES),
            inset=bench.chance(0.45),
            gap=bench.between(0.002, 0.004),
            thick=bench.between(0.016, 0.022),
            edge=bench.pick((0.001, 0.002, 0.005)),
        )


def drawer_front(
    bench: Bench,
    x: Span,
    z: Span,
    face: float,
    thick: float,
    handles: Handles,
    *,
    style: str = "slab",
    role: str = "wood",
    edge: float = 0.002,
) -> None:
    """A front between x and z whose outer face is at y = ``face``."""
    wide, tall = x[1] - x[0], z[1] - z[0]
    relief = 0.0
    if style == "panel" and min(wide, tall) > 0.12:
        relief = _framed(bench, "drawer", role, x, z, face, thick, min(0.045, 0.25 * tall), edge)
    elif style == "reeded":
        _reeded(bench, "drawer", role, x, z, face, thick)
    else:
        bench.put("drawer", role, board((x[0], face, z[0]), (x[1], face + thick, z[1]), bevel=edge, grain=(1, 0, 0)))
    handles.drawer(bench, (x[0] + x[1]) / 2, face + relief, (z[0] + z[1]) / 2, wide, tall)


def door(bench: Bench, look: Look, x: Span, z: Span, face: float, *, hinge: str, style: str | None = None) -> None:
    """A door hung on its ``left`` or ``right`` side; its handle is on the other."""
    style, role, thick = style or look.door, look.role, look.thick
    wide, tall = x[1] - x[0], z[1] - z[0]
    stile = min(0.07, 0.2 * wide, 0.2 * tall)
    if style == "slab":
        bench.put("door", role, board((x[0], face, z[0]), (x[1], face + thick, z[1]), bevel=look.edge))
    elif style == "reeded":
        _reeded(bench, "door", role, x, z, face, thick)
    else:
        _stiles(bench, "door", role, x, z, face, thick, stile, look.edge)
        inner_x, inner_z = (x[0] + stile, x[1] - stile), (z[0] + stile, z[1] - stile)
        _fill(bench, style, role, inner_x, inner_z, face, thick)
    knob_x = x[1] - 0.5 * stile - 0.004 if hinge == "left" else x[0] + 0.5 * stile + 0.004
    middle = (z[0] + z[1]) / 2
    knob_z = min(max(middle, 0.95), z[1] - 0.15) if tall > 1.0 else (z[1] - 0.25 * tall if z[1] < 0.9 else middle)
    look.handles.door(bench, knob_x, face, knob_z)
    if look.inset and bench.chance(0.3):
        edge_x = x[0] - 0.001 if hinge == "left" else x[1] + 0.001
        for at in (z[0] + 0.15 * tall, z[1] - 0.15 * tall):
            pin = bar((edge_x, face - 0.002, at - 0.025), (edge_x, face - 0.002, at + 0.025), 0.008, section="round")
            bench.put("hardware", "fitting", pin)


def _fill(bench: Bench, style: str, role: str, x: Span, z: Span, face: float, thick: float) -> None:
    low, high = (x[0] - 0.006, face + 0.5 * thick, z[0] - 0.006), (x[1] + 0.006, face + 0.85 * thick, z[1] + 0.006)
    if style in ("glass", "muntins"):
        pane = board(
            (low[0], face + 0.45 * thick, low[2]), (high[0], face + 0.45 * thick + 0.004, high[2]), bevel=0.001
        )
        bench.put("door", "glass", pane)
        if style == "muntins":
            rows, columns = max(2, round((z[1] - z[0]) / 0.28)), max(1, round((x[1] - x[0]) / 0.2))
            for at in np.linspace(*z, rows + 1)[1:-1]:
                bench.put(
                    "door",
                    role,
                    board((x[0] - 0.004, face + 0.003, at - 0.009), (x[1] + 0.004, face + thick - 0.002, at + 0.009)),
                )
            for at in np.linspace(*x, columns + 1)[1:-1]:
                bench.put(
                    "door",
                    role,
                    board((at - 0.009, face + 0.004, z[0] - 0.004), (at + 0.009, face + thick - 0.003, z[1] + 0.004)),
                )
    elif style == "louvre":
        count = max(3, int((z[1] - z[0]) / 0.034))
        pitch = (z[1] - z[0]) / count
        for i in range(count):
            at = z[0] + (i + 0.5) * pitch
            path = [(x[0] - 0.004, face + thick / 2, at), (x[1] + 0.004, face + thick / 2, at)]
            bench.put("door", role, sweep(path, (1.15 * pitch, 0.006), side=(0.0, 0.62, 0.78)))
    elif style == "cane":
        bench.put("door", "cane", board(low, (high[0], low[1] + 0.003, high[2]), bevel=0.001))
    else:
        bench.put("door", role, board(low, high, bevel=0.001))
        if style == "raised":
            rim = 0.03
            field = (x[0] + rim, face + 0.15 * thick, z[0] + rim), (x[1] - rim, face + 0.6 * thick, z[1] - rim)
            if field[1][0] - field[0][0] > 0.03:
                bench.put("door", role, board(*field, bevel=0.006))


def _framed(
    bench: Bench, component: str, role: str, x: Span, z: Span, face: float, thick: float, stile: float, edge: float
) -> float:
    """A frame with a flat panel; returns how far the panel's face lies behind the frame's."""
    _stiles(bench, component, role, x, z, face, thick, stile, edge)
    low = (x[0] + stile - 0.006, face + 0.5 * thick, z[0] + stile - 0.006)
    panel = board(low, (x[1] - stile + 0.006, face + 0.9 * thick, z[1] - stile + 0.006), bevel=0.001, grain=(1, 0, 0))
    bench.put(component, role, panel)
    return 0.5 * thick


def _stiles(
    bench: Bench, component: str, role: str, x: Span, z: Span, face: float, thick: float, stile: float, edge: float
) -> None:
    back, edge = face + thick, min(edge, 0.002)
    for left in (x[0], x[1] - stile):
        bench.put(component, role, board((left, face, z[0]), (left + stile, back, z[1]), bevel=edge, grain=(0, 0, 1)))
    for low in (z[0], z[1] - stile):
        rail = board((x[0] + stile, face + 0.0002, low), (x[1] - stile, back, low + stile), bevel=edge, grain=(1, 0, 0))
        bench.put(component, role, rail)


def _reeded(bench: Bench, component: str, role: str, x: Span, z: Span, face: float, thick: float) -> None:
    """Half-round beads over a board, all in one part."""
    count = max(4, round((x[1] - x[0]) / 0.022))
    wide = (x[1] - x[0]) / count
    angle = np.linspace(np.pi, 0, 6)[:-1]
    bead = np.stack([wide / 2 * (1 + np.cos(angle)), -0.45 * thick * np.sin(angle)], -1)
    start = face + 0.45 * thick
    beads = [bead + np.array([x[0] + i * wide, start]) for i in range(count)]
    bench.put(component, role, _strip(np.concatenate([*beads, [(x[1], start)]]), face + thick, z))


def _strip(front: Floats, back: float, z: Span) -> Solid:
    """A board whose front has the outline [N, 2] of (x, y), its ends filled by a strip of quads."""
    count = len(front)
    rear = np.stack([front[:, 0], np.full(count, back)], -1)
    flat = np.concatenate([front, rear])
    vertices = np.concatenate([np.insert(flat, 2, height, axis=1) for height in z])
    i = np.arange(count - 1)
    a, b, c, d = i, i + 1, i + 1 + count, i + count  # front left, front right, rear right, rear left
    up = 2 * count
    quads = np.concatenate(
        [
            np.stack([a, b, b + up, a + up], -1),
            np.stack([c, d, d + up, c + up], -1),
            np.stack([a + up, b + up, c + up, d + up], -1),
            np.stack([d, c, b, a], -1),
            [[count, 0, up, count + up], [count - 1, 2 * count - 1, 2 * count - 1 + up, count - 1 + up]],
        ]
    )
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    return Solid(vertices, triangles, np.array([0.0, 0.0, 1.0]), True)
