"""Stools: low and bar stools, round and square, upholstered, tractor seats, footstools and benches."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import rail, reclined
from export_models.dataset.makers.chairs import add_framed_seat, add_rails
from export_models.dataset.makers.legs import add_four_legs, leaning_bar
from export_models.dataset.makers.outlines import at_height, ellipse
from export_models.dataset.makers.piece import Design, PieceBuilder
from export_models.dataset.makers.seat_bases import add_star_base
from export_models.dataset.makers.solids import bar, board, extrude, lathe, sheet, sweep
from export_models.dataset.makers.stands import add_pedestal, add_stretchers
from export_models.dataset.makers.upholstery import pad, piping, tuft_grid

SEAT_STYLES = {"board": 2, "pad": 2, "inset": 1, "cane": 1}
SEAT_THICKNESSES = {"board": 0.022, "pad": 0.05, "inset": 0.015, "cane": 0.012}
"""Height in metres of each seat style above the rails."""


def build_stool(builder: PieceBuilder) -> None:
    """Build a seat without arms. Only some bar stools have a back."""
    designs: dict[Design, float] = {
        _build_raked: 4,
        _build_framed: 3,
        _build_pedestal: 2,
        _build_pouf: 1.5,
        _build_panel: 1,
        _build_tractor: 1,
    }
    build = builder.pick(designs)
    build(builder)


def _draw_seat_height(builder: PieceBuilder) -> float:
    """Draw the height of a low, counter or bar stool."""
    return builder.pick(
        {builder.uniform(0.42, 0.5): 1.0, builder.uniform(0.6, 0.7): 0.9, builder.uniform(0.72, 0.8): 0.6}
    )


def _add_round_seat(builder: PieceBuilder, size: float, under: float, seat: float) -> None:
    """Add a round or superelliptical wooden seat, or an upholstered round one, between two heights."""
    style = builder.pick({"wood": 2, "soft": 1.5, "square": 1})
    thickness = seat - under
    if style == "soft":
        base = lathe(
            [(0, size / 2 - 0.02), (0.003, size / 2 - 0.015), (0.016, size / 2 - 0.015), (0.018, size / 2 - 0.02)], 36
        )
        builder.add("seat", "wood", base.moved(z=under))
        z = np.array([0.0, 0.1, 0.3, 0.6, 0.85, 0.97, 1.0, 1.03])
        radius = np.array([0.9, 0.97, 1.0, 1.0, 0.95, 0.85, 0.6, 0.02])
        profile = np.stack([0.016 + z * (thickness + 0.01), radius * size / 2], -1)
        builder.add("cushion", "soft", lathe(profile, 36).moved(z=under))
        return
    outline = ellipse(size, size, 44, power=2.0 if style == "wood" else builder.uniform(4, 9))
    builder.add("seat", "wood", extrude(outline, thickness, bevel=0.006, smooth=style == "wood").moved(z=under))


def _build_raked(builder: PieceBuilder) -> None:
    """Build a stool with three or four splayed legs set into the seat, and perhaps a foot ring or stretchers."""
    seat, size = _draw_seat_height(builder), builder.uniform(0.30, 0.38)
    under = seat - builder.uniform(0.025, 0.05)
    count = 3 if seat < 0.55 and builder.chance(0.4) else 4
    t, splay = builder.uniform(0.022, 0.032), seat * np.tan(np.radians(builder.uniform(4, 10)))
    role, section = builder.pick({"wood": 3, "metal": 1}), builder.pick(("round", "round", "rectangle"))
    t = t if role == "wood" else 0.75 * t
    ring_height = builder.uniform(0.16, 0.3) if seat < 0.55 else builder.uniform(0.2, 0.28)
    joints, radius = [], 0.33 * size  # joints: where stretchers meet the legs
    for k in range(count):
        angle = 2 * np.pi * k / count + np.pi / 4
        direction = np.array([np.cos(angle), np.sin(angle), 0])
        start, end = direction * (radius + splay), direction * radius + (0, 0, under + 0.004)
        builder.add("leg", role, leaning_bar(start, end, [t * (0.7 if role == "wood" else 1), t, t], section))
        joints.append(start + (end - start) * ring_height / seat)
    if seat > 0.55 and builder.chance(0.6) and count == 4:
        radius = float(np.linalg.norm(joints[0][:2]))
        circle = at_height(ellipse(2 * radius, 2 * radius, 40), ring_height)
        builder.add("leg", "metal", sweep(circle, 0.014, section="round", closed=True))
    elif seat > 0.55 or builder.chance(0.4):
        for k in range(count):
            rise = 0.05 * (k % 2)
            start, end = joints[k] + (0, 0, rise), joints[(k + 1) % count] + (0, 0, rise)
            builder.add("leg", role, bar(tuple(start), tuple(end), 0.7 * t, section="round"))
    _add_round_seat(builder, size, under, seat)


def _build_framed(builder: PieceBuilder) -> None:
    """Build a stool with the legs and rails of a chair. The wide ones are benches."""
    seat = _draw_seat_height(builder)
    width, depth = builder.uniform(0.36, 0.44), builder.uniform(0.33, 0.40)
    if seat < 0.52 and builder.chance(0.3):
        width = builder.uniform(0.8, 1.3)
    seat_style = builder.pick(SEAT_STYLES)
    under, t = seat - SEAT_THICKNESSES[seat_style], builder.uniform(0.03, 0.042)
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    style = builder.pick({"square": 3, "tapered": 2, "turned": 1.5})
    add_four_legs(builder, style, (width / 2, depth / 2), under, t)
    add_rails(builder, (x, y), under - 0.002, builder.uniform(0.04, 0.07))
    add_framed_seat(builder, seat_style, (width, depth), under, seat)
    if style != "turned" and (seat > 0.55 or builder.chance(0.4)):
        add_stretchers(builder, (x, y), builder.uniform(0.15, 0.22), (0.02, 0.028), kind="box")
    if seat > 0.6 and builder.chance(0.5):
        place, height = reclined(builder.uniform(4, 9), y, under), builder.uniform(0.2, 0.3)
        top = height + seat - under
        post = bar((x, 0, -0.004), (x, 0, top), (0.8 * t, 0.7 * t))
        builder.add("frame", "wood", place(post), place(post.mirrored()))
        builder.add("back", "wood", place(rail(2 * x - 0.6 * t, top - 0.09, top - 0.01, 0.018, 0.02)))


def _build_pedestal(builder: PieceBuilder) -> None:
    """Build a stool with a round seat on one column."""
    seat, size = _draw_seat_height(builder), builder.uniform(0.32, 0.40)
    under = seat - builder.uniform(0.04, 0.09)
    style = builder.pick(("disc", "star", "turned", "tulip"))
    if style == "star":
        add_star_base(builder, under, casters=builder.chance(0.6) and seat < 0.65)
    else:
        role = "wood" if style == "turned" else "metal"
        add_pedestal(builder, under, builder.uniform(0.18, 0.22), style=style, role=role)
    if seat > 0.6 and style == "disc":
        z, radius = seat * 0.35, 0.15
        foot_ring = at_height(ellipse(2 * radius, 2 * radius, 36), z)
        builder.add("leg", "metal", sweep(foot_ring, 0.018, section="round", closed=True))
        builder.add("leg", "metal", bar((-radius, 0, z), (radius, 0, z), 0.014, section="round"))
    _add_round_seat(builder, size, under, seat)


def _build_pouf(builder: PieceBuilder) -> None:
    """Build a low upholstered block or drum on short legs or on the floor."""
    seat = builder.uniform(0.38, 0.48)
    foot = builder.pick((0.0, 0.05, builder.uniform(0.1, 0.17)))
    width = builder.uniform(0.45, 0.7)
    depth, leg_share = builder.pick((width, 0.75 * width)), 0.75
    thickness = seat - foot
    if builder.chance(0.4):
        z = np.linspace(0, 1, 15)
        radius = (1 - np.abs(2 * z - 1) ** 5) * 0.07 + 0.93 * (1 - np.abs(2 * z - 1) ** 16) ** 0.5
        radius[[0, -1]] = 0.6
        drum = lathe(np.stack([z * thickness, np.maximum(radius, 0.6) * width / 2], -1), 48)
        builder.add("cushion", "soft", drum.moved(z=foot))
        depth, leg_share = width, 0.5
    else:
        size = (width, depth, thickness)
        tufts = tuft_grid(width, depth, builder.uniform(0.12, 0.18)) if builder.chance(0.5) else None
        cells = 26 if tufts is not None else 12
        soft = pad(size, radius=builder.uniform(0.02, 0.06), crown=0.02, tufts=tufts, cells=cells)
        builder.add("cushion", "soft", soft.moved(z=foot + thickness / 2).clamped_to_floor())
        if builder.chance(0.4):
            cord = piping(size, 0.03, thickness / 2 - 0.03, crown=0.02)
            builder.add("cushion", "soft", cord.moved(z=foot + thickness / 2))
    if foot:
        half_size = leg_share * width / 2, leg_share * depth / 2
        styles = {"cone": 2, "block": 2, "bun": 1} if foot < 0.08 else {"splayed": 2, "cone": 2}
        style = builder.pick(styles)
        add_four_legs(builder, style, half_size, foot + 0.004, builder.uniform(0.035, 0.05))


def _build_panel(builder: PieceBuilder) -> None:
    """Build a stool of a board on two upright boards."""
    seat, width = builder.uniform(0.42, 0.48), builder.uniform(0.36, 0.48)
    depth, t = builder.uniform(0.26, 0.34), 0.022
    builder.add("seat", "wood", board((-width / 2, -depth / 2, seat - t), (width / 2, depth / 2, seat), bevel=0.003))
    x = width / 2 - builder.uniform(0.0, 0.05)
    side = board((x - t, -depth / 2 + 0.01, 0), (x, depth / 2 - 0.01, seat - t + 0.001), grain=(0, 0, 1))
    builder.add_pair("leg", "wood", side)
    z = seat - t - builder.uniform(0.03, 0.2)
    builder.add("leg", "wood", board((-x + t / 2, -0.012, z - 0.07), (x - t / 2, 0.012, z)))


def _build_tractor(builder: PieceBuilder) -> None:
    """Build a stool with a pressed saddle seat on a column or on splayed legs."""
    seat = _draw_seat_height(builder)
    width, depth = builder.uniform(0.40, 0.46), builder.uniform(0.34, 0.38)
    u, v = np.meshgrid(np.linspace(-1, 1, 23), np.linspace(-1, 1, 19), indexing="ij")
    reach = np.sqrt(np.maximum(1 - 0.5 * v**2, 0)), np.sqrt(np.maximum(1 - 0.5 * u**2, 0))
    x, y = u * reach[0] * width / 2, v * reach[1] * depth / 2
    side = (x / width * 2) ** 2
    z = 0.05 * np.clip(y / depth * 2, 0, 1) ** 2 + 0.022 * side - 0.03 * np.clip(-y / depth * 2, 0, 1) ** 2 * side
    role = builder.pick({"metal": 2, "wood": 2, "shell": 1})
    builder.add("seat", role, sheet(np.stack([x, y, z + seat], -1), 0.012, grain=(0, 1, 0)))
    if builder.chance(0.5):
        add_pedestal(builder, seat - 0.007, builder.uniform(0.18, 0.22), style="disc", role="metal")
        return
    add_four_legs(builder, "splayed", (0.1, 0.1), seat - 0.03, 0.026)
    mount = lathe([(0, 0.11), (0.006, 0.11), (0.026, 0.06)], 28)
    builder.add("hardware", "metal", mount.moved(z=seat - 0.032))
