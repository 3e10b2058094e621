"""Bedsteads with visible slats, upholstered beds on small legs, bunk and loft beds, cribs, children's house beds.

``deck`` is the height at which the mattress lies.
"""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import add_upholstered_back, reclined
from export_models.dataset.makers.bedding import MATTRESS_LENGTH, add_bedding, add_mattress
from export_models.dataset.makers.headboards import add_headboard
from export_models.dataset.makers.legs import add_four_legs
from export_models.dataset.makers.outlines import evenly_spaced
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board
from export_models.dataset.makers.upholstery import pad

ROLES = {"wood": 4, "timber": 2, "paint": 1.5}


def _add_deck(builder: PieceBuilder, role: str, half_size: tuple[float, float], deck: float) -> None:
    """Add slats across the bed, with their upper side at the height ``deck``, on two ledges."""
    x, y = half_size
    builder.add_pair("frame", role, board((x - 0.03, -y, deck - 0.045), (x + 0.002, y, deck - 0.016)))
    count = max(8, round(2 * y / builder.uniform(0.11, 0.16)))
    for slat_y in evenly_spaced(count, 2 * y):
        slat = board((-x + 0.004, slat_y - 0.034, deck - 0.018), (x - 0.004, slat_y + 0.034, deck), grain=(1, 0, 0))
        builder.add("frame", "timber", slat)


def _add_side_rails(builder: PieceBuilder, role: str, half_size: tuple[float, float], low: float, high: float) -> None:
    """Add the rails around a deck of half the width and half the length ``half_size``."""
    x, y = half_size
    builder.add_pair("frame", role, board((x, -y - 0.01, low), (x + 0.024, y + 0.01, high)))
    for sy in (-1, 1):
        rail = board((-x - 0.01, sy * y, low + 0.001), (x + 0.01, sy * (y + 0.024), high - 0.001))
        builder.add("frame", role, rail)


def build_slatted_bed(builder: PieceBuilder) -> None:
    """Build a bedstead with posts, a headboard and mostly without a mattress, so that its slats show."""
    width, deck, role = builder.pick({0.9: 2, 1.4: 2, 1.6: 2}), builder.uniform(0.26, 0.36), builder.pick(ROLES)
    x, y = width / 2, MATTRESS_LENGTH / 2
    _add_side_rails(builder, role, (x, y), deck - builder.uniform(0.08, 0.14), deck + 0.02)
    _add_deck(builder, role, (x, y), deck)
    style = builder.pick({"slats": 3, "bars": 1, "framed": 1, "panel": 1, "soft": 1, "cane": 0.7})
    high = builder.uniform(0.75, 1.1)
    post = builder.uniform(0.045, 0.06)
    for sx in (-1, 1):
        for py, top in ((y + 0.02, high + 0.02), (-y - 0.02, deck + builder.pick((0.0, 0.022, 0.15)))):
            builder.add("frame", role, bar((sx * x, py, 0), (sx * x, py, top), post))
    add_headboard(builder, style, 2 * x - post + 0.012, deck + 0.03, high, y + 0.02, between_posts=True)
    builder.add("leg", role, board((-0.02, -y, 0), (0.02, -y + 0.04, deck - 0.017), grain=(0, 0, 1)))
    beam = board((-0.018, -y + 0.001, deck - 0.08), (0.018, y - 0.001, deck - 0.0175), grain=(0, 1, 0))
    builder.add("frame", role, beam)
    if builder.chance(0.35):
        thickness = builder.uniform(0.16, 0.22)
        add_mattress(builder, width, deck, thickness)
        if builder.chance(0.5):
            add_bedding(builder, width, deck + thickness, thickness, tucked=False)


