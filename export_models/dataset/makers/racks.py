"""Shelves, racks and stands of bars and boards without a carcass."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.bins import add_bin
from export_models.dataset.makers.legs import add_posts, leaning_bar
from export_models.dataset.makers.outlines import at_height, ellipse, evenly_spaced, fillet
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, extrude, lathe, sweep
from export_models.dataset.makers.stands import CASTER_HEIGHT, add_casters

BOTTLE_PITCH = 0.105
"""Distance in metres between the cells of a wine rack. A bottle is about 0.08 m thick."""


def _rectangular_ring(x: float, y: float, z: float, t: float) -> Solid:
    """Return a ring of square bar around the rectangle ±x, ±y at the height z."""
    path = [(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)]
    return sweep(fillet(path, 0.004, 2, closed=True), t, closed=True, side=(0, 0, 1), bevel=0.001)


def build_etagere(builder: PieceBuilder) -> None:
    """Build shelves in a slender frame of metal or wood, whose ends may be arched or crossed."""
    width, depth, height = builder.uniform(0.5, 1.3), builder.uniform(0.28, 0.4), builder.uniform(0.8, 2.0)
    t, role = builder.uniform(0.015, 0.026), builder.pick({"metal": 4, "timber": 1})
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    style = builder.pick({"plain": 3, "arched": 1, "crossed": 1.5})
    radius = 0.8 * y if style == "arched" else 0.004
    for sx in (-1, 1):
        path = [(sx * x, -y, 0), (sx * x, -y, height), (sx * x, y, height), (sx * x, y, 0)]
        builder.add("leg", role, sweep(fillet(path, radius, 7), t, side=(1, 0, 0), bevel=0.001))
    lowest, highest = builder.uniform(0.1, 0.3), height - (y if style == "arched" else t)
    levels = np.linspace(lowest, highest, max(3, round(height / 0.4)))
    shelf_role = builder.pick({"wood": 4, "timber": 2, "glass": 1.5, "stone": 0.5})
    thickness = builder.uniform(0.006, 0.01) if shelf_role == "glass" else builder.uniform(0.014, 0.034)
    in_rings = builder.chance(0.5)
    for z in levels:
        if in_rings:
            builder.add("frame", role, _rectangular_ring(x, y, z, 0.8 * t))
            low, shelf_y = z - 0.2 * t, y - 0.3 * t
        else:
            builder.add("frame", role, *(bar((-x, sy * y, z), (x, sy * y, z), 0.7 * t) for sy in (-1, 1)))
            low, shelf_y = z + 0.1 * t, y
        shelf = board((-x + 0.45 * t, -shelf_y, low), (x - 0.45 * t, shelf_y, low + thickness), grain=(1, 0, 0))
        builder.add("shelf", shelf_role, shelf)
    if style == "crossed":
        for sx in (-1, 1):
            for low_y, high_y in ((-y, y), (y, -y)):
                start, end = (sx * x, low_y, levels[0]), (sx * x, high_y, levels[-1])
                builder.add("frame", role, bar(start, end, 0.5 * t, section="round"))


def build_leaning_shelf(builder: PieceBuilder) -> None:
    """Build two rails that lean against a wall, with shelves that become deeper towards the floor."""
    width, height, depth = builder.uniform(0.45, 0.8), builder.uniform(1.6, 2.0), builder.uniform(0.36, 0.48)
    t, role = builder.uniform(0.02, 0.034), builder.pick({"wood": 4, "metal": 1.5, "paint": 1})
    x, back = width / 2 - t / 2, depth / 2
    builder.add_pair("leg", role, leaning_bar((x, -back + t, 0), (x, back - t / 2, height), [t, 1.3 * t, t]))
    shelf_role = {"metal": "timber", "paint": "timber"}.get(role, builder.pick(("wood", "wood", "wood2")))
    lip = builder.uniform(0.02, 0.09)
    for z in np.linspace(builder.uniform(0.2, 0.34), height - 0.3, int(builder.rng.integers(4, 6))):
        front = -back + t + (2 * back - 1.5 * t) * z / height
        builder.add("shelf", shelf_role, board((-x, front - 0.03, z), (x, back, z + 0.018), grain=(1, 0, 0)))
        if lip > 0.04:
            side = board((x - 0.02, front, z + 0.017), (x - 0.005, back - 0.001, z + lip), grain=(0, 1, 0))
            builder.add_pair("shelf", shelf_role, side)
            rear_low, rear_high = (-x + 0.01, back - 0.014, z + 0.017), (x - 0.01, back - 0.002, z + lip - 0.003)
            builder.add("shelf", shelf_role, board(rear_low, rear_high, grain=(1, 0, 0)))
    builder.add("frame", role, bar((-x, back - t / 2, height - t), (x, back - t / 2, height - t), 0.8 * t))


def build_corner_shelf(builder: PieceBuilder) -> None:
    """Build quarter-round shelves on three posts, as they stand in the corner of a room."""
    size, height = builder.uniform(0.3, 0.42), builder.uniform(0.8, 1.7)
    t, role = builder.uniform(0.02, 0.032), builder.pick({"wood": 3, "metal": 1})
    angle = np.linspace(0, np.pi / 2, 14)
    corner = np.full(2, size / 2)  # at the rear right
    outline = np.concatenate([corner[None], corner - size * np.stack([np.cos(angle), np.sin(angle)], -1)])
    thickness = builder.uniform(0.016, 0.024)
    for z in np.linspace(0.12, height - thickness, max(3, round(height / 0.36))):
        builder.add("shelf", "wood", extrude(outline, thickness).with_grain((1, 0, 0)).moved(z=z))
    rear, front = size / 2 - t / 2 - 0.004, -size / 2 + t / 2 + 0.016
    for px, py in ((rear, rear), (rear, front), (front, rear)):
        builder.add("leg", role, bar((px, py, 0), (px, py, height + 0.02), t))


def build_wine_rack(builder: PieceBuilder) -> None:
    """Build a rack of square cells for bottles, sometimes with a top board."""
    columns, rows = int(builder.rng.integers(3, 8)), int(builder.rng.integers(3, 8))
    role, depth = builder.pick({"wood": 4, "metal": 1}), builder.uniform(0.24, 0.32)
    width, height = columns * BOTTLE_PITCH + 0.03, rows * BOTTLE_PITCH + 0.03
    t = builder.uniform(0.014, 0.022) if role == "wood" else 0.008
    x, y = width / 2, depth / 2
    uprights = np.linspace(-x + t / 2, x - t / 2, columns + 1)
    for px in uprights:
        for py in (-y + t / 2, y - t / 2):
            builder.add("leg", role, bar((px, py, 0), (px, py, height), t))
    for z in np.linspace(0.04, height - t, rows + 1):
        for py in (-y + 1.2 * t, y - 1.2 * t):
            builder.add("frame", role, bar((-x + 0.001, py, z), (x - 0.001, py, z), (0.9 * t, 0.6 * t)))
        for px in uprights:
            runner = bar((px, -y + t, z + 0.003), (px, y - t, z + 0.003), (0.7 * t, 0.8 * t))
            builder.add("shelf", role, runner)
    if builder.chance(0.5):
        top = board((-x - 0.015, -y - 0.01, height - 0.001), (x + 0.015, y + 0.01, height + 0.022), grain=(1, 0, 0))
        builder.add("top", "wood", top)


def build_shoe_rack(builder: PieceBuilder) -> None:
    """Build two to four shelves of slats or rods between two end frames, sometimes with a top board."""
    width, depth, levels = builder.uniform(0.55, 1.0), builder.uniform(0.26, 0.34), int(builder.rng.integers(2, 5))
    height = 0.1 + 0.2 * levels
    role = builder.pick({"wood": 4, "metal": 1})
    t = builder.uniform(0.02, 0.032) if role == "wood" else 0.018
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    add_posts(builder, "leg", role, (x, y), (0, height), t)
    has_rods, has_top = builder.pick((False, True)), builder.chance(0.4)
    for i, z in enumerate(np.linspace(0.1, height - 0.02, levels)):
        builder.add_pair("frame", role, board((x - 0.3 * t, -y, z - 0.025), (x + 0.3 * t, y, z + 0.001)))
        if i == levels - 1 and has_top:
            top = board((-x - t, -y - t, height - 0.001), (x + t, y + t, height + 0.018), grain=(1, 0, 0))
            builder.add("top", "wood", top)
            continue
        for py in np.linspace(-y + 0.01, y - 0.01, 4 if has_rods else 6):
            if has_rods:
                slat = bar((-x, py, z - 0.006), (x, py, z - 0.006), 0.012, section="round")
            else:
                slat = board((-x - 0.002, py - 0.018, z - 0.002), (x + 0.002, py + 0.018, z + 0.01), grain=(1, 0, 0))
            builder.add("shelf", role, slat)


def build_clothes_rack(builder: PieceBuilder) -> None:
    """Build a rail for clothes on two end frames, whose bars are upright or cross at the top, with a low shelf."""
    width, depth, height = builder.uniform(0.8, 1.4), builder.uniform(0.38, 0.48), builder.uniform(1.4, 1.75)
    role = builder.pick({"wood": 3, "metal": 2, "timber": 1})
    t = builder.uniform(0.028, 0.036) if role != "metal" else 0.022
    section = "round" if role == "metal" else builder.pick(("round", "rectangle"))
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    is_crossed = builder.chance(0.5)
    for sx in (-1, 1):
        for sy in (-1, 1):
            shift, top_y = (sy * 0.35 * t, -0.12 * sy * y) if is_crossed else (0.0, sy * y)
            start, end = (sx * (x + shift), sy * y, 0.0), (sx * (x + shift), top_y, height)
            builder.add("leg", role, leaning_bar(start, end, [t, t], section))
    if not is_crossed:
        builder.add_pair("frame", role, bar((x, -y, height - t), (x, y, height - t), 0.8 * t))
    rail_z = height - 1.1 * t - 0.01
    rail = bar((-x - 0.05, 0, rail_z), (x + 0.05, 0, rail_z), 0.9 * t, section="round")
    builder.add("frame", builder.pick((role, "metal")), rail)
    z = builder.uniform(0.14, 0.22)
    reach = y * (1 - 1.1 * z / height) if is_crossed else y
    builder.add_pair("frame", role, board((x - 0.4 * t, -reach, z - 0.03), (x + 0.4 * t, reach, z)))
    builder.add("shelf", "wood", board((-x, -reach - 0.01, z - 0.001), (x, reach + 0.01, z + 0.02), grain=(1, 0, 0)))


def build_blanket_ladder(builder: PieceBuilder) -> None:
    """Build a ladder for towels or blankets that leans against a wall."""
    width, height, lean = builder.uniform(0.38, 0.55), builder.uniform(1.4, 1.9), builder.uniform(0.28, 0.42)
    t, role = builder.uniform(0.026, 0.04), builder.pick({"wood": 4, "timber": 2, "metal": 1})
    x, section = width / 2 - t / 2, builder.pick(("rectangle", "round"))
    rail = leaning_bar((x, -lean / 2, 0), (x, lean / 2, height), [t, t], section)
    builder.add_pair("leg", role, rail)
    for z in np.linspace(builder.uniform(0.2, 0.35), height - 0.1, int(builder.rng.integers(4, 7))):
        y = -lean / 2 + lean * z / height
        builder.add("frame", role, bar((-x, y, z), (x, y, z), 0.7 * t, section="round"))


def build_hook_rack(builder: PieceBuilder) -> None:
    """Build a board with hooks or pegs as it stands against a wall, sometimes under a shelf."""
    width, height = builder.uniform(0.4, 1.0), builder.uniform(0.1, 0.24)
    role, t = builder.pick({"wood": 4, "timber": 2, "paint": 1}), builder.uniform(0.015, 0.022)
    builder.add("back", role, board((-width / 2, -t, 0), (width / 2, 0, height), grain=(1, 0, 0)))
    count = max(3, round(width / builder.uniform(0.1, 0.17)))
    style = builder.pick({"peg": 2, "hook": 3})
    z = 0.4 * height
    for x in evenly_spaced(count, width):
        if style == "peg":
            peg = lathe([(0, 0.009), (0.04, 0.008), (0.055, 0.008), (0.06, 0.013), (0.07, 0.012)], 14)
            builder.add("hardware", "timber", peg.rotated("x", 80).moved(x, -t + 0.002, z))
        else:
            path = [(x, -t + 0.001, z + 0.03), (x, -t - 0.012, z + 0.02), (x, -t - 0.012, z - 0.03)]
            path += [(x, -t - 0.045, z - 0.035), (x, -t - 0.055, z - 0.005)]
            hook = sweep(fillet(path, 0.018, 4), (0.011, 0.006), section="squircle", side=(1, 0, 0), sides=8)
            builder.add("hardware", "fitting", hook)
    if builder.chance(0.5):
        low, high = (-width / 2 - 0.02, -0.16, height - 0.001), (width / 2 + 0.02, 0, height + 0.018)
        builder.add("shelf", role, board(low, high, grain=(1, 0, 0)))
        bracket = board((0.44 * width, -0.13, 0.4 * height), (0.44 * width + t, -t + 0.001, height))
        builder.add_pair("frame", role, bracket)


def build_bar_cart(builder: PieceBuilder) -> None:
    """Build a trolley with two or three trays, some of them with a railing, in a frame on casters."""
    width, depth, height = builder.uniform(0.6, 0.9), builder.uniform(0.36, 0.48), builder.uniform(0.72, 0.88)
    t, role = builder.uniform(0.016, 0.026), builder.pick({"metal": 3, "timber": 1, "wood": 1})
    x, y = width / 2 - t / 2, depth / 2 - t / 2
    add_casters(builder, x, y)
    add_posts(builder, "leg", role, (x, y), (CASTER_HEIGHT, height), t)
    tray_role = builder.pick({"wood": 4, "glass": 1.5, "stone": 0.5, "metal": 1})
    thickness = 0.008 if tray_role in ("glass", "metal") else 0.016
    levels = [0.16, height - builder.uniform(0.02, 0.12)]
    if builder.chance(0.5):
        levels.insert(1, (levels[0] + levels[-1]) / 2)
    for z in levels:
        builder.add("frame", role, _rectangular_ring(x, y, z, 0.9 * t))
        builder.add("shelf", tray_role, board((-x, -y, z), (x, y, z + thickness), grain=(1, 0, 0)))
        if z + 0.07 < height and builder.chance(0.6):
            builder.add("frame", role, _rectangular_ring(x, y, z + 0.06, 0.4 * t))
    handle_z = height - 0.02
    path = [(x, -y, handle_z), (x + 0.09, -y, handle_z), (x + 0.09, y, handle_z), (x, y, handle_z)]
    builder.add("hardware", role, sweep(fillet(path, 0.04, 5), 0.8 * t, section="round"))


def build_basket_stand(builder: PieceBuilder) -> None:
    """Build a frame that carries one to three baskets or bins under a top board."""
    count, size = int(builder.rng.integers(1, 4)), builder.uniform(0.34, 0.42)
    t, role = builder.uniform(0.016, 0.028), builder.pick(("metal", "timber", "wood"))
    basket = builder.uniform(0.16, 0.24)
    pitch = basket + 0.08
    height = count * pitch + 0.12
    x, y = size / 2, size / 2 * builder.uniform(0.75, 1.0)
    add_posts(builder, "leg", role, (x, y), (0, height), t)
    bin_role = builder.pick({"wicker": 3, "soft2": 2, "metal": 1})
    for i in range(count):
        z = 0.1 + i * pitch
        builder.add("frame", role, _rectangular_ring(x, y, z, 0.8 * t))
        for py in (-0.4 * y, 0.4 * y):
            builder.add("frame", role, bar((-x, py, z), (x, py, z), 0.5 * t))
        span_x, span_y = (-x + 0.7 * t, x - 0.7 * t), (-y + 0.7 * t, y - 0.7 * t)
        add_bin(builder, bin_role, span_x, span_y, (z + 0.2 * t, z + basket))
    builder.add("top", "wood", board((-x - t, -y - t, height - 0.001), (x + t, y + t, height + 0.018), grain=(1, 0, 0)))


def build_plant_stand(builder: PieceBuilder) -> None:
    """Build four posts around a cross that carries a flower pot, often with a disc on it and sometimes with a ring."""
    size, height = builder.uniform(0.22, 0.34), builder.uniform(0.3, 0.8)
    t, role = builder.uniform(0.018, 0.028), builder.pick({"wood": 4, "metal": 2, "timber": 1})
    reach, section = size / 2, "round" if role == "metal" else "rectangle"
    shelf_z = height * builder.uniform(0.45, 0.95)
    for k in range(4):
        angle = np.pi / 4 + k * np.pi / 2
        x, y = (reach + t / 2) * np.cos(angle), (reach + t / 2) * np.sin(angle)
        builder.add("leg", role, bar((x, y, 0), (x, y, height), t, section))
    cross = bar((-reach - 0.3 * t, 0, 0), (reach + 0.3 * t, 0, 0), (0.9 * t, 0.8 * t))
    for angle_deg, drop in ((45, 0.2 * t), (135, 0.0)):
        builder.add("frame", role, cross.rotated("z", angle_deg).moved(z=shelf_z - 0.012 - drop))
    if builder.chance(0.7):
        disc = extrude(ellipse(size, size, 40), 0.016, bevel=0.003, smooth=True)
        builder.add("shelf", "wood", disc.moved(z=shelf_z - 0.004))
    if builder.chance(0.4):
        ring = at_height(ellipse(size + t, size + t, 40), 0.25 * height)
        builder.add("frame", role, sweep(ring, 0.012, section="round", closed=True, side=(0, 0, 1)))


def build_coat_stand(builder: PieceBuilder) -> None:
    """Build a post with two tiers of hooks on a disc or on three or four leaning feet."""
    height, t = builder.uniform(1.6, 1.85), builder.uniform(0.03, 0.045)
    role = builder.pick({"wood": 4, "timber": 1, "metal": 1.5})
    section = builder.pick(("round", "rectangle"))
    builder.add("leg", role, bar((0, 0, 0.03), (0, 0, height), t, section))
    feet, reach = builder.pick((3, 4)), builder.uniform(0.22, 0.3)
    if builder.chance(0.3):
        base = lathe([(0, reach - 0.006), (0.006, reach), (0.024, reach), (0.034, 0.8 * reach), (0.038, 0.03)], 40)
        builder.add("leg", builder.pick((role, "stone")), base)
    else:
        for k in range(feet):
            foot = leaning_bar((reach, 0, 0), (0.2 * t, 0, builder.pick((0.16, 0.16, 0.3))), [0.6 * t, 0.7 * t])
            builder.add("leg", role, foot.rotated("z", 360 * k / feet))
    for tier, z in enumerate((height - 0.06, height - builder.uniform(0.3, 0.5))):
        path = [(0.2 * t, 0, z - 0.02), (0.1, 0, z), (0.14, 0, z + 0.09)]
        hook = sweep(fillet(path, 0.05, 5), 0.5 * t, section="round")
        for k in range(builder.pick((3, 4))):
            builder.add("hardware", role, hook.rotated("z", 90 * k + 45 * tier))
    if builder.chance(0.5):
        knob = lathe([(0, 0.3 * t), (0.01, 0.7 * t), (0.03, 0.75 * t), (0.045, 0.4 * t), (0.05, 0.02 * t)], 20)
        builder.add("frame", role, knob.moved(z=height - 0.002))
