"""Legs of many styles, posts, turned profiles and leaning bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from export_models.dataset.makers.outlines import Floats, fillet, spline
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, extrude, lathe, sweep

WOODEN_STYLES = {"square": 3, "tapered": 3, "splayed": 3, "turned": 2, "cabriole": 1, "saber": 1, "cone": 2}
METAL_STYLES = {"hairpin": 2, "tube": 2, "flat_steel": 1}


class LegPart(NamedTuple):
    """One part of a leg. The centre of the leg's top is at x = y = 0."""

    component: str
    role: str
    solid: Solid


LegFactory = Callable[[int, int], list[LegPart]]
"""Builds the parts of one leg from the signs (-1 or 1) of its corner in x and y."""


def add_four_legs(
    builder: PieceBuilder, style: str, half_size: tuple[float, float], height: float, thickness: float
) -> None:
    """Add four legs of one style.

    Args:
        style: see ``leg_factory``.
        half_size: distance in x and y from the centre to the outer faces of the legs at their tops.
        height: height of the leg tops. The legs extend 1 mm further into the part above.
        thickness: thickness of a wooden leg at its top. Metal legs have a random thickness.
    """
    leg_parts = leg_factory(builder, style, height, thickness)
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * (half_size[0] - thickness / 2), sy * (half_size[1] - thickness / 2)
            for component, role, solid in leg_parts(sx, sy):
                builder.add(component, role, solid.moved(x, y))


def add_posts(
    builder: PieceBuilder,
    component: str,
    role: str,
    half_size: tuple[float, float],
    z: tuple[float, float],
    thickness: float,
) -> None:
    """Add four upright square bars.

    Args:
        half_size: distance in x and y from the centre to the axes of the bars.
        z: heights of the lower and the upper ends.
    """
    x, y = half_size
    for sy in (-1, 1):
        builder.add_pair(component, role, bar((x, sy * y, z[0]), (x, sy * y, z[1]), thickness))


def add_splayed_legs(
    builder: PieceBuilder,
    role: str,
    feet: tuple[float, float],
    tops: tuple[float, float],
    height: float,
    sizes: list[float],
    section: str = "rectangle",
) -> None:
    """Add four straight legs that lean towards the centre.

    Args:
        feet: distance in x and y from the centre to the axes of the legs on the floor.
        tops: the same distances at ``height``.
        height: height of the tops.
        sizes: thicknesses at equal distances from the foot to the top.
        section: see ``sweep``.
    """
    for sx in (-1, 1):
        for sy in (-1, 1):
            foot, top = (sx * feet[0], sy * feet[1], 0.0), (sx * tops[0], sy * tops[1], height)
            builder.add("leg", role, leaning_bar(foot, top, sizes, section))


def leg_factory(builder: PieceBuilder, style: str, height: float, thickness: float) -> LegFactory:
    """Draw the proportions of one leg and return a function that builds it for each corner.

    Args:
        style: a key of WOODEN_STYLES or METAL_STYLES, ``block`` (the same as ``square``), ``bun`` or ``bracket``.
    """
    t, h = thickness, height + 0.001
    if style in ("square", "block"):
        return partial(_at_any_corner, [board((-t / 2, -t / 2, 0), (t / 2, t / 2, h), grain=(0, 0, 1))])
    if style == "tapered":
        foot, shoulder = t * builder.uniform(0.45, 0.7), h - min(0.14, 0.3 * h)
        tapers_inward_only = not builder.chance(0.5)
        return partial(_tapered_leg, t, foot, shoulder, h, tapers_inward_only)
    if style in ("splayed", "cone"):
        return _draw_splayed_leg(builder, style, h, t)
    if style == "turned":
        block = min(0.13, 0.3 * h)
        turning = lathe(turned_profile(builder, h - block, t / 2))
        top = board((-t / 2, -t / 2, h - block - 0.001), (t / 2, t / 2, h), grain=(0, 0, 1))
        return partial(_at_any_corner, [turning, top])
    if style in ("cabriole", "saber"):
        return _draw_curved_leg(builder, style, h, t)
    if style == "bun":
        knots = [(0, 0.35 * t), (0.08 * h, 0.6 * t), (0.35 * h, 0.75 * t), (0.62 * h, 0.7 * t), (0.75 * h, 0.4 * t)]
        return partial(_at_any_corner, [lathe(np.concatenate([spline(knots, 14), [(h, 0.42 * t)]]))])
    if style == "bracket":
        return partial(_bracket_foot, h, t)
    return _draw_metal_leg(builder, style, h)


