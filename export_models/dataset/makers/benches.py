"""Benches: plain, slatted, upholstered and tufted; with storage; chests with a lid; benches with a back."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import add_post_back, reclined
from export_models.dataset.makers.bins import add_bins
from export_models.dataset.makers.cases import (
    CARCASS_ROLES,
    Case,
    add_carcass,
    add_doors,
    add_drawers,
    add_shelves,
    add_stand,
    draw_fronts,
    draw_stand_height,
    split_columns,
)
from export_models.dataset.makers.fronts import Span
from export_models.dataset.makers.legs import METAL_STYLES, add_four_legs
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, lathe
from export_models.dataset.makers.stands import add_sled, add_stretchers
from export_models.dataset.makers.upholstery import pad, piping, tuft_grid

LOW_LEG_STYLES = {
    "cone": 3, "tapered": 3, "splayed": 2, "block": 2, "turned": 1.5, "bun": 1, "tube": 1, "hairpin": 0.7,
}  # fmt: skip
HIGH_LEG_STYLES = {"tapered": 3, "splayed": 2, "turned": 2, "cabriole": 1.5, "hairpin": 1, "tube": 1, "square": 2}
"""Styles of the legs of upholstered benches that are higher than 0.2 m."""


def add_slats(builder: PieceBuilder, component: str, half_size: tuple[float, float], top: float, role: str) -> float:
    """Add slats along x with gaps, on two or three battens; return the height of the battens' underside.

    Args:
        half_size: half the width and half the depth.
        top: height of the upper side of the slats.
    """
    x, y = half_size
    t = builder.uniform(0.016, 0.026)
    count = max(3, round(2 * y / builder.uniform(0.045, 0.1)))
    pitch = 2 * y / count
    gap = min(builder.uniform(0.006, 0.018), 0.3 * pitch)
    for i in range(count):
        low = -y + i * pitch + gap / 2
        builder.add(component, role, board((-x, low, top - t), (x, low + pitch - gap, top), bevel=0.003))
    for px in (-0.8 * x, 0.8 * x) if x < 0.5 else (-0.85 * x, 0.0, 0.85 * x):
        batten = board((px - 0.02, -y + 0.01, top - t - 0.022), (px + 0.02, y - 0.01, top - t + 0.001))
        builder.add("frame", role, batten)
    return top - t - 0.022


def build_plain_bench(builder: PieceBuilder) -> None:
    """Build a wooden seat, of one board or slatted, on panels, legs, a sled or steel, sometimes with a cushion."""
    width, depth, seat = builder.uniform(0.8, 1.7), builder.uniform(0.3, 0.42), builder.uniform(0.42, 0.48)
    t, x, y = builder.uniform(0.025, 0.05), width / 2, depth / 2
    role, slatted = builder.pick({"wood": 4, "timber": 2, "wood2": 1}), builder.chance(0.4)
    if slatted:
        under = add_slats(builder, "seat", (x, y), seat, role)
    else:
        builder.add("seat", role, board((-x, -y, seat - t), (x, y, seat), bevel=builder.pick((0.002, 0.005, 0.01))))
        under = seat - t
    _add_bench_base(builder, (x, y), under)
    if builder.chance(0.2):
        size = (width - 0.02, depth - 0.01, builder.uniform(0.03, 0.06))
        builder.add("cushion", "soft", pad(size, radius=0.02, crown=0.01).moved(z=seat + size[2] / 2 - 0.001))


def _add_bench_base(builder: PieceBuilder, half_size: tuple[float, float], under: float) -> None:
    """Add the base of a plain bench under a seat of this half size."""
    x, y = half_size
    base = builder.pick({"panels": 2, "legs": 3, "steel": 2, "sled": 1.5, "frame": 2})
    if base == "panels":
        reach, panel = x - builder.pick((0.0, 0.06, 0.15)), builder.uniform(0.025, 0.045)
        side = board((reach - panel, -y + 0.005, 0), (reach, y - 0.005, under + 0.001), grain=(0, 0, 1))
        builder.add_pair("leg", "wood", side)
        rail = board((-reach + 0.01, -0.012, under - 0.1), (reach - 0.01, 0.012, under + 0.001))
        builder.add("frame", "wood", rail)
    elif base == "legs":
        style = builder.pick(("splayed", "cone", "tapered", "square"))
        add_four_legs(builder, style, (x - 0.08, y - 0.03), under, builder.uniform(0.035, 0.05))
        for sy in (-1, 1):
            apron_y = sy * (y - 0.055)
            rail = board((-x + 0.1, apron_y - 0.009, under - 0.05), (x - 0.1, apron_y + 0.009, under + 0.001))
            builder.add("frame", "wood", rail)
    elif base == "steel":
        add_four_legs(builder, builder.pick(METAL_STYLES), (x - 0.1, y - 0.02), under, 0.04)
    elif base == "sled":
        section = builder.pick(((0.03, 0.03), (0.06, 0.02), (0.04, 0.04)))
        add_sled(builder, (x - 0.12, y - 0.02), under + 0.001, section, role=builder.pick(("metal", "wood")))
    else:
        leg = builder.uniform(0.04, 0.06)
        add_four_legs(builder, "square", (x - 0.02, y - 0.02), under, leg)
        axes = (x - 0.02 - leg / 2, y - 0.02 - leg / 2)
        add_stretchers(builder, axes, under - 0.035, (0.02, 0.07), kind="side")
        add_stretchers(builder, axes, builder.uniform(0.08, 0.14), (0.022, 0.03), kind="H")


def build_upholstered_bench(builder: PieceBuilder) -> None:
    """Build a padded, often tufted bench on small wooden or metal legs."""
    width, depth, seat = builder.uniform(0.8, 1.5), builder.uniform(0.36, 0.5), builder.uniform(0.43, 0.5)
    is_box = builder.chance(0.4)
    thickness = seat - builder.uniform(0.06, 0.14) if is_box else builder.uniform(0.08, 0.15)
    under, size = seat - thickness, (width, depth, thickness)
    style = builder.pick({"tufted": 3, "plain": 2, "channels": 1, "piped": 1})
    tufts = tuft_grid(width, depth, builder.uniform(0.12, 0.2)) if style == "tufted" else None
    channels = round(width / 0.12) if style == "channels" else 0
    cells = 26 if tufts is not None else 12
    radius, crown = min(builder.uniform(0.015, 0.04), 0.4 * thickness), builder.uniform(0.006, 0.02)
    soft = pad(size, radius=radius, crown=crown, tufts=tufts, channels=channels, cells=cells)
    builder.add("cushion", "soft", soft.moved(z=under + thickness / 2))
    if style == "piped" or is_box:
        z = thickness / 2 - (radius if style == "piped" else builder.uniform(0.06, 0.1))
        cord = piping(size, radius, z, crown=crown)
        builder.add("cushion", "soft", cord.moved(z=under + thickness / 2))
    has_high_legs = under > 0.2
    leg_style = builder.pick(HIGH_LEG_STYLES if has_high_legs else LOW_LEG_STYLES)
    half_size = (width / 2 - builder.uniform(0.02, 0.08), depth / 2 - 0.03)
    if has_high_legs and builder.chance(0.5):
        x, y = half_size[0] - 0.004, half_size[1] - 0.004
        builder.add("frame", "wood", board((-x, -y, under - 0.05), (x, y, under + 0.003), grain=(1, 0, 0)))
    add_four_legs(builder, leg_style, half_size, under + 0.004, builder.uniform(0.03, 0.045))
    if not is_box and has_high_legs and builder.chance(0.3):
        _add_studs(builder, width, depth, under + 0.02)


def _add_studs(builder: PieceBuilder, width: float, depth: float, z: float) -> None:
    """Add a row of round nail heads along the front of an upholstered seat."""
    stud = lathe([(0, 0.006), (0.002, 0.005), (0.0035, 0.002)], 8).rotated("x", 90)
    for x in np.linspace(-width / 2 + 0.05, width / 2 - 0.05, round(width / 0.035)):
        builder.add("hardware", "fitting", stud.moved(float(x), -depth / 2 + 0.0012, z))


def build_storage_bench(builder: PieceBuilder) -> None:
    """Build a low case with open compartments, drawers or doors, and often a cushion on top."""
    width, depth = builder.uniform(0.8, 1.3), builder.uniform(0.34, 0.44)
    height = builder.uniform(0.4, 0.48)
    style = builder.pick({"floor": 2, "plinth": 1, "legs": 4, "bracket": 1})
    lift = draw_stand_height(builder, style, (0.06, 0.14))
    role = builder.pick(CARCASS_ROLES)
    case = Case.centred(width, depth, (lift, height), builder.uniform(0.018, 0.028), role)
    add_stand(builder, case, style)
    opening = add_carcass(builder, case)
    fronts = draw_fronts(builder, case, {"slab": 3, "panel": 2, "louvre": 1, "cane": 1})
    columns = split_columns(builder, case, opening, [1.0] * builder.pick((2, 3, 3)))
    filling = builder.pick({"open": 2, "bins": 2, "shelves": 2, "drawers": 2, "doors": 1, "mixed": 1.5})
    bin_role = builder.pick({"wicker": 2, "soft2": 1})
    for i, column in enumerate(columns):
        if filling == "bins":
            add_bins(builder, bin_role, case, column)
        elif filling == "shelves":
            add_shelves(builder, case, column, 1)
        elif filling == "drawers" or (filling == "mixed" and i % 2):
            add_drawers(builder, fronts, case, column, [1.0])
        elif filling == "doors":
            add_doors(builder, fronts, case, column)
    if builder.chance(0.6):
        size = (width - 0.01, depth - 0.01, builder.uniform(0.04, 0.08))
        tufts = tuft_grid(width, depth, 0.2) if builder.chance(0.3) else None
        cells = 22 if tufts is not None else 10
        cushion = pad(size, radius=0.02, crown=0.012, tufts=tufts, cells=cells)
        builder.add("cushion", "soft", cushion.moved(z=height + size[2] / 2 - 0.002))


def build_lidded_chest(builder: PieceBuilder) -> None:
    """Build a blanket or toy chest: panels between corner posts, or plain boards, under a lid with two clasps."""
    width, depth, height = builder.uniform(0.7, 1.2), builder.uniform(0.38, 0.5), builder.uniform(0.4, 0.52)
    role = builder.pick({"wood": 3, "paint": 2, "timber": 2, "wicker": 0.7})
    x, y = width / 2, depth / 2
    lift = builder.pick((0.0, 0.03, builder.uniform(0.06, 0.12)))
    is_framed = builder.chance(0.6)
    frame_role = "timber" if role == "wicker" else role
    _add_chest_body(builder, (x, y), (lift, height), role, frame_role, is_framed=is_framed)
    lid = board((-x - 0.012, -y - 0.012, height - 0.0005), (x + 0.012, y + 0.004, height + 0.022), bevel=0.004)
    builder.add("top", builder.pick((frame_role, "timber")), lid)
    for px in (-0.3 * x, 0.3 * x):
        clasp = board((px - 0.02, -y - 0.001, height - 0.06), (px + 0.02, -y + 0.004, height - 0.004), bevel=0.001)
        builder.add("hardware", "fitting", clasp)


def _add_chest_body(
    builder: PieceBuilder, half_size: tuple[float, float], z: Span, role: str, frame_role: str, *, is_framed: bool
) -> None:
    """Add the walls and the bottom of a chest, on short legs if it is above the floor.

    Args:
        half_size: half the width and half the depth.
        z: heights of the bottom and the upper edge.
        is_framed: whether corner posts and rails of ``frame_role`` hold the walls.
    """
    (x, y), (lift, height), t = half_size, z, 0.02
    post, inset = (0.045, 0.012) if is_framed else (0.0, 0.0)  # inset: of the walls behind the faces of the posts
    if is_framed or lift:
        leg = max(post, 0.04)
        leg_top = height if is_framed else lift + 0.002
        for sy in (-1, 1):
            corner = board((x - leg, sy * (y - leg), 0), (x, sy * y, leg_top))
            builder.add_pair("frame" if is_framed else "leg", frame_role, corner)
    for sy in (-1, 1):
        wall = board((-x + 0.5 * post, sy * (y - inset - t), lift), (x - 0.5 * post, sy * (y - inset), height - 0.001))
        builder.add("body", role, wall)
        for rail_z in (lift, height - 0.06) if is_framed else ():
            rail_low = (-x + post - 0.001, sy * (y - 0.02), rail_z + 0.0005)
            rail = board(rail_low, (x - post + 0.001, sy * (y - 0.003), rail_z + 0.055))
            builder.add("body", frame_role, rail)
    side_low = (x - inset - t, -y + inset + t - 0.001, lift + 0.0005)
    side = board(side_low, (x - inset, y - inset - t + 0.001, height - 0.0015))
    builder.add_pair("body", role, side)
    bottom = board((-x + 0.03, -y + 0.03, lift + 0.002), (x - 0.03, y - 0.03, lift + 0.014))
    builder.add("body", frame_role, bottom)


def build_backed_bench(builder: PieceBuilder) -> None:
    """Build a hall bench or settle: a seat with a slatted, panelled, cane or padded back, and often with arms."""
    width, depth, seat = builder.uniform(1.0, 1.5), builder.uniform(0.4, 0.5), builder.uniform(0.43, 0.47)
    t, back = builder.uniform(0.038, 0.055), builder.uniform(0.38, 0.55)
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    under = seat - 0.024
    for sx in (-1, 1):
        builder.add("leg", "wood", *(bar((sx * x, py, 0), (sx * x, py, under + 0.001), t) for py in (-y, y)))
    seat_role = builder.pick({"wood": 3, "wood2": 1})
    builder.add("seat", seat_role, board((-x - t / 2, -y - t / 2 - 0.01, under), (x + t / 2, y + t / 2 + 0.002, seat)))
    for sy in (-1, 1):
        rail = board((-x, sy * y - 0.01, under - 0.07), (x, sy * y + 0.01, under + 0.001))
        builder.add("frame", "wood", rail)
    builder.add_pair("frame", "wood", board((x - 0.01, -y, under - 0.07), (x + 0.01, y, under + 0.001)))
    place, height = reclined(builder.uniform(3, 9), y, seat - 0.02), back + 0.02
    posts = [bar((sx * x, 0, 0), (sx * x, 0, height), (0.85 * t, 0.8 * t)) for sx in (-1, 1)]
    builder.add("frame", "wood", *(place(post) for post in posts))
    filling = builder.pick({"slats": 3, "spindles": 2, "panel": 1, "ladder": 2, "cane": 1, "padded": 1})
    add_post_back(builder, filling, 2 * x - t, height - 0.004, 0.02, place, start=0.08)
    if builder.chance(0.6):
        z, support_y = seat + builder.uniform(0.18, 0.24), -y + 0.02
        for sx in (-1, 1):
            support = bar((sx * x, support_y, seat - 0.001), (sx * x, support_y, z), 0.8 * t)
            rest = board((sx * x - 0.026, -y - 0.03, z - 0.002), (sx * x + 0.026, y + 0.06, z + 0.022), bevel=0.005)
            builder.add("arm", "wood", support, rest)
    if builder.chance(0.3):
        size = (2 * x - 0.02, depth - 0.06, 0.05)
        builder.add("cushion", "soft", pad(size, radius=0.02, crown=0.01).moved(y=-0.01, z=seat + 0.024))
