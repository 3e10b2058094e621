"""Upholstered seats for one or more people: base, arms, back, cushions, throw pillows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from export_models.dataset.makers.backs import add_upholstered_back, reclined
from export_models.dataset.makers.legs import add_four_legs, leaning_bar
from export_models.dataset.makers.outlines import Floats
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, board, lathe, sweep
from export_models.dataset.makers.stands import add_plinth, add_sled
from export_models.dataset.makers.upholstery import pad, pillow, piping, tuft_grid, upright

ARM_STYLES = {"boxed": 4, "rolled": 2, "sloped": 1.5, "thin": 2, "flared": 1, "none": 0.5}


@dataclass(frozen=True)
class SeatPlan:
    """Dimensions of an upholstered seat in metres. x = 0 and y = 0 are the middle of its width and depth."""

    seats: int
    seat_width: float  # of one seat
    depth: float  # outer depth
    arm_width: float  # of one arm
    lift: float  # height of the base's underside
    base_top: float  # height of the base's top, under the cushions
    seat_top: float  # height of the seat
    arm_top: float
    back_top: float
    back_thickness: float  # of the fixed back
    recline_deg: float

    @property
    def inner_width(self) -> float:
        """Width between the arms."""
        return self.seats * self.seat_width

    @property
    def back_front(self) -> float:
        """The y coordinate of the fixed back's front at the height of the seat."""
        return self.depth / 2 - self.back_thickness - 0.04

    @staticmethod
    def random(builder: PieceBuilder, seats: int) -> SeatPlan:
        """Draw the dimensions of a seat for ``seats`` people."""
        seat_top, cushion = builder.uniform(0.41, 0.47), builder.uniform(0.12, 0.18)
        lift = builder.pick((0.03, builder.uniform(0.05, 0.1), builder.uniform(0.11, 0.17)))
        arm_top = seat_top + builder.uniform(0.12, 0.24)
        return SeatPlan(
            seats=seats,
            seat_width=builder.uniform(0.54, 0.7) if seats > 1 else builder.uniform(0.52, 0.64),
            depth=builder.uniform(0.82, 0.98),
            arm_width=builder.uniform(0.11, 0.24),
            lift=min(lift, seat_top - cushion - 0.1),
            base_top=seat_top - cushion,
            seat_top=seat_top,
            arm_top=arm_top,
            back_top=builder.uniform(max(0.72, arm_top + 0.08), 0.94),
            back_thickness=builder.uniform(0.12, 0.2),
            recline_deg=builder.uniform(4, 12),
        )


def add_upholstered_seat(
    builder: PieceBuilder, plan: SeatPlan, arms: str, *, loose_back: bool, back: str | None, pillows: int
) -> None:
    """Add a complete upholstered seat.

    Args:
        arms: one of ``ARM_STYLES``.
        loose_back: whether loose cushions stand in front of the fixed back.
        back: style of the fixed back, see ``add_upholstered_back``.
        pillows: maximum number of throw pillows.
    """
    if arms == "thin":
        plan = replace(plan, arm_width=min(plan.arm_width, 0.08))
    outer_width = plan.inner_width + (2 * plan.arm_width if arms != "none" else 0.0)
    height = plan.base_top - plan.lift
    base = pad((outer_width - 0.05, plan.depth - 0.03, height), radius=min(0.02, 0.3 * height))
    builder.add("body", "soft", base.moved(z=plan.lift + height / 2 + 0.002))
    _add_feet(builder, plan, outer_width)
    for sign in (-1, 1):
        _add_arm(builder, plan, arms, sign)
    back_height = plan.back_top - plan.base_top + 0.03
    back_spans_arms = arms != "none" and back == "plain" and builder.chance(0.4) and plan.back_top > plan.arm_top + 0.12
    if back_spans_arms:
        width = plan.inner_width + 2 * plan.arm_width * 0.98
        place = reclined(plan.recline_deg, plan.back_front + 0.05, plan.base_top - 0.03)
        add_upholstered_back(builder, width, back_height, plan.back_thickness, place, style="plain")
    else:
        width = plan.inner_width - 0.004
        place = reclined(plan.recline_deg, plan.back_front + 0.004, plan.base_top - 0.03)
        add_upholstered_back(builder, width, back_height, plan.back_thickness, place, style=back)
    front = plan.back_front + (0.05 if back_spans_arms else 0.0)
    _add_cushions(builder, plan, front, loose_back)
    add_throw_pillows(builder, plan, front - (0.2 if loose_back else 0.02), pillows)


