"""Stools: low and bar stools, round and square, upholstered, tractor seats, footstools and benches."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import leaned, rail
from export_models.dataset.makers.chairs import framed_seat, rails
from export_models.dataset.makers.legs import four_legs, leaning
from export_models.dataset.makers.outlines import ellipse
from export_models.dataset.makers.piece import Bench, Piece
from export_models.dataset.makers.seat_bases import star_base
from export_models.dataset.makers.solids import bar, board, lathe, sheet, slab, sweep
from export_models.dataset.makers.stands import pedestal, stretchers
from export_models.dataset.makers.upholstery import pad, piping, tuft_grid

DESIGNS = {"raked": 4, "framed": 3, "pedestal": 2, "pouf": 1.5, "panel": 1, "tractor": 1}


def stool(rng: np.random.Generator) -> Piece:
    """A seat without arms and, but for some bar stools, without a back."""
    bench = Bench(rng)
    make = {
        "raked": _raked, "framed": _framed, "pedestal": _pedestal, "pouf": _pouf, "panel": _panel, "tractor": _tractor,
    }[bench.pick(DESIGNS)]  # fmt: skip
    make(bench)
    return bench.piece("stool")


def _height(bench: Bench) -> float:
    return bench.pick({bench.between(0.42, 0.5): 1.0, bench.between(0.6, 0.7): 0.9, bench.between(0.72, 0.8): 0.6})


def _round_seat(bench: Bench, size: float, under: float, seat: float) -> None:
    kind = bench.pick({"wood": 2, "soft": 1.5, "square": 1})
    thick = seat - under
    if kind == "soft":
        base = lathe(
            [(0, size / 2 - 0.02), (0.003, size / 2 - 0.015), (0.016, size / 2 - 0.015), (0.018, size / 2 - 0.02)], 36
        )
        bench.put("seat", "wood", base.moved(z=under))
        z = np.array([0.0, 0.1, 0.3, 0.6, 0.85, 0.97, 1.0, 1.03])
        r = np.array([0.9, 0.97, 1.0, 1.0, 0.95, 0.85, 0.6, 0.02])
        body = np.stack([0.016 + z * (thick + 0.01), r * size / 2], -1)
        bench.put("cushion", "soft", lathe(body, 36).moved(z=under))
        return
    outline = ellipse(size, size, 44, power=2.0 if kind == "wood" else bench.between(4, 9))
    bench.put("seat", "wood", slab(outline, thick, bevel=0.006, smooth=kind == "wood").moved(z=under))


def _raked(bench: Bench) -> None:
    """Three or four round legs set into the seat."""
    seat, size = _height(bench), bench.between(0.30, 0.38)
    under = seat - bench.between(0.025, 0.05)
    count = 3 if seat < 0.55 and bench.chance(0.4) else 4
    t, out = bench.between(0.022, 0.032), seat * np.tan(np.radians(bench.between(4, 10)))
    role, section = bench.pick({"wood": 3, "metal": 1}), bench.pick(("round", "round", "board"))
    t = t if role == "wood" else 0.75 * t
    ring = bench.between(0.16, 0.3) if seat < 0.55 else bench.between(0.2, 0.28)
    at, radius = [], 0.33 * size
    for k in range(count):
        angle = 2 * np.pi * k / count + np.pi / 4
        way = np.array([np.cos(angle), np.sin(angle), 0])
        start, end = way * (radius + out), way * radius + (0, 0, under + 0.004)
        bench.put("leg", role, leaning(start, end, [t * (0.7 if role == "wood" else 1), t, t], section))
        at.append(start + (end - start) * ring / seat)
    if seat > 0.55 and bench.chance(0.6) and count == 4:
        radius = float(np.linalg.norm(at[0][:2]))
        circle = np.insert(ellipse(2 * radius, 2 * radius, 40), 2, ring, axis=1)
        bench.put("leg", "metal", sweep(circle, (0.014, 0.014), section="round", closed=True))
    elif seat > 0.55 or bench.chance(0.4):
        for k in range(count):
            rise = 0.05 * (k % 2)
            start, end = at[k] + (0, 0, rise), at[(k + 1) % count] + (0, 0, rise)
            bench.put("leg", role, bar(tuple(start), tuple(end), 0.7 * t, section="round"))
    _round_seat(bench, size, under, seat)


def _framed(bench: Bench) -> None:
    """Legs and rails as a chair's; wide ones are benches."""
    seat = _height(bench)
    width, depth = bench.between(0.36, 0.44), bench.between(0.33, 0.40)
    if seat < 0.52 and bench.chance(0.3):
        width = bench.between(0.8, 1.3)
    kind = bench.pick({"board": 2, "pad": 2, "inset": 1, "cane": 1})
    under, t = seat - {"board": 0.022, "pad": 0.05, "inset": 0.015, "cane": 0.012}[kind], bench.between(0.03, 0.042)
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    style = bench.pick({"square": 3, "tapered": 2, "turned": 1.5})
    four_legs(bench, style, (width / 2, depth / 2), under, t)
    rails(bench, (x, y), under - 0.002, bench.between(0.04, 0.07))
    framed_seat(bench, kind, (width, depth), under, seat)
    if style != "turned" and (seat > 0.55 or bench.chance(0.4)):
        stretchers(bench, (x, y), bench.between(0.15, 0.22), (0.02, 0.028), kind="box")
    if seat > 0.6 and bench.chance(0.5):
        place, tall = leaned(bench.between(4, 9), y, under), bench.between(0.2, 0.3)
        post = bar((x, 0, -0.004), (x, 0, tall + seat - under), (0.8 * t, 0.7 * t))
        bench.put("frame", "wood", place(post), place(post.mirrored()))
        high = tall + seat - under
        bench.put("back", "wood", place(rail(2 * x - 0.6 * t, high - 0.09, high - 0.01, 0.018, 0.02)))


