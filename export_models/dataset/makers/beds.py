"""Beds: frames, platforms, divans, four-posters, with mattress and bedding. The foot is at the front (-y)."""

from __future__ import annotations

import itertools

import numpy as np

from export_models.dataset.makers.backs import leaned, upholstered_back
from export_models.dataset.makers.fronts import Look, drawer_front
from export_models.dataset.makers.handles import Handles
from export_models.dataset.makers.legs import four_legs
from export_models.dataset.makers.outlines import fillet
from export_models.dataset.makers.piece import Bench, Piece
from export_models.dataset.makers.solids import Solid, bar, board, lathe, sheet, slab, sweep
from export_models.dataset.makers.upholstery import dents, pad, pillow, piping, tuft_grid

WIDTHS = {0.9: 1.5, 1.0: 0.5, 1.2: 1, 1.4: 1.5, 1.6: 2, 1.8: 2}
LENGTH = 2.0
HEADS = {"slats": 2, "bars": 1, "panel": 2, "framed": 1.5, "soft": 3, "arched": 1, "cane": 0.8, "none": 0.6}


def bed(rng: np.random.Generator) -> Piece:
    """A bed with its mattress, mostly made up."""
    bench = Bench(rng)
    width = bench.pick(WIDTHS)
    design = bench.pick({"posts": 4, "platform": 3, "divan": 2, "canopy": 1, "tubes": 1, "drawers": 1.5})
    deck, tall = bench.between(0.24, 0.34), bench.between(0.17, 0.27)
    x, y = width / 2, LENGTH / 2
    foot = 0.0
    if design == "tubes":
        foot = _tubes(bench, x, y, deck)
    elif design in ("posts", "canopy"):
        foot = _posts(bench, x, y, deck, canopy=design == "canopy")
    elif design == "divan":
        _divan(bench, x, y, deck)
    else:
        _platform(bench, x, y, deck, drawers=design == "drawers")
    _mattress(bench, width, deck, tall)
    if bench.chance(0.85):
        _bedding(bench, width, deck + tall, tall, tucked=foot > deck + 0.5 * tall)
    return bench.piece("bed")


def _rails(bench: Bench, x: float, y: float, deck: float, tall: float) -> None:
    """Side rails, foot and head rail round the mattress, and the slats that carry it."""
    t, low, high = 0.026, deck - tall + 0.05, deck + 0.05
    bench.pair("frame", "wood", board((x, -y - 0.02, low), (x + t, y + 0.02, high)))
    for py in (-y - t, y):
        bench.put("frame", "wood", board((-x - 0.005, py, low), (x + 0.005, py + t, high)))
    bench.put(
        "frame",
        "wood",
        board((-x + 0.001, -y + 0.001, deck - 0.03), (x - 0.001, y - 0.001, deck + 0.001), grain=(1, 0, 0)),
    )


def _posts(bench: Bench, x: float, y: float, deck: float, *, canopy: bool) -> float:
    """Four posts with rails between them, a headboard and often a footboard; returns the footboard's height."""
    t = bench.between(0.05, 0.08)
    _rails(bench, x, y, deck, bench.between(0.12, 0.18))
    head, foot = bench.between(0.9, 1.25), bench.pick((deck + 0.05, deck + 0.12, bench.between(0.55, 0.75)))
    high = bench.between(1.85, 2.15)
    round_top = bench.chance(0.35)
    for py, end in ((y + t / 2 + 0.01, high if canopy else head), (-y - t / 2 - 0.01, high if canopy else foot)):
        post = board((x - t / 2, py - t / 2, 0), (x + t / 2, py + t / 2, end), bevel=0.003)
        bench.pair("frame", "wood", post.moved(x=t / 2 - 0.01))
        if round_top and not canopy and end > deck + 0.2:
            knob = lathe(
                [(0, 0.4 * t), (0.01, 0.3 * t), (0.03, 0.62 * t), (0.06, 0.66 * t), (0.085, 0.4 * t), (0.095, 0.05 * t)]
            )
            bench.pair("frame", "wood", knob.moved(x + t / 2 - 0.01, py, end - 0.003))
    if canopy:
        under = high - t / 2 - 0.002
        for py in (y + t / 2 + 0.01, -y - t / 2 - 0.01):
            bench.put("frame", "wood", bar((-x, py, under), (x, py, under), 0.8 * t))
        bench.pair(
            "frame",
            "wood",
            bar(
                (x + t / 2 - 0.01, -y - 0.02, under),
                (x + t / 2 - 0.01, y + 0.02, under),
                0.8 * t,
            ),
        )
    style = bench.pick({name: weight for name, weight in HEADS.items() if name != "none"})
    between = 2 * (x - 0.01) + 0.012
    headboard(bench, style, between, deck, min(head, 1.25), y + t / 2 + 0.01, set_in=True)
    if foot > deck + 0.2:
        headboard(bench, style if style != "soft" else "panel", between, deck, foot, -y - t / 2 - 0.01, set_in=True)
    return foot


