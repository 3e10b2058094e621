"""Bedsteads: frames with posts, platforms, divans, four-posters and metal tubes. The foot of a bed faces -Y.

``x`` and ``y`` are half the width and half the length of the mattress; ``deck`` is the height at which it lies.
"""

from __future__ import annotations

from export_models.dataset.makers.backs import add_upholstered_back, reclined
from export_models.dataset.makers.bedding import MATTRESS_LENGTH, add_bedding, add_mattress
from export_models.dataset.makers.fronts import FrontStyle, add_drawer_front
from export_models.dataset.makers.handles import Handles
from export_models.dataset.makers.headboards import HEADBOARD_STYLES, add_headboard
from export_models.dataset.makers.legs import add_four_legs
from export_models.dataset.makers.outlines import evenly_spaced, fillet
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, lathe, sweep
from export_models.dataset.makers.upholstery import pad

WIDTHS = {0.9: 1.5, 1.0: 0.5, 1.2: 1, 1.4: 1.5, 1.6: 2, 1.8: 2}
"""Mattress widths in metres and their weights."""
DESIGNS = {"posts": 4, "platform": 3, "divan": 2, "canopy": 1, "tubes": 1, "drawers": 1.5}


def build_bed(builder: PieceBuilder) -> None:
    """Build a bed with a mattress and usually with bedding."""
    width = builder.pick(WIDTHS)
    design = builder.pick(DESIGNS)
    deck, mattress = builder.uniform(0.24, 0.34), builder.uniform(0.17, 0.27)
    x, y = width / 2, MATTRESS_LENGTH / 2
    footboard = 0.0
    if design == "tubes":
        footboard = _build_tubes(builder, x, y, deck)
    elif design in ("posts", "canopy"):
        footboard = _build_posts(builder, x, y, deck, canopy=design == "canopy")
    elif design == "divan":
        _build_divan(builder, x, y, deck)
    else:
        _build_platform(builder, x, y, deck, drawers=design == "drawers")
    add_mattress(builder, width, deck, mattress)
    if builder.chance(0.85):
        add_bedding(builder, width, deck + mattress, mattress, tucked=footboard > deck + 0.5 * mattress)


def _build_posts(builder: PieceBuilder, x: float, y: float, deck: float, *, canopy: bool) -> float:
    """Build a bed with four posts, rails, a headboard and often a footboard; return the footboard's height."""
    t = builder.uniform(0.05, 0.08)
    _add_rails(builder, x, y, deck, builder.uniform(0.12, 0.18))
    head, foot = builder.uniform(0.9, 1.25), builder.pick((deck + 0.06, deck + 0.12, builder.uniform(0.55, 0.75)))
    canopy_top = builder.uniform(1.85, 2.15)
    has_knobs = builder.chance(0.35) and not canopy
    post_x, post_y = x + t / 2 - 0.01, y + t / 2 + 0.01
    for py, top in ((post_y, canopy_top if canopy else head), (-post_y, canopy_top if canopy else foot)):
        post = board((x - t / 2, py - t / 2, 0), (x + t / 2, py + t / 2, top), bevel=0.003)
        builder.add_pair("frame", "wood", post.moved(x=t / 2 - 0.01))
        if has_knobs and top > deck + 0.2:
            builder.add_pair("frame", "wood", _post_knob(t).moved(post_x, py, top - 0.003))
    if canopy:
        z = canopy_top - t / 2 - 0.002
        for py in (post_y, -post_y):
            builder.add("frame", "wood", bar((-x, py, z), (x, py, z), 0.8 * t))
        builder.add_pair("frame", "wood", bar((post_x, -y - 0.02, z), (post_x, y + 0.02, z), 0.8 * t))
    style = builder.pick({name: weight for name, weight in HEADBOARD_STYLES.items() if name != "none"})
    width = 2 * (x - 0.01) + 0.012
    add_headboard(builder, style, width, deck, min(head, 1.25), post_y, between_posts=True)
    if foot > deck + 0.2:
        foot_style = style if style != "soft" else "panel"
        add_headboard(builder, foot_style, width, deck, foot, -post_y, between_posts=True)
    return foot


def _post_knob(t: float) -> Solid:
    """Return a turned knob for a post of thickness ``t``."""
    return lathe(
        [(0, 0.4 * t), (0.01, 0.3 * t), (0.03, 0.62 * t), (0.06, 0.66 * t), (0.085, 0.4 * t), (0.095, 0.05 * t)]
    )


def _add_rails(builder: PieceBuilder, x: float, y: float, deck: float, height: float) -> None:
    """Add the side, foot and head rails around the mattress, and the board that carries it."""
    t, low, high = 0.026, deck - height + 0.05, deck + 0.05
    builder.add_pair("frame", "wood", board((x, -y - 0.02, low), (x + t, y + 0.02, high)))
    for rail_y in (-y - t, y):
        rail = board((-x - 0.005, rail_y, low + 0.001), (x + 0.005, rail_y + t, high - 0.001))
        builder.add("frame", "wood", rail)
    base = board((-x + 0.001, -y + 0.001, deck - 0.03), (x - 0.001, y - 0.001, deck + 0.001), grain=(1, 0, 0))
    builder.add("frame", "wood", base)


