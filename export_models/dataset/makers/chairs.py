"""Chairs with back posts, Windsor chairs and bentwood chairs; ``moulded_chairs`` has the other designs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export_models.dataset.makers.backs import FILLING_STYLES, add_post_back, rail, reclined
from export_models.dataset.makers.legs import leaning_bar, leg_factory, turned_bar, turned_profile
from export_models.dataset.makers.moulded_chairs import (
    build_cantilever_chair,
    build_office_chair,
    build_parsons_chair,
    build_shell_chair,
)
from export_models.dataset.makers.outlines import at_height, ellipse, rounded_rectangle, spline
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, extrude, sweep
from export_models.dataset.makers.stands import add_stretchers
from export_models.dataset.makers.upholstery import pad, piping

SEAT_STYLES = {"board": 3, "pad": 3, "inset": 2, "cane": 1}
SEAT_THICKNESSES = {"board": 0.02, "pad": 0.05, "inset": 0.015, "cane": 0.012}
"""Height in metres of each seat style above the rails."""
ChairDesign = Callable[[PieceBuilder, float, float, float, float], None]
"""Adds all parts of a chair of this width and depth, height of the seat, and height of the back above the seat."""


def build_chair(builder: PieceBuilder) -> None:
    """Build a dining or office chair; some have light arms."""
    width, depth = builder.uniform(0.40, 0.50), builder.uniform(0.39, 0.46)
    seat, back = builder.uniform(0.43, 0.475), builder.uniform(0.36, 0.55)
    designs: dict[ChairDesign, float] = {
        build_post_chair: 8,
        build_windsor_chair: 2,
        build_shell_chair: 3,
        build_parsons_chair: 2,
        build_cantilever_chair: 1,
        build_bentwood_chair: 1,
        build_office_chair: 1,
    }
    build = builder.pick(designs)
    build(builder, width, depth, seat, back)


def build_post_chair(
    builder: PieceBuilder, width: float, depth: float, seat: float, back: float, *, arms: bool | None = None
) -> None:
    """Build a chair with a framed seat. Its hind legs continue as back posts.

    Args:
        seat: height of the seat.
        back: height of the back above the seat.
        arms: whether to add arms. The default is a random choice.
    """
    t = builder.uniform(0.03, 0.044)
    style = builder.pick({"square": 3, "tapered": 3, "turned": 2})
    seat_style = builder.pick(SEAT_STYLES)
    under = seat - SEAT_THICKNESSES[seat_style]
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    front_leg = leg_factory(builder, style, under, t)
    for sx in (-1, 1):
        for component, role, solid in front_leg(sx, -1):
            builder.add(component, role, solid.moved(sx * x, -y))
    splay = builder.uniform(0.0, 0.06)
    builder.add_pair("leg", "wood", leaning_bar((x, y + splay, 0), (x, y, under), [0.8 * t, t]))
    place, height = reclined(builder.uniform(5, 13), y, under), seat - under + back
    section = "round" if builder.chance(0.3) else "rectangle"
    sizes = [(0.85 * t, t), (0.85 * t, t), (0.76 * t, 0.6 * t)]
    post = sweep([(0, 0, -0.004), (0, 0, 0.4 * height), (0, 0, height + 0.012)], sizes, section=section, sides=14)
    builder.add("frame", "wood", place(post.moved(x=x)), place(post.moved(x=-x)))
    filling, rail_thickness = builder.pick(FILLING_STYLES), min(0.022, 0.6 * t)
    add_post_back(builder, filling, 2 * x - 0.85 * t, height, rail_thickness, place, start=seat - under + 0.05)
    add_rails(builder, (x, y), under - 0.002, builder.uniform(0.045, 0.075))
    add_framed_seat(builder, seat_style, (width, depth), under, seat)
    if builder.chance(0.45) and style in ("square", "tapered"):
        stretcher_height = builder.uniform(0.12, 0.2)
        kind = builder.pick(("box", "H", "side"))
        add_stretchers(builder, (x, y), stretcher_height, (0.018, 0.026), kind=kind)
    has_arms = builder.chance(0.15) if arms is None else arms
    if has_arms:
        _add_light_arms(builder, (x, y), seat, under, t, height)


def add_rails(builder: PieceBuilder, half_size: tuple[float, float], top: float, height: float) -> None:
    """Add the four rails of a seat frame. ``half_size`` is the distance in x and y from the centre to the leg axes."""
    x, y = half_size
    t = 0.02
    for sy in (-1, 1):
        builder.add("frame", "wood", board((-x, sy * y - t / 2, top - height), (x, sy * y + t / 2, top)))
    builder.add_pair("frame", "wood", board((x - t / 2, -y, top - height), (x + t / 2, y, top)))


def add_framed_seat(builder: PieceBuilder, style: str, size: tuple[float, float], under: float, seat: float) -> None:
    """Add a seat on rails.

    Args:
        style: ``board``, ``cane``, ``pad`` over the rails, or ``inset`` (a pad between them).
        size: width and depth of the frame.
        under: height of the rails' upper edge.
        seat: height of the seat.
    """
    width, depth = size
    if style == "board":
        outline = rounded_rectangle(width + 0.02, depth + 0.02, builder.pick((0.012, 0.04, 0.09)), steps=5)
        solid = extrude(outline, seat - under + 0.002, bevel=0.004).moved(y=-0.01, z=under - 0.002)
        builder.add("seat", builder.pick(("wood", "wood", "wood2")), solid)
    elif style == "cane":
        low = (-width / 2 + 0.008, -depth / 2 + 0.008, under - 0.006)
        builder.add("seat", "cane", board(low, (width / 2 - 0.008, depth / 2 - 0.008, seat), bevel=0.006))
    else:
        overhang = 0.012 if style == "pad" else -0.03
        thickness = seat - under + (0.004 if style == "pad" else 0.014)
        pad_size, crown = (width + overhang, depth + overhang, thickness), builder.uniform(0.008, 0.02)
        soft = pad(pad_size, radius=0.02, crown=crown, wrinkle=0.001, rng=builder.rng)
        builder.add("cushion", "soft", soft.moved(z=seat - thickness / 2))
        if style == "pad" and builder.chance(0.3):
            cord = piping(pad_size, 0.02, thickness / 2 - 0.016, crown=crown)
            builder.add("cushion", "soft", cord.moved(z=seat - thickness / 2))


def _add_light_arms(
    builder: PieceBuilder, half_size: tuple[float, float], seat: float, under: float, t: float, height: float
) -> None:
    """Add two curved arm rests, each with a support at the front.

    Args:
        half_size: distance in x and y from the centre to the leg axes.
        t: thickness of the legs.
        height: height of the back posts above ``under``.
    """
    x, y = half_size
    z = seat + min(builder.uniform(0.18, 0.23), 0.7 * (height - seat + under))
    front, rear = -y + builder.pick((0.0, 0.06)), y + 0.09 * (z - under)
    curve = spline([(x, rear, z), (x + 0.02, 0.0, z + 0.004), (x + 0.008, front - 0.03, z - 0.004)], 10)
    builder.add_pair("arm", "wood", sweep(curve, (builder.uniform(0.035, 0.055), 0.024), side=(1, 0, 0)))
    builder.add_pair("arm", "wood", bar((x, front, under - 0.03), (x + 0.006, front, z - 0.008), (0.7 * t, 0.9 * t)))


def build_windsor_chair(builder: PieceBuilder, width: float, depth: float, seat: float, back: float) -> None:
    """Build a chair with a thick seat, splayed round legs and a back of spindles.

    The arguments are those of ``build_post_chair``.
    """
    thickness = builder.uniform(0.025, 0.04)
    outline = ellipse(width + 0.02, depth + 0.03, 48, power=builder.uniform(2.3, 3.5))
    builder.add("seat", "wood", extrude(outline, thickness, bevel=0.006).moved(z=seat - thickness))
    under, radius = seat - thickness + 0.004, builder.uniform(0.016, 0.021)
    profile = (
        turned_profile(builder, under, radius)
        if builder.chance(0.6)
        else np.array([(0, 0.012), (0.6 * under, radius), (under, 0.014)])
    )
    foot, top = np.array([0.45 * width, 0.48 * depth, 0.0]), np.array([0.33 * width, 0.32 * depth, under])
    for sx in (-1.0, 1.0):
        for sy in (-1.0, 1.0):
            corner = np.array([sx, sy, 1.0])
            builder.add("leg", "wood", turned_bar(foot * corner, top * corner, profile))
    if builder.chance(0.6):
        x, y, z = foot + (top - foot) * 0.4
        builder.add_pair("leg", "wood", bar((x, -y, z), (x, y, z), 0.018, section="round"))
        builder.add("leg", "wood", bar((-x, 0, z), (x, 0, z), 0.018, section="round"))
    _add_windsor_back(builder, 0.41 * width, back, 0.36 * depth, seat)


def _add_windsor_back(builder: PieceBuilder, half_width: float, height: float, y: float, seat: float) -> None:
    """Add spindles under a bent hoop or under a crest rail."""
    place = reclined(builder.uniform(8, 15), y, seat - 0.012)
    has_hoop, count, t = builder.chance(0.5), int(builder.rng.integers(5, 10)), builder.uniform(0.010, 0.014)
    u = np.linspace(-1, 1, count + 2)[1:-1] if has_hoop else np.linspace(-0.94, 0.94, count)
    fan = 1.0 if has_hoop else builder.uniform(0.9, 1.15)
    bows = 0.035 * np.sqrt(1 - u**2)
    tops = height * (1 - u**2) ** 0.25 if has_hoop else np.full(count, height + 0.004)
    for s, bow, top in zip(u, bows, tops, strict=True):
        spindle = bar((0.82 * s * half_width, bow - 0.01, 0), (s * half_width * fan, bow, top), t, section="round")
        builder.add("back", "wood", place(spindle))
    if has_hoop:
        angle = np.linspace(-np.pi / 2, np.pi / 2, 33)
        z = height * np.clip(np.cos(angle), 0, 1) ** 0.5
        path = np.stack([np.sin(angle) * half_width, 0.035 * np.cos(angle), z], -1)
        builder.add("frame", "wood", place(sweep(path, 0.022, section="round", side=(0, 1, 0))))
    else:
        width = 2 * half_width * fan + 0.05
        crest = rail(width, height, height + builder.uniform(0.05, 0.09), 0.022, 0.035, builder.pick((0.0, 0.02)))
        builder.add("frame", "wood", place(crest))


def build_bentwood_chair(builder: PieceBuilder, width: float, depth: float, seat: float, back: float) -> None:
    """Build a chair with a round seat and a hoop that continues the hind legs, after Thonet's No. 14 (1859).

    The arguments are those of ``build_post_chair``.
    """
    t, size = builder.uniform(0.026, 0.032), 0.5 * (width + depth)
    ring = ellipse(size, size, 40)
    builder.add("frame", "wood", extrude(ring, 0.045, bevel=0.008, smooth=True).moved(z=seat - 0.05))
    if builder.chance(0.5):
        cane = extrude(ellipse(size - 0.06, size - 0.06, 40), 0.012, bevel=0.004)
        builder.add("seat", "cane", cane.moved(z=seat - 0.01))
    else:
        wood = extrude(ellipse(size - 0.02, size - 0.02, 40), 0.014, bevel=0.005)
        builder.add("seat", "wood", wood.moved(z=seat - 0.008))
    x, y = 0.40 * size, 0.33 * size
    for sx in (-1, 1):
        start, end = 0.36 * size + 0.03, 0.33 * size
        front = leaning_bar((sx * start, -start, 0), (sx * end, -end, seat - 0.03), [0.7 * t, t, 1.1 * t], "round")
        rear = leaning_bar((sx * x, y + 0.09, 0), (sx * x, y, seat - 0.02), [0.75 * t, t], "round")
        builder.add("leg", "wood", front, rear)
    radius = 2**0.5 * (0.33 * size + 0.45 * (0.03 * size + 0.03))
    circle = at_height(ellipse(2 * radius, 2 * radius, 40), seat * 0.55)
    builder.add("leg", "wood", sweep(circle, 0.02, section="round", closed=True, side=(0, 0, 1)))
    place = reclined(builder.uniform(8, 12), y, seat - 0.025)
    for scale, component in ((1.0, "frame"), (builder.uniform(0.5, 0.68), "back")):
        angle = np.linspace(-np.pi / 2, np.pi / 2, 33)
        z = np.clip(np.cos(angle), 0, 1) ** 0.55 * back * (0.35 + 0.65 * scale)
        path = np.stack([np.sin(angle) * x * scale, 0.05 * z / back + (1 - scale) * 0.03, z], -1)
        hoop = sweep(path, scale * t, section="round", side=(0, 1, 0))
        builder.add(component, "wood", place(hoop))
