"""Bar stools with backs, metal and saddle stools, step stools, ottomans and poufs.

``seat`` is the height of the seat.
"""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import add_upholstered_back, reclined
from export_models.dataset.makers.legs import add_four_legs, add_splayed_legs
from export_models.dataset.makers.outlines import Floats, fillet, rounded_rectangle
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, extrude, lathe, sheet, sweep
from export_models.dataset.makers.upholstery import pad, piping, tuft_grid


def _add_splayed_frame(
    builder: PieceBuilder, role: str, top: float, half_size: tuple[float, float], t: float, splay: float, rest: float
) -> None:
    """Add four splayed legs, foot rests along x at the height ``rest``, and higher ones along y.

    Args:
        top: height of the leg tops.
        half_size: distance in x and y from the centre to the leg axes at their tops.
        splay: how far the feet stand further out in x and y.
    """
    x, y = half_size
    add_splayed_legs(builder, role, (x + splay, y + splay), half_size, top, [0.85 * t, t, t])
    size = (0.9 * t, 0.6 * t) if role != "metal" else (0.8 * t, 0.8 * t)
    reach = splay * (1 - rest / top)
    for sy in (-1, 1):
        start, end = (-x - reach, sy * (y + reach), rest), (x + reach, sy * (y + reach), rest)
        builder.add("leg", role, bar(start, end, size))
    z = rest + 0.06
    reach = splay * (1 - z / top)
    for sx in (-1, 1):
        start, end = (sx * (x + reach), -y - reach, z), (sx * (x + reach), y + reach, z)
        builder.add("leg", role, bar(start, end, size))


def build_bar_chair(builder: PieceBuilder) -> None:
    """Build a counter or bar stool with an upholstered, wooden, woven or moulded seat, a back and foot rests."""
    seat, size = builder.pick((builder.uniform(0.62, 0.68), builder.uniform(0.72, 0.8))), builder.uniform(0.38, 0.46)
    role = builder.pick({"wood": 4, "metal": 2, "timber": 1})
    t = builder.uniform(0.03, 0.042) if role != "metal" else 0.02
    seat_role = builder.pick({"soft": 4, "wood": 2, "wicker": 0.7, "shell": 1})
    thickness = builder.uniform(0.06, 0.09) if seat_role == "soft" else 0.022
    under = seat - thickness
    half = 0.5 * size - 0.6 * t - 0.01
    splay, rest = builder.uniform(0.02, 0.06), builder.uniform(0.2, 0.28)
    _add_splayed_frame(builder, role, under + 0.002, (half, half), t, splay, rest)
    for sy in (-1, 1):
        rail = board((-half, sy * half - 0.008, under - 0.04), (half, sy * half + 0.008, under + 0.001))
        builder.add("frame", role, rail)
    if seat_role == "soft":
        cushion = pad((size, size, thickness), radius=0.025, crown=0.014)
        builder.add("cushion", seat_role, cushion.moved(z=seat - thickness / 2))
    else:
        outline = rounded_rectangle(size, size, builder.pick((0.01, 0.06)))
        solid = extrude(outline, thickness, bevel=0.005).moved(z=under)
        builder.add("seat", "wood2" if seat_role == "wood" else seat_role, solid)
    height, wrap_deg = builder.uniform(0.18, 0.36), builder.uniform(48, 85)
    if builder.chance(0.6):
        _add_curved_back(builder, role, seat_role, size, seat, under, height, wrap_deg, 0.6 * t)
    elif seat_role == "soft":
        place = reclined(builder.uniform(4, 10), size / 2 - 0.06, seat - 0.03)
        add_upholstered_back(builder, size - 0.01, height + 0.05, 0.055, place)
    else:
        place = reclined(builder.uniform(4, 10), half, under)
        posts = [bar((sx * half, 0, 0), (sx * half, 0, height + 0.06), 0.8 * t) for sx in (-1, 1)]
        builder.add("frame", role, *(place(post) for post in posts))
        rail = board((-half - 0.3 * t, -0.009, height - 0.03), (half + 0.3 * t, 0.009, height + 0.055))
        builder.add("back", "wood", place(rail))