def headboard(bench: Bench, style: str, width: float, low: float, high: float, y: float, *, set_in: bool) -> None:
    """A board ``width`` wide from ``low`` up to ``high`` in the plane y; ``set_in`` between posts."""
    half, t = width / 2, 0.024
    if style == "soft":
        deep = bench.between(0.06, 0.1)
        place = leaned(0.0, y - (0.5 * deep if set_in else 0.015), low)
        upholstered_back(bench, width, high - low, deep, place, style="plain" if set_in else None)
        return
    if style in ("panel", "arched"):
        if style == "arched" and not set_in:
            u = np.linspace(1, -1, 25)
            rise = 0.18 * np.sqrt(np.clip(1 - u**2, 0, 1))
            outline = np.concatenate([[(-half, low), (half, low)], np.stack([u * half, high - 0.18 + rise], -1)])
            bench.put("back", "wood", slab(outline, t, plane="xz", smooth=False).moved(y=y + t / 2))
        else:
            count = bench.pick((1, 1, 3, 5))
            edges = np.linspace(low, high, count + 1)
            for start, end in itertools.pairwise(edges):
                bench.put(
                    "back",
                    "wood",
                    board((-half, y - t / 2, start + 0.001), (half, y + t / 2, end - 0.001), bevel=0.003),
                )
        return
    rail = bench.between(0.06, 0.1)
    bench.put("frame", "wood", board((-half, y - 0.016, high - rail), (half, y + 0.016, high)))
    bottom = max(low + 0.06, high - 0.75)
    bench.put("frame", "wood", board((-half, y - 0.016, bottom - 0.06), (half, y + 0.016, bottom)))
    start, end = bottom - 0.006, high - rail + 0.006
    if not set_in:
        bench.pair("frame", "wood", board((half - 0.05, y - 0.017, 0), (half, y + 0.017, high - 0.001)))
    if style in ("slats", "bars"):
        count = max(4, round(width / bench.between(0.09, 0.2)))
        wide = width / count * bench.between(0.25, 0.75) if style == "slats" else 0.018
        for at in (np.arange(count) - (count - 1) / 2) * width / count:
            if style == "slats":
                bench.put("back", "wood", board((at - wide / 2, y - 0.008, start), (at + wide / 2, y + 0.008, end)))
            else:
                bench.put("back", "wood", bar((at, y, start), (at, y, end), wide, section="round"))
    elif style == "cane":
        bench.put("back", "cane", board((-half + 0.002, y - 0.004, start), (half - 0.002, y + 0.004, end), bevel=0.001))
    else:
        count = max(1, round(width / 0.7))
        for i in range(count):
            left, right = -half + width * i / count, -half + width * (i + 1) / count
            bench.put(
                "back", "wood", board((left + 0.03, y - 0.008, start), (right - 0.03, y + 0.008, end), bevel=0.003)
            )
            for edge in (left, right - 0.036):
                bench.put("frame", "wood", board((edge, y - 0.015, start), (edge + 0.036, y + 0.015, end)))


