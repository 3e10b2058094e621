"""Upholstered seats of one or more places: base, arms, back, cushions, throw pillows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from export_models.dataset.makers.backs import leaned, upholstered_back
from export_models.dataset.makers.legs import four_legs, leaning
from export_models.dataset.makers.outlines import Floats
from export_models.dataset.makers.piece import Bench
from export_models.dataset.makers.solids import Solid, board, lathe, sweep
from export_models.dataset.makers.stands import plinth, sled
from export_models.dataset.makers.upholstery import pad, pillow, piping, tuft_grid, upright

ARMS = {"boxed": 4, "rolled": 2, "sloped": 1.5, "thin": 2, "flared": 1, "none": 0.5}


@dataclass(frozen=True)
class Plan:
    """Sizes of an upholstered seat, metres; x = 0 is its middle, y = 0 the middle of its depth."""

    seats: int
    place: float  # width of one seat
    depth: float  # outer
    arm: float  # width of one arm
    lift: float  # of the base over the floor
    base: float  # height of the base's top, under the cushions
    seat: float  # height of the seat
    arm_top: float
    back_top: float
    back: float  # thickness of the fixed back
    rake: float  # degrees

    @property
    def inner(self) -> float:
        return self.seats * self.place

    @property
    def back_front(self) -> float:
        """y of the fixed back's face at the seat."""
        return self.depth / 2 - self.back - 0.04

    @staticmethod
    def drawn(bench: Bench, seats: int) -> Plan:
        seat, thick = bench.between(0.41, 0.47), bench.between(0.12, 0.18)
        lift = bench.pick((0.03, bench.between(0.05, 0.1), bench.between(0.11, 0.17)))
        arm_top = seat + bench.between(0.12, 0.24)
        return Plan(
            seats=seats,
            place=bench.between(0.54, 0.7) if seats > 1 else bench.between(0.52, 0.64),
            depth=bench.between(0.82, 0.98),
            arm=bench.between(0.11, 0.24),
            lift=min(lift, seat - thick - 0.1),
            base=seat - thick,
            seat=seat,
            arm_top=arm_top,
            back_top=bench.between(max(0.72, arm_top + 0.08), 0.94),
            back=bench.between(0.12, 0.2),
            rake=bench.between(4, 12),
        )


def upholstered(bench: Bench, plan: Plan, arms: str, *, loose: bool, back: str | None, pillows: int) -> None:
    """A whole seat; ``loose`` puts cushions before the back, whose style is ``back``."""
    if arms == "thin":
        plan = replace(plan, arm=min(plan.arm, 0.08))
    outer = plan.inner + (2 * plan.arm if arms != "none" else 0.0)
    tall = plan.base - plan.lift
    base = pad((outer - 0.05, plan.depth - 0.03, tall), radius=min(0.02, 0.3 * tall))
    bench.put("body", "soft", base.moved(z=plan.lift + tall / 2 + 0.002))
    _feet(bench, plan, outer)
    for sign in (-1, 1):
        _arm(bench, plan, arms, sign)
    width = plan.inner
    lean = leaned(plan.rake, plan.back_front + 0.004, plan.base - 0.03)
    over = (
        2 * plan.arm * 0.98
        if arms != "none" and back == "plain" and bench.chance(0.4) and plan.back_top > plan.arm_top + 0.12
        else -0.004
    )
    height = plan.back_top - plan.base + 0.03
    if over > 0:
        upper = leaned(plan.rake, plan.back_front + 0.05, plan.base - 0.03)
        upholstered_back(bench, width + over, height, plan.back, upper, style="plain")
    else:
        upholstered_back(bench, width + over, height, plan.back, lean, style=back)
    front = plan.back_front + (0.05 if over > 0 else 0.0)
    _cushions(bench, plan, front, loose)
    throw_pillows(bench, plan, front - (0.2 if loose else 0.02), pillows)


