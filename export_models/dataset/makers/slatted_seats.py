"""Seats of slats and frames: folding and rocking chairs, adirondack chairs, garden benches, loungers, picnic tables."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import reclined
from export_models.dataset.makers.benches import add_slats
from export_models.dataset.makers.chairs import build_post_chair, build_windsor_chair
from export_models.dataset.makers.legs import leaning_bar
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, extrude, sweep
from export_models.dataset.makers.upholstery import pad

SLATTED_ROLES = {"wood": 4, "timber": 2, "paint": 1.5}


def build_folding_chair(builder: PieceBuilder) -> None:
    """Build a chair of two crossed frames with a slatted, solid, padded or canvas seat."""
    width, seat = builder.uniform(0.40, 0.46), builder.uniform(0.43, 0.46)
    role = builder.pick({"wood": 4, "timber": 1, "metal": 2})
    t = builder.uniform(0.02, 0.028) if role != "metal" else 0.018
    x, top = width / 2 - t / 2, builder.uniform(0.76, 0.88)
    section = "round" if role == "metal" else "rectangle"
    long_foot, long_top = -0.26, 0.22  # y of the frame that becomes the back
    slope = (long_top - long_foot) / top
    builder.add_pair("leg", role, leaning_bar((x, long_foot, 0), (x, long_top, top), [t, 1.3 * t, t], section))
    inner = x - t - 0.004
    builder.add_pair("leg", role, leaning_bar((inner, 0.24, 0), (inner, -0.16, seat - 0.012), [t, 1.2 * t, t], section))
    for z, y, reach in ((0.16, long_foot + 0.16 * slope, x), (0.12, 0.24 - 0.4 * 0.12 / seat, inner)):
        builder.add("leg", role, bar((-reach, y, z), (reach, y, z), 0.7 * t, section="round"))
    kind = builder.pick({"slats": 4, "board": 2, "soft": 2, "canvas": 1})
    depth, z = 0.36, seat
    middle = long_foot + slope * seat - depth / 2 + 0.02
    for sx in (-1, 1):
        rail = board(
            (sx * inner - 0.4 * t, middle - depth / 2, z - 0.034), (sx * inner + 0.4 * t, middle + depth / 2, z - 0.008)
        )
        builder.add("frame", role, rail)
    pivot = long_foot + slope * (seat - 0.02)
    builder.add("frame", role, bar((-x, pivot, seat - 0.02), (x, pivot, seat - 0.02), 0.6 * t, section="round"))
    seat_role = "timber" if role == "metal" else role
    if kind == "slats":
        count = int(builder.rng.integers(5, 10))
        for y in middle + (np.arange(count) - (count - 1) / 2) * depth / count:
            half = 0.42 * depth / count
            builder.add(
                "seat", seat_role, board((-inner - 0.012, y - half, z - 0.01), (inner + 0.012, y + half, z + 0.006))
            )
    elif kind == "soft":
        builder.add("cushion", "soft", pad((2 * inner + 0.02, depth, 0.04), radius=0.016).moved(y=middle, z=z + 0.008))
    else:
        low, high = (-inner - 0.012, middle - depth / 2, z - 0.01), (inner + 0.012, middle + depth / 2, z + 0.006)
        builder.add("seat", "linen" if kind == "canvas" else seat_role, board(low, high, bevel=0.004, grain=(1, 0, 0)))
    place = reclined(float(np.degrees(np.arctan(slope))), long_foot, 0.0)
    length = top * (1 + slope**2) ** 0.5
    count = builder.pick((1, 2, 3))
    height = builder.uniform(0.05, 0.09) if count > 1 else builder.uniform(0.09, 0.2)
    back_role = "soft" if kind == "soft" and builder.chance(0.5) else ("linen" if kind == "canvas" else seat_role)
    for i in range(count):
        high = length - 0.02 - i * (height + 0.025)
        slat = board((-x - 0.3 * t, -0.008, high - height), (x + 0.3 * t, 0.006, high), bevel=0.004, grain=(1, 0, 0))
        builder.add("back", back_role, place(slat))


def _add_rockers(builder: PieceBuilder, x: float, front: float, rear: float, role: str) -> None:
    """Add two curved runners and raise the piece, whose legs stand on z = 0, onto them."""
    radius, t = builder.uniform(0.9, 1.2), 0.034
    reach = max(-front, rear) + builder.uniform(0.16, 0.22)
    y = np.linspace(-reach - 0.02, reach + 0.04, 21)
    z = radius - np.sqrt(radius**2 - y**2) + t / 2
    lift = radius - np.sqrt(radius**2 - max(-front, rear) ** 2) + 0.5 * t
    builder.move(0.0, 0.0, lift)
    path = np.stack([np.full(21, x), y, z], -1)
    runner = sweep(path, (0.026, t), side=(1, 0, 0), bevel=0.004).clamped_to_floor()
    builder.add_pair("leg", role, runner)
    for foot in (front, rear):
        gap_top = radius - np.sqrt(radius**2 - foot**2) + 0.7 * t
        if lift > gap_top - 0.004:
            stub = board((x - 0.014, foot - 0.014, gap_top - 0.016), (x + 0.014, foot + 0.014, lift + 0.01))
            builder.add_pair("leg", role, stub)


def build_rocking_chair(builder: PieceBuilder) -> None:
    """Build a chair with posts or spindles, with arms, on rockers."""
    width, depth, seat = builder.uniform(0.5, 0.56), builder.uniform(0.44, 0.5), builder.uniform(0.37, 0.4)
    if builder.chance(0.6):
        build_post_chair(builder, width, depth, seat, builder.uniform(0.5, 0.68), arms=True)
    else:
        build_windsor_chair(builder, width, depth, seat, builder.uniform(0.5, 0.64))
    legs = [part.vertices for part in builder.parts if part.component == "leg" and part.vertices[:, 2].min() < 0.01]
    feet = np.array([vertices[vertices[:, 2] < 0.02].mean(0) for vertices in legs])
    x = float(np.abs(feet[:, 0]).mean())
    front, rear = float(feet[feet[:, 1] < 0, 1].mean()), float(feet[feet[:, 1] > 0, 1].mean())
    _add_rockers(builder, x, front, rear, "wood")


def build_adirondack_chair(builder: PieceBuilder) -> None:
    """Build a low garden chair: sloping seat slats, a fan-shaped back of boards and wide arms."""
    role, width = builder.pick(SLATTED_ROLES), builder.uniform(0.5, 0.56)
    x, t, front, seat = width / 2, 0.022, -0.36, builder.uniform(0.34, 0.38)
    drop = builder.uniform(0.11, 0.15)
    rear, arm = 0.24, seat + builder.uniform(0.18, 0.22)
    outline = np.array(
        [(front, seat - 0.14), (0.5, 0.0), (0.58, 0.0), (0.58, 0.02), (rear, seat - drop), (front, seat - 0.012)]
    )
    builder.add_pair("leg", role, extrude(outline, t, plane="yz").moved(x=x - t))
    builder.add_pair(
        "leg", role, board((x - 0.001, front + 0.02, 0), (x + t, front + 0.12, arm + 0.001), grain=(0, 0, 1))
    )
    builder.add_pair("leg", role, board((x - 0.001, rear, 0.1), (x + t, rear + 0.09, arm + 0.001), grain=(0, 0, 1)))
    count = int(builder.rng.integers(5, 8))
    for s in np.linspace(0.0, 1.0, count):
        y, z = front + 0.03 + s * (rear - front - 0.06), seat - 0.012 - s * drop * 0.95
        half = 0.44 * (rear - front) / count
        slat = board((-x + 0.001, -half, 0), (x - 0.001, half, 0.018)).rotated(
            "x", -np.degrees(np.arctan(drop / (rear - front)))
        )
        builder.add("seat", role, slat.moved(y=y, z=z - 0.002))
    apron = board((-x - 0.001, front - 0.016, seat - 0.14), (x + 0.001, front + 0.002, seat - 0.008))
    builder.add("frame", role, apron)
    arm_width = builder.uniform(0.1, 0.15)
    rest = board(
        (x + 0.5 * t - arm_width / 2, front - 0.04, arm), (x + 0.5 * t + arm_width / 2, rear + 0.12, arm + 0.02)
    )
    builder.add_pair("arm", role, rest)
    place = reclined(builder.uniform(20, 27), rear - 0.06, seat - drop - 0.03)
    height, boards = builder.uniform(0.68, 0.8), builder.pick((5, 7))
    rise = builder.uniform(0.04, 0.16)
    for i in range(boards):
        s = (i - (boards - 1) / 2) / ((boards - 1) / 2)
        top = height - rise * s**2
        pitch = width / boards
        low_x, high_x = s * (x - pitch / 2 - 0.004), s * (x - pitch / 2) * 1.12
        builder.add(
            "back", role, place(sweep([(low_x, 0, 0), (high_x, 0, top)], (pitch - 0.012, 0.018), side=(1, 0, 0)))
        )
    for z in (0.05, 0.26 + arm - seat):
        reach = x + t if z > 0.1 else x - 0.001
        builder.add("frame", role, place(board((-reach, 0.008, z - 0.04), (reach, 0.03, z + 0.04))))


def build_garden_bench(builder: PieceBuilder) -> None:
    """Build an outdoor bench or armchair of slats with a slatted back and arms."""
    role, width = builder.pick(SLATTED_ROLES), builder.uniform(1.1, 1.6)
    depth, seat, t = builder.uniform(0.5, 0.6), builder.uniform(0.41, 0.45), builder.uniform(0.045, 0.06)
    _add_garden_frame(builder, role, (width, depth), seat, t)


def build_garden_chair(builder: PieceBuilder) -> None:
    """Build an outdoor armchair of slats, often with cushions."""
    role, width = builder.pick(SLATTED_ROLES), builder.uniform(0.56, 0.66)
    depth, seat, t = builder.uniform(0.5, 0.58), builder.uniform(0.4, 0.44), builder.uniform(0.04, 0.055)
    _add_garden_frame(builder, role, (width, depth), seat, t)
    if builder.chance(0.5):
        size = (width - 2 * t - 0.01, depth - 0.08, 0.06)
        builder.add("cushion", "soft", pad(size, radius=0.024, crown=0.012).moved(y=-0.03, z=seat + 0.028))


def _add_garden_frame(builder: PieceBuilder, role: str, size: tuple[float, float], seat: float, t: float) -> None:
    """Add legs, slats, a slatted back and arms."""
    x, y = size[0] / 2 - t / 2, size[1] / 2 - t / 2
    arm = seat + builder.uniform(0.19, 0.24)
    for sx in (-1, 1):
        builder.add("leg", role, bar((sx * x, -y, 0), (sx * x, -y, arm), t), bar((sx * x, y, 0), (sx * x, y, seat), t))
        builder.add("frame", role, board((sx * x - 0.013, -y, seat - 0.09), (sx * x + 0.013, y, seat - 0.02)))
        rest = board((sx * x - 0.03, -y - 0.05, arm - 0.001), (sx * x + 0.03, y + 0.05, arm + 0.024), bevel=0.006)
        builder.add("arm", role, rest)
    for sy in (-1, 1):
        builder.add("frame", role, board((-x, sy * y - 0.012, seat - 0.085), (x, sy * y + 0.012, seat - 0.022)))
    add_slats(builder, "seat", (x - t / 2 - 0.002, y - 0.005), seat, role)
    place = reclined(builder.uniform(7, 13), y, seat - 0.03)
    height = builder.uniform(0.42, 0.55)
    posts = [bar((sx * x, 0, 0), (sx * x, 0, height), (0.85 * t, 0.8 * t)) for sx in (-1, 1)]
    builder.add("frame", role, *(place(post) for post in posts))
    for low, high in ((0.08, 0.13), (height - 0.09, height - 0.01)):
        builder.add("frame", role, place(board((-x, -0.012, low), (x, 0.012, high))))
    if builder.chance(0.6):
        count = max(5, round(2 * x / builder.uniform(0.075, 0.11)))
        for slat_x in np.linspace(-x, x, count + 2)[1:-1]:
            slat = board((slat_x - 0.02, -0.007, 0.124), (slat_x + 0.02, 0.007, height - 0.084))
            builder.add("back", role, place(slat))
    else:
        for z in np.linspace(0.13, height - 0.09, int(builder.rng.integers(3, 5)) + 2)[1:-1]:
            builder.add("back", role, place(board((-x, -0.008, z - 0.022), (x, 0.008, z + 0.022))))


def build_lounger(builder: PieceBuilder) -> None:
    """Build a slatted sun lounger with a raised back, sometimes with wheels or a mattress."""
    role, width, length = builder.pick(SLATTED_ROLES), builder.uniform(0.6, 0.7), builder.uniform(1.85, 2.0)
    seat, t = builder.uniform(0.3, 0.36), builder.uniform(0.04, 0.05)
    x, y = width / 2 - t / 2, length / 2 - t / 2
    tilt, hinge = builder.pick((0.0, builder.uniform(18, 45))), 0.3 * length / 2
    builder.add_pair("frame", role, board((x - t / 2, -y, seat - 0.08), (x + t / 2, y, seat)))
    for py in (-y + 0.004, y - 0.026):
        builder.add("frame", role, board((-x, py, seat - 0.075), (x, py + 0.022, seat - 0.005)))
    for py in (-0.8 * y, 0.72 * y):
        builder.add_pair("leg", role, board((x - 0.4 * t, py - 0.035, 0), (x + 0.4 * t, py + 0.035, seat - 0.04)))
    pitch = builder.uniform(0.06, 0.09)
    for slat_y in np.arange(-y + 0.05, hinge - 0.03, pitch):
        slat = board(
            (-x + 0.4 * t, slat_y - 0.4 * pitch, seat - 0.014), (x - 0.4 * t, slat_y + 0.4 * pitch, seat + 0.004)
        )
        builder.add("seat", role, slat)

    def place(solid: Solid) -> Solid:
        return solid.rotated("x", tilt).moved(y=hinge, z=seat)

    reach = y - hinge - 0.04
    inner = x - 0.5 * t - 0.004
    builder.add_pair("frame", role, place(board((inner - 0.026, -0.02, -0.036), (inner - 0.003, reach, -0.006))))
    for slat_y in np.arange(0.03, reach, pitch):
        slat = board((-inner, slat_y - 0.4 * pitch, -0.007), (inner, slat_y + 0.4 * pitch, 0.011))
        builder.add("back", role, place(slat))
    cross = bar((-x, hinge, seat - 0.025), (x, hinge, seat - 0.025), 0.024)
    builder.add("frame", role, cross)
    if tilt:
        far = place(board((-0.01, 0.6 * reach, -0.02), (0.01, 0.6 * reach + 0.02, -0.01))).vertices.mean(0)
        strut = bar(
            (inner - 0.012, hinge + 0.75 * reach, seat - 0.05), (inner - 0.012, float(far[1]), float(far[2])), 0.022
        )
        builder.add_pair("frame", role, strut)
        cross_y = hinge + 0.75 * reach
        builder.add("frame", role, bar((-x, cross_y, seat - 0.05), (x, cross_y, seat - 0.05), 0.024))
    if builder.chance(0.4):
        thickness = 0.06
        flat = pad((2 * inner, hinge + y - 0.02, thickness), radius=0.025, crown=0.008)
        builder.add("cushion", "soft", flat.moved(y=(hinge - y) / 2 + 0.01, z=seat + 0.004 + 0.45 * thickness))
        raised = pad((2 * inner, reach, thickness), radius=0.025, crown=0.008)
        builder.add("cushion", "soft", place(raised.moved(y=reach / 2, z=0.01 + 0.45 * thickness)))


def build_picnic_table(builder: PieceBuilder) -> None:
    """Build a slatted garden table, with crossed legs and two attached benches or on four legs."""
    role, width = builder.pick(SLATTED_ROLES), builder.uniform(1.2, 1.8)
    depth, height, t = builder.uniform(0.68, 0.85), builder.uniform(0.71, 0.76), 0.045
    x = width / 2
    under = add_slats(builder, "top", (x, depth / 2), height, role)
    if builder.chance(0.4):
        seat, reach = 0.45, 0.72
        for side in (-1, 1):
            bench = [board((-x, side * reach - 0.12, seat - 0.03), (x, side * reach - 0.005, seat))]
            bench.append(board((-x, side * reach + 0.005, seat - 0.03), (x, side * reach + 0.12, seat)))
            builder.add("seat", role, *bench)
        for sx in (-1, 1):
            px = sx * 0.7 * x
            beam = board((px - 0.02, -reach - 0.1, seat - 0.12), (px + 0.02, reach + 0.1, seat - 0.029))
            builder.add("frame", role, beam)
            for sy in (-1, 1):
                foot, top = (px + 0.04, sy * 0.62, 0.0), (px + 0.04, sy * 0.22, under)
                builder.add("leg", role, leaning_bar(foot, top, [0.07, 0.07]))
            builder.add("frame", role, board((px - 0.02, -0.3, under - 0.08), (px + 0.02, 0.3, under + 0.0225)))
        return
    y, leg_x = depth / 2 - 0.06, x - 0.1
    for sy in (-1, 1):
        builder.add_pair("leg", role, bar((leg_x, sy * y, 0), (leg_x, sy * y, under), 1.4 * t))
        rail = board((-leg_x, sy * y - 0.01, under - 0.08), (leg_x, sy * y + 0.01, under + 0.001))
        builder.add("frame", role, rail)
    builder.add_pair("frame", role, board((leg_x - 0.011, -y, under - 0.08), (leg_x + 0.011, y, under + 0.002)))
