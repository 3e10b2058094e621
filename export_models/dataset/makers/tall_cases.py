"""Tall and narrow cases: wardrobes, glazed display cases, filing and shoe cabinets, lockers."""

from __future__ import annotations

import itertools

import numpy as np

from export_models.dataset.makers.bins import add_bins
from export_models.dataset.makers.cases import (
    Case,
    Opening,
    add_carcass,
    add_cornice,
    add_doors,
    add_drawer_row,
    add_drawers,
    add_shelves,
    draw_case,
    draw_fronts,
    split_columns,
    split_rows,
)
from export_models.dataset.makers.fronts import FrontStyle, Span
from export_models.dataset.makers.legs import add_posts
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, sweep
from export_models.dataset.makers.stands import CASTER_HEIGHT, add_casters

TALL_STANDS = {"floor": 3, "plinth": 3, "legs": 2}
SLIDING_DOOR_ROLES = {"wood": 3, "paint": 2, "mirror": 1.5, "wood2": 1}


def build_louvred_wardrobe(builder: PieceBuilder) -> None:
    """Build a wardrobe with louvred, cane, panelled or reeded doors, sometimes above drawers."""
    width, height = builder.uniform(0.8, 1.6), builder.uniform(1.5, 2.1)
    case = draw_case(builder, width, builder.uniform(0.45, 0.6), height, stands=TALL_STANDS)
    fronts = draw_fronts(builder, case, {"louvre": 3, "cane": 2, "panel": 1, "reeded": 1})
    opening = add_carcass(builder, case)
    if builder.chance(0.4):
        lower, opening = split_rows(builder, case, opening, [1.0, builder.uniform(3.0, 4.5)])
        add_drawer_row(builder, fronts, case, lower, 1 if width < 1.0 else 2)
    for column in split_columns(builder, case, opening, [1.0] * max(1, round(width / 0.8))):
        add_doors(builder, fronts, case, column)
    if builder.chance(0.3):
        add_cornice(builder, case)


def build_sliding_wardrobe(builder: PieceBuilder) -> None:
    """Build a wide wardrobe with two or three sliding doors of wood, paint or mirror, or of three bands of these."""
    width, height, depth = builder.uniform(1.4, 2.4), builder.uniform(1.95, 2.25), builder.uniform(0.58, 0.66)
    case = draw_case(builder, width, depth, height, stands={"floor": 3, "plinth": 1})
    opening = add_carcass(builder, case)
    count, overlap, t = 2 if width < 1.9 else 3, 0.03, 0.018
    span = (opening.x[1] - opening.x[0]) / count
    frame_role, bands = builder.pick(("metal", "wood")), builder.pick((1, 1, 3))
    roles = [builder.pick(SLIDING_DOOR_ROLES) for _ in range(count * bands)]
    z = opening.z[0] + 0.004, opening.z[1] - 0.004
    for i in range(count):
        low_x = opening.x[0] + i * span - (overlap if i else -0.001)
        x = low_x, opening.x[0] + (i + 1) * span - 0.001
        face = case.y[0] + 0.004 + (i % 2) * (t + 0.006)
        door_roles = [roles[i]] if bands == 1 else roles[:bands]  # doors with bands are alike
        _add_framed_sliding_door(builder, frame_role, door_roles, x, z, face, t)


def _add_framed_sliding_door(
    builder: PieceBuilder, frame_role: str, roles: list[str], x: Span, z: Span, face: float, t: float
) -> None:
    """Add a door of thickness ``t`` whose frame holds a band of each of ``roles``, from the bottom up."""
    left, right, back = x[0] + 0.016, x[1] - 0.016, face + t - 0.004
    borders = np.linspace(*z, len(roles) + 1)
    for role, (low, high) in zip(roles, itertools.pairwise(borders), strict=True):
        start, end = low + 0.003, high - 0.003
        if role == "mirror":
            front = face + 0.002
            builder.add("door", role, board((left, front, start), (right, front + 0.004, end), bevel=0.001))
            builder.add("door", "panel", board((left, front + 0.0045, start), (right, back, end)))
        else:
            builder.add("door", role, board((left, face, start), (right, back, end), grain=(0, 0, 1)))
    for edge in (x[0], x[1] - 0.018):
        stile = board((edge, face - 0.003, z[0]), (edge + 0.018, face + t, z[1]), grain=(0, 0, 1))
        builder.add("door", frame_role, stile)
    for border in borders:
        low = min(max(border - 0.005, z[0]), z[1] - 0.01)
        rail = board((x[0] + 0.017, face - 0.002, low), (x[1] - 0.017, face + t - 0.001, low + 0.01), grain=(1, 0, 0))
        builder.add("door", frame_role, rail)