def _cushions(bench: Bench, plan: Plan, front: float, loose: bool) -> None:
    thick = plan.seat - plan.base
    deep = front + plan.depth / 2 - 0.01
    joined = plan.seats > 1 and bench.chance(0.25)
    count = 1 if joined else plan.seats
    wide = plan.inner / count
    radius, crown, cord = bench.between(0.025, 0.055), bench.between(0.01, 0.03), bench.chance(0.4)
    wrinkle = bench.between(0.001, 0.004)
    tufted = bench.chance(0.15)
    for i in range(count):
        x = (i - (count - 1) / 2) * wide
        size = (wide - 0.006, deep, thick)
        tufts = tuft_grid(wide, deep, 0.2) if tufted else None
        soft = pad(
            size, radius=radius, crown=crown, wrinkle=wrinkle, rng=bench.rng, tufts=tufts, cells=20 if tufted else 14
        )
        middle = plan.base + thick / 2 + 0.002
        bench.put("cushion", "soft", soft.moved(x, front - deep / 2, middle))
        if cord:
            ring = piping(size, radius, thick / 2 - 0.6 * radius, crown=crown)
            bench.put("cushion", "soft", ring.moved(x, front - deep / 2, middle))
    if not loose:
        return
    tall = plan.back_top - plan.seat + bench.between(-0.06, 0.05)
    deep = bench.between(0.14, 0.2)
    style = bench.pick({"block": 3, "pillow": 2})
    place = leaned(plan.rake + 4, front - 0.5 * deep + 0.02, plan.seat - 0.005)
    wide = plan.inner / plan.seats
    for i in range(plan.seats):
        x = (i - (plan.seats - 1) / 2) * wide
        if style == "block":
            soft = pad(
                (wide - 0.01, tall, deep),
                radius=0.45 * deep * 0.8,
                crown=0.03,
                wrinkle=wrinkle,
                rng=bench.rng,
                cells=14,
            )
        else:
            soft = pillow(wide + 0.02, tall + 0.03, deep + 0.05, bench.rng, cells=16)
        bench.put("cushion", "soft", place(upright(soft).moved(x=x, z=tall / 2)))


def throw_pillows(bench: Bench, plan: Plan, front: float, count: int) -> None:
    """Square pillows that lean in the corners or along the back."""
    edge = plan.inner / 2 - 0.24
    for i in range(min(count, plan.seats + 1)):
        x = [-edge, edge, -edge + 0.3, 0.0][i] if plan.seats > 1 else 0.0
        size = bench.between(0.38, 0.5)
        soft = pillow(size, size * bench.pick((1.0, 1.0, 0.65)), bench.between(0.12, 0.17), bench.rng)
        tilt = bench.between(14, 26)
        standing = upright(soft)
        low = float(standing.turned("x", -tilt).vertices[:, 2].min())
        role = bench.pick({"soft2": 3, "soft": 1})
        turned = standing.turned("x", -tilt).turned("z", bench.between(-14, 14))
        bench.put("cushion", role, turned.moved(x, front - 0.14 - 0.05 * (i == 2), plan.seat - low - 0.02))


def _arm(bench: Bench, plan: Plan, style: str, sign: int) -> None:
    """One arm, its inner face at the seats' end."""
    if style == "none":
        return
    inner, low = plan.inner / 2, plan.lift + 0.004
    deep, tall = plan.depth - 0.004, plan.arm_top - low
    wide = plan.arm
    if style == "rolled":
        radius = max(0.065, 0.55 * plan.arm)
        box = pad((plan.arm - 0.02, deep - 0.02, tall - radius), radius=0.02)
        roll_x = inner + plan.arm / 2 + 0.012
        block = box.moved(inner + (plan.arm - 0.02) / 2, 0.0, low + (tall - radius) / 2)
        ends = [
            (-deep / 2, 0.75 * radius),
            (-deep / 2 + 0.012, 0.94 * radius),
            (-deep / 2 + 0.03, radius),
            (deep / 2, radius),
        ]
        roll = lathe(np.array(ends), 26).turned("x", -90).moved(roll_x, 0.0, plan.arm_top - radius)
        made = [block, roll]
    else:
        solid = pad((wide, deep, tall), radius=min(0.035, 0.4 * wide), crown=0.012).moved(
            inner + wide / 2, 0.0, low + tall / 2
        )
        if style == "sloped":
            solid = solid.bent(lambda p: _slope(p, low, plan))
        elif style == "flared":
            solid = solid.bent(
                lambda p: np.stack(
                    [p[:, 0] + 0.22 * np.clip(p[:, 2] - plan.base, 0, None) ** 1.2, p[:, 1], p[:, 2]], -1
                )
            )
        made = [solid]
    bench.put("arm", "soft", *(solid if sign > 0 else solid.mirrored() for solid in made))


def _slope(points: Floats, low: float, plan: Plan) -> Floats:
    """The arm falls towards the front."""
    share = np.clip(0.5 - points[:, 1] / plan.depth, 0, 1)
    fall = 0.4 * share**1.5 * (plan.arm_top - plan.seat)
    z = points[:, 2] - fall * (points[:, 2] - low) / (plan.arm_top - low)
    return np.stack([points[:, 0], points[:, 1], z], -1)


def _feet(bench: Bench, plan: Plan, outer: float) -> None:
    half, height = (outer / 2 - 0.03, plan.depth / 2 - 0.04), plan.lift + 0.004
    if plan.lift < 0.045:
        plinth(bench, half, height, 0.02)
        return
    style = bench.pick({"block": 2, "cone": 3, "tapered": 2, "bun": 1, "tube": 1, "turned": 0.7, "sled": 0.8})
    if style == "sled":
        sled(bench, (half[0] - 0.06, half[1]), height, (0.04, 0.012), role="metal")
    else:
        four_legs(bench, style, half, height, bench.between(0.04, 0.06))