def _add_curved_back(
    builder: PieceBuilder,
    frame_role: str,
    back_role: str,
    size: float,
    seat: float,
    under: float,
    height: float,
    wrap_deg: float,
    post: float,
) -> None:
    """Add a curved wall at the rear of a seat of width ``size``: an upholstered one on the seat, others on two posts.

    Args:
        under: height of the underside of the seat.
        height: height of the wall.
        wrap_deg: angle that the wall covers to each side of the rear.
        post: thickness of the posts.
    """
    is_soft = back_role == "soft"
    wall = _curved_wall(size, height, wrap_deg, 0.05 if is_soft else 0.014)
    low = seat - 0.03 if is_soft else seat + 0.1
    builder.add("back", back_role, wall.moved(z=low))
    if is_soft:
        return
    for angle in np.radians((90 - 0.7 * wrap_deg, 90 + 0.7 * wrap_deg)):
        px, py = 0.47 * size * np.cos(angle), 0.47 * size * np.sin(angle)
        builder.add("frame", frame_role, bar((px, py, under + 0.004), (px, py, low + 0.7 * height), post))


def _curved_wall(size: float, height: float, wrap_deg: float, thickness: float) -> Solid:
    """Return a low wall around the rear of a seat of width ``size``, from z = 0, lower towards its ends."""
    angle = np.radians(np.linspace(90 + wrap_deg, 90 - wrap_deg, 23))
    radius = 0.5 * size - 0.5 * thickness
    lean = np.linspace(0, 1, 6)
    grid = np.empty((23, 6, 3))
    grid[..., 0] = np.cos(angle)[:, None] * radius * (1 + 0.06 * lean)
    grid[..., 1] = np.sin(angle)[:, None] * radius * (1 + 0.1 * lean)
    fall = 0.35 * height * (np.abs(np.linspace(-1, 1, 23)) ** 3)[:, None]
    grid[..., 2] = lean * (height - fall)
    return sheet(grid, thickness)


def build_swivel_stool(builder: PieceBuilder) -> None:
    """Build a bar stool with a low back on a gas lift, with a foot bar and a disc base."""
    seat, size = builder.uniform(0.62, 0.8), builder.uniform(0.38, 0.44)
    reach = builder.uniform(0.19, 0.22)
    disc = [(0, reach - 0.003), (0.004, reach), (0.012, reach), (0.03, 0.3 * reach), (0.05, 0.03)]
    column = [(0.04, 0.028), (0.5 * seat, 0.028), (0.5 * seat + 0.002, 0.018), (seat - 0.03, 0.018)]
    builder.add("leg", "metal", lathe(disc, 40), lathe(column, 20))
    z = 0.38 * seat
    corners = [(0, 0, z), (-0.12, 0, z), (-0.12, -0.18, z), (0.12, -0.18, z), (0.12, 0, z), (0, 0, z)]
    loop = fillet(corners, 0.05, 4)[:-1]
    builder.add("leg", "metal", sweep(loop, 0.016, section="round", closed=True, side=(0, 0, 1)))
    role = builder.pick({"soft": 3, "wood": 2, "shell": 1})
    thickness = 0.07 if role == "soft" else 0.016
    under = seat - thickness
    mount = board((-0.08, -0.08, under - 0.02), (0.08, 0.08, under + 0.004), bevel=0.004)
    builder.add("hardware", "metal", mount)
    if role == "soft":
        cushion = pad((size, size, thickness), radius=0.03, crown=0.012)
        builder.add("cushion", role, cushion.moved(z=seat - thickness / 2))
    else:
        outline = rounded_rectangle(size, size, 0.1)
        builder.add("seat", role, extrude(outline, thickness, bevel=0.004).moved(z=under))
    wall = _curved_wall(size, builder.uniform(0.14, 0.28), builder.uniform(50, 95), 0.045 if role == "soft" else 0.012)
    builder.add("back", role, wall.moved(z=seat - 0.02))


