"""Bar stools with backs, metal and saddle stools, step stools, ottomans and poufs."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import add_upholstered_back, reclined
from export_models.dataset.makers.legs import add_four_legs, leaning_bar
from export_models.dataset.makers.outlines import Floats, fillet, rounded_rectangle
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, extrude, lathe, sheet, sweep
from export_models.dataset.makers.upholstery import pad, piping, tuft_grid


def _add_splayed_frame(
    builder: PieceBuilder, role: str, top: float, half_size: tuple[float, float], t: float, splay: float, rest: float
) -> None:
    """Add four splayed legs and foot rests at the height ``rest``, the front one lower.

    Args:
        top: height of the leg tops.
        half_size: distance in x and y from the centre to the leg axes at their tops.
        splay: how far the feet stand further out in x and y.
    """
    x, y = half_size
    for sx in (-1, 1):
        for sy in (-1, 1):
            foot = (sx * (x + splay), sy * (y + splay), 0.0)
            builder.add("leg", role, leaning_bar(foot, (sx * x, sy * y, top), [0.85 * t, t, t]))
    for z, along_x in ((rest, True), (rest + 0.06, False)):
        shift = splay * (1 - z / top)
        size = (0.9 * t, 0.6 * t) if role != "metal" else (0.8 * t, 0.8 * t)
        for sign in (-1, 1):
            if along_x:
                start, end = (-x - shift, sign * (y + shift), z), (x + shift, sign * (y + shift), z)
            else:
                start, end = (sign * (x + shift), -y - shift, z), (sign * (x + shift), y + shift, z)
            builder.add("leg", role, bar(start, end, size))


def build_bar_chair(builder: PieceBuilder) -> None:
    """Build a counter or bar stool with an upholstered or wooden seat, a back and foot rests."""
    seat, size = builder.pick((builder.uniform(0.62, 0.68), builder.uniform(0.72, 0.8))), builder.uniform(0.38, 0.46)
    role = builder.pick({"wood": 4, "metal": 2, "timber": 1})
    t = builder.uniform(0.03, 0.042) if role != "metal" else 0.02
    kind = builder.pick({"soft": 4, "wood": 2, "wicker": 0.7, "shell": 1})
    thickness = builder.uniform(0.06, 0.09) if kind == "soft" else 0.022
    under = seat - thickness
    half = 0.5 * size - 0.6 * t - 0.01
    _add_splayed_frame(
        builder, role, under + 0.002, (half, half), t, builder.uniform(0.02, 0.06), builder.uniform(0.2, 0.28)
    )
    for sy in (-1, 1):
        builder.add(
            "frame", role, board((-half, sy * half - 0.008, under - 0.04), (half, sy * half + 0.008, under + 0.001))
        )
    seat_size = (size, size, thickness)
    if kind == "soft":
        builder.add("cushion", "soft", pad(seat_size, radius=0.025, crown=0.014).moved(z=seat - thickness / 2))
    else:
        outline = rounded_rectangle(size, size, builder.pick((0.01, 0.06)))
        builder.add(
            "seat", kind if kind != "wood" else "wood2", extrude(outline, thickness, bevel=0.005).moved(z=under)
        )
    height = builder.uniform(0.18, 0.36)
    wrap = builder.uniform(48, 85)
    if builder.chance(0.6):
        wall = _curved_back(size, height, wrap, 0.05 if kind == "soft" else 0.014)
        low = seat - 0.03 if kind == "soft" else seat + 0.1
        builder.add("back", "soft" if kind == "soft" else kind, wall.moved(z=low))
        if kind != "soft":
            for angle in np.radians((90 - 0.7 * wrap, 90 + 0.7 * wrap)):
                px, py = 0.47 * size * np.cos(angle), 0.47 * size * np.sin(angle)
                builder.add("frame", role, bar((px, py, under + 0.004), (px, py, low + 0.7 * height), 0.6 * t))
    elif kind == "soft":
        place = reclined(builder.uniform(4, 10), size / 2 - 0.06, seat - 0.03)
        add_upholstered_back(builder, size - 0.01, height + 0.05, 0.055, place)
    else:
        place = reclined(builder.uniform(4, 10), half, under)
        builder.add(
            "frame", role, *(place(bar((sx * half, 0, 0), (sx * half, 0, height + 0.06), 0.8 * t)) for sx in (-1, 1))
        )
        rail = board((-half - 0.3 * t, -0.009, height - 0.03), (half + 0.3 * t, 0.009, height + 0.055))
        builder.add("back", "wood", place(rail))


def _curved_back(size: float, height: float, wrap_deg: float, thickness: float) -> Solid:
    """Return a low wall around the rear of a seat of width ``size``, from z = 0."""
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
    builder.add(
        "leg",
        "metal",
        lathe([(0, reach - 0.003), (0.004, reach), (0.012, reach), (0.03, 0.3 * reach), (0.05, 0.03)], 40),
    )
    builder.add(
        "leg",
        "metal",
        lathe([(0.04, 0.028), (0.5 * seat, 0.028), (0.5 * seat + 0.002, 0.018), (seat - 0.03, 0.018)], 20),
    )
    z = 0.38 * seat
    path = [(-0.12, 0, z), (-0.12, -0.18, z), (0.12, -0.18, z), (0.12, 0, z), (0, 0.002, z)]
    loop = fillet([(0, 0.0, z), *path[:4], (0, 0, z)], 0.05, 4)[:-1]
    builder.add("leg", "metal", sweep(loop, (0.016, 0.016), section="round", closed=True, side=(0, 0, 1)))
    role = builder.pick({"soft": 3, "wood": 2, "shell": 1})
    thickness = 0.07 if role == "soft" else 0.016
    mount = board((-0.08, -0.08, seat - thickness - 0.02), (0.08, 0.08, seat - thickness + 0.004), bevel=0.004)
    builder.add("hardware", "metal", mount)
    if role == "soft":
        builder.add(
            "cushion", role, pad((size, size, thickness), radius=0.03, crown=0.012).moved(z=seat - thickness / 2)
        )
    else:
        outline = rounded_rectangle(size, size, 0.1)
        builder.add("seat", role, extrude(outline, thickness, bevel=0.004).moved(z=seat - thickness))
    wall = _curved_back(size, builder.uniform(0.14, 0.28), builder.uniform(50, 95), 0.045 if role == "soft" else 0.012)
    builder.add("back", role, wall.moved(z=seat - 0.02))


def build_metal_stool(builder: PieceBuilder) -> None:
    """Build a stool of pressed steel with splayed legs, after Pauchard's model H (1930s); the seat may be wooden."""
    seat, size = builder.pick((0.45, 0.6, 0.66, 0.76)) + builder.uniform(-0.01, 0.01), builder.uniform(0.29, 0.33)
    role = builder.pick({"metal": 1, "paint": 1})
    splay = builder.uniform(0.04, 0.06) * seat / 0.6
    half = size / 2 - 0.02
    for sx in (-1, 1):
        for sy in (-1, 1):
            leg = leaning_bar(
                (sx * (half + splay), sy * (half + splay), 0), (sx * half, sy * half, seat - 0.01), [0.026, 0.05]
            )
            builder.add("leg", role, leg)
    z = builder.uniform(0.28, 0.4) * seat
    reach = half + splay * (1 - z / seat)
    for angle_deg in (45, 135):
        strut = board((-reach * 2**0.5, -0.012, z), (reach * 2**0.5, 0.012, z + 0.003), bevel=0.0008).rotated(
            "z", angle_deg
        )
        builder.add("leg", role, strut.moved(z=0.003 * (angle_deg == 45)))
    rim = extrude(rounded_rectangle(size, size, 0.04), 0.03, bevel=0.005).moved(z=seat - 0.03)
    builder.add("seat", role, rim)
    if builder.chance(0.5):
        wood = extrude(rounded_rectangle(size + 0.012, size + 0.012, 0.04), 0.018, bevel=0.004).moved(z=seat - 0.001)
        builder.add("seat", "timber", wood)