def _add_cushions(builder: PieceBuilder, plan: SeatPlan, back_front: float, loose_back: bool) -> None:
    """Add the seat cushions, and with ``loose_back`` a back cushion for each seat.

    Args:
        back_front: y coordinate of the front of the fixed back.
    """
    thickness = plan.seat_top - plan.base_top
    depth = back_front + plan.depth / 2 - 0.01
    joined = plan.seats > 1 and builder.chance(0.25)
    count = 1 if joined else plan.seats
    width = plan.inner_width / count
    radius, crown, has_piping = builder.uniform(0.025, 0.055), builder.uniform(0.01, 0.03), builder.chance(0.4)
    wrinkle = builder.uniform(0.001, 0.004)
    tufted = builder.chance(0.15)
    for i in range(count):
        x = (i - (count - 1) / 2) * width
        size = (width - 0.006, depth, thickness)
        tufts = tuft_grid(width, depth, 0.2) if tufted else None
        cells = 20 if tufted else 14
        soft = pad(size, radius=radius, crown=crown, wrinkle=wrinkle, rng=builder.rng, tufts=tufts, cells=cells)
        middle = plan.base_top + thickness / 2 + 0.002
        builder.add("cushion", "soft", soft.moved(x, back_front - depth / 2, middle))
        if has_piping:
            cord = piping(size, radius, thickness / 2 - 0.6 * radius, crown=crown)
            builder.add("cushion", "soft", cord.moved(x, back_front - depth / 2, middle))
    if loose_back:
        _add_back_cushions(builder, plan, back_front, wrinkle)


def _add_back_cushions(builder: PieceBuilder, plan: SeatPlan, back_front: float, wrinkle: float) -> None:
    height = plan.back_top - plan.seat_top + builder.uniform(-0.06, 0.05)
    thickness = builder.uniform(0.14, 0.2)
    style = builder.pick({"block": 3, "pillow": 2})
    place = reclined(plan.recline_deg + 4, back_front - 0.5 * thickness + 0.02, plan.seat_top - 0.005)
    width = plan.inner_width / plan.seats
    for i in range(plan.seats):
        x = (i - (plan.seats - 1) / 2) * width
        if style == "block":
            radius = 0.45 * thickness * 0.8
            size = (width - 0.01, height, thickness)
            soft = pad(size, radius=radius, crown=0.03, wrinkle=wrinkle, rng=builder.rng, cells=14)
        else:
            soft = pillow(width + 0.02, height + 0.03, thickness + 0.05, builder.rng, cells=16)
        builder.add("cushion", "soft", place(upright(soft).moved(x=x, z=height / 2)))


def add_throw_pillows(builder: PieceBuilder, plan: SeatPlan, front: float, count: int) -> None:
    """Add at most ``count`` loose pillows that lean in the corners or along the back.

    Args:
        front: y coordinate of what they lean against.
    """
    edge = plan.inner_width / 2 - 0.24
    for i in range(min(count, plan.seats + 1)):
        x = [-edge, edge, -edge + 0.3, 0.0][i] if plan.seats > 1 else 0.0
        size = builder.uniform(0.38, 0.5)
        soft = pillow(size, size * builder.pick((1.0, 1.0, 0.65)), builder.uniform(0.12, 0.17), builder.rng)
        tilt_deg = builder.uniform(14, 26)
        tilted = upright(soft).rotated("x", -tilt_deg)
        low = float(tilted.vertices[:, 2].min())
        role = builder.pick({"soft2": 3, "soft": 1})
        rotated = tilted.rotated("z", builder.uniform(-14, 14))
        builder.add("cushion", role, rotated.moved(x, front - 0.14 - 0.05 * (i == 2), plan.seat_top - low - 0.02))


