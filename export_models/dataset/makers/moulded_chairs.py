"""Chairs without back posts: moulded shells, upholstered parsons chairs, cantilever chairs, office chairs.

The ``build`` functions take the height of the seat, and the height of the back above the seat.
"""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import add_upholstered_back, moulded_shell, reclined
from export_models.dataset.makers.legs import add_four_legs
from export_models.dataset.makers.outlines import fillet
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.seat_bases import BASE_STYLES, add_cantilever, add_seat_base, add_star_base
from export_models.dataset.makers.solids import Solid, bar, board, sheet, sweep
from export_models.dataset.makers.upholstery import pad, piping


def build_shell_chair(builder: PieceBuilder, width: float, depth: float, seat: float, back: float) -> None:
    """Build a chair with a moulded shell of plastic, plywood or upholstery on any base."""
    arms = builder.pick((0.0, 0.0, builder.uniform(0.12, 0.2)))
    plain = not arms and builder.chance(0.3)
    role = builder.pick({"shell": 3, "wood2": 1.5 if plain else 0.3, "soft": 1})
    shell = moulded_shell(builder, width, depth, 0.85 * back, arms=arms, plain=plain)
    builder.add("seat", role, shell.moved(z=seat))
    add_seat_base(builder, builder.pick(BASE_STYLES), (0.34 * width, 0.32 * depth), seat - 0.016)
    if role != "soft" and builder.chance(0.3):
        cushion = pad((0.78 * width, 0.74 * depth, 0.03), radius=0.014, crown=0.006)
        builder.add("cushion", "soft", cushion.moved(y=-0.02, z=seat + 0.012))


def build_parsons_chair(builder: PieceBuilder, width: float, depth: float, seat: float, back: float) -> None:
    """Build a chair with an upholstered seat and back on four legs."""
    width, thickness = width + 0.02, builder.uniform(0.07, 0.12)
    seat_size, crown = (width, depth + 0.04, thickness), builder.uniform(0.006, 0.018)
    builder.add("cushion", "soft", pad(seat_size, radius=0.025, crown=crown).moved(z=seat - thickness / 2))
    if builder.chance(0.4):
        cord = piping(seat_size, 0.025, thickness / 2 - 0.02, crown=crown)
        builder.add("cushion", "soft", cord.moved(z=seat - thickness / 2))
    back_thickness = builder.uniform(0.055, 0.09)
    low = builder.pick((-0.02, -0.02, 0.07))
    place = reclined(builder.uniform(5, 12), depth / 2 - back_thickness / 2 - 0.01, seat + low)
    add_upholstered_back(builder, width - builder.pick((0.0, 0.03)), back + 0.05 - low, back_thickness, place)
    if low > 0:
        for x in (-0.3 * width, 0.3 * width):
            post = board((x - 0.015, -0.004, -low - 0.03), (x + 0.015, 0.012, 0.1))
            builder.add("frame", "wood", place(post.moved(y=back_thickness / 2)))
    style = builder.pick({"square": 2, "tapered": 3, "turned": 1, "saber": 1, "cabriole": 1, "splayed": 2, "tube": 1})
    leg_height = seat - thickness + 0.012
    add_four_legs(builder, style, (width / 2 - 0.01, depth / 2), leg_height, builder.uniform(0.034, 0.044))


def build_cantilever_chair(builder: PieceBuilder, width: float, depth: float, seat: float, back: float) -> None:
    """Build a chair on a bent tube with a seat and back of upholstery, cane or wood, after Breuer's B32 (1928)."""
    under = seat - 0.02
    add_cantilever(builder, width, depth, under, back)
    role = builder.pick(("soft", "cane", "wood", "soft"))
    if role == "soft":
        cushion = pad((width + 0.015, depth + 0.02, 0.045), radius=0.018, crown=0.008)
        builder.add("cushion", role, cushion.moved(z=under + 0.012))
    elif role == "cane":
        frame_low = (-width / 2 - 0.01, -depth / 2, under - 0.008)
        builder.add("frame", "wood", board(frame_low, (width / 2 + 0.01, depth / 2, under + 0.016)))
        cane_low = (-width / 2 + 0.025, -depth / 2 + 0.035, under)
        cane = board(cane_low, (width / 2 - 0.025, depth / 2 - 0.035, under + 0.02), bevel=0.003)
        builder.add("seat", role, cane)
    else:
        low = (-width / 2 - 0.01, -depth / 2, under - 0.004)
        builder.add("seat", role, board(low, (width / 2 + 0.01, depth / 2, under + 0.016)))
    _add_cantilever_back(builder, width, depth, under, back, role)
    if builder.chance(0.4):
        _add_tube_arms(builder, width / 2, depth, seat)