def _pedestal(bench: Bench) -> None:
    """A round seat on one column."""
    seat, size = _height(bench), bench.between(0.32, 0.40)
    under = seat - bench.between(0.04, 0.09)
    style = bench.pick(("disc", "star", "turned", "tulip"))
    if style == "star":
        star_base(bench, under, casters=bench.chance(0.6) and seat < 0.65)
    else:
        pedestal(bench, under, bench.between(0.18, 0.22), style=style, role="wood" if style == "turned" else "metal")
    if seat > 0.6 and style == "disc":
        z, reach = seat * 0.35, 0.15
        ring = np.insert(ellipse(2 * reach, 2 * reach, 36), 2, z, axis=1)
        bench.put("leg", "metal", sweep(ring, (0.018, 0.018), section="round", closed=True))
        bench.put("leg", "metal", bar((-reach, 0, z), (reach, 0, z), 0.014, section="round"))
    _round_seat(bench, size, under, seat)


def _pouf(bench: Bench) -> None:
    """An upholstered block or drum, low, on short legs or on the floor."""
    seat = bench.between(0.38, 0.48)
    foot = bench.pick((0.0, 0.05, bench.between(0.1, 0.17)))
    width = bench.between(0.45, 0.7)
    depth, fit = bench.pick((width, 0.75 * width)), 0.75
    thick = seat - foot
    if bench.chance(0.4):
        z = np.linspace(0, 1, 15)
        r = (1 - np.abs(2 * z - 1) ** 5) * 0.07 + 0.93 * (1 - np.abs(2 * z - 1) ** 16) ** 0.5
        r[[0, -1]] = 0.6
        bench.put("cushion", "soft", lathe(np.stack([z * thick, np.maximum(r, 0.6) * width / 2], -1), 48).moved(z=foot))
        depth, fit = width, 0.5
    else:
        block = (width, depth, thick)
        tufts = tuft_grid(width, depth, bench.between(0.12, 0.18)) if bench.chance(0.5) else None
        soft = pad(
            block, radius=bench.between(0.02, 0.06), crown=0.02, tufts=tufts, cells=26 if tufts is not None else 12
        )
        bench.put("cushion", "soft", soft.moved(z=foot + thick / 2).floored())
        if bench.chance(0.4):
            bench.put("cushion", "soft", piping(block, 0.03, thick / 2 - 0.03, crown=0.02).moved(z=foot + thick / 2))
    if foot:
        half = fit * width / 2, fit * depth / 2
        style = bench.pick({"cone": 2, "block": 2, "bun": 1}) if foot < 0.08 else bench.pick({"splayed": 2, "cone": 2})
        four_legs(bench, style, half, foot + 0.004, bench.between(0.035, 0.05))


def _panel(bench: Bench) -> None:
    """Two boards under a board."""
    seat, width, depth, t = bench.between(0.42, 0.48), bench.between(0.36, 0.48), bench.between(0.26, 0.34), 0.022
    bench.put("seat", "wood", board((-width / 2, -depth / 2, seat - t), (width / 2, depth / 2, seat), bevel=0.003))
    x = width / 2 - bench.between(0.0, 0.05)
    side = board((x - t, -depth / 2 + 0.01, 0), (x, depth / 2 - 0.01, seat - t + 0.001), grain=(0, 0, 1))
    bench.pair("leg", "wood", side)
    z = seat - t - bench.between(0.03, 0.2)
    bench.put("leg", "wood", board((-x + t / 2, -0.012, z - 0.07), (x - t / 2, 0.012, z)))


def _tractor(bench: Bench) -> None:
    """A pressed saddle on a column or raked legs."""
    seat = _height(bench)
    width, depth = bench.between(0.40, 0.46), bench.between(0.34, 0.38)
    u, v = np.meshgrid(np.linspace(-1, 1, 23), np.linspace(-1, 1, 19), indexing="ij")
    reach = np.sqrt(np.maximum(1 - 0.5 * v**2, 0)), np.sqrt(np.maximum(1 - 0.5 * u**2, 0))
    x, y = u * reach[0] * width / 2, v * reach[1] * depth / 2
    away = (x / width * 2) ** 2
    z = 0.05 * np.clip(y / depth * 2, 0, 1) ** 2 + 0.022 * away - 0.03 * np.clip(-y / depth * 2, 0, 1) ** 2 * away
    bench.put(
        "seat",
        bench.pick({"metal": 2, "wood": 2, "shell": 1}),
        sheet(np.stack([x, y, z + seat], -1), 0.012, grain=(0, 1, 0)),
    )
    if bench.chance(0.5):
        pedestal(bench, seat - 0.007, bench.between(0.18, 0.22), style="disc", role="metal")
        return
    four_legs(bench, "splayed", (0.1, 0.1), seat - 0.03, 0.026)
    bench.put("hardware", "metal", lathe([(0, 0.11), (0.006, 0.11), (0.026, 0.06)], 28).moved(z=seat - 0.032))