def _add_arm(builder: PieceBuilder, plan: SeatPlan, style: str, sign: int) -> None:
    """Add the arm at the right (``sign`` 1) or left (-1) end of the seats."""
    if style == "none":
        return
    inner_x, low = plan.inner_width / 2, plan.lift + 0.004
    depth, height = plan.depth - 0.004, plan.arm_top - low
    if style == "rolled":
        solids = _rolled_arm(plan, inner_x, low, depth, height)
    else:
        width = plan.arm_width
        arm = pad((width, depth, height), radius=min(0.035, 0.4 * width), crown=0.012).moved(
            inner_x + width / 2, 0.0, low + height / 2
        )
        if style == "sloped":
            arm = arm.deformed(lambda points: _sloped(points, low, plan))
        elif style == "flared":
            arm = arm.deformed(lambda points: _flared(points, plan))
        solids = [arm]
    builder.add("arm", "soft", *(solid if sign > 0 else solid.mirrored() for solid in solids))


def _rolled_arm(plan: SeatPlan, inner_x: float, low: float, depth: float, height: float) -> list[Solid]:
    """Return a block with a cylinder on top, for the right end."""
    radius = max(0.065, 0.55 * plan.arm_width)
    box = pad((plan.arm_width - 0.02, depth - 0.02, height - radius), radius=0.02)
    roll_x = inner_x + plan.arm_width / 2 + 0.012
    block = box.moved(inner_x + (plan.arm_width - 0.02) / 2, 0.0, low + (height - radius) / 2)
    profile = [
        (-depth / 2, 0.75 * radius),
        (-depth / 2 + 0.012, 0.94 * radius),
        (-depth / 2 + 0.03, radius),
        (depth / 2, radius),
    ]
    roll = lathe(np.array(profile), 26).rotated("x", -90).moved(roll_x, 0.0, plan.arm_top - radius)
    return [block, roll]


def _sloped(points: Floats, low: float, plan: SeatPlan) -> Floats:
    """Lower an arm towards the front."""
    forward = np.clip(0.5 - points[:, 1] / plan.depth, 0, 1)
    drop = 0.4 * forward**1.5 * (plan.arm_top - plan.seat_top)
    z = points[:, 2] - drop * (points[:, 2] - low) / (plan.arm_top - low)
    return np.stack([points[:, 0], points[:, 1], z], -1)


def _flared(points: Floats, plan: SeatPlan) -> Floats:
    """Lean the upper portion of an arm outwards."""
    x = points[:, 0] + 0.22 * np.clip(points[:, 2] - plan.base_top, 0, None) ** 1.2
    return np.stack([x, points[:, 1], points[:, 2]], -1)


def _add_feet(builder: PieceBuilder, plan: SeatPlan, outer_width: float) -> None:
    half_size, height = (outer_width / 2 - 0.03, plan.depth / 2 - 0.04), plan.lift + 0.004
    if plan.lift < 0.045:
        add_plinth(builder, half_size, height, 0.02)
        return
    style = builder.pick({"block": 2, "cone": 3, "tapered": 2, "bun": 1, "tube": 1, "turned": 0.7, "sled": 0.8})
    if style == "sled":
        add_sled(builder, (half_size[0] - 0.06, half_size[1]), height, (0.04, 0.012), role="metal")
    else:
        add_four_legs(builder, style, half_size, height, builder.uniform(0.04, 0.06))


def build_wooden_lounge(builder: PieceBuilder, seats: int) -> None:
    """Build a seat with loose cushions in an open wooden frame."""
    plan = SeatPlan.random(builder, seats)
    t, x, depth = builder.uniform(0.03, 0.05), plan.inner_width / 2, min(plan.depth, 0.84)
    front, rear = -depth / 2 + t, depth / 2 - t
    deck = plan.base_top
    _add_wooden_sides(builder, plan, t, x, front, rear)
    outer_x = x + t / 2
    for y in (front, rear - 0.04):
        builder.add("frame", "wood", board((-outer_x, y - 0.014, deck - 0.055), (outer_x, y + 0.014, deck + 0.002)))
    for y in np.linspace(front, rear - 0.06, 6)[1:]:
        slat = board((-outer_x + 0.01, y - 0.03, deck - 0.012), (outer_x - 0.01, y + 0.03, deck + 0.003))
        builder.add("frame", "wood", slat)
    _add_slatted_back(builder, plan, x, rear, deck)
    # This thickness puts ``back_front`` at rear - 0.05.
    plan = replace(plan, depth=depth, back_thickness=depth / 2 - (rear - 0.05) - 0.04)
    _add_cushions(builder, plan, plan.back_front, loose_back=True)
    pillows = int(builder.rng.integers(0, 2)) if seats > 1 else 0
    add_throw_pillows(builder, plan, plan.back_front - 0.2, pillows)


