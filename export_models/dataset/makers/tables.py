"""Tables: dining, coffee, side and console tables.

``under`` is the height of the underside of the top.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from export_models.dataset.makers.fronts import add_drawer_front
from export_models.dataset.makers.handles import Handles
from export_models.dataset.makers.legs import METAL_STYLES, WOODEN_STYLES, add_four_legs
from export_models.dataset.makers.outlines import evenly_spaced
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import board
from export_models.dataset.makers.stands import add_pedestal, add_plinth, add_sled, add_stretchers, add_trestle
from export_models.dataset.makers.table_tops import TableTop, add_table_top, table_outline

USES = {"dining": 4, "coffee": 3, "side": 2, "console": 1.5}
SHAPES = {"rectangle": 4, "rounded": 2.5, "round": 2.5, "oval": 1, "superellipse": 1}
TOP_ROLES = {"wood": 5, "wood2": 2, "glass": 1, "stone": 1.2}


def build_table(builder: PieceBuilder) -> None:
    """Build a table on legs, frames or a pedestal."""
    use, shape = builder.pick(USES), builder.pick(SHAPES)
    if use == "console" and shape == "round":
        shape = "oval"
    width, depth, height = _draw_size(builder, use, shape)
    role = builder.pick(TOP_ROLES)
    thickness = builder.uniform(0.018, 0.045) if role in ("wood", "wood2") else builder.uniform(0.01, 0.022)
    outline = table_outline(builder, shape, width, depth)
    under = height - thickness
    add_table_top(builder, TableTop(outline, shape, role, thickness, under))
    base = _draw_base(builder, shape, use)
    if base == "pedestal":
        _add_table_pedestal(builder, width, depth, under, role)
    else:
        # A curved top does not cover the corners of its bounding box, so the legs stand further inside.
        share = 0.7 if shape in ("round", "oval") else (0.84 if shape == "superellipse" else 1.0)
        set_in = builder.uniform(0.0, 0.03) if role != "glass" and shape == "rectangle" else 0.045
        half_size = (width / 2 - set_in) * share, (depth / 2 - set_in) * share
        _add_base(builder, base, half_size, under, use, role)


def _draw_size(builder: PieceBuilder, use: str, shape: str) -> tuple[float, float, float]:
    """Draw width, depth and height."""
    if use == "dining":
        width, depth, height = builder.uniform(1.2, 2.35), builder.uniform(0.75, 1.05), builder.uniform(0.72, 0.77)
        depth = builder.pick((depth, depth, min(width, builder.uniform(0.75, 1.0))))
        width = builder.pick((width, width, max(depth, 0.8)))
    elif use == "coffee":
        width, depth, height = builder.uniform(0.75, 1.3), builder.uniform(0.45, 0.75), builder.uniform(0.34, 0.47)
    elif use == "side":
        width, height = builder.uniform(0.38, 0.6), builder.uniform(0.45, 0.65)
        depth = width * builder.uniform(0.8, 1.0)
    else:
        width, depth, height = builder.uniform(0.9, 1.5), builder.uniform(0.3, 0.42), builder.uniform(0.74, 0.8)
    if shape == "round":
        width = depth = {"dining": builder.uniform(0.9, 1.4), "coffee": builder.uniform(0.6, 1.0)}.get(use, depth)
    return width, depth, height


def _draw_base(builder: PieceBuilder, shape: str, use: str) -> str:
    if shape in ("round", "oval", "superellipse") and builder.chance(0.5):
        return "pedestal"
    if use == "dining":
        return builder.pick({"apron": 6, "legs": 2, "trestle": 1.2, "sled": 1.2, "panels": 1})
    if use == "side":
        return builder.pick({"apron": 4, "legs": 3, "sled": 2, "shelf": 2, "pedestal": 2})
    return builder.pick({"apron": 4, "legs": 3, "sled": 2, "panels": 1.5, "shelf": 3, "plinth": 0.5})


def _add_table_pedestal(builder: PieceBuilder, width: float, depth: float, under: float, top_role: str) -> None:
    """Add one column, or two under a long top."""
    style = builder.pick({"turned": 2, "disc": 2, "tulip": 1.5, "drum": 1.5, "cross": 1.5})
    is_wooden = style in ("turned", "cross") or (style == "drum" and builder.chance(0.6))
    reach = min(0.36 * min(width, depth) * builder.uniform(0.8, 1.1), 0.42)
    role = "wood" if is_wooden else builder.pick(("metal", "wood", "stone" if top_role == "stone" else "metal"))
    add_pedestal(builder, under, reach, style=style, role=role)
    if width > 1.35 * depth and width > 1.3:
        _double_pedestal(builder, 0.24 * width)


def _double_pedestal(builder: PieceBuilder, shift: float) -> None:
    """Replace the column by two copies, moved by ``shift`` to the left and right."""
    columns = [part for part in builder.parts if part.component == "leg"]
    others = [part for part in builder.parts if part.component != "leg"]
    offset = np.array([shift, 0, 0], np.float32)
    copies = [replace(part, vertices=part.vertices + sx * offset) for part in columns for sx in (-1, 1)]
    builder.parts[:] = others + copies


def _add_base(
    builder: PieceBuilder, base: str, half_size: tuple[float, float], under: float, use: str, top_role: str
) -> None:
    """Add a base of any style but a pedestal.

    Args:
        half_size: distance in x and y from the centre to the outer faces of the base.
    """
    x, y = half_size
    leg = {"dining": builder.uniform(0.055, 0.085), "coffee": builder.uniform(0.04, 0.06)}.get(
        use, builder.uniform(0.03, 0.045)
    )
    if base in ("apron", "shelf"):
        _add_apron_base(builder, half_size, under, use, top_role, leg, has_shelf=base == "shelf")
    elif base == "legs":
        style = builder.pick({**METAL_STYLES, "cone": 2, "splayed": 2})
        inner = (x - 0.05, y - 0.05)
        add_four_legs(builder, style, inner, under - 0.001, max(leg, 0.045))
        if top_role in ("glass", "stone") or style == "tube" or builder.chance(0.3):
            role = "metal" if style in METAL_STYLES else "wood"
            add_apron(builder, inner, under, 0.03, 0.045, drawers=False, role=role)
    elif base == "sled":
        _add_sled_base(builder, x, y, under)
    elif base == "trestle":
        add_trestle(builder, (0.68 * x, 0.8 * y), under)
    elif base == "panels":
        t = builder.uniform(0.025, 0.05)
        inner_x = x - builder.pick((0.0, 0.12 * x)) - t
        panel = board((inner_x, -y, 0), (inner_x + t, y, under + 0.001), grain=(0, 0, 1))
        builder.add_pair("leg", "wood", panel)
        if builder.chance(0.6):
            rail = board((-inner_x - 0.002, -0.012, under - 0.16), (inner_x + 0.002, 0.012, under + 0.001))
            builder.add("frame", "wood", rail)
    else:
        foot = builder.uniform(0.03, 0.07)
        add_plinth(builder, (0.9 * x, 0.9 * y), foot, 0.04)
        block = board((-0.9 * x, -0.9 * y, foot), (0.9 * x, 0.9 * y, under + 0.001), grain=(1, 0, 0))
        builder.add("body", "wood", block)


def _add_apron_base(
    builder: PieceBuilder,
    half_size: tuple[float, float],
    under: float,
    use: str,
    top_role: str,
    leg: float,
    *,
    has_shelf: bool,
) -> None:
    """Add four legs of thickness ``leg`` with aprons, and perhaps drawers, a low shelf or stretchers."""
    x, y = half_size
    style = builder.pick(WOODEN_STYLES)
    legs_are_upright = style in ("square", "tapered", "turned", "cabriole")
    add_four_legs(builder, style, half_size, under, leg)
    height = builder.uniform(0.05, 0.11) if use != "side" else builder.uniform(0.04, 0.1)
    has_drawers = legs_are_upright and top_role != "glass" and builder.chance(0.4)
    add_apron(builder, half_size, under, height, leg, drawers=has_drawers)
    leg_axes = (x - leg / 2, y - leg / 2)
    if has_shelf and legs_are_upright:
        _add_low_shelf(builder, leg_axes, builder.uniform(0.1, 0.35 * under))
    elif legs_are_upright and style == "square" and builder.chance(0.3):
        stretcher_height = builder.uniform(0.08, 0.16)
        kind = builder.pick(("H", "box"))
        add_stretchers(builder, leg_axes, stretcher_height, (0.6 * leg, 0.7 * leg), kind=kind)


def _add_sled_base(builder: PieceBuilder, x: float, y: float, under: float) -> None:
    """Add two loops of bar and two rails that join them under the top."""
    section = builder.pick({(0.025, 0.025): 2.0, (0.08, 0.03): 1.0, (0.05, 0.05): 1.0})
    role = "wood" if builder.chance(0.35) else "metal"
    reach = (x - 0.1 * x - section[0] / 2, y - 0.03 - section[1] / 2)
    add_sled(builder, reach, under + 0.001, section, role=role)
    for sy in (-1, 1):
        low = (-reach[0], sy * reach[1] * 0.9 - 0.012, under - 0.03)
        builder.add("frame", role, board(low, (reach[0], sy * reach[1] * 0.9 + 0.012, under + 0.001)))


def add_apron(
    builder: PieceBuilder,
    half_size: tuple[float, float],
    under: float,
    height: float,
    leg: float,
    *,
    drawers: bool,
    role: str = "wood",
) -> None:
    """Add rails between the legs under a top.

    Args:
        half_size: distance in x and y from the centre to the outer faces of the legs.
        height: height of the rails; drawers raise it to at least 0.1 m.
        leg: thickness of the legs.
        drawers: whether to put one to three drawers into the front rail.
    """
    x, y, t = half_size[0] - leg / 2, half_size[1] - leg / 2, 0.02
    face = -y - leg / 2 + 0.006
    builder.add("frame", role, board((-x, y - t / 2, under - height), (x, y + t / 2, under + 0.001)))
    builder.add_pair("frame", role, board((x - t / 2, -y, under - height), (x + t / 2, y, under + 0.001)))
    if not drawers:
        builder.add("frame", role, board((-x, -y - t / 2, under - height), (x, -y + t / 2, under + 0.001)))
        return
    height = max(height, 0.1)
    handles = Handles(builder)
    count = 1 if x < 0.4 else int(builder.rng.integers(1, 4))
    inner_width = 2 * x - leg
    builder.add("frame", role, board((-x, face + 0.012, under - height), (x, face + 0.03, under + 0.001)))
    width = min(inner_width / count, 0.75)
    for middle in evenly_spaced(count, inner_width):
        span = (middle - width / 2 + 0.012, middle + width / 2 - 0.012)
        add_drawer_front(builder, span, (under - height + 0.012, under - 0.012), face, 0.014, handles)


def _add_low_shelf(builder: PieceBuilder, half_size: tuple[float, float], height: float) -> None:
    """Add a board, or stretchers with slats, between the legs.

    Args:
        half_size: distance in x and y from the centre to the leg axes.
    """
    x, y = half_size
    if builder.chance(0.5):
        role = builder.pick(("wood", "wood", "cane"))
        builder.add("shelf", role, board((-x, -y, height - 0.018), (x, y, height), bevel=0.002))
        return
    for sy in (-1, 1):
        builder.add("leg", "wood", board((-x, sy * y - 0.012, height - 0.03), (x, sy * y + 0.012, height)))
    builder.add_pair("leg", "wood", board((x - 0.012, -y, height - 0.03), (x + 0.012, y, height)))
    count = max(5, int(2 * x / 0.06))
    for slat_x in evenly_spaced(count, 2 * x):
        slat = board((slat_x - 0.018, -y, height - 0.006), (slat_x + 0.018, y, height + 0.006))
        builder.add("shelf", "wood", slat)
