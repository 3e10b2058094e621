"""Desks: on legs, pedestals, trestles and steel frames, with drawers, hutches and modesty panels."""

from __future__ import annotations

from export_models.dataset.makers.cases import (
    Case,
    add_carcass,
    add_doors,
    add_drawer_row,
    add_drawers,
    add_shelves,
    split_columns,
    split_rows,
)
from export_models.dataset.makers.fronts import FrontStyle, Span
from export_models.dataset.makers.legs import add_four_legs
from export_models.dataset.makers.outlines import rounded_rectangle
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, extrude, lathe
from export_models.dataset.makers.stands import add_sled, add_trestle
from export_models.dataset.makers.tables import add_apron

DESIGNS = {"apron": 4, "pedestal": 4, "pedestals": 2, "trestle": 1, "sled": 1.5, "lift": 1.5, "steel": 1.5}
TOP_ROLES = {"wood": 5, "wood2": 2, "glass": 0.4}


def build_desk(builder: PieceBuilder) -> None:
    """Build a writing table or an office desk."""
    width, depth, height = builder.uniform(1.0, 1.8), builder.uniform(0.52, 0.8), builder.uniform(0.72, 0.76)
    thickness = builder.uniform(0.02, 0.034)
    under, role = height - thickness, builder.pick(TOP_ROLES)
    design = builder.pick(DESIGNS)
    if role == "glass" and design in ("pedestal", "pedestals"):
        role = "wood"
    radius = builder.pick((0.0, 0.0, 0.02, 0.06))
    if radius:
        top = extrude(rounded_rectangle(width, depth, radius), thickness, bevel=0.002).with_grain((1, 0, 0))
        builder.add("top", role, top.moved(z=under))
    else:
        bevel = builder.pick((0.002, 0.004))
        top = board((-width / 2, -depth / 2, under), (width / 2, depth / 2, height), bevel=bevel)
        builder.add("top", role, top)
    set_in = 0.35 * radius  # so that no leg projects from a rounded corner
    half_size = width / 2 - builder.uniform(set_in, set_in + 0.03), depth / 2 - builder.uniform(set_in, set_in + 0.03)
    _add_base(builder, design, half_size, under)
    if builder.chance(0.25) and role != "glass":
        _add_hutch(builder, width, depth, height)


def _add_base(builder: PieceBuilder, design: str, half_size: tuple[float, float], under: float) -> None:
    """Add the base under the top.

    Args:
        half_size: distance in x and y from the centre to the outer faces of the base.
        under: height of the underside of the top.
    """
    x, y = half_size
    if design == "apron":
        leg = builder.uniform(0.036, 0.055)
        style = builder.pick({"square": 3, "tapered": 4, "turned": 1.5, "cabriole": 1})
        add_four_legs(builder, style, half_size, under, leg)
        add_apron(builder, half_size, under, builder.uniform(0.07, 0.13), leg, drawers=builder.chance(0.75))
    elif design in ("pedestal", "pedestals"):
        _add_drawer_pedestals(builder, half_size, under, both=design == "pedestals")
    elif design == "trestle":
        add_trestle(builder, (0.7 * x, 0.85 * y), under)
    elif design == "sled":
        _add_sled_base(builder, x, y, under)
    elif design == "lift":
        _add_lift_base(builder, x, y, under)
    else:
        style = builder.pick(("tube", "hairpin", "cone", "splayed"))
        add_four_legs(builder, style, (x - 0.04, y - 0.04), under, 0.05)
        if builder.chance(0.6):
            _add_hanging_drawers(builder, (x - 0.1, y), under)