def _add_wooden_sides(builder: PieceBuilder, plan: SeatPlan, t: float, x: float, front: float, rear: float) -> None:
    """Add the two side frames: legs, a rail, an arm rest and perhaps slats under it.

    Args:
        t: thickness of the legs.
        x: distance from the centre to the inner faces of the legs.
        front, rear: y coordinates of the legs.
    """
    arm_height = plan.seat_top + builder.uniform(0.14, 0.22)
    deck = plan.base_top
    arm_width = builder.uniform(0.045, 0.1)
    section = builder.pick(("rectangle", "rectangle", "round"))
    slant = builder.pick((0.0, 0.06, 0.1))
    outer_x = x + t / 2
    for sx in (-1, 1):
        for y, shift in ((front, -slant), (rear, slant)):
            foot, top = (sx * outer_x, y + 0.5 * shift, 0.0), (sx * outer_x, y - 0.2 * shift, arm_height - 0.012)
            builder.add("leg", "wood", leaning_bar(foot, top, [t, t], section))
        side_rail = board((sx * outer_x - 0.014, front, deck - 0.05), (sx * outer_x + 0.014, rear, deck + 0.012))
        builder.add("frame", "wood", side_rail)
        dip = np.array([0.0, 0.004, 0.0]) if builder.chance(0.5) else np.zeros(3)
        path = np.stack([np.full(3, sx * outer_x), [front - 0.06, 0.0, rear + 0.05], arm_height - dip], -1)
        builder.add("arm", "wood", sweep(path, (arm_width, 0.026), side=(1, 0, 0), bevel=0.004))
        if builder.chance(0.35):
            for y in np.linspace(front, rear, 7)[1:-1]:
                low = (sx * outer_x - 0.006, y - 0.018, deck)
                builder.add("arm", "wood", board(low, (sx * outer_x + 0.006, y + 0.018, arm_height - 0.01)))


def _add_slatted_back(builder: PieceBuilder, plan: SeatPlan, x: float, rear: float, deck: float) -> None:
    """Add a frame with vertical or horizontal slats. It leans against the rear legs."""
    place = reclined(plan.recline_deg + 6, rear - 0.04, deck - 0.01)
    height, t = plan.back_top - deck - 0.02, 0.024
    builder.add_pair("frame", "wood", place(board((x - 0.036, -t / 2, 0), (x, t / 2, height))))
    for z in (0.06, height - 0.03):
        builder.add(
            "frame", "wood", place(board((-x + 0.001, -t / 2 + 0.001, z - 0.03), (x - 0.001, t / 2 - 0.001, z + 0.03)))
        )
    if builder.chance(0.5):
        for slat_x in np.linspace(-x, x, max(5, int(2 * x / 0.11)))[1:-1]:
            slat = board((slat_x - 0.014, -0.008, 0.06), (slat_x + 0.014, 0.008, height - 0.03))
            builder.add("back", "wood", place(slat))
    else:
        for z in np.linspace(0.06, height - 0.03, 6)[1:-1]:
            builder.add("back", "wood", place(board((-x + 0.01, -0.008, z - 0.02), (x - 0.01, 0.008, z + 0.02))))


def rounded_back(plan: SeatPlan, wrap_deg: float) -> Solid:
    """Return a padded wall around the back, higher at the rear.

    Args:
        wrap_deg: angle that the wall covers to each side of the rear.
    """
    radius_x, radius_y, thickness = plan.inner_width / 2 + 0.04, plan.depth / 2 - 0.05, 0.09
    angle = np.radians(np.linspace(90 + wrap_deg, 90 - wrap_deg, 33))
    x, y = np.cos(angle) * radius_x, np.maximum(np.sin(angle), -1.0) * radius_y
    rearward = (np.sin(angle) + 1) / 2
    low, top = plan.lift + 0.03, plan.arm_top + (plan.back_top - plan.arm_top) * rearward**2
    path = np.stack([x, y, (top + low) / 2], -1)
    sizes = np.stack([top - low, np.full(33, thickness)], -1)
    return sweep(path, sizes, section="squircle", side=(0, 0, 1), sides=24, bevel=0.02)