def build_saddle_stool(builder: PieceBuilder) -> None:
    """Build a wooden stool with a dished seat on splayed legs with rungs."""
    seat = builder.pick((0.46, 0.62, 0.68, 0.74)) + builder.uniform(-0.01, 0.02)
    width, depth, t = builder.uniform(0.42, 0.48), builder.uniform(0.24, 0.32), builder.uniform(0.03, 0.042)
    x = np.linspace(-width / 2, width / 2, 17)
    dish = builder.uniform(0.015, 0.035)
    path = np.stack([x, np.zeros(17), seat - t / 2 - dish * (1 - (2 * x / width) ** 2)], -1)
    builder.add("seat", builder.pick(("wood", "wood2")), sweep(path, (t, depth), side=(0, 0, 1), bevel=0.006))
    half = (0.36 * width, 0.34 * depth)
    leg = builder.uniform(0.028, 0.036)
    under = seat - t - dish * (1 - 0.72**2) + 0.006
    _add_splayed_frame(builder, "wood", under, half, leg, builder.uniform(0.03, 0.06), builder.uniform(0.12, 0.24))


def build_step_stool(builder: PieceBuilder) -> None:
    """Build a stool of two or three steps between side boards."""
    steps, width = builder.pick({2: 4, 3: 1}), builder.uniform(0.36, 0.44)
    rise, run, t = builder.uniform(0.19, 0.23), builder.uniform(0.17, 0.22), builder.uniform(0.018, 0.026)
    role = builder.pick({"wood": 4, "paint": 1, "timber": 1})
    outline = [(steps * run / 2, 0.0)]
    for i in reversed(range(steps)):
        back = (i + 1 - steps / 2) * run
        outline += [(back, (i + 1) * rise - t), (back - run, (i + 1) * rise - t)]
    points = np.array([*dict.fromkeys(outline), (-steps * run / 2, 0.0)])
    side = extrude(points, t, plane="yz").with_grain((0, 0, 1))
    builder.add_pair("leg", role, side.moved(x=width / 2 - t - 0.02))
    step_role = builder.pick((role, "timber"))
    for i in range(steps):
        y = (i - steps / 2) * run
        step = board((-width / 2, y - 0.015, (i + 1) * rise - t - 0.0005), (width / 2, y + run - 0.002, (i + 1) * rise))
        builder.add("seat", step_role, step.with_grain((1, 0, 0)))
    rail = board((-width / 2 + t, 0.3 * run, 0.5 * rise), (width / 2 - t, 0.3 * run + t, 0.5 * rise + 0.05))
    builder.add("frame", role, rail)