def build_upholstered_bed(builder: PieceBuilder) -> None:
    """Build an upholstered bed with padded rails, a tall headboard and small wooden or metal legs."""
    width, foot = builder.pick({0.9: 1, 1.4: 2, 1.6: 3, 1.8: 2}), builder.uniform(0.05, 0.16)
    rail, t = builder.uniform(0.14, 0.24), builder.uniform(0.05, 0.09)
    x, y = width / 2 + t, MATTRESS_LENGTH / 2 + t
    z = foot + rail / 2
    side = pad((t, 2 * y, rail), radius=0.02, crown=0.004)
    builder.add_pair("body", "soft", side.moved(x=x - t / 2, z=z))
    end = pad((2 * (x - t) + 0.01, t, rail - 0.002), radius=0.02, crown=0.004)
    builder.add("body", "soft", end.moved(y=-y + t / 2, z=z))
    deck = foot + rail - builder.uniform(0.05, 0.1)
    base = board((-x + t - 0.01, -y + t - 0.01, deck - 0.03), (x - t + 0.01, y, deck), grain=(1, 0, 0))
    builder.add("frame", "wood", base)
    low, thickness = builder.pick((0.02, foot)), builder.uniform(0.07, 0.12)
    place = reclined(builder.pick((0.0, 3.0)), y - 0.02, low)
    head_width = 2 * x + builder.pick((0.0, 0.04, 0.2))
    style = builder.pick({"tufted": 2, "channels": 2, "plain": 1, "buttons": 1})
    add_upholstered_back(builder, head_width, builder.uniform(0.95, 1.3) - low, thickness, place, style=style)
    leg = builder.pick({"block": 2, "tapered": 3, "cone": 3, "turned": 1, "tube": 1, "bun": 1})
    add_four_legs(builder, leg, (x - 0.02, y - 0.03), foot + 0.004, builder.uniform(0.035, 0.055))
    if builder.chance(0.85):
        mattress = builder.uniform(0.2, 0.28)
        add_mattress(builder, width, deck, mattress)
        if builder.chance(0.7):
            add_bedding(builder, width, deck + mattress, mattress, tucked=True)


def build_bunk_bed(builder: PieceBuilder) -> None:
    """Build a bunk bed, or a loft bed with free space below, with guard rails and a ladder."""
    width, role = builder.pick((0.8, 0.9, 0.9, 1.2)), builder.pick({"wood": 3, "timber": 2, "paint": 2, "metal": 1})
    post = builder.uniform(0.045, 0.07) if role != "metal" else 0.04
    x, y, high = width / 2, MATTRESS_LENGTH / 2, builder.uniform(1.55, 1.75)
    upper, is_loft = high - builder.uniform(0.32, 0.4), builder.chance(0.35)
    decks = [upper] if is_loft else [builder.uniform(0.22, 0.32), upper]
    for sx in (-1, 1):
        for sy in (-1, 1):
            px, py = sx * (x + 0.024 + 0.3 * post), sy * (y + 0.024)
            builder.add("frame", role, bar((px, py, 0), (px, py, high), post))
    for deck in decks:
        _add_side_rails(builder, role, (x, y), deck - 0.09, deck + 0.03)
        _add_deck(builder, role, (x, y), deck)
        if builder.chance(0.75):
            add_mattress(builder, width, deck, builder.uniform(0.12, 0.16))
    _add_guard_rails(builder, role, (x, y), upper, high)
    _add_bunk_ladder(builder, role, (x, y), upper, high)


def _add_guard_rails(
    builder: PieceBuilder, role: str, half_size: tuple[float, float], upper: float, high: float
) -> None:
    """Add rails around the upper deck, which leave a gap for the ladder, and slats at some of the ends.

    Args:
        half_size: half the width and half the length of the mattress.
        upper: height of the upper deck.
        high: height of the posts.
    """
    x, y = half_size
    for z in (upper + 0.17, high - 0.05):
        for sx in (-1, 1):
            start = -y if sx < 0 else -y + 0.5
            rail = board((sx * (x + 0.004), start, z - 0.03), (sx * (x + 0.026), y, z + 0.03))
            builder.add("frame", role, rail)
        for sy in (-1, 1):
            rail = board((-x - 0.03, sy * (y + 0.003), z - 0.029), (x + 0.03, sy * (y + 0.025), z + 0.029))
            builder.add("frame", role, rail)
    upright = board((x + 0.005, -y + 0.503, upper + 0.02), (x + 0.025, -y + 0.54, high - 0.03), grain=(0, 0, 1))
    builder.add("frame", role, upright)
    for sy in (-1, 1):
        for z in np.linspace(0.45, upper - 0.2, 3) if builder.chance(0.5) else ():
            slat = board((-x - 0.03, sy * (y + 0.006), z - 0.035), (x + 0.03, sy * (y + 0.022), z + 0.035))
            builder.add("back", role, slat)


def _add_bunk_ladder(
    builder: PieceBuilder, role: str, half_size: tuple[float, float], upper: float, high: float
) -> None:
    """Add a ladder at the foot end of the right side. The arguments are those of ``_add_guard_rails``."""
    x, y = half_size
    start, end = -y + 0.1, -y + 0.44
    for py in (start, end):
        upright = board((x + 0.027, py - 0.016, 0), (x + 0.062, py + 0.016, high - 0.1), grain=(0, 0, 1))
        builder.add("frame", role, upright)
    for z in np.arange(0.25, upper, 0.26):
        rung = board((x + 0.03, start, z - 0.013), (x + 0.058, end, z + 0.013))
        builder.add("frame", role, rung)