def build_metal_stool(builder: PieceBuilder) -> None:
    """Build a stool of pressed steel with splayed legs, after Pauchard's model H (1930s); the seat may be wooden."""
    seat, size = builder.pick((0.45, 0.6, 0.66, 0.76)) + builder.uniform(-0.01, 0.01), builder.uniform(0.29, 0.33)
    role = builder.pick(("metal", "paint"))
    splay = builder.uniform(0.04, 0.06) * seat / 0.6
    half = size / 2 - 0.02
    add_splayed_legs(builder, role, (half + splay, half + splay), (half, half), seat - 0.01, [0.026, 0.05])
    z = builder.uniform(0.28, 0.4) * seat
    reach = 2**0.5 * (half + splay * (1 - z / seat))  # from the centre to the legs at the height z
    strut = board((-reach, -0.012, z), (reach, 0.012, z + 0.003), bevel=0.0008)
    builder.add("leg", role, strut.rotated("z", 45).moved(z=0.003), strut.rotated("z", 135))
    rim = extrude(rounded_rectangle(size, size, 0.04), 0.03, bevel=0.005).moved(z=seat - 0.03)
    builder.add("seat", role, rim)
    if builder.chance(0.5):
        wood = extrude(rounded_rectangle(size + 0.012, size + 0.012, 0.04), 0.018, bevel=0.004).moved(z=seat - 0.001)
        builder.add("seat", "timber", wood)


def build_saddle_stool(builder: PieceBuilder) -> None:
    """Build a wooden stool with a dished seat on splayed legs with foot rests."""
    seat = builder.pick((0.46, 0.62, 0.68, 0.74)) + builder.uniform(-0.01, 0.02)
    width, depth, t = builder.uniform(0.42, 0.48), builder.uniform(0.24, 0.32), builder.uniform(0.03, 0.042)
    x = np.linspace(-width / 2, width / 2, 17)
    dish = builder.uniform(0.015, 0.035)
    path = np.stack([x, np.zeros(17), seat - t / 2 - dish * (1 - (2 * x / width) ** 2)], -1)
    builder.add("seat", builder.pick(("wood", "wood2")), sweep(path, (t, depth), side=(0, 0, 1), bevel=0.006))
    leg = builder.uniform(0.028, 0.036)
    under = seat - t - dish * (1 - 0.72**2) + 0.006  # at the legs, at 0.72 of half the width
    splay, rest = builder.uniform(0.03, 0.06), builder.uniform(0.12, 0.24)
    _add_splayed_frame(builder, "wood", under, (0.36 * width, 0.34 * depth), leg, splay, rest)


def build_step_stool(builder: PieceBuilder) -> None:
    """Build a stool of two or three steps between side boards."""
    steps, width = builder.pick({2: 4, 3: 1}), builder.uniform(0.36, 0.44)
    rise, run, t = builder.uniform(0.19, 0.23), builder.uniform(0.17, 0.22), builder.uniform(0.018, 0.026)
    role = builder.pick({"wood": 4, "paint": 1, "timber": 1})
    rear = steps * run / 2
    outline = [(rear, 0.0)]  # (y, z) of a side board
    for i in reversed(range(steps)):
        back = (i + 1 - steps / 2) * run
        outline += [(back, (i + 1) * rise - t), (back - run, (i + 1) * rise - t)]
    outline.append((-rear, 0.0))
    side = extrude(outline, t, plane="yz").with_grain((0, 0, 1))
    builder.add_pair("leg", role, side.moved(x=width / 2 - t - 0.02))
    step_role = builder.pick((role, "timber"))
    for i in range(steps):
        y, top = (i - steps / 2) * run, (i + 1) * rise
        step = board((-width / 2, y - 0.015, top - t - 0.0005), (width / 2, y + run - 0.002, top), grain=(1, 0, 0))
        builder.add("seat", step_role, step)
    rail = board((-width / 2 + t, 0.3 * run, 0.5 * rise), (width / 2 - t, 0.3 * run + t, 0.5 * rise + 0.05))
    builder.add("frame", role, rail)