def _build_platform(builder: PieceBuilder, x: float, y: float, deck: float, *, drawers: bool) -> None:
    """Build a low platform on legs or on a recessed base, or a box with drawers at the foot."""
    rim = builder.uniform(0.0, 0.1)
    t = builder.uniform(0.04, 0.12)
    low, half_width, half_length = deck - t, x + 0.02 + rim, y + 0.02 + rim
    if drawers:
        _add_drawer_box(builder, half_width, half_length, deck, 1 if x < 0.6 else 2)
    else:
        top = (half_width, half_length, deck + 0.001)
        platform = board((-half_width, -half_length, low), top, bevel=0.004, grain=(0, 1, 0))
        builder.add("frame", "wood", platform)
        if builder.chance(0.4):
            base_low = (-half_width + 0.2, -half_length + 0.2, 0)
            builder.add("leg", "wood", board(base_low, (half_width - 0.2, half_length - 0.2, low + 0.001)))
        else:
            style = builder.pick({"block": 1, "cone": 2, "tapered": 2, "hairpin": 1, "tube": 1})
            add_four_legs(builder, style, (half_width - 0.08, half_length - 0.1), low, builder.uniform(0.05, 0.07))
    style = builder.pick(HEADBOARD_STYLES)
    if style != "none":
        high = builder.uniform(0.85, 1.15)
        bottom = 0.0 if drawers else low
        if style == "soft":
            bottom += 0.02
        add_headboard(builder, style, 2 * half_width, bottom, high, half_length + 0.013, between_posts=False)


def _add_drawer_box(builder: PieceBuilder, half_width: float, half_length: float, deck: float, count: int) -> None:
    """Add a box on a recessed base with ``count`` drawers side by side at the foot."""
    low = 0.04
    top = (half_width, half_length, deck + 0.001)
    builder.add("body", "wood", board((-half_width, -half_length, low), top, bevel=0.003, grain=(0, 1, 0)))
    base_low = (-half_width + 0.05, -half_length + 0.05, 0)
    builder.add("leg", "wood", board(base_low, (half_width - 0.05, half_length - 0.05, low + 0.001)))
    fronts, handles = FrontStyle.random(builder, {"slab": 2, "panel": 1}), Handles(builder)
    for i in range(count):
        span = (
            -half_width + 2 * half_width * i / count + 0.02,
            -half_width + 2 * half_width * (i + 1) / count - 0.02,
        )
        face = -half_length - 0.016
        add_drawer_front(builder, span, (low + 0.02, deck - 0.02), face, 0.0166, handles, style=fronts.drawer_style)


def _build_divan(builder: PieceBuilder, x: float, y: float, deck: float) -> None:
    """Build an upholstered box on short feet, with an upholstered headboard and sometimes wings."""
    foot = builder.uniform(0.03, 0.12)
    box = pad((2 * x + 0.03, 2 * y + 0.03, deck - foot + 0.01), radius=0.025)
    builder.add("body", "soft", box.moved(z=(deck + foot) / 2 + 0.003))
    style = builder.pick(("block", "cone", "bun")) if foot < 0.09 else "cone"
    add_four_legs(builder, style, (x - 0.04, y - 0.06), foot + 0.002, 0.05)
    thickness, width = builder.uniform(0.07, 0.12), 2 * x + builder.pick((0.03, 0.1, 0.3))
    low = builder.pick((foot, 0.012))
    # The last two terms cancel out except for rounding. They keep the vertices of each seed the same to the last bit.
    back_y = y + 0.012 + thickness * 0.5 - thickness / 2
    place = reclined(builder.pick((0.0, 3.0)), back_y, low)
    add_upholstered_back(builder, width, builder.uniform(0.95, 1.3) - low, thickness, place)
    if builder.chance(0.2):
        for sx in (-1, 1):
            wing = pad((0.06, 0.26, 0.9), radius=0.025).moved(sx * width / 2, y - 0.08, low + 0.46)
            builder.add("back", "soft", wing)


def _build_tubes(builder: PieceBuilder, x: float, y: float, deck: float) -> float:
    """Build a bedstead of metal tube; return the height of its foot end."""
    t = builder.uniform(0.022, 0.036)
    head, foot = builder.uniform(0.95, 1.2), builder.uniform(0.6, 0.8)
    tube_x, tube_y = x + t / 2, y + t / 2
    side_rail = bar((tube_x, -y - t / 2, deck), (tube_x, tube_y, deck), (0.7 * t, 0.05))
    builder.add_pair("frame", "metal", side_rail)
    base = board((-x - 0.002, -y, deck - 0.025), (x + 0.002, y, deck + 0.002), grain=(1, 0, 0))
    builder.add("frame", "wood", base)
    radius = builder.pick((0.02, 0.12, 0.3))
    for py, high in ((tube_y, head), (-y - t / 2, foot)):
        corners = [(tube_x, py, 0), (tube_x, py, high), (-x - t / 2, py, high), (-x - t / 2, py, 0)]
        builder.add("frame", "metal", sweep(fillet(corners, radius, 9), t, section="round"))
        cross_z = high - builder.uniform(0.12, 0.2)
        for z in (deck, cross_z):
            builder.add("frame", "metal", bar((-x - t / 2, py, z), (tube_x, py, z), 0.7 * t, section="round"))
        count = max(4, round(2 * x / builder.uniform(0.1, 0.16)))
        top = high - 0.002 if radius < 0.1 else cross_z
        for bar_x in evenly_spaced(count, 2 * x):
            builder.add("back", "metal", bar((bar_x, py, deck), (bar_x, py, top), 0.4 * t, section="round"))
    return foot