def build_open_wardrobe(builder: PieceBuilder) -> None:
    """Build a wardrobe without doors: a clothes rail above drawers or bins, and often a column of shelves beside it."""
    width, height = builder.uniform(0.8, 1.7), builder.uniform(1.7, 2.1)
    case = draw_case(builder, width, builder.uniform(0.42, 0.55), height, stands=TALL_STANDS)
    fronts = draw_fronts(builder, case, {"slab": 3, "panel": 1})
    opening = add_carcass(builder, case, back=builder.chance(0.8))
    shares = [1.0] if width < 1.0 else [builder.uniform(1.0, 1.8), 1.0]
    first, *others = split_columns(builder, case, opening, shares)
    _fill_rail_column(builder, fronts, case, first)
    for column in others:
        add_shelves(builder, case, column, int(builder.rng.integers(3, 6)))


def _fill_rail_column(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening) -> None:
    """Add a clothes rail, a shelf over a low rail, and drawers, bins or an open compartment below."""
    lower, upper = split_rows(builder, case, opening, [1.0, builder.uniform(2.4, 3.6)])
    filling = builder.pick({"drawers": 2, "bins": 1, "open": 1})
    if filling == "drawers":
        add_drawers(builder, fronts, case, lower, [1.0, 1.0])
    elif filling == "bins":
        add_bins(builder, builder.pick(("soft2", "wicker")), case, lower)
    z, y = upper.z[1] - builder.uniform(0.06, 0.3), (case.y[0] + case.y[1]) / 2
    left, right = upper.x[0] - 0.001, upper.x[1] + 0.001
    if upper.z[1] - z > 0.2:
        shelf = board((left, case.y[0] + 0.004, z + 0.04), (right, case.y[1] - 0.006, z + 0.06), grain=(1, 0, 0))
        builder.add("shelf", case.role, shelf)
    builder.add("frame", "metal", bar((left, y, z), (right, y, z), 0.026, section="round"))


def build_display_case(builder: PieceBuilder) -> None:
    """Build a glazed cabinet: glass doors and glass sides between slender posts, a wooden back and shelves."""
    width, depth, height = builder.uniform(0.5, 1.1), builder.uniform(0.34, 0.42), builder.uniform(1.0, 1.85)
    role, t = builder.pick({"wood": 4, "timber": 1, "paint": 2, "metal": 2}), builder.uniform(0.024, 0.036)
    lift = builder.pick((0.06, builder.uniform(0.12, 0.3)))
    case = Case.centred(width, depth, (lift, height), t, role)
    inner_role = {"metal": "timber", "paint": builder.pick(("timber", "paint"))}.get(role, role)
    _add_glazed_carcass(builder, case, inner_role)
    shelf_role = builder.pick({inner_role: 2, "glass": 1})
    thickness = 0.007 if shelf_role == "glass" else 0.018
    x, y = width / 2, depth / 2
    for z in np.linspace(lift, height, max(3, round((height - lift) / 0.36)) + 1)[1:-1]:
        shelf = board((-x + 0.62 * t, -y + 0.03, z), (x - 0.62 * t, y - 0.013, z + thickness), grain=(1, 0, 0))
        builder.add("shelf", shelf_role, shelf)
    style = builder.pick(("glass", "glass", "muntins"))
    fronts = FrontStyle.random(builder, {style: 1}, roles=(role,))
    count = 1 if width < 0.62 else 2
    span = (2 * x - 2 * t) / count
    for i in range(count):
        column = Opening((-x + t + i * span, -x + t + (i + 1) * span), (lift + 0.022, height - 0.002))
        _add_glazed_door(builder, fronts, case, column, hinge="left" if i == 0 and count == 2 else "right")


