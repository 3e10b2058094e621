"""Sofas and armchairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from export_models.dataset.makers.backs import add_upholstered_back, moulded_shell, reclined
from export_models.dataset.makers.chairs import build_post_chair
from export_models.dataset.makers.legs import add_four_legs
from export_models.dataset.makers.lounge import (
    ARM_STYLES,
    SeatPlan,
    add_throw_pillows,
    add_upholstered_seat,
    build_wooden_lounge,
    rounded_back,
)
from export_models.dataset.makers.outlines import Floats, ellipse
from export_models.dataset.makers.piece import Design, PieceBuilder
from export_models.dataset.makers.seat_bases import add_seat_base
from export_models.dataset.makers.solids import board, extrude
from export_models.dataset.makers.upholstery import pad, piping

SOFA_DESIGNS = {"classic": 5, "tight": 2, "wooden": 2, "chesterfield": 1.2, "chaise": 1.8, "daybed": 0.8}


def build_armchair(builder: PieceBuilder) -> None:
    """Build a seat with arms for one person."""
    designs: dict[Design, float] = {
        _build_club: 4,
        _build_wooden: 3,
        _build_wing: 1.5,
        _build_tub: 1.5,
        _build_shell: 1.5,
        _build_carver: 1.5,
    }
    build = builder.pick(designs)
    build(builder)


def build_sofa(builder: PieceBuilder) -> None:
    """Build a seat for two to four people."""
    seats = builder.pick({2: 3, 3: 4, 4: 0.6})
    design = builder.pick(SOFA_DESIGNS)
    if design == "wooden":
        build_wooden_lounge(builder, min(seats, 3))
    elif design == "daybed":
        _build_daybed(builder)
    elif design == "chaise":
        _build_chaise(builder)
    else:
        _build_upholstered_sofa(builder, design, seats)


def _build_upholstered_sofa(builder: PieceBuilder, design: str, seats: int) -> None:
    """Build an upholstered sofa: ``classic`` with loose back cushions, ``tight`` without, or a ``chesterfield``."""
    plan = SeatPlan.random(builder, seats)
    arms = builder.pick(ARM_STYLES)
    if design == "chesterfield":
        plan = replace(plan, arm_top=plan.seat_top + 0.27, back_top=plan.seat_top + 0.29, arm_width=0.2)
        arms = "rolled"
    loose_back = design == "classic"
    pillows = int(builder.rng.integers(0, 5)) if loose_back or builder.chance(0.5) else 0
    back = "tufted" if design == "chesterfield" else ("plain" if loose_back else None)
    add_upholstered_seat(builder, plan, arms, loose_back=loose_back, back=back, pillows=pillows)


def _build_club(builder: PieceBuilder) -> None:
    """Build an upholstered armchair like a one-seat sofa."""
    plan = SeatPlan.random(builder, 1)
    plan = replace(plan, depth=min(plan.depth, 0.9), arm_width=min(plan.arm_width, 0.18))
    arms = builder.pick({name: weight for name, weight in ARM_STYLES.items() if name != "none"})
    loose_back = builder.chance(0.45)
    back = "plain" if loose_back else None
    add_upholstered_seat(builder, plan, arms, loose_back=loose_back, back=back, pillows=int(builder.chance(0.25)))


def _build_wooden(builder: PieceBuilder) -> None:
    """Build an armchair with cushions in a wooden frame."""
    build_wooden_lounge(builder, 1)


def _build_carver(builder: PieceBuilder) -> None:
    """Build a large dining chair with arms."""
    width, depth = builder.uniform(0.50, 0.56), builder.uniform(0.43, 0.48)
    seat, back = builder.uniform(0.43, 0.47), builder.uniform(0.4, 0.55)
    build_post_chair(builder, width, depth, seat, back, arms=True)


def _build_shell(builder: PieceBuilder) -> None:
    """Build a wide moulded or upholstered shell with a cushion."""
    width, depth, seat = builder.uniform(0.56, 0.66), builder.uniform(0.5, 0.56), builder.uniform(0.38, 0.42)
    role = builder.pick({"soft": 3, "shell": 2})
    back, arms = builder.uniform(0.42, 0.62), builder.uniform(0.16, 0.22)
    builder.add("seat", role, moulded_shell(builder, width, depth, back, arms=arms).moved(z=seat))
    base = builder.pick({"splayed": 3, "sled": 1, "star": 2, "tube": 1, "wire": 1})
    add_seat_base(builder, base, (0.33 * width, 0.3 * depth), seat - 0.016)
    cushion = pad((0.74 * width, 0.76 * depth, 0.07), radius=0.03, crown=0.012)
    builder.add("cushion", "soft", cushion.moved(y=-0.02, z=seat + 0.03))


def _build_tub(builder: PieceBuilder) -> None:
    """Build an armchair whose rounded wall is both back and arms."""
    plan = SeatPlan.random(builder, 1)
    depth = builder.uniform(0.68, 0.78)
    plan = replace(
        plan,
        depth=depth,
        seat_width=min(plan.seat_width, 0.6),
        back_top=builder.uniform(0.68, 0.82),
        lift=max(plan.lift, 0.08),
    )
    plan = replace(plan, arm_top=min(plan.arm_top, plan.back_top - 0.02))
    builder.add("back", "soft", rounded_back(plan, builder.uniform(118, 150)))
    base_width, base_height = plan.inner_width - 0.01, plan.base_top - plan.lift
    outline = ellipse(base_width + 0.05, depth - 0.12, 56, power=3.4)
    base = extrude(outline, base_height, bevel=0.012, smooth=True)
    builder.add("body", "soft", base.moved(y=-0.01, z=plan.lift + 0.002))
    thickness = plan.seat_top - plan.base_top
    size = (plan.inner_width - 0.02, depth - 0.16, thickness)
    cushion = pad(size, radius=0.04, crown=0.025, wrinkle=0.002, rng=builder.rng)
    builder.add("cushion", "soft", cushion.moved(y=-0.03, z=plan.base_top + thickness / 2))
    if builder.chance(0.4):
        cord = piping(size, 0.04, thickness / 2 - 0.024, crown=0.025)
        builder.add("cushion", "soft", cord.moved(y=-0.03, z=plan.base_top + thickness / 2))
    style = builder.pick(("cone", "splayed", "tapered", "tube"))
    add_four_legs(builder, style, (0.4 * base_width, 0.36 * depth), plan.lift + 0.006, 0.042)


def _build_wing(builder: PieceBuilder) -> None:
    """Build an armchair with a high back and wings."""
    plan = SeatPlan.random(builder, 1)
    plan = replace(
        plan,
        depth=builder.uniform(0.78, 0.86),
        arm_width=builder.uniform(0.09, 0.14),
        back_top=builder.uniform(1.0, 1.15),
        lift=max(plan.lift, 0.1),
        back_thickness=0.12,
    )
    arms = builder.pick(("boxed", "rolled", "thin"))
    pillows = int(builder.chance(0.3))
    add_upholstered_seat(builder, plan, arms, loose_back=False, back=None, pillows=pillows)
    place = reclined(plan.recline_deg, plan.back_front, plan.base_top - 0.03)
    low, high = plan.arm_top - plan.base_top - 0.02, plan.back_top - plan.base_top + 0.01
    depth = builder.uniform(0.18, 0.26)
    wing = pad((0.05, depth + plan.back_thickness, high - low), radius=0.022).moved(
        plan.inner_width / 2 + 0.02, (plan.back_thickness - depth) / 2, (low + high) / 2
    )

    def round_upper_corner(points: Floats) -> Floats:
        upward = np.clip((points[:, 2] - low) / (high - low), 0, 1)
        forward = np.clip(-points[:, 1] / depth, 0, 1)
        z = points[:, 2] - 0.35 * (high - low) * forward**2 * upward
        return np.stack([points[:, 0] + 0.05 * forward, points[:, 1], z], -1)

    rounded = wing.deformed(round_upper_corner)
    builder.add("arm", "soft", place(rounded), place(rounded.mirrored()))


def _build_chaise(builder: PieceBuilder) -> None:
    """Build a corner sofa, whose outermost seat is extended forward to lie on."""
    plan = SeatPlan.random(builder, builder.pick((2, 3)))
    plan = replace(plan, lift=max(0.05, plan.lift), arm_width=min(plan.arm_width, 0.18))
    arms = builder.pick(("boxed", "thin", "flared"))
    pillows = int(builder.rng.integers(0, 4))
    add_upholstered_seat(builder, plan, arms, loose_back=True, back="plain", pillows=pillows)
    side, length = builder.pick((-1, 1)), builder.uniform(0.55, 0.72)
    width = plan.seat_width
    x = side * (plan.inner_width / 2 - width / 2)
    front = -plan.depth / 2
    height, thickness = plan.base_top - plan.lift, plan.seat_top - plan.base_top
    box = pad((width + 0.02, length + 0.03, height), radius=min(0.02, 0.3 * height))
    builder.add("body", "soft", box.moved(x, front - length / 2 + 0.015, plan.lift + height / 2 + 0.002))
    cushion = pad((width - 0.006, length, thickness), radius=0.04, crown=0.018, wrinkle=0.002, rng=builder.rng)
    z = plan.base_top + thickness / 2 + 0.002
    builder.add("cushion", "soft", cushion.moved(x, front - length / 2 + 0.004, z))
    for leg_x in (x - width / 2 + 0.06, x + width / 2 - 0.06):
        low = (leg_x - 0.022, front - length + 0.05, 0)
        leg = board(low, (leg_x + 0.022, front - length + 0.094, plan.lift + 0.006), grain=(0, 0, 1))
        builder.add("leg", "wood", leg)


def _build_daybed(builder: PieceBuilder) -> None:
    """Build a low wooden frame with a mattress, and perhaps a low back with pillows."""
    width, depth, seat = builder.uniform(1.7, 2.0), builder.uniform(0.75, 0.88), builder.uniform(0.40, 0.45)
    thickness = builder.uniform(0.12, 0.18)
    deck = seat - thickness
    frame = board((-width / 2, -depth / 2, deck - 0.09), (width / 2, depth / 2, deck + 0.001), bevel=0.004)
    builder.add("frame", "wood", frame)
    style = builder.pick({"tapered": 2, "cone": 2, "square": 1, "hairpin": 1, "turned": 1})
    add_four_legs(builder, style, (width / 2 - 0.04, depth / 2 - 0.03), deck - 0.088, 0.05)
    size = (width - 0.03, depth - 0.03, thickness)
    builder.add("cushion", "soft", pad(size, radius=0.035, crown=0.01).moved(z=deck + thickness / 2))
    cord = piping(size, 0.035, thickness / 2 - 0.022)
    builder.add("cushion", "soft", cord.moved(z=deck + thickness / 2))
    if builder.chance(0.6):
        place = reclined(8, depth / 2 - 0.09, seat - 0.006)
        add_upholstered_back(builder, width - 0.1, builder.uniform(0.3, 0.4), 0.12, place)
        plan = replace(SeatPlan.random(builder, 3), seat_width=width / 3, seat_top=seat)
        add_throw_pillows(builder, plan, depth / 2 - 0.12, int(builder.rng.integers(0, 4)))