def _platform(bench: Bench, x: float, y: float, deck: float, *, drawers: bool) -> None:
    """A low frame round the mattress or a slab under it, on legs or a set-back base; perhaps drawers in the front."""
    rim = bench.between(0.0, 0.1)
    t = bench.between(0.04, 0.12)
    low, wide, long = deck - t, x + 0.02 + rim, y + 0.02 + rim
    if drawers:
        foot = 0.04
        bench.put("body", "wood", board((-wide, -long, foot), (wide, long, deck + 0.001), bevel=0.003, grain=(0, 1, 0)))
        bench.put("leg", "wood", board((-wide + 0.05, -long + 0.05, 0), (wide - 0.05, long - 0.05, foot + 0.001)))
        look, handles = Look.drawn(bench, {"slab": 2, "panel": 1}), Handles(bench)
        count = 1 if x < 0.6 else 2
        for i in range(count):
            span = (-wide + 2 * wide * i / count + 0.02, -wide + 2 * wide * (i + 1) / count - 0.02)
            drawer_front(bench, span, (foot + 0.02, deck - 0.02), -long - 0.016, 0.0166, handles, style=look.drawer)
    else:
        bench.put("frame", "wood", board((-wide, -long, low), (wide, long, deck + 0.001), bevel=0.004, grain=(0, 1, 0)))
        if bench.chance(0.4):
            bench.put("leg", "wood", board((-wide + 0.2, -long + 0.2, 0), (wide - 0.2, long - 0.2, low + 0.001)))
        else:
            style = bench.pick({"block": 1, "cone": 2, "tapered": 2, "hairpin": 1, "tube": 1})
            four_legs(bench, style, (wide - 0.08, long - 0.1), low, bench.between(0.05, 0.07))
    style = bench.pick(HEADS)
    if style != "none":
        high, base = bench.between(0.85, 1.15), 0.0 if drawers else low
        headboard(
            bench,
            style,
            2 * wide,
            base if style != "soft" else base + 0.02,
            high,
            long + 0.013,
            set_in=False,
        )


def _divan(bench: Bench, x: float, y: float, deck: float) -> None:
    """An upholstered box on short feet, with an upholstered headboard."""
    foot = bench.between(0.03, 0.12)
    box = pad((2 * x + 0.03, 2 * y + 0.03, deck - foot + 0.01), radius=0.025)
    bench.put("body", "soft", box.moved(z=(deck + foot) / 2 + 0.003))
    four_legs(
        bench, bench.pick(("block", "cone", "bun")) if foot < 0.09 else "cone", (x - 0.04, y - 0.06), foot + 0.002, 0.05
    )
    deep, wide = bench.between(0.07, 0.12), 2 * x + bench.pick((0.03, 0.1, 0.3))
    low = bench.pick((foot, 0.012))
    place = leaned(bench.pick((0.0, 3.0)), y + 0.012 + deep * 0.5 - deep / 2, low)
    upholstered_back(bench, wide, bench.between(0.95, 1.3) - low, deep, place)
    if bench.chance(0.2):
        for side in (-1, 1):
            wing = pad((0.06, 0.26, 0.9), radius=0.025).moved(side * wide / 2, y - 0.08, low + 0.46)
            bench.put("back", "soft", wing)


def _tubes(bench: Bench, x: float, y: float, deck: float) -> float:
    """A bedstead of metal tube; returns the foot's height."""
    t = bench.between(0.022, 0.036)
    head, foot = bench.between(0.95, 1.2), bench.between(0.6, 0.8)
    rail = 0.7 * t
    bench.pair("frame", "metal", bar((x + t / 2, -y - t / 2, deck), (x + t / 2, y + t / 2, deck), (rail, 0.05)))
    bench.put("frame", "wood", board((-x - 0.002, -y, deck - 0.025), (x + 0.002, y, deck + 0.002), grain=(1, 0, 0)))
    radius = bench.pick((0.02, 0.12, 0.3))
    for py, high in ((y + t / 2, head), (-y - t / 2, foot)):
        path = fillet(
            [(x + t / 2, py, 0), (x + t / 2, py, high), (-x - t / 2, py, high), (-x - t / 2, py, 0)], radius, 9
        )
        bench.put("frame", "metal", sweep(path, (t, t), section="round"))
        for z in (deck, high - bench.between(0.12, 0.2)):
            bench.put("frame", "metal", bar((-x - t / 2, py, z), (x + t / 2, py, z), 0.7 * t, section="round"))
        count = max(4, round(2 * x / bench.between(0.1, 0.16)))
        for at in (np.arange(count) - (count - 1) / 2) * 2 * x / count:
            reach = high - 0.002 if radius < 0.1 else z
            bench.put("back", "metal", bar((at, py, deck), (at, py, reach), 0.4 * t, section="round"))
    return foot