def _add_glazed_carcass(builder: PieceBuilder, case: Case, inner_role: str) -> None:
    """Add four posts that reach the floor, a bottom, a top, a back of ``inner_role`` and a pane at each side."""
    x, y, (low, high), t = case.x[1], case.y[1], case.z, case.thickness
    post_x, post_y = x - t / 2, y - t / 2
    for sx in (-1, 1):
        for sy in (-1, 1):
            post = bar((sx * post_x, sy * post_y, 0), (sx * post_x, sy * post_y, high - 0.001), t)
            builder.add("frame", case.role, post)
    bottom = board((-x + 0.002, -y + 0.002, low), (x - 0.002, y - 0.002, low + 0.022), grain=(1, 0, 0))
    top = board((-x - 0.004, -y - 0.004, high - 0.002), (x + 0.004, y + 0.004, high + 0.022), grain=(1, 0, 0))
    builder.add("body", case.role, bottom, top)
    start, end = low + 0.02, high - 0.0015
    back = board((-x + 0.4 * t, y - 0.014, start), (x - 0.4 * t, y - 0.006, end), grain=(0, 0, 1))
    builder.add("body", inner_role, back)
    pane_x = x - 0.6 * t
    pane = board((pane_x, -y + t - 0.002, low + 0.021), (pane_x + 0.004, y - t + 0.002, end), bevel=0.001)
    builder.add_pair("body", "glass", pane)


def _add_glazed_door(builder: PieceBuilder, fronts: FrontStyle, case: Case, column: Opening, *, hinge: str) -> None:
    """Add one framed pane with a handle as a door, without the shelves that ``add_doors`` adds.

    Args:
        hinge: the side of the hinges, ``left`` or ``right``. The handle is on the other.
    """
    gap, stile, face = 0.003, 0.03, case.y[0] + 0.002
    (x0, x1), (z0, z1) = column.x, column.z
    left, right, low, high = x0 + gap, x1 - gap, z0 + gap, z1 - gap
    for edge in (left, right - stile):
        side = board((edge, face, low), (edge + stile, face + 0.018, high), grain=(0, 0, 1))
        builder.add("door", fronts.role, side)
    rails = [(low, stile), (high - stile, stile)]  # (height of the underside, width)
    if fronts.door_style == "muntins":
        rails += [(float(z), 0.012) for z in np.linspace(z0, z1, max(2, round((z1 - z0) / 0.36)) + 1)[1:-1]]
    inner_left, inner_right = left + stile - 0.001, right - stile + 0.001
    for z, size in rails:
        rail = board((inner_left, face + 0.0005, z), (inner_right, face + 0.0175, z + size), grain=(1, 0, 0))
        builder.add("door", fronts.role, rail)
    glass = board((x0 + 0.02, face + 0.007, z0 + 0.02), (x1 - 0.02, face + 0.011, z1 - 0.02), bevel=0.001)
    builder.add("door", "glass", glass)
    handle_x = right - 0.5 * stile if hinge == "left" else left + 0.5 * stile
    fronts.handles.add_to_door(builder, handle_x, face, z0 + 0.5 * (z1 - z0))


