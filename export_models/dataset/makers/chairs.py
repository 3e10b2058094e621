"""Chairs whose hind legs run on as back posts, Windsor chairs and bentwood chairs."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import FILLINGS, leaned, post_back, rail
from export_models.dataset.makers.legs import leaning, leg_maker, turned_between, turning
from export_models.dataset.makers.moulded_chairs import cantilever_chair, office_chair, parsons_chair, shell_chair
from export_models.dataset.makers.outlines import ellipse, rounded_rectangle, spline
from export_models.dataset.makers.piece import Bench, Piece
from export_models.dataset.makers.solids import bar, board, slab, sweep
from export_models.dataset.makers.stands import stretchers
from export_models.dataset.makers.upholstery import pad, piping

DESIGNS = {"post": 8, "windsor": 2, "shell": 3, "parsons": 2, "cantilever": 1, "bentwood": 1, "office": 1}


def chair(rng: np.random.Generator) -> Piece:
    """A chair to sit at a table on; some have light arms."""
    bench = Bench(rng)
    width, depth = bench.between(0.40, 0.50), bench.between(0.39, 0.46)
    seat, back = bench.between(0.43, 0.475), bench.between(0.36, 0.55)
    make = {
        "post": post_chair, "windsor": windsor_chair, "shell": shell_chair, "parsons": parsons_chair,
        "cantilever": cantilever_chair, "bentwood": bentwood_chair, "office": office_chair,
    }[bench.pick(DESIGNS)]  # fmt: skip
    make(bench, width, depth, seat, back)
    return bench.piece("chair")


def post_chair(bench: Bench, width: float, depth: float, seat: float, back: float, *, arms: bool | None = None) -> None:
    """Four legs under rails, a back between posts; ``arms`` None leaves them to chance."""
    t = bench.between(0.03, 0.044)
    style = bench.pick({"square": 3, "tapered": 3, "turned": 2})
    kind = bench.pick({"board": 3, "pad": 3, "inset": 2, "cane": 1})
    under = seat - {"board": 0.02, "pad": 0.05, "inset": 0.015, "cane": 0.012}[kind]
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    front = leg_maker(bench, style, under, t)
    for sx in (-1, 1):
        for component, role, solid in front(sx, -1):
            bench.put(component, role or "wood", solid.moved(sx * x, -y))
    splay = bench.between(0.0, 0.06)
    bench.pair("leg", "wood", leaning((x, y + splay, 0), (x, y, under), [0.8 * t, t]))
    place, height = leaned(bench.between(5, 13), y, under), seat - under + back
    section = "round" if bench.chance(0.3) else "board"
    sizes = [(0.85 * t, t), (0.85 * t, t), (0.76 * t, 0.6 * t)]
    post = sweep([(0, 0, -0.004), (0, 0, 0.4 * height), (0, 0, height + 0.012)], sizes, section=section, sides=14)
    bench.put("frame", "wood", place(post.moved(x=x)), place(post.moved(x=-x)))
    post_back(
        bench, bench.pick(FILLINGS), 2 * x - 0.85 * t, height, min(0.022, 0.6 * t), place, start=seat - under + 0.05
    )
    rails(bench, (x, y), under - 0.002, bench.between(0.045, 0.075))
    framed_seat(bench, kind, (width, depth), under, seat)
    if bench.chance(0.45) and style in ("square", "tapered"):
        stretchers(bench, (x, y), bench.between(0.12, 0.2), (0.018, 0.026), kind=bench.pick(("box", "H", "side")))
    if bench.chance(0.15) if arms is None else arms:
        _light_arms(bench, (x, y), seat, under, t, height)


def rails(bench: Bench, half: tuple[float, float], top: float, tall: float) -> None:
    """Rails between legs that stand with their middles at ``half``."""
    x, y = half
    thick = 0.02
    for sy in (-1, 1):
        bench.put("frame", "wood", board((-x, sy * y - thick / 2, top - tall), (x, sy * y + thick / 2, top)))
    bench.pair("frame", "wood", board((x - thick / 2, -y, top - tall), (x + thick / 2, y, top)))


def framed_seat(bench: Bench, kind: str, size: tuple[float, float], under: float, seat: float) -> None:
    """A seat on rails whose upper edge is ``under``: ``board``, ``cane``, ``pad`` over the rails or ``inset``."""
    width, depth = size
    if kind == "board":
        outline = rounded_rectangle(width + 0.02, depth + 0.02, bench.pick((0.012, 0.04, 0.09)), steps=5)
        solid = slab(outline, seat - under + 0.002, bevel=0.004).moved(y=-0.01, z=under - 0.002)
        bench.put("seat", bench.pick(("wood", "wood", "wood2")), solid)
    elif kind == "cane":
        low = (-width / 2 + 0.008, -depth / 2 + 0.008, under - 0.006)
        bench.put("seat", "cane", board(low, (width / 2 - 0.008, depth / 2 - 0.008, seat), bevel=0.006))
    else:
        over = 0.012 if kind == "pad" else -0.03
        thick = seat - under + (0.004 if kind == "pad" else 0.014)
        block, crown = (width + over, depth + over, thick), bench.between(0.008, 0.02)
        soft = pad(block, radius=0.02, crown=crown, wrinkle=0.001, rng=bench.rng)
        bench.put("cushion", "soft", soft.moved(z=seat - thick / 2))
        if kind == "pad" and bench.chance(0.3):
            cord = piping(block, 0.02, thick / 2 - 0.016, crown=crown)
            bench.put("cushion", "soft", cord.moved(z=seat - thick / 2))


def _light_arms(bench: Bench, half: tuple[float, float], seat: float, under: float, t: float, height: float) -> None:
    x, y = half
    z = seat + min(bench.between(0.18, 0.23), 0.7 * (height - seat + under))
    front, hind = -y + bench.pick((0.0, 0.06)), y + 0.09 * (z - under)
    curve = spline([(x, hind, z), (x + 0.02, 0.0, z + 0.004), (x + 0.008, front - 0.03, z - 0.004)], 10)
    bench.pair("arm", "wood", sweep(curve, (bench.between(0.035, 0.055), 0.024), side=(1, 0, 0)))
    bench.pair("arm", "wood", bar((x, front, under - 0.03), (x + 0.006, front, z - 0.008), (0.7 * t, 0.9 * t)))


def windsor_chair(bench: Bench, width: float, depth: float, seat: float, back: float) -> None:
    """A thick seat with raked turned legs under it and spindles over it."""
    thick = bench.between(0.025, 0.04)
    outline = ellipse(width + 0.02, depth + 0.03, 48, power=bench.between(2.3, 3.5))
    bench.put("seat", "wood", slab(outline, thick, bevel=0.006).moved(z=seat - thick))
    under, radius = seat - thick + 0.004, bench.between(0.016, 0.021)
    profile = (
        turning(bench, under, radius)
        if bench.chance(0.6)
        else np.array([(0, 0.012), (0.6 * under, radius), (under, 0.014)])
    )
    foot, top = np.array([0.45 * width, 0.48 * depth, 0.0]), np.array([0.33 * width, 0.32 * depth, under])
    for sx in (-1.0, 1.0):
        for sy in (-1.0, 1.0):
            corner = np.array([sx, sy, 1.0])
            bench.put("leg", "wood", turned_between(foot * corner, top * corner, profile))
    if bench.chance(0.6):
        x, y, z = foot + (top - foot) * 0.4
        bench.pair("leg", "wood", bar((x, -y, z), (x, y, z), 0.018, section="round"))
        bench.put("leg", "wood", bar((-x, 0, z), (x, 0, z), 0.018, section="round"))
    _windsor_back(bench, 0.41 * width, back, 0.36 * depth, seat)


def _windsor_back(bench: Bench, reach: float, height: float, y: float, seat: float) -> None:
    place = leaned(bench.between(8, 15), y, seat - 0.012)
    hoop, count, thick = bench.chance(0.5), int(bench.rng.integers(5, 10)), bench.between(0.010, 0.014)
    share = np.linspace(-1, 1, count + 2)[1:-1] if hoop else np.linspace(-0.94, 0.94, count)
    fan = 1.0 if hoop else bench.between(0.9, 1.15)
    bow = 0.035 * np.sqrt(1 - share**2)
    tops = height * (1 - share**2) ** 0.25 if hoop else np.full(count, height + 0.004)
    for s, behind, top in zip(share, bow, tops, strict=True):
        rod = bar((0.82 * s * reach, behind - 0.01, 0), (s * reach * fan, behind, top), thick, section="round")
        bench.put("back", "wood", place(rod))
    if hoop:
        angle = np.linspace(-np.pi / 2, np.pi / 2, 33)
        path = np.stack(
            [np.sin(angle) * reach, 0.035 * np.cos(angle), height * np.clip(np.cos(angle), 0, 1) ** 0.5], -1
        )
        bench.put("frame", "wood", place(sweep(path, (0.022, 0.022), section="round", side=(0, 1, 0))))
    else:
        wide = 2 * reach * fan + 0.05
        crest = rail(wide, height, height + bench.between(0.05, 0.09), 0.022, 0.035, bench.pick((0.0, 0.02)))
        bench.put("frame", "wood", place(crest))


def bentwood_chair(bench: Bench, width: float, depth: float, seat: float, back: float) -> None:
    """A round seat, and a hoop bent in one with the hind legs (Thonet's No. 14, 1859)."""
    t, size = bench.between(0.026, 0.032), 0.5 * (width + depth)
    ring = ellipse(size, size, 40)
    bench.put("frame", "wood", slab(ring, 0.045, bevel=0.008, smooth=True).moved(z=seat - 0.05))
    if bench.chance(0.5):
        bench.put("seat", "cane", slab(ellipse(size - 0.06, size - 0.06, 40), 0.012, bevel=0.004).moved(z=seat - 0.01))
    else:
        bench.put("seat", "wood", slab(ellipse(size - 0.02, size - 0.02, 40), 0.014, bevel=0.005).moved(z=seat - 0.008))
    x, y = 0.40 * size, 0.33 * size
    for sx in (-1, 1):
        start, end = 0.36 * size + 0.03, 0.33 * size
        front = leaning((sx * start, -start, 0), (sx * end, -end, seat - 0.03), [0.7 * t, t, 1.1 * t], "round")
        hind = leaning((sx * x, y + 0.09, 0), (sx * x, y, seat - 0.02), [0.75 * t, t], "round")
        bench.put("leg", "wood", front, hind)
    low = seat * 0.55
    reach = 2**0.5 * (0.33 * size + 0.45 * (0.03 * size + 0.03))
    bench.put("leg", "wood", sweep(np.insert(ellipse(2 * reach, 2 * reach, 40), 2, low, axis=1), (0.02, 0.02),
                                   section="round", closed=True, side=(0, 0, 1)))  # fmt: skip
    place = leaned(bench.between(8, 12), y, seat - 0.025)
    for scale, role in ((1.0, "frame"), (bench.between(0.5, 0.68), "back")):
        angle = np.linspace(-np.pi / 2, np.pi / 2, 33)
        rise = np.clip(np.cos(angle), 0, 1) ** 0.55 * back * (0.35 + 0.65 * scale)
        path = np.stack([np.sin(angle) * x * scale, 0.05 * rise / back + (1 - scale) * 0.03, rise], -1)
        bench.put(role, "wood", place(sweep(path, (scale * t, scale * t), section="round", side=(0, 1, 0))))
