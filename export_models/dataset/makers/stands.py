"""Supports other than single legs: stretchers, plinths, sleds, trestles, pedestals and casters."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from export_models.dataset.makers.legs import leaning_bar, turned_profile
from export_models.dataset.makers.outlines import fillet, spline
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, extrude, lathe, sweep

CASTER_HEIGHT = 0.06
"""Height in metres of the casters of ``add_casters``."""


def add_stretchers(
    builder: PieceBuilder, half_size: tuple[float, float], height: float, section: tuple[float, float], *, kind: str
) -> None:
    """Add stretchers between four legs.

    Args:
        half_size: distance in x and y from the centre to the axes of the legs.
        height: height of the stretchers' centre line.
        section: width and height of each stretcher.
        kind: ``side`` joins the legs at each side, ``H`` adds a bar between these, ``box`` joins all neighbours.
    """
    x, y = half_size
    half_width, half_height = section[0] / 2, section[1] / 2
    side = board((x - half_width, -y, height - half_height), (x + half_width, y, height + half_height))
    builder.add_pair("leg", "wood", side)
    if kind == "H":
        low, high = height - 0.9 * half_height, height + 0.9 * half_height
        middle = board((-x, -half_width, low), (x, half_width, high))
        builder.add("leg", "wood", middle)
    elif kind == "box":
        rise = builder.pick((0.0, 0.0, 0.06))
        for sy in (-1, 1):
            low, high = height + rise - 0.9 * half_height, height + rise + 0.9 * half_height
            builder.add("leg", "wood", board((-x, sy * y - half_width, low), (x, sy * y + half_width, high)))


def add_plinth(builder: PieceBuilder, half_size: tuple[float, float], height: float, inset: float) -> None:
    """Add a closed base that is set back by ``inset`` at the front and the sides."""
    x, y, t = half_size[0] - inset, half_size[1], 0.018
    builder.add("leg", "wood", board((-x, -y + inset, 0), (x, -y + inset + t, height + 0.001)))
    builder.add("leg", "wood", board((-x, y - t, 0), (x, y, height + 0.001)))
    builder.add_pair("leg", "wood", board((x - t, -y + inset + t, 0), (x, y - t, height + 0.001)))


def add_sled(
    builder: PieceBuilder, half_size: tuple[float, float], height: float, section: tuple[float, float], *, role: str
) -> None:
    """Add two open loops of bar that run along y at the left and the right end.

    Args:
        half_size: distance from the centre to the loops in x, and to their ends in y.
        section: width and depth of the bar.
    """
    x, y = half_size
    width, depth = section
    corners = [(-y, height), (-y, depth / 2), (y, depth / 2), (y, height)]
    loop = fillet(corners, builder.pick((0.004, 0.004, 0.05)), steps=3)
    shape = "rectangle" if width != depth else builder.pick(("rectangle", "round"))
    for sx in (-1, 1):
        path = np.insert(loop, 0, sx * x, axis=1)
        builder.add("leg", role, sweep(path, (width, depth), section=shape, side=(1, 0, 0), bevel=0.001))


def add_casters(builder: PieceBuilder, x: float, y: float) -> None:
    """Add a caster at each of the four corners (±x, ±y)."""
    wheel = lathe([(-0.009, 0.018), (-0.006, 0.022), (0.006, 0.022), (0.009, 0.018)], 18).rotated("y", 90)
    stem = bar((0, 0, 0.03), (0, 0, CASTER_HEIGHT + 0.002), 0.012, section="round")
    for sy in (-1, 1):
        builder.add_pair("hardware", "rubber", wheel.moved(x, sy * y, 0.022))
        builder.add_pair("hardware", "metal", stem.moved(x, sy * y))


def add_trestle(builder: PieceBuilder, half_size: tuple[float, float], height: float) -> None:
    """Add an A-shaped or X-shaped frame at each end, and a beam between them.

    Args:
        half_size: distance from the centre to the frames in x, and to their feet in y.
    """
    x, y = half_size
    t = builder.uniform(0.045, 0.075)
    crossed = builder.chance(0.5)
    for sx in (-1, 1):
        for i, sy in enumerate((-1, 1)):
            shift = (i - 0.5) * t * 0.8 if crossed else 0.0
            top = -sy * 0.8 * y if crossed else sy * 0.35 * y
            start, end = (sx * x + shift, sy * y, 0.0), (sx * x + shift, top, height)
            builder.add("leg", "wood", leaning_bar(start, end, [t * 0.85, t * 0.85]))
        if not crossed:
            tie = board((sx * x - t * 0.3, -0.72 * y, 0.3 * height), (sx * x + t * 0.3, 0.72 * y, 0.3 * height + t))
            builder.add("leg", "wood", tie)
        head = board((sx * x - t, -0.9 * y, height - 0.04), (sx * x + t, 0.9 * y, height + 0.001))
        builder.add("frame", "wood", head)
    beam = height * (0.5 if crossed else 0.3)
    builder.add("leg", "wood", board((-x, -t * 0.25, beam - 0.002), (x, t * 0.25, beam + 1.4 * t)))


def add_pedestal(builder: PieceBuilder, height: float, reach: float, *, style: str, role: str = "wood") -> None:
    """Add one central column.

    Args:
        reach: radius of the foot.
        style: ``turned`` on curved feet, ``disc`` on a round plate, ``tulip``, ``drum``, or ``cross`` of two boards.
    """
    h = height + 0.001
    if style == "turned":
        _add_turned_pedestal(builder, h, reach, role)
    elif style == "tulip":
        knots = [(0, reach), (0.006, reach), (0.03, 0.75 * reach), (0.12, 0.2 * reach), (0.4, 0.055), (0.7, 0.05)]
        scaled = [(z * h if z > 0.01 else z, r) for z, r in [*knots, (0.93, 0.1), (1, 0.16)]]
        knot_heights, knot_radii = np.array(scaled).T
        z = np.concatenate([[0, 0.006], np.linspace(0.012, h, 36)])
        builder.add("leg", role, lathe(np.stack([z, PchipInterpolator(knot_heights, knot_radii)(z)], -1), sides=40))
    elif style == "disc":
        radius = builder.uniform(0.03, 0.05)
        foot = [(0, reach - 0.004), (0.004, reach), (0.014, reach), (0.02, reach - 0.012)]
        column = [(0.018, radius), (h - 0.012, radius), (h - 0.011, 3 * radius), (h, 3 * radius)]
        builder.add("leg", role, lathe(foot, 48))
        builder.add("leg", role, lathe(column, 28))
    elif style == "drum":
        radius = reach * builder.uniform(0.7, 0.95)
        builder.add("leg", role, lathe([(0, radius - 0.004), (0.004, radius), (h - 0.001, radius), (h, radius)], 56))
    else:
        t = builder.uniform(0.03, 0.06)
        profile = [(-reach, 0), (reach, 0), (reach * 0.95, 0.05), (0.3 * reach, 0.45 * h), (0.75 * reach, h)]
        outline = np.array([*profile, *((-x, z) for x, z in profile[:1:-1])])
        for turn_deg in (45, 135):
            panel = extrude(outline, t, plane="xz").moved(y=t / 2).with_grain((0, 0, 1))
            builder.add("leg", role, panel.rotated("z", turn_deg))


def _add_turned_pedestal(builder: PieceBuilder, h: float, reach: float, role: str) -> None:
    foot = 0.14 + builder.uniform(0, 0.08)
    column = turned_profile(builder, h - foot, builder.uniform(0.05, 0.08))
    builder.add("leg", role, lathe(column + np.array([foot, 0.0]), sides=24))
    count = int(builder.rng.integers(3, 5))
    scale = min(1.0, 0.35 + 1.8 * reach)
    toe = 0.018 * scale
    curve = [(0.0, foot + 0.05), (0.25 * reach, foot + 0.02), (0.62 * reach, 0.065), (0.88 * reach, toe), (reach, toe)]
    for k in range(count):
        path = np.insert(spline(curve, 14), 1, 0.0, axis=1)
        size = np.linspace(1, 0.5, 14)[:, None] * np.array([0.05, 0.075]) * scale
        solid = sweep(path, size, side=(0, 1, 0)).clamped_to_floor()
        builder.add("leg", role, solid.rotated("z", 360 * k / count + 45))