def turned_profile(builder: PieceBuilder, height: float, radius: float) -> Floats:
    """Draw the profile of a turned leg or spindle: [N, 2] (height, radius), with ``radius`` as the maximum."""
    foot, ankle = builder.uniform(0.4, 0.7), builder.uniform(0.35, 0.55)
    bead, vase = builder.uniform(0.75, 1.0), builder.uniform(0.75, 1.0)
    low, middle = builder.uniform(0.05, 0.12), builder.uniform(0.4, 0.7)
    kind = builder.pick({"vase": 3, "reel": 2, "column": 2})
    if kind == "column":
        knots = [
            (0, foot), (low, 0.8 * bead), (low + 0.03, ankle), (0.85, 0.85 * vase), (0.92, 0.6), (0.96, bead), (1, 0.8),
        ]  # fmt: skip
    elif kind == "reel":
        beads = int(builder.rng.integers(3, 7))
        heights = np.linspace(0.04, 0.96, 2 * beads + 1)
        knots = [(0, foot), *((z, bead if i % 2 else ankle) for i, z in enumerate(heights)), (1, 0.8)]
    else:
        knots = [
            (0, foot), (low, bead), (low + 0.05, ankle), (middle, vase), (0.8, 0.42), (0.85, bead), (0.9, 0.55),
            (1, 0.9),
        ]  # fmt: skip
    knot_heights, knot_radii = np.array(knots).T
    z = np.linspace(0, 1, 44)
    return np.stack([z * height, PchipInterpolator(knot_heights, knot_radii)(z) * radius * 0.999], -1)


def turned_bar(start: Floats | tuple[float, ...], end: Floats | tuple[float, ...], profile: Floats) -> Solid:
    """Return a turning from ``start`` up to ``end``, stretched to that length and cut level at z = 0.

    Args:
        profile: [N, 2] (height, radius).
    """
    low, direction = np.asarray(start, np.float64), np.asarray(end, np.float64) - np.asarray(start, np.float64)
    length = float(np.linalg.norm(direction))
    axis = direction / length
    side = np.cross((0.0, 1.0, 0.0), axis)
    side = side / np.linalg.norm(side)
    rotation = np.stack([side, np.cross(axis, side), axis])
    scaled = profile * (length / profile[-1, 0], 1.0)
    solid = lathe(scaled, 14)
    return replace(solid, vertices=solid.vertices @ rotation + low, grain=axis).clamped_to_floor()


def leaning_bar(
    start: Floats | tuple[float, ...], end: Floats | tuple[float, ...], sizes: list[float], section: str = "rectangle"
) -> Solid:
    """Return a straight bar from ``start`` up to ``end`` with both ends cut level.

    Args:
        sizes: thicknesses at equal distances along the bar.
        section: see ``sweep``.
    """
    low, high = np.asarray(start, np.float64), np.asarray(end, np.float64)
    rise = high[2] - low[2]
    slope = (high - low) / rise
    extension = 0.75 * max(sizes) * float(np.linalg.norm(slope[:2]))
    path = [
        low - slope * extension,
        *(low + (high - low) * s for s in np.linspace(0, 1, len(sizes))[1:-1]),
        high + slope * extension,
    ]
    solid = sweep(path, np.repeat(np.array(sizes)[:, None], 2, 1), section=section, sides=16, side=(1, 0, 0))
    return solid.clamped(float(low[2]), float(high[2]))


