"""Bases under a moulded or an upholstered seat: wire, four-star, office star, cantilever tube, sled."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.legs import add_four_legs
from export_models.dataset.makers.outlines import fillet
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, lathe, sweep

BASE_STYLES = {"splayed": 4, "wire": 2, "tube": 2, "sled": 2, "star": 1.5, "office": 1, "hairpin": 0.5}


def add_seat_base(builder: PieceBuilder, style: str, half_size: tuple[float, float], height: float) -> None:
    """Add a base under a seat.

    Args:
        style: one of ``BASE_STYLES``.
        half_size: distance in x and y from the centre to the outer faces of the legs at their tops.
        height: height of the seat's underside.
    """
    x, y = half_size
    if style == "splayed":
        add_four_legs(builder, builder.pick(("splayed", "cone")), half_size, height, builder.uniform(0.03, 0.04))
        z = height - 0.02
        builder.add_pair("frame", "wood", board((x - 0.03, -y + 0.01, z - 0.03), (x - 0.008, y - 0.01, z + 0.021)))
        builder.add("frame", "wood", board((-x + 0.02, -0.02, z - 0.02), (x - 0.02, 0.02, z + 0.021)))
    elif style in ("tube", "hairpin"):
        add_four_legs(builder, style, half_size, height, 0.04)
        _add_under_frame(builder, x - 0.02, y - 0.02, height)
    elif style == "wire":
        _add_wire_base(builder, x, y, height)
    elif style == "sled":
        _add_sled_base(builder, x, y, height)
    else:
        add_star_base(builder, height, casters=style == "office")


def add_star_base(builder: PieceBuilder, height: float, *, casters: bool) -> None:
    """Add a column on five feet with casters, or on four feet with glides."""
    count, reach = (5, builder.uniform(0.29, 0.34)) if casters else (4, builder.uniform(0.27, 0.33))
    foot_under = 0.058 if casters else 0.012
    role = builder.pick(("metal", "rubber")) if casters else "metal"
    hub = foot_under + 0.03
    for k in range(count):
        turn_deg = 360.0 * k / count + 45.0
        foot = sweep(
            [(0, 0, hub + 0.03), (0.5 * reach, 0, hub + 0.012), (reach, 0, foot_under + 0.012)],
            [(0.05, 0.045), (0.04, 0.032), (0.03, 0.022)],
            side=(0, 1, 0),
            bevel=0.004,
        )
        builder.add("leg", role, foot.rotated("z", turn_deg))
        if casters:
            wheel = lathe([(-0.011, 0.02), (-0.008, 0.026), (0.008, 0.026), (0.011, 0.02)], 18).rotated("x", 90)
            wheels = [wheel.moved(reach - 0.012, side * 0.0125, 0.026) for side in (-1, 1)]
            stem = bar((reach - 0.012, 0, 0.03), (reach - 0.012, 0, foot_under + 0.006), 0.014, section="round")
            builder.add("hardware", "rubber", *(solid.rotated("z", turn_deg) for solid in (*wheels, stem)))
        else:
            glide = lathe([(0, 0.012), (0.003, 0.015), (foot_under + 0.004, 0.015)], 14).moved(reach - 0.015)
            builder.add("hardware", "rubber", glide.rotated("z", turn_deg))
    radius = builder.uniform(0.022, 0.032)
    middle = hub + 0.45 * (height - hub)
    sleeve = [(hub - 0.005, 0.04), (hub + 0.05, 0.036), (hub + 0.052, radius), (middle, radius)]
    builder.add("leg", role, lathe(sleeve, 20))
    builder.add("leg", "metal", lathe([(middle - 0.01, 0.62 * radius), (height - 0.02, 0.62 * radius)], 16))
    plate = board((-0.09, -0.09, height - 0.024), (0.09, 0.09, height + 0.002), bevel=0.006)
    builder.add("hardware", "metal", plate)


def add_cantilever(builder: PieceBuilder, width: float, depth: float, seat: float, back: float) -> None:
    """Add a bent tube that carries the seat at its front and continues along the floor, and two uprights for a back.

    Args:
        seat: height of the upper side of the tube under the seat.
        back: height of the back above the seat.
    """
    t = builder.uniform(0.020, 0.026)
    x, y = width / 2, depth / 2
    z, radius = seat - t / 2, builder.uniform(0.05, 0.09)
    right = [(x, y, z), (x, -y - 0.02, z), (x, -y + 0.03, t / 2), (x, y + 0.02, t / 2)]
    left = [(-px, py, pz) for px, py, pz in reversed(right)]
    builder.add("leg", "metal", sweep(fillet([*right, *left], radius, 7), t, section="round"))
    upright = fillet([(x, y - 0.03, z), (x, y + 0.03, z), (x, y + 0.03 + 0.2 * back, seat + back)], 0.06, 7)
    builder.add_pair("frame", "metal", sweep(upright, t, section="round"))


def _add_wire_base(builder: PieceBuilder, x: float, y: float, height: float) -> None:
    t, splay = 0.009, 1.15
    for sx in (-1, 1):
        for sy in (-1, 1):
            foot = np.array([sx * x * splay, sy * y * splay, t / 2])
            for top in ((-sx * 0.35 * x, sy * 0.8 * y, height), (sx * 0.9 * x, -sy * 0.1 * y, height)):
                builder.add("leg", "metal", bar(foot.tolist(), top, t, section="round"))
            glide = lathe([(0, 0.008), (0.01, 0.009), (0.02, 0.008)], 12).moved(foot[0], foot[1])
            builder.add("hardware", "rubber", glide)
    _add_under_frame(builder, 0.9 * x, 0.8 * y, height, t)


def _add_sled_base(builder: PieceBuilder, x: float, y: float, height: float) -> None:
    t = builder.uniform(0.011, 0.018)
    for sx in (-1, 1):
        foot_x = x * 1.12
        path = [
            (sx * 0.5 * x, -y * 0.7, height),
            (sx * foot_x, -y * 1.05, t / 2),
            (sx * foot_x, y * 1.15, t / 2),
            (sx * 0.5 * x, y * 0.7, height),
        ]
        builder.add("leg", "metal", sweep(fillet(path, 0.05, 6), t, section="round"))
    _add_under_frame(builder, 0.6 * x, 0.72 * y, height, t)


def _add_under_frame(builder: PieceBuilder, x: float, y: float, height: float, t: float = 0.016) -> None:
    """Add the ring and the crossbar under the seat, to which the legs are welded."""
    z = height - t / 2 + 0.002
    path = fillet([(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)], 0.03, 4, closed=True)
    builder.add("frame", "metal", sweep(path, t, section="round", closed=True, sides=10))
    builder.add("frame", "metal", bar((-x, 0, z), (x, 0, z), t, section="round"))
