"""Sofas and armchairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from export_models.dataset.makers.backs import leaned, shell, upholstered_back
from export_models.dataset.makers.chairs import post_chair
from export_models.dataset.makers.legs import four_legs
from export_models.dataset.makers.lounge import ARMS, Plan, rounded_back, throw_pillows, upholstered, wooden_lounge
from export_models.dataset.makers.outlines import Floats, ellipse
from export_models.dataset.makers.piece import Bench, Piece
from export_models.dataset.makers.seat_bases import seat_base
from export_models.dataset.makers.solids import board, slab
from export_models.dataset.makers.upholstery import pad, piping


def armchair(rng: np.random.Generator) -> Piece:
    """A seat for one, with arms."""
    bench = Bench(rng)
    make = {"club": _club, "wooden": _wooden, "wing": _wing, "tub": _tub, "shell": _shell, "carver": _carver}
    make[bench.pick({"club": 4, "wooden": 3, "wing": 1.5, "tub": 1.5, "shell": 1.5, "carver": 1.5})](bench)
    return bench.piece("armchair")


def sofa(rng: np.random.Generator) -> Piece:
    """A seat for two to four."""
    bench = Bench(rng)
    seats = bench.pick({2: 3, 3: 4, 4: 0.6})
    design = bench.pick({"classic": 5, "tight": 2, "wooden": 2, "chesterfield": 1.2, "chaise": 1.8, "daybed": 0.8})
    if design == "wooden":
        wooden_lounge(bench, min(seats, 3))
    elif design == "daybed":
        _daybed(bench)
    elif design == "chaise":
        _chaise(bench)
    else:
        plan = Plan.drawn(bench, seats)
        arms = bench.pick(ARMS)
        if design == "chesterfield":
            plan = replace(plan, arm_top=plan.seat + 0.27, back_top=plan.seat + 0.29, arm=0.2)
            arms = "rolled"
        loose = design == "classic"
        pillows = int(bench.rng.integers(0, 5)) if loose or bench.chance(0.5) else 0
        back = "tufted" if design == "chesterfield" else ("plain" if loose else None)
        upholstered(bench, plan, arms, loose=loose, back=back, pillows=pillows)
    return bench.piece("sofa")


def _club(bench: Bench) -> None:
    plan = Plan.drawn(bench, 1)
    plan = replace(plan, depth=min(plan.depth, 0.9), arm=min(plan.arm, 0.18))
    arms = bench.pick({name: weight for name, weight in ARMS.items() if name != "none"})
    loose = bench.chance(0.45)
    upholstered(bench, plan, arms, loose=loose, back="plain" if loose else None, pillows=int(bench.chance(0.25)))


def _wooden(bench: Bench) -> None:
    wooden_lounge(bench, 1)


def _carver(bench: Bench) -> None:
    post_chair(
        bench,
        bench.between(0.50, 0.56),
        bench.between(0.43, 0.48),
        bench.between(0.43, 0.47),
        bench.between(0.4, 0.55),
        arms=True,
    )


def _shell(bench: Bench) -> None:
    """A wide moulded or upholstered bucket."""
    width, depth, seat = bench.between(0.56, 0.66), bench.between(0.5, 0.56), bench.between(0.38, 0.42)
    role = bench.pick({"soft": 3, "shell": 2})
    bench.put(
        "seat",
        role,
        shell(bench, width, depth, bench.between(0.42, 0.62), arms=bench.between(0.16, 0.22)).moved(z=seat),
    )
    seat_base(
        bench,
        bench.pick({"splayed": 3, "sled": 1, "star": 2, "tube": 1, "wire": 1}),
        (0.33 * width, 0.3 * depth),
        seat - 0.016,
    )
    soft = pad((0.74 * width, 0.76 * depth, 0.07), radius=0.03, crown=0.012)
    bench.put("cushion", "soft", soft.moved(y=-0.02, z=seat + 0.03))


def _tub(bench: Bench) -> None:
    """A rounded wall round a seat."""
    plan = Plan.drawn(bench, 1)
    depth = bench.between(0.68, 0.78)
    plan = replace(
        plan, depth=depth, place=min(plan.place, 0.6), back_top=bench.between(0.68, 0.82), lift=max(plan.lift, 0.08)
    )
    plan = replace(plan, arm_top=min(plan.arm_top, plan.back_top - 0.02))
    bench.put("back", "soft", rounded_back(plan, bench.between(118, 150)))
    wide, tall = plan.inner - 0.01, plan.base - plan.lift
    base = slab(ellipse(wide + 0.05, depth - 0.12, 56, power=3.4), tall, bevel=0.012, smooth=True)
    bench.put("body", "soft", base.moved(y=-0.01, z=plan.lift + 0.002))
    thick = plan.seat - plan.base
    size = (plan.inner - 0.02, depth - 0.16, thick)
    soft = pad(size, radius=0.04, crown=0.025, wrinkle=0.002, rng=bench.rng)
    bench.put("cushion", "soft", soft.moved(y=-0.03, z=plan.base + thick / 2))
    if bench.chance(0.4):
        bench.put(
            "cushion",
            "soft",
            piping(size, 0.04, thick / 2 - 0.024, crown=0.025).moved(y=-0.03, z=plan.base + thick / 2),
        )
    four_legs(
        bench, bench.pick(("cone", "splayed", "tapered", "tube")), (0.4 * wide, 0.36 * depth), plan.lift + 0.006, 0.042
    )


def _wing(bench: Bench) -> None:
    """A high back with wings."""
    plan = Plan.drawn(bench, 1)
    plan = replace(
        plan,
        depth=bench.between(0.78, 0.86),
        arm=bench.between(0.09, 0.14),
        back_top=bench.between(1.0, 1.15),
        lift=max(plan.lift, 0.1),
        back=0.12,
    )
    upholstered(
        bench,
        plan,
        bench.pick(("boxed", "rolled", "thin")),
        loose=False,
        back=None,
        pillows=int(bench.chance(0.3)),
    )
    place = leaned(plan.rake, plan.back_front, plan.base - 0.03)
    low, high = plan.arm_top - plan.base - 0.02, plan.back_top - plan.base + 0.01
    deep = bench.between(0.18, 0.26)
    wing = pad((0.05, deep + plan.back, high - low), radius=0.022).moved(
        plan.inner / 2 + 0.02, (plan.back - deep) / 2, (low + high) / 2
    )

    def rounded(points: Floats) -> Floats:
        share = np.clip((points[:, 2] - low) / (high - low), 0, 1)
        forward = np.clip(-points[:, 1] / deep, 0, 1)
        z = points[:, 2] - 0.35 * (high - low) * forward**2 * share
        return np.stack([points[:, 0] + 0.05 * forward, points[:, 1], z], -1)

    solid = wing.bent(rounded)
    bench.put("arm", "soft", place(solid), place(solid.mirrored()))


def _chaise(bench: Bench) -> None:
    """A corner sofa: its last place is drawn out to lie on."""
    plan = Plan.drawn(bench, bench.pick((2, 3)))
    plan = replace(plan, lift=max(0.05, plan.lift), arm=min(plan.arm, 0.18))
    upholstered(
        bench,
        plan,
        bench.pick(("boxed", "thin", "flared")),
        loose=True,
        back="plain",
        pillows=int(bench.rng.integers(0, 4)),
    )
    side, long = bench.pick((-1, 1)), bench.between(0.55, 0.72)
    wide = plan.place
    x = side * (plan.inner / 2 - wide / 2)
    front = -plan.depth / 2
    tall, thick = plan.base - plan.lift, plan.seat - plan.base
    box = pad((wide + 0.02, long + 0.03, tall), radius=min(0.02, 0.3 * tall))
    bench.put("body", "soft", box.moved(x, front - long / 2 + 0.015, plan.lift + tall / 2 + 0.002))
    soft = pad((wide - 0.006, long, thick), radius=0.04, crown=0.018, wrinkle=0.002, rng=bench.rng)
    bench.put("cushion", "soft", soft.moved(x, front - long / 2 + 0.004, plan.base + thick / 2 + 0.002))
    for px in (x - wide / 2 + 0.06, x + wide / 2 - 0.06):
        bench.put(
            "leg",
            "wood",
            board(
                (px - 0.022, front - long + 0.05, 0),
                (px + 0.022, front - long + 0.094, plan.lift + 0.006),
                grain=(0, 0, 1),
            ),
        )


def _daybed(bench: Bench) -> None:
    """A low wooden frame with a mattress and a bolster or a low back."""
    width, depth, seat = bench.between(1.7, 2.0), bench.between(0.75, 0.88), bench.between(0.40, 0.45)
    thick = bench.between(0.12, 0.18)
    deck, t = seat - thick, 0.05
    bench.put(
        "frame", "wood", board((-width / 2, -depth / 2, deck - 0.09), (width / 2, depth / 2, deck + 0.001), bevel=0.004)
    )
    style = bench.pick({"tapered": 2, "cone": 2, "square": 1, "hairpin": 1, "turned": 1})
    four_legs(bench, style, (width / 2 - 0.04, depth / 2 - 0.03), deck - 0.088, t)
    size = (width - 0.03, depth - 0.03, thick)
    bench.put("cushion", "soft", pad(size, radius=0.035, crown=0.01).moved(z=deck + thick / 2))
    bench.put("cushion", "soft", piping(size, 0.035, thick / 2 - 0.022).moved(z=deck + thick / 2))
    if bench.chance(0.6):
        place = leaned(8, depth / 2 - 0.09, seat - 0.006)
        upholstered_back(bench, width - 0.1, bench.between(0.3, 0.4), 0.12, place)
        plan = replace(Plan.drawn(bench, 3), place=width / 3, seat=seat)
        throw_pillows(bench, plan, depth / 2 - 0.12, int(bench.rng.integers(0, 4)))