def build_filing_cabinet(builder: PieceBuilder) -> None:
    """Build a narrow stack of drawers with handles, label holders and a lock, often on casters."""
    width, depth, count = builder.uniform(0.38, 0.5), builder.uniform(0.44, 0.6), builder.pick((2, 3, 3, 4))
    role = builder.pick({"metal": 2, "paint": 2, "wood": 2})
    on_casters = count < 4 and builder.chance(0.5)
    lift = CASTER_HEIGHT if on_casters else 0.0
    height = lift + count * builder.uniform(0.2, 0.3) + 0.04
    case = Case.centred(width, depth, (lift, height), 0.016, role)
    if on_casters:
        add_casters(builder, width / 2 - 0.04, depth / 2 - 0.05)
    fronts = FrontStyle.random(builder, {"slab": 1}, roles=(role, "timber") if role == "paint" else (role,))
    opening = add_carcass(builder, case)
    first = len(builder.parts)
    add_drawers(builder, fronts, case, opening, builder.pick(([1.0] * count, [1.6] + [1.0] * (count - 1))))
    if builder.chance(0.5):
        _add_label_holders(builder, first)
    lock_x, lock_z = width / 2 - 0.04, height - 0.03
    start, end = (lock_x, -depth / 2 - fronts.thickness - 0.002, lock_z), (lock_x, -depth / 2 + 0.03, lock_z)
    builder.add("hardware", "fitting", bar(start, end, 0.012, section="round"))


def _add_label_holders(builder: PieceBuilder, first: int) -> None:
    """Add a label holder to each drawer among the parts from number ``first`` on."""
    for part in [part for part in builder.parts[first:] if part.component == "drawer"]:
        face, top = float(part.vertices[:, 1].min()), float(part.vertices[:, 2].max())
        holder = board((-0.035, face - 0.003, top - 0.06), (0.035, face + 0.001, top - 0.03), bevel=0.001)
        builder.add("hardware", "fitting", holder)


def build_shoe_cabinet(builder: PieceBuilder) -> None:
    """Build a shallow cabinet with tall tilting fronts, often below open compartments or drawers."""
    width, height = builder.uniform(0.5, 1.1), builder.uniform(0.7, 1.25)
    case = draw_case(builder, width, builder.uniform(0.2, 0.3), height, stands={"floor": 2, "legs": 2, "plinth": 1})
    fronts = draw_fronts(builder, case, {"slab": 4, "panel": 2, "reeded": 1.5, "louvre": 1})
    opening = add_carcass(builder, case)
    columns = [1.0] * (1 if width < 0.8 else 2)
    if builder.chance(0.4):
        opening, upper = split_rows(builder, case, opening, [builder.uniform(3.0, 5.0), 1.0])
        for column in split_columns(builder, case, upper, columns):
            if builder.chance(0.7):
                add_drawers(builder, fronts, case, column, [1.0])
    rows = max(1, round((opening.z[1] - opening.z[0]) / 0.4))
    for column in split_columns(builder, case, opening, columns):
        add_drawers(builder, fronts, case, column, [1.0] * rows)


def build_locker(builder: PieceBuilder) -> None:
    """Build a metal or painted locker with vented doors, on legs or on the floor."""
    columns, column_width = builder.pick((1, 2, 2, 3)), builder.uniform(0.32, 0.4)
    height = builder.pick((builder.uniform(0.55, 0.9), builder.uniform(1.3, 1.85)))
    role = builder.pick(("metal", "paint"))
    lift, depth = builder.pick((0.0, builder.uniform(0.1, 0.16))), builder.uniform(0.38, 0.48)
    case = Case.centred(columns * column_width, depth, (lift, height), 0.012, role)
    if lift:
        add_posts(builder, "leg", role, (case.x[1] - 0.02, depth / 2 - 0.02), (0, lift + 0.001), 0.026)
    fronts = FrontStyle.random(builder, {"slab": 1}, roles=(role,))
    opening = add_carcass(builder, case)
    rows = builder.pick((1, 1, 2)) if height > 1.0 else 1
    face = case.y[0] if fronts.inset else case.y[0] - fronts.thickness
    for column in split_columns(builder, case, opening, [1.0] * columns):
        for cell in split_rows(builder, case, column, [1.0] * rows):
            add_doors(builder, fronts, case, cell)
            middle = (cell.x[0] + cell.x[1]) / 2
            for z in (cell.z[1] - 0.07, cell.z[1] - 0.09, cell.z[1] - 0.11):
                path = [(middle - 0.06, face - 0.001, z), (middle + 0.06, face - 0.001, z)]
                builder.add("door", role, sweep(path, (0.01, 0.006), side=(0.0, 0.5, 0.86)))
