"""Seats of slats and frames: folding and rocking chairs, adirondack chairs, garden benches, loungers, picnic tables."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import reclined
from export_models.dataset.makers.benches import add_slats
from export_models.dataset.makers.chairs import build_post_chair, build_windsor_chair
from export_models.dataset.makers.legs import leaning_bar
from export_models.dataset.makers.outlines import Floats, evenly_spaced
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, extrude, sweep
from export_models.dataset.makers.upholstery import pad

SLATTED_ROLES = {"wood": 4, "timber": 2, "paint": 1.5}
FOLDING_SEAT_DEPTH = 0.36
"""Depth in metres of the seat of a folding chair."""


def build_folding_chair(builder: PieceBuilder) -> None:
    """Build a chair of two crossed frames with a slatted, solid, padded or canvas seat. The longer one is the back."""
    width, seat = builder.uniform(0.40, 0.46), builder.uniform(0.43, 0.46)
    role = builder.pick({"wood": 4, "timber": 1, "metal": 2})
    t = builder.uniform(0.02, 0.028) if role != "metal" else 0.018
    x, top = width / 2 - t / 2, builder.uniform(0.76, 0.88)
    section = "round" if role == "metal" else "rectangle"
    foot_y, top_y = -0.26, 0.22  # of the longer frame
    slope = (top_y - foot_y) / top
    builder.add_pair("leg", role, leaning_bar((x, foot_y, 0), (x, top_y, top), [t, 1.3 * t, t], section))
    inner = x - t - 0.004
    builder.add_pair("leg", role, leaning_bar((inner, 0.24, 0), (inner, -0.16, seat - 0.012), [t, 1.2 * t, t], section))
    for z, y, reach in ((0.16, foot_y + 0.16 * slope, x), (0.12, 0.24 - 0.4 * 0.12 / seat, inner)):
        builder.add("leg", role, bar((-reach, y, z), (reach, y, z), 0.7 * t, section="round"))
    style = builder.pick({"slats": 4, "board": 2, "soft": 2, "canvas": 1})
    seat_y = foot_y + slope * seat - FOLDING_SEAT_DEPTH / 2 + 0.02
    for sx in (-1, 1):
        start, end = seat_y - FOLDING_SEAT_DEPTH / 2, seat_y + FOLDING_SEAT_DEPTH / 2
        rail = board((sx * inner - 0.4 * t, start, seat - 0.034), (sx * inner + 0.4 * t, end, seat - 0.008))
        builder.add("frame", role, rail)
    pivot_y = foot_y + slope * (seat - 0.02)
    builder.add("frame", role, bar((-x, pivot_y, seat - 0.02), (x, pivot_y, seat - 0.02), 0.6 * t, section="round"))
    seat_role = "timber" if role == "metal" else role
    _add_folding_seat(builder, style, seat_role, inner, seat_y, seat)
    place = reclined(float(np.degrees(np.arctan(slope))), foot_y, 0.0)
    length = top * (1 + slope**2) ** 0.5
    count = builder.pick((1, 2, 3))
    height = builder.uniform(0.05, 0.09) if count > 1 else builder.uniform(0.09, 0.2)
    back_role = "soft" if style == "soft" and builder.chance(0.5) else ("linen" if style == "canvas" else seat_role)
    for i in range(count):
        high = length - 0.02 - i * (height + 0.025)
        slat = board((-x - 0.3 * t, -0.008, high - height), (x + 0.3 * t, 0.006, high), bevel=0.004, grain=(1, 0, 0))
        builder.add("back", back_role, place(slat))


def _add_folding_seat(builder: PieceBuilder, style: str, role: str, inner: float, y: float, seat: float) -> None:
    """Add the seat of a folding chair.

    Args:
        style: ``slats``, ``board``, ``soft`` or ``canvas``.
        role: of a wooden seat.
        inner: distance in x from the centre to the rails under the seat.
        y: middle of the seat.
    """
    x, depth = inner + 0.012, FOLDING_SEAT_DEPTH
    if style == "slats":
        count = int(builder.rng.integers(5, 10))
        half = 0.42 * depth / count
        for slat_y in y + evenly_spaced(count, depth):
            builder.add("seat", role, board((-x, slat_y - half, seat - 0.01), (x, slat_y + half, seat + 0.006)))
    elif style == "soft":
        cushion = pad((2 * inner + 0.02, depth, 0.04), radius=0.016)
        builder.add("cushion", "soft", cushion.moved(y=y, z=seat + 0.008))
    else:
        low, high = (-x, y - depth / 2, seat - 0.01), (x, y + depth / 2, seat + 0.006)
        builder.add("seat", "linen" if style == "canvas" else role, board(low, high, bevel=0.004, grain=(1, 0, 0)))


def _add_rockers(builder: PieceBuilder, x: float, front: float, rear: float, role: str) -> None:
    """Add two curved runners and raise the piece, whose legs stand on z = 0, onto them.

    Args:
        x: distance from the centre to the runners.
        front, rear: y coordinates of the feet.
    """
    radius, t = builder.uniform(0.9, 1.2), 0.034
    reach = max(-front, rear) + builder.uniform(0.16, 0.22)
    foot_heights = _arc_height(np.array([front, rear]), radius)
    lift = float(foot_heights.max()) + 0.5 * t
    builder.move(0.0, 0.0, lift)
    y = np.linspace(-reach - 0.02, reach + 0.04, 21)
    path = np.stack([np.full(21, x), y, _arc_height(y, radius) + t / 2], -1)
    runner = sweep(path, (0.026, t), side=(1, 0, 0), bevel=0.004).clamped_to_floor()
    builder.add_pair("leg", role, runner)
    for foot, height in zip((front, rear), foot_heights, strict=True):
        runner_top = float(height) + 0.7 * t
        if lift > runner_top - 0.004:
            stub = board((x - 0.014, foot - 0.014, runner_top - 0.016), (x + 0.014, foot + 0.014, lift + 0.01))
            builder.add_pair("leg", role, stub)


def _arc_height(y: Floats, radius: float) -> Floats:
    """Return the height at y of an arc that touches the floor at y = 0."""
    return np.asarray(radius - np.sqrt(radius**2 - y**2))


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
    drop = builder.uniform(0.11, 0.15)  # of the seat towards the rear
    rear, arm = 0.24, seat + builder.uniform(0.18, 0.22)
    lower_edge, upper_edge = [(front, seat - 0.14), (0.5, 0.0)], [(rear, seat - drop), (front, seat - 0.012)]
    rear_leg = extrude([*lower_edge, (0.58, 0.0), (0.58, 0.02), *upper_edge], t, plane="yz")
    builder.add_pair("leg", role, rear_leg.moved(x=x - t))
    for start, end, low_z in ((front + 0.02, front + 0.12, 0.0), (rear, rear + 0.09, 0.1)):
        post = board((x - 0.001, start, low_z), (x + t, end, arm + 0.001), grain=(0, 0, 1))
        builder.add_pair("leg", role, post)
    count = int(builder.rng.integers(5, 8))
    half, slope_deg = 0.44 * (rear - front) / count, np.degrees(np.arctan(drop / (rear - front)))
    slat = board((-x + 0.001, -half, 0), (x - 0.001, half, 0.018)).rotated("x", -slope_deg)
    for s in np.linspace(0.0, 1.0, count):
        y, z = front + 0.03 + s * (rear - front - 0.06), seat - 0.012 - s * drop * 0.95
        builder.add("seat", role, slat.moved(y=y, z=z - 0.002))
    apron = board((-x - 0.001, front - 0.016, seat - 0.14), (x + 0.001, front + 0.002, seat - 0.008))
    builder.add("frame", role, apron)
    arm_x, arm_width = x + 0.5 * t, builder.uniform(0.1, 0.15)
    low, high = (arm_x - arm_width / 2, front - 0.04, arm), (arm_x + arm_width / 2, rear + 0.12, arm + 0.02)
    builder.add_pair("arm", role, board(low, high))
    place = reclined(builder.uniform(20, 27), rear - 0.06, seat - drop - 0.03)
    height, boards = builder.uniform(0.68, 0.8), builder.pick((5, 7))
    rise, pitch = builder.uniform(0.04, 0.16), width / boards
    for i in range(boards):
        s = (i - (boards - 1) / 2) / ((boards - 1) / 2)  # -1 for the leftmost board, 1 for the rightmost
        low_x, high_x, top = s * (x - pitch / 2 - 0.004), s * (x - pitch / 2) * 1.12, height - rise * s**2
        back_board = sweep([(low_x, 0, 0), (high_x, 0, top)], (pitch - 0.012, 0.018), side=(1, 0, 0))
        builder.add("back", role, place(back_board))
    for z, reach in ((0.05, x - 0.001), (0.26 + arm - seat, x + t)):
        builder.add("frame", role, place(board((-reach, 0.008, z - 0.04), (reach, 0.03, z + 0.04))))


def build_garden_bench(builder: PieceBuilder) -> None:
    """Build an outdoor bench of slats with a slatted back and arms."""
    role, width = builder.pick(SLATTED_ROLES), builder.uniform(1.1, 1.6)
    depth, seat, t = builder.uniform(0.5, 0.6), builder.uniform(0.41, 0.45), builder.uniform(0.045, 0.06)
    _add_garden_frame(builder, role, (width, depth), seat, t)


def build_garden_chair(builder: PieceBuilder) -> None:
    """Build an outdoor armchair of slats, often with a cushion."""
    role, width = builder.pick(SLATTED_ROLES), builder.uniform(0.56, 0.66)
    depth, seat, t = builder.uniform(0.5, 0.58), builder.uniform(0.4, 0.44), builder.uniform(0.04, 0.055)
    _add_garden_frame(builder, role, (width, depth), seat, t)
    if builder.chance(0.5):
        size = (width - 2 * t - 0.01, depth - 0.08, 0.06)
        builder.add("cushion", "soft", pad(size, radius=0.024, crown=0.012).moved(y=-0.03, z=seat + 0.028))


def _add_garden_frame(builder: PieceBuilder, role: str, size: tuple[float, float], seat: float, t: float) -> None:
    """Add legs of thickness ``t``, rails, seat slats, a slatted back and arms.

    Args:
        size: width and depth over the legs.
    """
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
    """Build a slatted sun lounger with a flat or a raised back, sometimes with a mattress."""
    role, width, length = builder.pick(SLATTED_ROLES), builder.uniform(0.6, 0.7), builder.uniform(1.85, 2.0)
    seat, t = builder.uniform(0.3, 0.36), builder.uniform(0.04, 0.05)
    x, y = width / 2 - t / 2, length / 2 - t / 2
    tilt_deg, hinge = builder.pick((0.0, builder.uniform(18, 45))), 0.3 * length / 2
    builder.add_pair("frame", role, board((x - t / 2, -y, seat - 0.08), (x + t / 2, y, seat)))
    for py in (-y + 0.004, y - 0.026):
        builder.add("frame", role, board((-x, py, seat - 0.075), (x, py + 0.022, seat - 0.005)))
    for py in (-0.8 * y, 0.72 * y):
        builder.add_pair("leg", role, board((x - 0.4 * t, py - 0.035, 0), (x + 0.4 * t, py + 0.035, seat - 0.04)))
    pitch = builder.uniform(0.06, 0.09)
    slat_x, half = x - 0.4 * t, 0.4 * pitch
    for slat_y in np.arange(-y + 0.05, hinge - 0.03, pitch):
        slat = board((-slat_x, slat_y - half, seat - 0.014), (slat_x, slat_y + half, seat + 0.004))
        builder.add("seat", role, slat)

    def place(solid: Solid) -> Solid:
        """Move a solid from the plane of the back, with the hinge at y = 0, to its place."""
        return solid.rotated("x", tilt_deg).moved(y=hinge, z=seat)

    reach, inner = y - hinge - 0.04, x - 0.5 * t - 0.004  # length of the back and half of its width
    builder.add_pair("frame", role, place(board((inner - 0.026, -0.02, -0.036), (inner - 0.003, reach, -0.006))))
    for slat_y in np.arange(0.03, reach, pitch):
        builder.add("back", role, place(board((-inner, slat_y - half, -0.007), (inner, slat_y + half, 0.011))))
    builder.add("frame", role, bar((-x, hinge, seat - 0.025), (x, hinge, seat - 0.025), 0.024))
    if tilt_deg:
        joint = place(board((-0.01, 0.6 * reach, -0.02), (0.01, 0.6 * reach + 0.02, -0.01)))  # only its centre is used
        _, joint_y, joint_z = joint.vertices.mean(0)
        strut_x, foot_y, foot_z = inner - 0.012, hinge + 0.75 * reach, seat - 0.05
        builder.add_pair("frame", role, bar((strut_x, foot_y, foot_z), (strut_x, joint_y, joint_z), 0.022))
        builder.add("frame", role, bar((-x, foot_y, foot_z), (x, foot_y, foot_z), 0.024))
    if builder.chance(0.4):
        thickness = 0.06
        flat = pad((2 * inner, hinge + y - 0.02, thickness), radius=0.025, crown=0.008)
        builder.add("cushion", "soft", flat.moved(y=(hinge - y) / 2 + 0.01, z=seat + 0.004 + 0.45 * thickness))
        raised = pad((2 * inner, reach, thickness), radius=0.025, crown=0.008)
        builder.add("cushion", "soft", place(raised.moved(y=reach / 2, z=0.01 + 0.45 * thickness)))


def build_picnic_table(builder: PieceBuilder) -> None:
    """Build a slatted garden table on four legs, or on slanted legs that also carry a bench at each side."""
    role, width = builder.pick(SLATTED_ROLES), builder.uniform(1.2, 1.8)
    depth, height = builder.uniform(0.68, 0.85), builder.uniform(0.71, 0.76)
    x = width / 2
    under = add_slats(builder, "top", (x, depth / 2), height, role)
    if builder.chance(0.4):
        _add_picnic_benches(builder, role, x, under)
        return
    y, leg_x = depth / 2 - 0.06, x - 0.1
    for sy in (-1, 1):
        builder.add_pair("leg", role, bar((leg_x, sy * y, 0), (leg_x, sy * y, under), 0.063))
        rail = board((-leg_x, sy * y - 0.01, under - 0.08), (leg_x, sy * y + 0.01, under + 0.001))
        builder.add("frame", role, rail)
    builder.add_pair("frame", role, board((leg_x - 0.011, -y, under - 0.08), (leg_x + 0.011, y, under + 0.002)))


def _add_picnic_benches(builder: PieceBuilder, role: str, x: float, under: float) -> None:
    """Add a bench of two boards along each side of a picnic table, and two A-shaped frames that carry all.

    Args:
        x: half the width of the table.
        under: height of the underside of the battens under the top.
    """
    seat, reach = 0.45, 0.72  # height of the benches, and distance in y from the centre to their middles
    for sy in (-1, 1):
        for start, end in ((sy * reach - 0.12, sy * reach - 0.005), (sy * reach + 0.005, sy * reach + 0.12)):
            builder.add("seat", role, board((-x, start, seat - 0.03), (x, end, seat)))
    for sx in (-1, 1):
        px = sx * 0.7 * x
        beam = board((px - 0.02, -reach - 0.1, seat - 0.12), (px + 0.02, reach + 0.1, seat - 0.029))
        builder.add("frame", role, beam)
        for sy in (-1, 1):
            foot, top = (px + 0.04, sy * 0.62, 0.0), (px + 0.04, sy * 0.22, under)
            builder.add("leg", role, leaning_bar(foot, top, [0.07, 0.07]))
        builder.add("frame", role, board((px - 0.02, -0.3, under - 0.08), (px + 0.02, 0.3, under + 0.0225)))