def build_ottoman(builder: PieceBuilder) -> None:
    """Build a tufted or piped ottoman on small wooden or metal legs, sometimes with a wooden tray or base."""
    width, seat = builder.uniform(0.5, 0.95), builder.uniform(0.38, 0.46)
    depth, foot = width * builder.pick((1.0, 0.6, 0.75)), builder.uniform(0.04, 0.14)
    thickness = seat - foot
    is_round = builder.chance(0.35)
    if is_round:
        depth = width
        ribs = builder.pick((0, 0, 24, 36))
        soft = _drum(width / 2, thickness, ribs)
        builder.add("cushion", "soft", soft.moved(z=foot))
        half = 0.52 * width / 2
        if builder.chance(0.4):
            band = lathe([(0, width / 2 - 0.012), (0.004, width / 2 - 0.004), (0.04, width / 2 - 0.004)], 48)
            builder.add("frame", builder.pick(("metal", "wood")), band.moved(z=foot - 0.004))
    else:
        tufts = tuft_grid(width, depth, builder.uniform(0.12, 0.2)) if builder.chance(0.6) else None
        size, cells = (width, depth, thickness), 28 if tufts is not None else 12
        radius = builder.uniform(0.02, 0.05)
        soft = pad(size, radius=radius, crown=0.015, tufts=tufts, tuft_depth=0.02, cells=cells)
        builder.add("cushion", "soft", soft.moved(z=foot + thickness / 2))
        cord = piping(size, radius, thickness / 2 - builder.uniform(0.05, 0.12), crown=0.015)
        builder.add("cushion", "soft", cord.moved(z=foot + thickness / 2))
    style = builder.pick({"cone": 3, "tapered": 2, "block": 2, "turned": 1, "bun": 1, "tube": 2, "splayed": 1})
    reach = (half, half) if is_round else (width / 2 - 0.04, depth / 2 - 0.04)
    add_four_legs(builder, style, reach, foot + 0.006, builder.uniform(0.026, 0.045))
    if builder.chance(0.25) and width > 0.6:
        z, x, y = seat + 0.012, 0.28 * width, 0.26 * depth
        builder.add("shelf", "timber", board((-x, -y, z - 0.012), (x, y, z), bevel=0.002))
        for sy in (-1, 1):
            builder.add("shelf", "timber", board((-x, sy * y - 0.006, z - 0.012), (x, sy * y + 0.006, z + 0.03)))
        builder.add_pair("shelf", "timber", board((x - 0.0055, -y, z - 0.012), (x + 0.0065, y, z + 0.0295)))


def build_pouf(builder: PieceBuilder) -> None:
    """Build a round pouf on the floor: knitted with ribs, of leather segments, or woven."""
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

    def press(points: Floats) -> Floats:
        angle = np.arctan2(points[:, 1], points[:, 0])
        scale = 1 - 0.035 * np.abs(np.cos(0.5 * ribs * angle)) ** 6
        return np.concatenate([points[:, :2] * scale[:, None], points[:, 2:]], 1)

    return solid.deformed(press)
