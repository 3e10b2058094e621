"""Tables: dining, coffee, side and console tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from export_models.dataset.makers.fronts import drawer_front
from export_models.dataset.makers.handles import Handles
from export_models.dataset.makers.legs import METAL, WOODEN, four_legs
from export_models.dataset.makers.outlines import Floats, ellipse, rounded_rectangle
from export_models.dataset.makers.piece import Bench, Piece
from export_models.dataset.makers.solids import board, slab
from export_models.dataset.makers.stands import pedestal, plinth, sled, stretchers, trestle

USES = {"dining": 4, "coffee": 3, "side": 2, "console": 1.5}
SHAPES = {"rectangle": 4, "rounded": 2.5, "round": 2.5, "oval": 1, "superellipse": 1}
TOPS = {"wood": 5, "wood2": 2, "glass": 1, "stone": 1.2}


def table(rng: np.random.Generator) -> Piece:
    """A top on legs, frames or a column."""
    bench = Bench(rng)
    use, shape = bench.pick(USES), bench.pick(SHAPES)
    if use == "console" and shape == "round":
        shape = "oval"
    width, depth, height = _size(bench, use, shape)
    role = bench.pick(TOPS)
    thick = bench.between(0.018, 0.045) if role in ("wood", "wood2") else bench.between(0.01, 0.022)
    outline = table_outline(bench, shape, width, depth)
    under = height - thick
    table_top(bench, outline, shape, role, thick, under)
    base = _base(bench, shape, use)
    if base == "pedestal":
        style = bench.pick({"turned": 2, "disc": 2, "tulip": 1.5, "drum": 1.5, "cross": 1.5})
        wooden = style in ("turned", "cross") or (style == "drum" and bench.chance(0.6))
        reach = min(0.36 * min(width, depth) * bench.between(0.8, 1.1), 0.42)
        pedestal(
            bench,
            under,
            reach,
            style=style,
            role="wood" if wooden else bench.pick(("metal", "wood", "stone" if role == "stone" else "metal")),
        )
        if width > 1.35 * depth and width > 1.3:
            _double(bench, 0.24 * width)
        return bench.piece("table")
    fit = 0.7 if shape in ("round", "oval") else (0.84 if shape == "superellipse" else 1.0)
    set_in = bench.between(0.0, 0.03) if role != "glass" and shape == "rectangle" else 0.045
    half = (width / 2 - set_in) * fit, (depth / 2 - set_in) * fit
    _carry(bench, base, half, under, use, role)
    return bench.piece("table")


def _size(bench: Bench, use: str, shape: str) -> tuple[float, float, float]:
    if use == "dining":
        width, depth, height = bench.between(1.2, 2.35), bench.between(0.75, 1.05), bench.between(0.72, 0.77)
        depth = bench.pick((depth, depth, min(width, bench.between(0.75, 1.0))))
        width = bench.pick((width, width, max(depth, 0.8)))
    elif use == "coffee":
        width, depth, height = bench.between(0.75, 1.3), bench.between(0.45, 0.75), bench.between(0.34, 0.47)
    elif use == "side":
        width, height = bench.between(0.38, 0.6), bench.between(0.45, 0.65)
        depth = width * bench.between(0.8, 1.0)
    else:
        width, depth, height = bench.between(0.9, 1.5), bench.between(0.3, 0.42), bench.between(0.74, 0.8)
    if shape == "round":
        width = depth = {"dining": bench.between(0.9, 1.4), "coffee": bench.between(0.6, 1.0)}.get(use, depth)
    return width, depth, height


def table_outline(bench: Bench, shape: str, width: float, depth: float) -> Floats:
    """[N, 2] counter-clockwise about the origin."""
    if shape in ("round", "oval"):
        return ellipse(width, depth, 72)
    if shape == "superellipse":
        return ellipse(width, depth, 72, power=bench.between(2.7, 4.0))
    return rounded_rectangle(width, depth, bench.between(0.02, 0.12) if shape == "rounded" else 0.0)


def table_top(bench: Bench, outline: Floats, shape: str, role: str, thick: float, under: float) -> None:
    """One board, planks with gaps, breadboard ends, a pane in a frame, or leaves that hang down."""
    curved = shape != "rectangle"
    low, high = outline.min(0), outline.max(0)
    width, depth = high - low
    way = bench.pick({"one": 6, "planks": 1.5, "ends": 1, "framed": 1, "leaves": 1})
    edge = bench.pick((0.002, 0.003, 0.008)) if role != "glass" else 0.0015
    if way == "planks" and not curved and role == "wood":
        count = max(3, round(depth / bench.between(0.09, 0.16)))
        gap, wide = bench.between(0.002, 0.007), depth / count
        for i in range(count):
            y = low[1] + i * wide
            bench.put(
                "top",
                role,
                board((low[0], y + gap / 2, under), (high[0], y + wide - gap / 2, under + thick), bevel=0.002),
            )
        for x in (-0.35 * width, 0.0, 0.35 * width):
            bench.put(
                "frame",
                role,
                board((x - 0.025, low[1] + 0.05, under - 0.02), (x + 0.025, high[1] - 0.05, under + 0.001)),
            )
    elif way == "ends" and not curved and role == "wood":
        end = bench.between(0.07, 0.12)
        bench.put("top", role, board((low[0] + end, low[1], under), (high[0] - end, high[1], under + thick)))
        for x in (low[0], high[0] - end):
            bench.put(
                "top",
                role,
                board((x, low[1] - 0.001, under), (x + end, high[1] + 0.001, under + thick), grain=(0, 1, 0)),
            )
    elif way == "framed" and not curved and role in ("glass", "stone"):
        rim, t = bench.between(0.03, 0.06), max(thick, 0.02)
        pane = board(
            (low[0] + rim - 0.008, low[1] + rim - 0.008, under - 0.0005),
            (high[0] - rim + 0.008, high[1] - rim + 0.008, under + thick - 0.002),
            bevel=0.001,
        )
        bench.put("top", role, pane)
        for y in (low[1], high[1] - rim):
            bench.put("frame", "wood", board((low[0], y, under + thick - t), (high[0], y + rim, under + thick)))
        for x in (low[0], high[0] - rim):
            bench.put(
                "frame", "wood", board((x, low[1] + rim, under + thick - t), (x + rim, high[1] - rim, under + thick))
            )
    elif way == "leaves" and role == "wood" and not curved and under > 0.68 and width > 0.9:
        hang = min(bench.between(0.2, 0.32), under - 0.2)
        bench.put("top", role, board((low[0], low[1], under), (high[0], high[1], under + thick)))
        for sign in (-1, 1):
            x = sign * (width / 2 + 0.002)
            bench.put(
                "top",
                role,
                board(
                    (x, low[1], under + thick - hang),
                    (x + sign * thick, high[1], under + thick - 0.002),
                    grain=(0, 1, 0),
                ),
            )
    else:
        bench.put(
            "top",
            role,
            slab(outline, thick, bevel=min(edge, 0.2 * thick), smooth=curved and shape != "rounded").moved(z=under),
        )


def _base(bench: Bench, shape: str, use: str) -> str:
    if shape in ("round", "oval", "superellipse") and bench.chance(0.5):
        return "pedestal"
    if use == "dining":
        return bench.pick({"apron": 6, "legs": 2, "trestle": 1.2, "sled": 1.2, "panels": 1})
    if use == "side":
        return bench.pick({"apron": 4, "legs": 3, "sled": 2, "shelf": 2, "pedestal": 2})
    return bench.pick({"apron": 4, "legs": 3, "sled": 2, "panels": 1.5, "shelf": 3, "plinth": 0.5})


def _carry(bench: Bench, base: str, half: tuple[float, float], under: float, use: str, role: str) -> None:
    x, y = half
    slim = {"dining": bench.between(0.055, 0.085), "coffee": bench.between(0.04, 0.06)}.get(
        use, bench.between(0.03, 0.045)
    )
    if base in ("apron", "shelf"):
        style = bench.pick(WOODEN)
        upright = style in ("square", "tapered", "turned", "cabriole")
        four_legs(bench, style, half, under, slim)
        tall = bench.between(0.05, 0.11) if use != "side" else bench.between(0.04, 0.1)
        apron(bench, half, under, tall, slim, drawers=upright and role != "glass" and bench.chance(0.4))
        if base == "shelf" and upright:
            _low_shelf(bench, (x - slim / 2, y - slim / 2), bench.between(0.1, 0.35 * under))
        elif upright and style == "square" and bench.chance(0.3):
            stretchers(
                bench,
                (x - slim / 2, y - slim / 2),
                bench.between(0.08, 0.16),
                (0.6 * slim, 0.7 * slim),
                kind=bench.pick(("H", "box")),
            )
    elif base == "legs":
        style = bench.pick({**METAL, "cone": 2, "splayed": 2})
        four_legs(bench, style, (x - 0.05, y - 0.05), under - 0.001, max(slim, 0.045))
        if role in ("glass", "stone") or style == "tube" or bench.chance(0.3):
            apron(
                bench,
                (x - 0.05, y - 0.05),
                under,
                0.03,
                0.045,
                drawers=False,
                role="metal" if style in METAL else "wood",
            )
    elif base == "sled":
        size = bench.pick({(0.025, 0.025): 2.0, (0.08, 0.03): 1.0, (0.05, 0.05): 1.0})
        wood = bench.chance(0.35)
        reach = (x - 0.1 * x - size[0] / 2, y - 0.03 - size[1] / 2)
        sled(bench, reach, under + 0.001, size, role="wood" if wood else "metal")
        for sy in (-1, 1):
            rod = board(
                (-reach[0], sy * reach[1] * 0.9 - 0.012, under - 0.03),
                (reach[0], sy * reach[1] * 0.9 + 0.012, under + 0.001),
            )
            bench.put("frame", "wood" if wood else "metal", rod)
    elif base == "trestle":
        trestle(bench, (0.68 * x, 0.8 * y), under)
    elif base == "panels":
        t = bench.between(0.025, 0.05)
        at = x - bench.pick((0.0, 0.12 * x)) - t
        bench.pair("leg", "wood", board((at, -y, 0), (at + t, y, under + 0.001), grain=(0, 0, 1)))
        if bench.chance(0.6):
            bench.put("frame", "wood", board((-at - 0.002, -0.012, under - 0.16), (at + 0.002, 0.012, under + 0.001)))
    else:
        foot = bench.between(0.03, 0.07)
        plinth(bench, (0.9 * x, 0.9 * y), foot, 0.04)
        bench.put("body", "wood", board((-0.9 * x, -0.9 * y, foot), (0.9 * x, 0.9 * y, under + 0.001), grain=(1, 0, 0)))


def apron(
    bench: Bench, half: tuple[float, float], under: float, tall: float, leg: float, *, drawers: bool, role: str = "wood"
) -> None:
    """Rails between the legs under the top, and perhaps drawers in the front one."""
    x, y, t = half[0] - leg / 2, half[1] - leg / 2, 0.02
    face = -y - leg / 2 + 0.006
    bench.put("frame", role, board((-x, y - t / 2, under - tall), (x, y + t / 2, under + 0.001)))
    bench.pair("frame", role, board((x - t / 2, -y, under - tall), (x + t / 2, y, under + 0.001)))
    if not drawers:
        bench.put("frame", role, board((-x, -y - t / 2, under - tall), (x, -y + t / 2, under + 0.001)))
        return
    tall = max(tall, 0.1)
    handles, count = Handles(bench), 1 if x < 0.4 else int(bench.rng.integers(1, 4))
    inner = 2 * x - leg
    bench.put("frame", role, board((-x, face + 0.012, under - tall), (x, face + 0.03, under + 0.001)))
    wide = min(inner / count, 0.75)
    for i in range(count):
        middle = (i - (count - 1) / 2) * inner / count
        drawer_front(
            bench,
            (middle - wide / 2 + 0.012, middle + wide / 2 - 0.012),
            (under - tall + 0.012, under - 0.012),
            face,
            0.014,
            handles,
        )


def _low_shelf(bench: Bench, half: tuple[float, float], height: float) -> None:
    x, y = half
    if bench.chance(0.5):
        bench.put(
            "shelf", bench.pick(("wood", "wood", "cane")), board((-x, -y, height - 0.018), (x, y, height), bevel=0.002)
        )
        return
    for sy in (-1, 1):
        bench.put("leg", "wood", board((-x, sy * y - 0.012, height - 0.03), (x, sy * y + 0.012, height)))
    bench.pair("leg", "wood", board((x - 0.012, -y, height - 0.03), (x + 0.012, y, height)))
    count = max(5, int(2 * x / 0.06))
    for place in (np.arange(count) - (count - 1) / 2) * 2 * x / count:
        bench.put("shelf", "wood", board((place - 0.018, -y, height - 0.006), (place + 0.018, y, height + 0.006)))


def _double(bench: Bench, shift: float) -> None:
    """Make two columns out of one."""
    columns = [part for part in bench.parts if part.component == "leg"]
    others = [part for part in bench.parts if part.component != "leg"]
    move = np.array([shift, 0, 0], np.float32)
    bench.parts[:] = others + [replace(part, vertices=part.vertices + s * move) for part in columns for s in (-1, 1)]