def _add_sled_base(builder: PieceBuilder, x: float, y: float, under: float) -> None:
    reach = (x - 0.03, y - 0.02)
    section = builder.pick(((0.03, 0.03), (0.05, 0.025), (0.02, 0.06)))
    role = builder.pick({"metal": 2, "wood": 1})
    add_sled(builder, reach, under + 0.001, section, role=role)
    for share in (-0.8, 0.8):
        low = (-reach[0], share * y - 0.015, under - 0.03)
        builder.add("frame", role, board(low, (reach[0], share * y + 0.015, under + 0.001)))
    if builder.chance(0.5):
        modesty_low = (-reach[0], 0.6 * y, under - builder.uniform(0.2, 0.4))
        panel = board(modesty_low, (reach[0], 0.6 * y + 0.016, under + 0.001), grain=(1, 0, 0))
        builder.add("frame", builder.pick(("wood", "metal")), panel)
    if builder.chance(0.5):
        _add_hanging_drawers(builder, (x, y), under)


def _add_drawer_pedestals(builder: PieceBuilder, half_size: tuple[float, float], under: float, *, both: bool) -> None:
    """Add a case of drawers under one or both ends of the top. The other end stands on legs or a panel."""
    x, y = half_size
    fronts = FrontStyle.random(builder, {"slab": 5, "panel": 2, "louvre": 0.3})
    width = builder.uniform(0.34, 0.45)
    lift = builder.pick((0.0, 0.05, builder.uniform(0.08, 0.14)))
    sides = [-1, 1] if both else [builder.pick((-1, 1))]
    count = int(builder.rng.integers(2, 5))
    shares = [builder.uniform(1.0, 2.0), *([1.0] * (count - 1))]
    has_doors = builder.chance(0.25)
    for side in sides:
        span = (x - width, x) if side > 0 else (-x, width - x)
        case = Case(span, (-y + 0.006, y), (lift, under + 0.001), 0.018)
        opening = add_carcass(builder, case)
        if has_doors:
            lower, upper = split_rows(builder, case, opening, [2.4, 1.0])
            add_doors(builder, fronts, case, lower)
            add_drawers(builder, fronts, case, upper, [1.0])
        else:
            add_drawers(builder, fronts, case, opening, shares)
        if lift:
            _add_pedestal_feet(builder, case, y)
    if not both:
        _add_open_end(builder, -sides[0], x, y, under)
    inner_x = x - width
    # The open space along x, between both pedestals or between the pedestal and the other end.
    low, high = (-inner_x, inner_x) if both else sorted((-sides[0] * (x - 0.02), sides[0] * inner_x))
    if builder.chance(0.7):
        drop = builder.uniform(0.1, 0.4)
        modesty_high = (high + 0.002, y - 0.032, under + 0.001)
        builder.add("frame", "wood", board((low - 0.002, y - 0.05, under - drop), modesty_high, grain=(1, 0, 0)))
    if both and builder.chance(0.6):
        case = Case((low - 0.001, high + 0.001), (-y + 0.006, y - 0.06), (under - 0.11, under + 0.001), 0.012)
        add_drawers(builder, fronts, case, add_carcass(builder, case, back=False), [1.0])


def _add_pedestal_feet(builder: PieceBuilder, case: Case, y: float) -> None:
    """Add four short feet under a pedestal case."""
    for foot_x in (case.x[0] + 0.03, case.x[1] - 0.03):
        for foot_y in (-y + 0.04, y - 0.03):
            low = (foot_x - 0.02, foot_y - 0.02, 0)
            foot = board(low, (foot_x + 0.02, foot_y + 0.02, case.z[0] + 0.001), grain=(0, 0, 1))
            builder.add("leg", "wood", foot)


def _add_open_end(builder: PieceBuilder, side: int, x: float, y: float, under: float) -> None:
    """Add a panel or two legs under the right (``side`` 1) or left (-1) end."""
    style = builder.pick({"panel": 2, "square": 2, "tapered": 2, "tube": 1.5})
    if style == "panel":
        edge = side * x
        panel = board((edge - side * 0.025, -y + 0.01, 0), (edge, y, under + 0.001), grain=(0, 0, 1))
        builder.add("leg", "wood", panel)
        return
    first = len(builder.parts)
    add_four_legs(builder, style, (x, y), under, 0.045)
    kept = [part for part in builder.parts[first:] if float(part.vertices[:, 0].mean()) * side > 0]
    builder.parts[first:] = kept