def _at_any_corner(solids: list[Solid], _sx: int, _sy: int) -> list[LegPart]:
    """Return a wooden leg that looks the same at all corners."""
    return [LegPart("leg", "wood", solid) for solid in solids]


def _tapered_leg(
    top: float, foot: float, shoulder: float, height: float, inward_only: bool, sx: int, sy: int
) -> list[LegPart]:
    """Return a leg that tapers below the height ``shoulder``, from thickness ``top`` to thickness ``foot``.

    ``inward_only`` keeps the outer faces vertical.
    """
    shift = (1.0 if inward_only else 0.0) * (top - foot) / 2
    path = [(sx * shift, sy * shift, 0.0), (0.0, 0.0, shoulder), (0.0, 0.0, height)]
    leg = sweep(path, [(foot, foot), (top, top), (top, top)]).clamped_to_floor()
    return [LegPart("leg", "wood", leg)]


def _draw_splayed_leg(builder: PieceBuilder, style: str, h: float, t: float) -> LegFactory:
    splay = h * np.tan(np.radians(builder.uniform(4, 12)))
    foot = t * builder.uniform(0.45, 0.65)
    section = "round" if style == "cone" else builder.pick(("rectangle", "squircle", "round"))
    has_ferrule = builder.chance(0.35) and section == "round"
    return partial(_splayed_leg, h, t, splay, foot, section, has_ferrule)


def _splayed_leg(
    h: float, t: float, splay: float, foot: float, section: str, has_ferrule: bool, sx: int, sy: int
) -> list[LegPart]:
    """Return a leg whose foot stands ``splay`` metres further out than its top, optionally with a metal ferrule."""
    cut = min(0.05, 0.3 * h) if has_ferrule else 0.0
    size = foot + (t - foot) * cut / h
    bottom, top = _on_splayed_axis(cut, h, splay, sx, sy), _on_splayed_axis(h, h, splay, sx, sy)
    leg = LegPart("leg", "wood", leaning_bar(bottom, top, [size, (t + foot) / 2, t], section))
    if not has_ferrule:
        return [leg]
    bottom, top = _on_splayed_axis(0, h, splay, sx, sy), _on_splayed_axis(cut + 0.001, h, splay, sx, sy)
    return [leg, LegPart("hardware", "fitting", leaning_bar(bottom, top, [foot, size * 1.06], section))]


def _on_splayed_axis(z: float, h: float, splay: float, sx: int, sy: int) -> tuple[float, float, float]:
    return (sx * splay * (1 - z / h), sy * splay * (1 - z / h), z)


def _draw_curved_leg(builder: PieceBuilder, style: str, h: float, t: float) -> LegFactory:
    if style == "cabriole":
        knee = min(0.6 * t, 0.03) * builder.uniform(0.8, 1.2)
        z = np.array([0.0, 0.03, 0.1, 0.3, 0.6, 0.82, 1.0])
        outward = np.array([0.9, 0.8, 0.1, -0.25, 0.3, 0.8, 0.0]) * knee
        size = np.array([0.62, 0.7, 0.45, 0.5, 0.75, 1.05, 1.0]) * t
    else:
        reach = h * builder.uniform(0.12, 0.2)
        z = np.array([0.0, 0.35, 0.7, 1.0])
        outward = np.array([1.0, 0.4, 0.08, 0.0]) * reach
        size = np.array([0.6, 0.7, 0.85, 1.0]) * t
    curve = spline(np.stack([z * h, outward, size], -1), 22)
    section = builder.pick(("squircle", "rectangle"))
    curves_in_y_only = style == "saber" and builder.chance(0.5)
    return partial(_curved_leg, h, curve, section, curves_in_y_only)


def _curved_leg(h: float, curve: Floats, section: str, curves_in_y_only: bool, sx: int, sy: int) -> list[LegPart]:
    """Return a leg along ``curve`` [N, 3]: height, distance outwards, thickness."""
    path = np.stack([(0.0 if curves_in_y_only else sx) * curve[:, 1], sy * curve[:, 1], curve[:, 0]], -1)
    leg = sweep(path, np.repeat(curve[:, 2:], 2, 1), section=section, sides=16)
    return [LegPart("leg", "wood", leg.clamped(0.0, h))]