def _mattress(bench: Bench, width: float, deck: float, tall: float) -> None:
    size = (width - 0.01, LENGTH - 0.01, tall)
    tufts = tuft_grid(width, LENGTH, 0.3) if bench.chance(0.4) else None
    soft = pad(size, radius=0.045, crown=0.012, tufts=tufts, tuft_depth=0.008, cells=26 if tufts is not None else 12)
    bench.put("cushion", "linen", soft.moved(z=deck + tall / 2))
    if bench.chance(0.5):
        for z in (0.5 * tall - 0.028, 0.028 - 0.5 * tall):
            bench.put("cushion", "linen", piping(size, 0.045, z, 0.008).moved(z=deck + tall / 2))


def _bedding(bench: Bench, width: float, top: float, tall: float, *, tucked: bool) -> None:
    """Pillows at the head, a duvet over most of the mattress, sometimes a throw at the foot."""
    count = 1 if width < 1.3 else 2
    role = bench.pick({"linen": 3, "soft2": 1})
    wide = min(width / count - 0.04, bench.between(0.62, 0.8))
    leaning = bench.pick((0.0, bench.between(8, 55)))
    for i in range(count):
        at = (i - (count - 1) / 2) * width / count
        soft = pillow(wide, bench.between(0.42, 0.5), bench.between(0.13, 0.19), bench.rng)
        bench.put("cushion", "linen", _laid(soft, leaning, at, LENGTH / 2 - 0.27, top))
        if bench.chance(0.4):
            bench.put(
                "cushion", "soft2", _laid(pillow(0.45, 0.45, 0.14, bench.rng), 60, at, LENGTH / 2 - 0.52, top + 0.01)
            )
    puff, hang = bench.between(0.025, 0.05), bench.between(0.14, max(0.15, tall))
    end = LENGTH / 2 - bench.between(0.45, 0.9)
    cover = _draped(bench, width, -LENGTH / 2, end, top + puff / 2, hang, puff, foot=0.0 if tucked else hang)
    bench.put("cushion", role, cover)
    if bench.chance(0.35):
        start = -LENGTH / 2 + bench.between(0.1, 0.3)
        throw = _draped(
            bench,
            width + 2 * puff,
            start,
            start + bench.between(0.4, 0.7),
            top + puff + 0.006,
            hang * 0.8,
            0.012,
            foot=0.0,
        )
        bench.put("cushion", "soft2", throw)


def _laid(soft: Solid, leaning: float, x: float, y: float, top: float) -> Solid:
    """A pillow, its upper edge lifted by ``leaning`` degrees, sunk a little into what has its top at ``top``."""
    raised = soft.turned("x", leaning)
    return raised.moved(x, y, top + 0.012 - 0.03 - float(raised.vertices[:, 2].min()))


def _draped(
    bench: Bench, width: float, start: float, end: float, top: float, hang: float, thick: float, *, foot: float
) -> Solid:
    """A cloth over the mattress from y = start to end, hanging down at the sides, and at the foot by ``foot``."""
    rows, columns = 41, 41
    s = np.linspace(-width / 2 - hang, width / 2 + hang, rows)[:, None]
    r = np.linspace(start - foot, end, columns)[None]
    over_x, over_y = np.maximum(np.abs(s) - width / 2, 0), np.maximum(start - r, 0)
    flare = 0.12
    out = thick * 0.5
    x = np.clip(s, -width / 2, width / 2) + np.sign(s) * (out * np.clip(over_x / 0.04, 0, 1) + flare * over_x)
    y = np.maximum(r, start) - out * np.clip(over_y / 0.04, 0, 1) - flare * over_y
    x, y = np.broadcast_arrays(x, y)
    z = top - np.maximum(over_x, over_y) * 0.98
    flat = np.stack([np.broadcast_to(s, x.shape), np.broadcast_to(r, x.shape), np.zeros_like(x)], -1)
    ripple = dents(flat.reshape(-1, 3), 0.008, bench.rng).reshape(x.shape) + 0.006
    z = z + np.abs(ripple)
    fold = (
        0.012 * np.sin(r * 2 * np.pi / bench.between(0.25, 0.5)) * np.clip(over_x / max(hang, 1e-3), 0, 1) * np.sign(s)
    )
    return sheet(np.stack([x + fold, y, z], -1), thick, grain=(0, 1, 0))