def _add_hanging_drawers(builder: PieceBuilder, half_size: tuple[float, float], under: float) -> None:
    """Add a flat case with drawers under the top."""
    x, y = half_size
    fronts = FrontStyle.random(builder, {"slab": 1})
    width = builder.pick((min(1.7 * x, 1.2), 0.45))
    middle = 0.0 if width > 0.5 else builder.pick((-1, 1)) * (x - width / 2 - 0.06)
    height: Span = (under - builder.uniform(0.1, 0.14), under + 0.001)
    case = Case((middle - width / 2, middle + width / 2), (-y + 0.05, y - 0.12), height, 0.014)
    opening = add_carcass(builder, case)
    add_drawer_row(builder, fronts, case, opening, 1 if width < 0.7 else 2)


def _add_lift_base(builder: PieceBuilder, x: float, y: float, under: float) -> None:
    """Add a height-adjustable steel frame: two telescopic columns on flat feet."""
    column_x, width = x - builder.uniform(0.15, 0.25), builder.uniform(0.06, 0.08)
    section = "round" if builder.chance(0.3) else "rectangle"
    for sx in (-1, 1):
        px = sx * column_x
        foot = board((px - 0.04, -0.92 * y, 0.008), (px + 0.04, 0.92 * y, 0.034), bevel=0.006)
        builder.add("leg", "metal", foot)
        for share in (-0.86, 0.86):
            glide = lathe([(0, 0.018), (0.004, 0.022), (0.012, 0.022)], 16).moved(px, share * y)
            builder.add("hardware", "rubber", glide)
        middle = 0.55 * under
        outer = bar((px, 0, 0.03), (px, 0, middle), width, section)
        inner = bar((px, 0, middle - 0.01), (px, 0, under - 0.025), 0.8 * width, section)
        builder.add("leg", "metal", outer, inner)
        bracket = board((px - 0.03, -0.85 * y, under - 0.03), (px + 0.03, 0.85 * y, under + 0.001), bevel=0.003)
        builder.add("frame", "metal", bracket)
    for beam_y in (-0.08, 0.08):
        low = (-column_x, beam_y - 0.015, under - 0.032)
        builder.add("frame", "metal", board(low, (column_x, beam_y + 0.015, under - 0.004), bevel=0.002))
    if builder.chance(0.5):
        control_x = column_x - 0.05
        low = (control_x, -y + 0.012, under - 0.018)
        builder.add("hardware", "rubber", board(low, (control_x + 0.11, -y + 0.06, under + 0.001), bevel=0.003))


def _add_hutch(builder: PieceBuilder, width: float, depth: float, height: float) -> None:
    """Add a shelf case or a rack of small compartments at the back of the top.

    Args:
        height: height of the desk.
    """
    hutch_height = builder.pick((builder.uniform(0.12, 0.2), builder.uniform(0.3, 0.75)))
    hutch_width = width - builder.pick((0.0, 0.04, 0.3))
    y: Span = (depth / 2 - builder.uniform(0.2, 0.28), depth / 2)
    case = Case((-hutch_width / 2, hutch_width / 2), y, (height - 0.001, height + hutch_height), 0.016)
    opening = add_carcass(builder, case, back=builder.chance(0.7))
    fronts = FrontStyle.random(builder, {"slab": 3, "panel": 2, "glass": 1})
    for i, column in enumerate(split_columns(builder, case, opening, [1.0, builder.uniform(0.8, 2.0), 1.0])):
        if i != 1 and builder.chance(0.4):
            count = max(1, round((column.z[1] - column.z[0]) / 0.14))
            if hutch_height < 0.3:
                add_drawers(builder, fronts, case, column, [1.0] * count)
            else:
                add_doors(builder, fronts, case, column)
        elif hutch_height > 0.4:
            add_shelves(builder, case, column, 1)
