"""Compact and open upholstered seats: accent chairs, barrel chairs, settees, lounge chairs, futons.

``seat`` is the height of the seat; ``foot`` is the height of the legs under an upholstered base.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from export_models.dataset.makers.backs import add_upholstered_back, reclined
from export_models.dataset.makers.legs import add_four_legs, leaning_bar
from export_models.dataset.makers.lounge import SeatPlan, add_throw_pillows, rounded_back
from export_models.dataset.makers.outlines import ellipse, evenly_spaced, fillet
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, extrude, sweep
from export_models.dataset.makers.upholstery import pad, piping, upright

SMALL_LEGS = {"cone": 3, "tapered": 3, "splayed": 2, "turned": 1.5, "saber": 1, "tube": 1, "block": 1, "bun": 1}


def _add_small_legs(builder: PieceBuilder, half_size: tuple[float, float], height: float) -> None:
    """Add legs that are thinner than those of most sofas."""
    add_four_legs(builder, builder.pick(SMALL_LEGS), half_size, height + 0.005, builder.uniform(0.024, 0.036))


def build_accent_chair(builder: PieceBuilder) -> None:
    """Build an armless upholstered easy chair, tufted, buttoned, channelled or plain, on slender legs."""
    width, depth, seat = builder.uniform(0.55, 0.68), builder.uniform(0.6, 0.7), builder.uniform(0.4, 0.45)
    foot, thickness = builder.uniform(0.1, 0.2), builder.uniform(0.09, 0.14)
    base_height = seat - foot - thickness
    base = pad((width, depth, base_height + 0.01), radius=min(0.02, 0.3 * base_height))
    builder.add("body", "soft", base.moved(z=foot + base_height / 2 + 0.005))
    size, crown = (width + 0.006, depth + 0.006, thickness), builder.uniform(0.01, 0.025)
    radius = min(builder.uniform(0.015, 0.045), 0.4 * thickness)
    builder.add("cushion", "soft", pad(size, radius=radius, crown=crown).moved(z=seat - thickness / 2))
    if builder.chance(0.5):
        cord = piping(size, radius, thickness / 2 - radius, crown=crown)
        builder.add("cushion", "soft", cord.moved(z=seat - thickness / 2))
    back = builder.uniform(0.32, 0.5)
    place = reclined(builder.uniform(8, 16), depth / 2 - 0.13, seat - 0.06)
    back_width = width - builder.pick((0.0, 0.02))
    add_upholstered_back(builder, back_width, back + 0.06, builder.uniform(0.09, 0.13), place)
    _add_small_legs(builder, (width / 2 - 0.03, depth / 2 - 0.04), foot)


def build_barrel_chair(builder: PieceBuilder) -> None:
    """Build a round tub chair on small legs or on a ring of wood or metal."""
    plan = SeatPlan.random(builder, 1)
    width = builder.uniform(0.58, 0.7)
    foot = builder.uniform(0.03, 0.16)
    back_top = builder.uniform(0.66, 0.78)
    plan = replace(
        plan,
        depth=width + 0.12,
        seat_width=width,
        lift=foot,
        back_top=back_top,
        arm_top=back_top - builder.uniform(0.02, 0.16),
        seat_top=0.43,
        base_top=0.3,
    )
    builder.add("back", "soft", rounded_back(plan, builder.uniform(120, 165)).moved(z=-0.026))
    outline = ellipse(width + 0.02, width + 0.02, 56, power=2.4)
    base = extrude(outline, plan.base_top - foot, bevel=0.014, smooth=True)
    builder.add("body", "soft", base.moved(z=foot + 0.002))
    cushion = pad((width - 0.06, width - 0.03, 0.14), radius=0.05, crown=0.03)
    builder.add("cushion", "soft", cushion.moved(y=-0.03, z=plan.base_top + 0.062))
    if foot < 0.06:
        ring = extrude(outline * 0.94, foot + 0.004, bevel=0.003, smooth=True)
        builder.add("leg", builder.pick(("wood", "metal")), ring)
    else:
        _add_small_legs(builder, (0.36 * width, 0.36 * width), foot)


def build_settee(builder: PieceBuilder) -> None:
    """Build a compact sofa: one or two cushions on a wooden board, on slender legs between thin arms."""
    width, depth, seat = builder.uniform(1.15, 1.9), builder.uniform(0.68, 0.82), builder.uniform(0.41, 0.46)
    foot, arm_width = builder.uniform(0.12, 0.22), builder.uniform(0.06, 0.11)
    rail = builder.uniform(0.03, 0.06)
    deck, x, y, inner = foot + rail, width / 2, depth / 2, width - 2 * arm_width
    frame = board((-x + 0.012, -y + 0.012, foot), (x - 0.012, y - 0.012, deck), bevel=0.004, grain=(1, 0, 0))
    builder.add("frame", builder.pick({"wood": 3, "timber": 2}), frame)
    _add_settee_cushions(builder, (inner, depth - 0.12, seat - foot - rail), deck)
    place = reclined(builder.uniform(6, 11), y - 0.15, deck - 0.006)
    back_width = inner + builder.pick((0.0, 1.9 * arm_width))
    add_upholstered_back(builder, back_width, builder.uniform(0.78, 0.9) - foot, 0.13, place)
    height = seat + builder.uniform(0.12, 0.2) - foot - rail
    arm = pad((arm_width, depth - 0.02, height), radius=0.4 * arm_width, crown=0.008)
    builder.add_pair("arm", "soft", arm.moved(x - arm_width / 2, 0, deck + height / 2 - 0.004))
    _add_small_legs(builder, (x - 0.04, y - 0.05), foot)
    plan = replace(SeatPlan.random(builder, 2), seat_width=inner / 2, seat_top=seat)
    add_throw_pillows(builder, plan, y - 0.18, int(builder.rng.integers(0, 3)))


def _add_settee_cushions(builder: PieceBuilder, size: tuple[float, float, float], deck: float) -> None:
    """Add one cushion or two side by side, of this total size, at the height ``deck``."""
    (width, depth, thickness), count = size, builder.pick((1, 1, 2))
    cushion_size = (width / count - 0.006, depth, thickness)
    for x in evenly_spaced(count, width):
        soft = pad(cushion_size, radius=min(0.04, 0.35 * thickness), crown=0.016, wrinkle=0.002, rng=builder.rng)
        builder.add("cushion", "soft", soft.moved(x, -0.06, deck + thickness / 2 - 0.002))


def build_lounge_chair(builder: PieceBuilder) -> None:
    """Build an easy chair with an exposed frame of wood or metal, sloping arms, and seat and back cushions."""
    width, depth, seat = builder.uniform(0.6, 0.7), builder.uniform(0.68, 0.78), builder.uniform(0.38, 0.42)
    role, t = builder.pick({"wood": 4, "timber": 2, "metal": 1}), builder.uniform(0.026, 0.036)
    section = builder.pick(("round", "rectangle", "rectangle"))
    x, front, rear = width / 2 - t / 2, -depth / 2 + t, depth / 2 - 0.1
    arm = seat + builder.uniform(0.14, 0.2)
    _add_lounge_sides(builder, role, section, t, (x, front, rear), seat, arm)
    for y, z in ((front, seat - 0.1), (rear, seat - 0.155)):
        builder.add("frame", role, bar((-x, y, z), (x, y, z), (1.1 * t, 0.8 * t)))
    inner, slope_deg = 2 * x - t - 0.006, float(np.degrees(np.arctan(0.06 / (rear - front))))
    cushion = pad((inner, rear - front + 0.02, 0.11), radius=0.035, crown=0.016, wrinkle=0.002, rng=builder.rng)
    builder.add("cushion", "soft", cushion.rotated("x", -slope_deg).moved(y=(front + rear) / 2 - 0.02, z=seat - 0.06))
    place = reclined(builder.uniform(18, 26), rear - 0.06, seat - 0.12)
    height = builder.uniform(0.5, 0.62)
    for sx in (-1, 1):
        post_x = sx * (x - t)
        post = bar((post_x, 0.02, -0.02), (post_x, 0.02, height - 0.02), (0.8 * t, 0.7 * t))
        builder.add("frame", role, place(post))
    for z in np.linspace(0.12, height - 0.04, builder.pick((2, 4, 5))):
        builder.add("back", role, place(board((-x + t, 0.012, z - 0.02), (x - t, 0.026, z + 0.02), grain=(1, 0, 0))))
    back = pad((inner, height, 0.11), radius=0.035, crown=0.02, wrinkle=0.002, rng=builder.rng)
    builder.add("cushion", "soft", place(upright(back).moved(y=-0.046, z=height / 2 + 0.04)))


def _add_lounge_sides(
    builder: PieceBuilder,
    role: str,
    section: str,
    t: float,
    axes: tuple[float, float, float],
    seat: float,
    arm: float,
) -> None:
    """Add two legs, an arm rest and a sloping rail at each side.

    Args:
        section: section of the legs, see ``sweep``.
        t: thickness of the legs.
        axes: distance in x from the centre to the legs, and y of the front and the rear leg.
        arm: height of the arm rests at the front.
    """
    x, front, rear = axes
    for sx in (-1, 1):
        front_leg = leaning_bar((sx * x, front - 0.03, 0), (sx * x, front + 0.02, arm), [0.7 * t, t, t], section)
        rear_leg = leaning_bar((sx * x, rear + 0.06, 0), (sx * x, rear - 0.04, arm - 0.04), [0.7 * t, t, t], section)
        builder.add("leg", role, front_leg, rear_leg)
        path = [
            (sx * x, front - 0.05, arm + 0.01),
            (sx * (x + 0.012), 0.0, arm + 0.004),
            (sx * x, rear + 0.1, arm - 0.05),
        ]
        rest = sweep(fillet(path, 0.2, 8), (builder.uniform(0.045, 0.07), 0.022), side=(1, 0, 0), bevel=0.006)
        builder.add("arm", role, rest)
        rail = bar((sx * x, front - 0.01, seat - 0.1), (sx * x, rear + 0.03, seat - 0.16), (0.8 * t, 1.2 * t))
        builder.add("frame", role, rail)


def build_futon(builder: PieceBuilder) -> None:
    """Build a sofa bed: a mattress folded into a seat and a back, in a slatted wooden frame with flat arms."""
    width, depth, seat = builder.uniform(1.4, 2.0), builder.uniform(0.8, 0.92), builder.uniform(0.38, 0.44)
    role, t = builder.pick({"wood": 3, "timber": 2}), builder.uniform(0.03, 0.045)
    x, y, deck = width / 2, depth / 2, seat - 0.16
    arm = seat + builder.uniform(0.14, 0.22)
    _add_futon_sides(builder, role, t, (x, y), deck, arm)
    builder.add("frame", role, board((-x + t, -y + 0.01, deck - 0.07), (x - t, -y + 0.036, deck + 0.004)))
    builder.add("frame", role, board((-x + t, y - 0.2, deck - 0.07), (x - t, y - 0.176, deck - 0.001)))
    for py in np.linspace(-y + 0.08, y - 0.24, 7):
        builder.add("frame", role, board((-x + t / 2, py - 0.025, deck - 0.018), (x - t / 2, py + 0.025, deck)))
    place = reclined(builder.uniform(14, 20), y - 0.2, deck - 0.03)
    height = builder.uniform(0.55, 0.64)
    for px in np.linspace(-x + 0.12, x - 0.12, 9):
        builder.add("back", role, place(board((px - 0.02, 0.0, 0.0), (px + 0.02, 0.016, height), grain=(0, 0, 1))))
    builder.add("frame", role, place(board((-x + 0.05, -0.002, height - 0.05), (x - 0.05, 0.022, height + 0.01))))
    builder.add("frame", role, place(board((-x + t / 2, 0.002, 0.1), (x - t / 2, 0.02, 0.17))))
    inner = 2 * (x - t) - 0.02
    flat = pad((inner, depth - 0.22, 0.16), radius=0.06, crown=0.02, wrinkle=0.003, rng=builder.rng)
    builder.add("cushion", "soft", flat.moved(y=-0.1, z=deck + 0.078))
    raised = pad((inner, height, 0.15), radius=0.06, crown=0.02, wrinkle=0.003, rng=builder.rng)
    builder.add("cushion", "soft", place(upright(raised).moved(y=-0.08, z=height / 2 + 0.06)))


def _add_futon_sides(
    builder: PieceBuilder, role: str, t: float, half_size: tuple[float, float], deck: float, arm: float
) -> None:
    """Add two legs, an arm rest, two rails and perhaps slats at each side.

    Args:
        t: thickness of the legs.
        half_size: distance in x and y from the centre to the outer faces of the legs.
        deck: height of the slats under the mattress.
        arm: height of the underside of the arm rests.
    """
    x, y = half_size
    for sx in (-1, 1):
        leg_x = sx * (x - t / 2)
        for py in (-y + t / 2, y - t / 2):
            builder.add("leg", role, bar((leg_x, py, 0), (leg_x, py, arm), (t, 1.6 * t)))
        rest = board((sx * (x + 0.02), -y - 0.03, arm - 0.001), (sx * (x - 0.08), y + 0.03, arm + 0.022), bevel=0.004)
        builder.add("arm", role, rest)
        for z in (deck - 0.06, 0.1):
            rail = board((leg_x - 0.012, -y + t, z), (leg_x + 0.012, y - t, z + 0.07))
            builder.add("frame", role, rail)
        if builder.chance(0.5):
            for py in np.linspace(-y + 0.12, y - 0.12, 4):
                slat = board((leg_x - 0.008, py - 0.02, 0.165), (leg_x + 0.008, py + 0.02, arm + 0.0005))
                builder.add("arm", role, slat)