def _add_cantilever_back(
    builder: PieceBuilder, width: float, depth: float, under: float, back: float, role: str
) -> None:
    height = min(builder.uniform(0.18, 0.34), 0.7 * back)
    # The angle of the uprights of ``add_cantilever``.
    place = reclined(float(np.degrees(np.arctan(0.2))), depth / 2 + 0.03, under)
    top = back + 0.02
    if role == "soft":

        def place_at_top(solid: Solid) -> Solid:
            return place(solid.moved(y=-0.03, z=top - height))

        add_upholstered_back(builder, width + 0.01, height, 0.04, place_at_top, style="plain")
    else:
        x = np.linspace(-width / 2, width / 2, 13)
        z = np.linspace(top - height, top, 6)
        grid = np.stack(np.broadcast_arrays(x[:, None], 0.03 * (1 - (2 * x[:, None] / width) ** 2), z), -1)
        builder.add("back", role, place(sheet(grid, 0.014).moved(y=-0.008)))


def _add_tube_arms(builder: PieceBuilder, x: float, depth: float, seat: float) -> None:
    z, t = seat + 0.2, 0.02
    path = [
        (x + 0.004, -depth / 2 + 0.06, seat - 0.03),
        (x + 0.012, -depth / 2 + 0.03, z),
        (x + 0.004, depth / 2 + 0.075, z),
    ]
    builder.add_pair("arm", "metal", sweep(fillet(path, 0.06, 7), t, section="round"))
    rest = board((x - 0.012, -depth / 2 + 0.09, z + 0.004), (x + 0.034, depth / 2 + 0.01, z + 0.026), bevel=0.006)
    builder.add_pair("arm", builder.pick(("wood", "rubber")), rest)


def build_office_chair(builder: PieceBuilder, width: float, depth: float, seat: float, back: float) -> None:
    """Build a swivel chair on casters."""
    width, thickness = width + 0.03, builder.uniform(0.05, 0.09)
    add_star_base(builder, seat - thickness + 0.008, casters=True)
    cushion = pad((width, depth + 0.04, thickness), radius=0.45 * thickness, crown=0.012)
    builder.add("cushion", "soft", cushion.moved(z=seat - thickness / 2))
    low, back_thickness = builder.uniform(0.02, 0.16), builder.uniform(0.035, 0.07)
    y = depth / 2 - 0.01
    place = reclined(builder.uniform(6, 12), y, seat + low)
    add_upholstered_back(builder, width * builder.uniform(0.85, 1.0), back + 0.05, back_thickness, place)
    under = seat - thickness
    spine = [
        (0, 0.02, under + 0.002),
        (0, y + 0.09, under + 0.002),
        (0, y + 0.7 * back_thickness + 0.02, seat + low + 0.14),
    ]
    builder.add("frame", "rubber", sweep(fillet(spine, 0.06, 6), (0.07, 0.016), side=(1, 0, 0)))
    if builder.chance(0.7):
        x, z = width / 2 + 0.025, seat + builder.uniform(0.18, 0.24)
        role = builder.pick(("rubber", "metal"))
        bracket = fillet([(x - 0.1, 0.03, under + 0.004), (x, 0.03, under + 0.004), (x, 0.03, z)], 0.04, 5)
        builder.add_pair("arm", role, sweep(bracket, (0.045, 0.014), side=(0, 1, 0)))
        rest = pad((0.07, 0.25, 0.028), radius=0.012).moved(x, -0.01, z)
        builder.add_pair("arm", "rubber", rest)
    if builder.chance(0.2):
        post = place(bar((0, back_thickness / 2, back), (0, back_thickness / 2, back + 0.12), 0.02))
        builder.add("hardware", "metal", post)
        head_rest = pad((0.26, 0.15, 0.06), radius=0.026, crown=0.01).rotated("x", 90)
        builder.add("back", "soft", place(head_rest.moved(y=back_thickness / 2 - 0.01, z=back + 0.17)))