def build_crib(builder: PieceBuilder) -> None:
    """Build a baby's cot with spindles at its sides, spindles or panels at its ends, and often a mattress.

    Its length lies along x.
    """
    length, width, role = 1.2, 0.6, builder.pick(ROLES)
    x, y, top = length / 2 + 0.03, width / 2 + 0.03, builder.uniform(0.82, 0.95)
    post, deck = builder.uniform(0.035, 0.05), builder.uniform(0.3, 0.5)
    foot = builder.uniform(0.15, 0.25)
    for sx in (-1, 1):
        for sy in (-1, 1):
            builder.add("frame", role, bar((sx * x, sy * y, 0), (sx * x, sy * y, top), post))
    panelled = builder.chance(0.4)
    section = builder.pick(("round", "rectangle"))
    for z in (foot + 0.03, top - 0.028):
        for sy in (-1, 1):
            builder.add("frame", role, board((-x, sy * y - 0.012, z - 0.025), (x, sy * y + 0.012, z + 0.025)))
        builder.add_pair("frame", role, board((x - 0.011, -y, z - 0.024), (x + 0.011, y, z + 0.024)))
    bars = [(px, sy * y) for sy in (-1, 1) for px in np.linspace(-x, x, 17)[1:-1]]
    if not panelled:
        bars += [(sx * x, py) for sx in (-1, 1) for py in np.linspace(-y, y, 9)[1:-1]]
    for px, py in bars:
        spindle = bar((px, py, foot + 0.04), (px, py, top - 0.04), 0.016, section=section)
        builder.add("back", role, spindle)
    if panelled:
        panel = board((x - 0.007, -y, foot + 0.04), (x + 0.007, y, top - 0.04), grain=(0, 0, 1))
        builder.add_pair("back", builder.pick((role, "timber")), panel)
    base = board((-x + 0.01, -y + 0.01, deck - 0.02), (x - 0.01, y - 0.01, deck), grain=(1, 0, 0))
    builder.add("frame", role, base)
    for sy in (-1, 1):
        builder.add("frame", role, board((-x, sy * y - 0.009, deck - 0.04), (x, sy * y + 0.009, deck - 0.001)))
    if builder.chance(0.8):
        mattress = pad((length + 0.01, width + 0.01, 0.1), radius=0.03, crown=0.006)
        builder.add("cushion", "linen", mattress.moved(z=deck + 0.049))


def build_house_bed(builder: PieceBuilder) -> None:
    """Build a child's bed in a frame with the outline of a house."""
    role, t = builder.pick({"timber": 3, "paint": 2, "wood": 2}), builder.uniform(0.034, 0.045)
    x, y, deck = 0.46, builder.pick((0.8, 1.0)), builder.uniform(0.1, 0.25)
    eaves, ridge = builder.uniform(1.1, 1.3), builder.uniform(1.5, 1.75)
    for sy in (-1, 1):
        for sx in (-1, 1):
            post = bar((sx * x, sy * y, 0), (sx * x, sy * y, eaves), t)
            # The rafters differ in depth, so that their faces do not lie in one plane where they cross.
            rafter = bar((sx * x, sy * y, eaves - 0.01), (0, sy * y, ridge), (0.9 * t, (0.8 + 0.03 * sx) * t))
            builder.add("frame", role, post, rafter)
        builder.add("frame", role, bar((-x, sy * y, deck + 0.02), (x, sy * y, deck + 0.02), (0.1, 0.8 * t)))
    for px, z in ((-x, eaves - t), (x, eaves - t), (0.0, ridge - 0.02)):
        builder.add("frame", role, bar((px, -y, z), (px, y, z), 0.85 * t))
    for sx in (-1, 1):
        builder.add("frame", role, board((sx * x - 0.4 * t, -y, deck - 0.03), (sx * x + 0.4 * t, y, deck + 0.07)))
    _add_deck(builder, role, (x - 0.3 * t, y - 0.4 * t), deck)
    if builder.chance(0.5):
        for z in (deck + 0.16, deck + 0.24):
            builder.add("frame", role, board((-x - 0.01, -y, z - 0.025), (-x + 0.01, y, z + 0.025)))
    if builder.chance(0.8):
        mattress = pad((2 * x - t - 0.01, 2 * y - t - 0.01, 0.12), radius=0.03, crown=0.006)
        builder.add("cushion", "linen", mattress.moved(z=deck + 0.059))
