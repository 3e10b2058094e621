"""Wicker and rattan: woven armchairs, sofas, chairs with woven backs, baskets and planters."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import reclined
from export_models.dataset.makers.fronts import Span
from export_models.dataset.makers.legs import add_four_legs, add_splayed_legs, leaning_bar
from export_models.dataset.makers.outlines import Floats, at_height, ellipse, fillet, rounded_rectangle
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, extrude, sweep
from export_models.dataset.makers.upholstery import pad, pillow, upright
from export_models.dataset.makers.weaving import resampled, stakes, wall_grid, weave, woven_panel

POLE_ROLES = {"wicker": 2, "timber": 2, "wood": 1}
STRAND_THICKNESS = 0.006
"""Thickness in metres of the strands of woven walls."""


def _wall_path(x: float, front: float, rear: float, roundness: float) -> Floats:
    """Return a path [N, 2] from the front right around the rear to the front left of a seat."""
    corners = [(x, front), (x, rear), (-x, rear), (-x, front)]
    return fillet(corners, roundness, 9)


def build_wicker_armchair(builder: PieceBuilder) -> None:
    """Build a tub chair whose woven wall is its back and arms, with a rolled rim, a woven seat and a cushion."""
    width, depth, seat = builder.uniform(0.58, 0.72), builder.uniform(0.58, 0.68), builder.uniform(0.38, 0.41)
    x, y = width / 2 - 0.02, depth / 2 - 0.02
    pitch, pole = builder.uniform(0.019, 0.025), builder.uniform(0.022, 0.03)
    role = builder.pick(POLE_ROLES)
    path = resampled(_wall_path(x, -y, y, builder.uniform(0.2, 0.5)), 57)
    arm, back = seat + builder.uniform(0.2, 0.26), seat + builder.uniform(0.36, 0.5)
    tops = arm + (back - arm) * np.clip(1.35 - 1.6 * np.abs(np.linspace(-1, 1, len(path))), 0, 1)
    is_closed = builder.chance(0.5)  # down to the floor, and at the front
    low = builder.uniform(0.05, 0.1) if is_closed else seat - 0.05
    _add_woven_wall(builder, path, (low, back - 0.01), tops, pitch)
    builder.add("frame", role, sweep(at_height(path, tops), pole, section="round", sides=10))
    builder.add("frame", role, sweep(at_height(path, seat - 0.03), 0.8 * pole, section="round", sides=8))
    front_rail = bar((-x, -y, seat - 0.03), (x, -y, seat - 0.03), pole, section="round")
    builder.add("frame", role, front_rail)
    builder.add("seat", "wicker", extrude(path, 0.016, bevel=0.004).moved(z=seat - 0.034))
    if is_closed:
        builder.add("frame", role, sweep(at_height(path, low), pole, section="round", sides=8))
        columns = 4 * round(2 * x / 0.12) + 1
        front = np.stack([np.linspace(-x, x, columns), np.full(columns, -y)], -1)
        rows = wall_grid(front, low, seat - 0.03, pitch)
        builder.add("body", "wicker", *weave(rows, (0.95 * pitch, STRAND_THICKNESS), side=(0, 0, 1)))
    front_leg, rear_leg = (x - 0.01, -(y - 0.01), arm), ((x - 0.01) * 0.82, (y - 0.01) * 0.86, seat)
    for sx in (-1, 1):
        for px, py, top in (front_leg, rear_leg):
            builder.add("leg", role, bar((sx * px, py, 0), (sx * px, py, top), pole, section="round"))
    _add_seat_cushion(builder, 1.8 * x, 2 * y - 0.15, seat)


def _add_woven_wall(builder: PieceBuilder, path: Floats, z: Span, tops: Floats, pitch: float) -> None:
    """Add weavers and stakes along a path [C, 2] between two heights, cut to the height in ``tops`` [C]."""
    for r, row in enumerate(wall_grid(path, *z, pitch)):
        inside = np.flatnonzero(tops > row[0, 2])
        first, last = inside[0], inside[-1] + 1
        if last - first > 8:
            weavers = weave(
                row[None, first:last], (0.95 * pitch, STRAND_THICKNESS), side=(0, 0, 1), first=r + first // 2
            )
            builder.add("back", "wicker", *weavers)
    builder.add("back", "wicker", *stakes(path, z[0], tops - 0.002, 0.008))


def _add_seat_cushion(builder: PieceBuilder, width: float, depth: float, seat: float) -> None:
    """Add a cushion to most seats."""
    if builder.chance(0.75):
        thickness = builder.uniform(0.06, 0.1)
        soft = pad((width, depth, thickness), radius=0.03, crown=0.018, wrinkle=0.002, rng=builder.rng)
        builder.add("cushion", "soft", soft.moved(y=-0.05, z=seat - 0.022 + thickness / 2))


def build_rattan_armchair(builder: PieceBuilder) -> None:
    """Build an easy chair of bent rattan poles with seat and back cushions."""
    width, depth, seat = builder.uniform(0.6, 0.7), builder.uniform(0.66, 0.76), builder.uniform(0.3, 0.34)
    pole, role = builder.uniform(0.026, 0.034), builder.pick(POLE_ROLES)
    x, y = width / 2 - pole / 2, depth / 2
    _add_rattan_sides(builder, role, (x, y), seat, seat + builder.uniform(0.24, 0.3), pole)
    deck, ring_y = seat - 0.04, y - 0.02
    corners = [(-x, -ring_y, deck), (x, -ring_y, deck), (x, ring_y, deck), (-x, ring_y, deck)]
    ring = sweep(fillet(corners, 0.01, 2, closed=True), pole, section="round", closed=True, sides=10)
    builder.add("frame", role, ring)
    for py in np.linspace(-y + 0.05, y - 0.05, 9):
        builder.add("seat", role, bar((-x, py, seat - 0.03), (x, py, seat - 0.03), 0.014, section="round"))
    place = reclined(builder.uniform(18, 26), y - 0.2, seat - 0.05)
    height = builder.uniform(0.48, 0.6)
    hoop = [(-x + pole, 0, 0), (-x + pole, 0, height), (x - pole, 0, height), (x - pole, 0, 0)]
    builder.add("frame", role, place(sweep(fillet(hoop, 0.14, 8), pole, section="round", sides=10)))
    count = int(builder.rng.integers(6, 12))
    for px in np.linspace(-x + 2 * pole, x - 2 * pole, count):
        top = height - (0.06 if abs(px) > x - 0.14 else 0.004)
        builder.add("back", role, place(bar((px, 0, 0.01), (px, 0, top), 0.014, section="round")))
    builder.add("frame", role, place(bar((-x, 0, 0.28), (x, 0, 0.28), 0.8 * pole, section="round")))
    seat_cushion = pad((2 * x - pole, 2 * y - 0.24, 0.1), radius=0.04, crown=0.02, wrinkle=0.002, rng=builder.rng)
    builder.add("cushion", "soft", seat_cushion.moved(y=-0.1, z=seat + 0.024))
    if builder.chance(0.7):
        back_cushion = pad((2 * x - 2.4 * pole, height - 0.06, 0.1), radius=0.04, crown=0.025)
        builder.add("cushion", "soft", place(upright(back_cushion).moved(y=-0.05, z=height / 2 + 0.05)))


def _add_rattan_sides(
    builder: PieceBuilder, role: str, half_size: tuple[float, float], seat: float, arm: float, pole: float
) -> None:
    """Add one to three nested loops at each side. The outer loop is the legs and the arm rest.

    Args:
        half_size: distance in x and y from the centre to the outer loops.
        arm: height of the arm rests.
        pole: thickness of the poles.
    """
    x, y = half_size
    for k in range(builder.pick((1, 2, 3))):
        shrink = k * (pole + 0.022)
        low, top = 0.0 if k == 0 else seat - 0.04, arm - shrink
        front, rear = -y + shrink, y - shrink
        loop = [(x, front, low), (x, front, top), (x, rear, top), (x, rear, low)]
        solid = sweep(fillet(loop, 0.16, 8), pole, section="round", sides=10)
        builder.add_pair("leg" if k == 0 else "arm", role, solid)


def build_wicker_sofa(builder: PieceBuilder) -> None:
    """Build a rectangular outdoor sofa covered with wicker, with loose cushions."""
    seats = builder.pick((2, 2, 3))
    seat_width, depth, seat = builder.uniform(0.58, 0.68), builder.uniform(0.7, 0.82), builder.uniform(0.38, 0.43)
    arm_width, base_top = builder.uniform(0.08, 0.16), seat - 0.12
    inner, lift = seats * seat_width, builder.uniform(0.02, 0.08)
    arm, back = seat + builder.uniform(0.14, 0.22), seat + builder.uniform(0.26, 0.38)
    x, y = inner / 2 + arm_width, depth / 2
    base = board((-x + 0.01, -y + 0.006, lift), (x - 0.01, y - 0.006, base_top), bevel=0.008, grain=(1, 0, 0))
    builder.add("body", "wicker", base)
    side = board((inner / 2, -y, lift + 0.001), (x, y, arm), bevel=0.014, grain=(0, 1, 0))
    builder.add_pair("arm", "wicker", side)
    wall = board((-inner / 2 - 0.001, y - 0.12, base_top - 0.01), (inner / 2 + 0.001, y - 0.004, back), bevel=0.014)
    builder.add("back", "wicker", wall)
    add_four_legs(builder, builder.pick(("block", "tube", "tapered")), (x - 0.03, y - 0.03), lift, 0.04)
    if builder.chance(0.4):
        rest = board((inner / 2 - 0.006, -y - 0.006, arm - 0.0015), (x + 0.006, y + 0.004, arm + 0.018), bevel=0.004)
        builder.add_pair("arm", "timber", rest)
    for i in range(seats):
        px = (i - (seats - 1) / 2) * seat_width
        soft = pad((seat_width - 0.01, depth - 0.13, 0.12), radius=0.035, crown=0.016, wrinkle=0.002, rng=builder.rng)
        builder.add("cushion", "soft", soft.moved(px, -0.06, base_top + 0.058))
        place = reclined(10, y - 0.21, seat - 0.01)
        cushion = pillow(seat_width - 0.01, back - seat + 0.08, 0.2, builder.rng)
        builder.add("cushion", "soft", place(upright(cushion).moved(x=px, z=(back - seat + 0.06) / 2)))


def build_woven_chair(builder: PieceBuilder) -> None:
    """Build a dining chair of wood or metal with a woven seat and back, sometimes with arms."""
    width, depth, seat = builder.uniform(0.44, 0.52), builder.uniform(0.42, 0.48), builder.uniform(0.43, 0.46)
    role, back = builder.pick({"wood": 3, "timber": 2, "metal": 2}), builder.uniform(0.3, 0.42)
    t = builder.uniform(0.028, 0.036) if role != "metal" else 0.02
    section = "round" if role == "metal" or builder.chance(0.5) else "rectangle"
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    for sign in (-1, 1):
        px, py, foot_x = sign * x, sign * y, sign * (x + 0.02)
        for foot_y, leg_y in ((-y - 0.02, -y), (y + 0.05, y)):
            builder.add("leg", role, leaning_bar((foot_x, foot_y, 0), (px, leg_y, seat), [0.8 * t, t], section))
        side_rail = bar((px, -y, seat - 0.02), (px, y, seat - 0.02), 0.8 * t, section)
        cross_rail = bar((-x, py, seat - 0.0195), (x, py, seat - 0.0195), 0.8 * t, section)
        builder.add("frame", role, side_rail, cross_rail)
    pitch = builder.uniform(0.01, 0.02)
    builder.add("seat", "wicker", *(solid.moved(z=seat - 0.008) for solid in woven_panel(2 * x, 2 * y, pitch, 0.008)))
    place = reclined(builder.uniform(8, 14), y, seat - 0.01)
    low = builder.uniform(0.08, 0.16)
    hoop = [(-x, 0, 0), (-x, 0, back), (x, 0, back), (x, 0, 0)]
    hoop_path = fillet(hoop, builder.pick((0.01, 0.08)), 6)
    builder.add("frame", role, place(sweep(hoop_path, t, section="round", sides=10)))
    builder.add("frame", role, place(bar((-x, 0, low), (x, 0, low), 0.7 * t, section="round")))
    panel = woven_panel(2 * x, back - low - 0.01, pitch, 0.007)
    builder.add("back", "wicker", *(place(upright(solid).moved(z=(back + low) / 2)) for solid in panel))
    if builder.chance(0.4):
        z = seat + 0.2
        loop = [(x, -y, seat - 0.01), (x + 0.02, -y - 0.01, z), (x + 0.02, y + 0.05, z)]
        builder.add_pair("arm", role, sweep(fillet(loop, 0.05, 6), 0.9 * t, section="round", sides=10))


def build_basket(builder: PieceBuilder) -> None:
    """Build a round, oval or rectangular woven basket, sometimes with handles, a lid, or wooden legs as a planter."""
    width, height = builder.uniform(0.28, 0.46), builder.uniform(0.24, 0.56)
    depth = width * builder.pick((1.0, 1.0, 0.75))
    lift = builder.pick((0.0, 0.0, builder.uniform(0.12, 0.3)))
    taper, pitch = builder.uniform(0.78, 1.0), builder.uniform(0.012, 0.022)
    outline = ellipse(width, depth, 64) if builder.chance(0.7) else rounded_rectangle(width, depth, 0.06, steps=8)
    path = resampled(outline, 4 * max(7, round(1.5 * (width + depth) / 0.1)), closed=True)
    grid = wall_grid(path, lift, lift + height, pitch)
    scale = taper + (1 - taper) * (grid[..., 2] - lift) / height
    grid[..., :2] *= scale[..., None]
    grid[..., 2] += 0.006 if not lift else 0.0
    builder.add("body", "wicker", *weave(grid, (0.96 * pitch, STRAND_THICKNESS), side=(0, 0, 1), closed=True))
    for x, y in path[1::2]:
        start, end = (taper * x, taper * y, lift + 0.004), (float(x), float(y), lift + height)
        builder.add("body", "wicker", bar(start, end, 0.007, section="round"))
    bottom = extrude(outline * (taper * 0.99), 0.012, bevel=0.003)
    builder.add("body", "wicker", bottom.moved(z=lift))
    rim = at_height(path, lift + height)
    builder.add("frame", "wicker", sweep(rim, 0.02, section="round", closed=True, side=(0, 0, 1), sides=8))
    if lift:
        reach = 0.5 * min(width, depth) * taper * 0.72
        role = builder.pick(("timber", "wood", "metal"))
        feet, tops = (1.25 * reach, 1.25 * reach), (reach, reach)
        add_splayed_legs(builder, role, feet, tops, lift + 0.006, [0.018, 0.026], "round")
    elif builder.chance(0.5):
        role = builder.pick(("wicker", "soft"))
        for sx in (-1, 1):
            loop = [(sx * width / 2, -0.07, lift + height), (sx * (width / 2 + 0.01), -0.05, lift + height + 0.07)]
            loop += [(px, -py, pz) for px, py, pz in reversed(loop)]
            handle = sweep(fillet(loop, 0.05, 6), 0.016, section="round", sides=8)
            builder.add("hardware", role, handle)
    elif builder.chance(0.3):
        lid = extrude(outline * 1.02, 0.02, bevel=0.006)
        builder.add("top", builder.pick(("wicker", "timber")), lid.moved(z=lift + height + 0.004))