def build_ottoman(builder: PieceBuilder) -> None:
    """Build a tufted, piped or ribbed ottoman on small wooden or metal legs, sometimes with a tray or a band."""
    width, seat = builder.uniform(0.5, 0.95), builder.uniform(0.38, 0.46)
    depth, foot = width * builder.pick((1.0, 0.6, 0.75)), builder.uniform(0.04, 0.14)
    if builder.chance(0.35):
        depth = width
        _add_round_ottoman(builder, width, foot, seat)
        half_size = (0.52 * width / 2, 0.52 * width / 2)
    else:
        _add_rectangular_ottoman(builder, width, depth, foot, seat)
        half_size = (width / 2 - 0.04, depth / 2 - 0.04)
    style = builder.pick({"cone": 3, "tapered": 2, "block": 2, "turned": 1, "bun": 1, "tube": 2, "splayed": 1})
    add_four_legs(builder, style, half_size, foot + 0.006, builder.uniform(0.026, 0.045))
    if builder.chance(0.25) and width > 0.6:
        _add_tray(builder, (0.28 * width, 0.26 * depth), seat)


def _add_round_ottoman(builder: PieceBuilder, width: float, foot: float, seat: float) -> None:
    """Add a padded drum between the heights ``foot`` and ``seat``, sometimes with a band around its base."""
    soft = _drum(width / 2, seat - foot, builder.pick((0, 0, 24, 36)))
    builder.add("cushion", "soft", soft.moved(z=foot))
    if builder.chance(0.4):
        band = lathe([(0, width / 2 - 0.012), (0.004, width / 2 - 0.004), (0.04, width / 2 - 0.004)], 48)
        builder.add("frame", builder.pick(("metal", "wood")), band.moved(z=foot - 0.004))


def _add_rectangular_ottoman(builder: PieceBuilder, width: float, depth: float, foot: float, seat: float) -> None:
    """Add a piped block, often tufted, between the heights ``foot`` and ``seat``."""
    tufts = tuft_grid(width, depth, builder.uniform(0.12, 0.2)) if builder.chance(0.6) else None
    thickness, cells = seat - foot, 28 if tufts is not None else 12
    size, radius = (width, depth, thickness), builder.uniform(0.02, 0.05)
    soft = pad(size, radius=radius, crown=0.015, tufts=tufts, tuft_depth=0.02, cells=cells)
    builder.add("cushion", "soft", soft.moved(z=foot + thickness / 2))
    cord = piping(size, radius, thickness / 2 - builder.uniform(0.05, 0.12), crown=0.015)
    builder.add("cushion", "soft", cord.moved(z=foot + thickness / 2))


def _add_tray(builder: PieceBuilder, half_size: tuple[float, float], seat: float) -> None:
    """Add a wooden tray that lies on a seat."""
    z, (x, y) = seat + 0.012, half_size
    builder.add("shelf", "timber", board((-x, -y, z - 0.012), (x, y, z)))
    for sy in (-1, 1):
        builder.add("shelf", "timber", board((-x, sy * y - 0.006, z - 0.012), (x, sy * y + 0.006, z + 0.03)))
    builder.add_pair("shelf", "timber", board((x - 0.0055, -y, z - 0.012), (x + 0.0065, y, z + 0.0295)))


def build_pouf(builder: PieceBuilder) -> None:
    """Build a round upholstered or woven pouf on the floor, with or without ribs."""
    width, height = builder.uniform(0.42, 0.62), builder.uniform(0.32, 0.42)
    role = builder.pick({"soft": 4, "wicker": 1.5})
    solid = _drum(width / 2, height, builder.pick((0, 12, 16, 30)), roundness=builder.uniform(2.2, 5.0))
    builder.add("cushion", role, solid)


def _drum(radius: float, height: float, ribs: int, roundness: float = 8.0) -> Solid:
    """Return a padded drum with ``ribs`` vertical ribs. A roundness of 2 makes an ellipsoid."""
    sides = max(48, 4 * ribs)
    z = np.linspace(-1, 1, 17)
    profile = np.maximum((1 - np.abs(z) ** roundness) ** (1 / roundness), 0.55)
    solid = lathe(np.stack([(z + 1) / 2 * height, profile * radius], -1), sides)
    if not ribs:
        return solid

    def press_grooves(points: Floats) -> Floats:
        angle = np.arctan2(points[:, 1], points[:, 0])
        scale = 1 - 0.035 * np.abs(np.cos(0.5 * ribs * angle)) ** 6
        return np.concatenate([points[:, :2] * scale[:, None], points[:, 2:]], 1)

    return solid.deformed(press_grooves)