def _draw_metal_leg(builder: PieceBuilder, style: str, h: float) -> LegFactory:
    if style == "hairpin":
        rod, spread = builder.uniform(0.009, 0.013), builder.uniform(0.06, 0.09)
        has_third_rod = builder.chance(0.4)
        return partial(_hairpin_leg, h, rod, spread, has_third_rod)
    if style == "flat_steel":
        width = builder.uniform(0.04, 0.06)
        return partial(_flat_steel_leg, sweep([(0, 0, 0), (0, 0, h)], (0.008, width), bevel=0.001))
    return partial(_tube_leg, h, builder.uniform(0.012, 0.022))


def _hairpin_leg(h: float, rod: float, spread: float, has_third_rod: bool, sx: int, sy: int) -> list[LegPart]:
    """Return two or three steel rods of thickness ``rod`` that meet at the floor, under a mounting plate."""
    foot = np.array([0.03 * sx, 0.03 * sy, rod / 2])
    tops = [np.array([-sx * spread, sy * 0.01, h]), np.array([sx * 0.01, -sy * spread, h])]
    path = fillet([tops[0], foot, tops[1]], 0.02, steps=6)
    path[:, 2] -= (path[:, 2].min() - rod / 2) * np.clip(1 - path[:, 2] / h, 0, 1)
    rods = [sweep(path, rod, section="round", sides=10).clamped_to_floor()]
    if has_third_rod:
        start, end = (0.03 * sx, 0.03 * sy, rod / 2 + 0.006), (-sx * spread, -sy * spread, h)
        rods.append(bar(start, end, rod, "round"))
    x, y = sorted((-sx * (spread + 0.02), sx * 0.02)), sorted((-sy * (spread + 0.02), sy * 0.02))
    plate = board((x[0], y[0], h - 0.005), (x[1], y[1], h + 0.001), bevel=0.001)
    return [*(LegPart("leg", "metal", solid) for solid in rods), LegPart("hardware", "metal", plate)]


def _flat_steel_leg(leg: Solid, sx: int, sy: int) -> list[LegPart]:
    """Return a steel strip turned across the corner."""
    return [LegPart("leg", "metal", leg.rotated("z", 45.0 * sx * sy))]


def _tube_leg(h: float, radius: float, _sx: int, _sy: int) -> list[LegPart]:
    """Return a steel tube on a rubber glide."""
    glide = lathe([(0, radius * 0.7), (0.004, radius * 1.1), (0.014, radius * 1.1), (0.015, radius)], 18)
    tube = bar((0, 0, 0.013), (0, 0, h), 2 * radius, "round")
    return [LegPart("leg", "metal", tube), LegPart("hardware", "rubber", glide)]


def _bracket_foot(h: float, t: float, sx: int, sy: int) -> list[LegPart]:
    """Return two boards with curved inner ends that meet at the corner."""
    reach, thickness = max(0.13, 1.3 * h), 0.02
    curve = spline([(0.4 * reach, 0.0), (0.55 * reach, 0.5 * h), (0.8 * reach, 0.72 * h), (reach, 0.8 * h)], 8)
    outline = np.concatenate([[(0.0, 0.0)], curve, [(reach, h), (0.0, h)]])
    front = extrude(outline, thickness, plane="xz").moved(x=-t / 2, y=-t / 2 + thickness)  # for the corner -x, -y
    side = extrude(outline, thickness, plane="yz").moved(x=-t / 2 + 0.001, y=-t / 2 + 0.001)
    boards = [front.with_grain((1, 0, 0)), side.with_grain((0, 1, 0))]
    if sx > 0:
        boards = [solid.mirrored(0) for solid in boards]
    if sy > 0:
        boards = [solid.mirrored(1) for solid in boards]
    return [LegPart("leg", "wood", solid) for solid in boards]