def wooden_lounge(bench: Bench, seats: int) -> None:
    """Cushions in an open wooden frame."""
    plan = Plan.drawn(bench, seats)
    t, x, depth = bench.between(0.03, 0.05), plan.inner / 2, min(plan.depth, 0.84)
    front, hind = -depth / 2 + t, depth / 2 - t
    arm = plan.seat + bench.between(0.14, 0.22)
    deck = plan.base
    wide = bench.between(0.045, 0.1)
    section = bench.pick(("board", "board", "round"))
    slant = bench.pick((0.0, 0.06, 0.1))
    out = x + t / 2
    for sign in (-1, 1):
        for y, shift in ((front, -slant), (hind, slant)):
            foot, top = (sign * out, y + 0.5 * shift, 0.0), (sign * out, y - 0.2 * shift, arm - 0.012)
            bench.put("leg", "wood", leaning(foot, top, [t, t], section))
        bench.put(
            "frame", "wood", board((sign * out - 0.014, front, deck - 0.05), (sign * out + 0.014, hind, deck + 0.012))
        )
        lift = np.array([0.0, 0.004, 0.0]) if bench.chance(0.5) else np.zeros(3)
        path = np.stack([np.full(3, sign * out), [front - 0.06, 0.0, hind + 0.05], arm - lift], -1)
        bench.put("arm", "wood", sweep(path, (wide, 0.026), side=(1, 0, 0), bevel=0.004))
        if bench.chance(0.35):
            for y in np.linspace(front, hind, 7)[1:-1]:
                bench.put(
                    "arm",
                    "wood",
                    board((sign * out - 0.006, y - 0.018, deck), (sign * out + 0.006, y + 0.018, arm - 0.01)),
                )
    for y in (front, hind - 0.04):
        bench.put("frame", "wood", board((-out, y - 0.014, deck - 0.055), (out, y + 0.014, deck + 0.002)))
    for y in np.linspace(front, hind - 0.06, 6)[1:]:
        bench.put("frame", "wood", board((-out + 0.01, y - 0.03, deck - 0.012), (out - 0.01, y + 0.03, deck + 0.003)))
    _slatted_back(bench, plan, x, hind, deck)
    moved = replace(plan, depth=depth, back=depth / 2 - (hind - 0.05) - 0.04)
    _cushions(bench, moved, moved.back_front, True)
    throw_pillows(bench, moved, moved.back_front - 0.2, int(bench.rng.integers(0, 2)) if seats > 1 else 0)


def _slatted_back(bench: Bench, plan: Plan, x: float, hind: float, deck: float) -> None:
    place = leaned(plan.rake + 6, hind - 0.04, deck - 0.01)
    height, thick = plan.back_top - deck - 0.02, 0.024
    bench.pair("frame", "wood", place(board((x - 0.036, -thick / 2, 0), (x, thick / 2, height))))
    for z in (0.06, height - 0.03):
        bench.put("frame", "wood", place(board((-x, -thick / 2 + 0.001, z - 0.03), (x, thick / 2 - 0.001, z + 0.03))))
    if bench.chance(0.5):
        for at in np.linspace(-x, x, max(5, int(2 * x / 0.11)))[1:-1]:
            bench.put("back", "wood", place(board((at - 0.014, -0.008, 0.06), (at + 0.014, 0.008, height - 0.03))))
    else:
        for z in np.linspace(0.06, height - 0.03, 6)[1:-1]:
            bench.put("back", "wood", place(board((-x + 0.01, -0.008, z - 0.02), (x - 0.01, 0.008, z + 0.02))))


def rounded_back(plan: Plan, reach: float) -> Solid:
    """One padded wall round the back and ``reach`` degrees to each side of it, higher behind."""
    reach_x, reach_y, thick = plan.inner / 2 + 0.04, plan.depth / 2 - 0.05, 0.09
    angle = np.radians(np.linspace(90 + reach, 90 - reach, 33))
    flat = np.stack([np.cos(angle) * reach_x, np.maximum(np.sin(angle), -1.0) * reach_y], -1)
    behind = (np.sin(angle) + 1) / 2
    low, top = plan.lift + 0.03, plan.arm_top + (plan.back_top - plan.arm_top) * behind**2
    path = np.stack([flat[:, 0], flat[:, 1], (top + low) / 2], -1)
    sizes = np.stack([top - low, np.full(33, thick)], -1)
    return sweep(path, sizes, section="plump", side=(0, 0, 1), sides=24, bevel=0.02)
