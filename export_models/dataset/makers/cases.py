"""Case goods: the carcass, its compartments with their fronts, and the stand below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export_models.dataset.makers.fronts import FrontStyle, Span, add_door, add_drawer_front
from export_models.dataset.makers.legs import add_four_legs
from export_models.dataset.makers.outlines import rounded_rectangle
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, extrude
from export_models.dataset.makers.stands import add_plinth, add_sled

STAND_STYLES = {"legs": 4, "plinth": 2, "floor": 2, "bracket": 1, "steel": 1.5, "sled": 1}
LOW_LEG_STYLES = {"block": 1, "cone": 3, "bun": 1, "splayed": 2, "tapered": 2, "turned": 1}
HIGH_LEG_STYLES = {"tapered": 2, "splayed": 2, "square": 1, "turned": 1, "cabriole": 1}
LOW_STANDS = {"legs": 5, "plinth": 1, "floor": 1, "steel": 1, "sled": 0.5}
"""The usual stands of low cases, see ``add_stand``."""
CARCASS_ROLES = {"wood": 4, "paint": 2, "timber": 1.5, "panel": 0.5}
FRONT_ROLES = {
    "wood": ("wood", "wood2"),
    "paint": ("paint", "timber"),
    "timber": ("timber", "paint"),
    "panel": ("wood",),
}
"""The roles that fronts may have on a carcass of each role."""


@dataclass(frozen=True)
class Case:
    """A box of boards; outer dimensions in metres."""

    x: Span
    y: Span  # front, back
    z: Span
    thickness: float  # of the boards
    role: str = "wood"

    @staticmethod
    def centred(width: float, depth: float, z: Span, thickness: float, role: str = "wood") -> Case:
        """Return a case about x = y = 0."""
        return Case((-width / 2, width / 2), (-depth / 2, depth / 2), z, thickness, role)


@dataclass(frozen=True)
class Opening:
    """The opening of a case or of one of its compartments, between the boards."""

    x: Span
    z: Span


def draw_case(
    builder: PieceBuilder, width: float, depth: float, height: float, *, stands: Mapping[str, float] = LOW_STANDS
) -> Case:
    """Draw the stand and the material of a case of this height, and add the stand."""
    style = builder.pick(stands)
    lift = draw_stand_height(builder, style, (0.06, 0.18))
    role = builder.pick(CARCASS_ROLES)
    case = Case.centred(width, depth, (lift, height), builder.pick((0.016, 0.019, 0.022, 0.03)), role)
    add_stand(builder, case, style)
    return case


def draw_fronts(builder: PieceBuilder, case: Case, doors: dict[str, float]) -> FrontStyle:
    """Draw the design of a case's fronts in a material that suits the carcass.

    Args:
        doors: door styles and their weights.
    """
    return FrontStyle.random(builder, doors, roles=FRONT_ROLES[case.role])


def add_carcass(builder: PieceBuilder, case: Case, *, back: bool = True) -> Opening:
    """Add sides, bottom, top and optionally a back; return the opening between them."""
    (x0, x1), (y0, y1), (z0, z1), t = case.x, case.y, case.z, case.thickness
    for x in (x0, x1 - t):
        builder.add("body", case.role, board((x, y0, z0), (x + t, y1, z1), grain=(0, 0, 1)))
    for z in (z0, z1 - t):
        horizontal = board((x0 + t - 0.001, y0 + 0.0005, z), (x1 - t + 0.001, y1, z + t), grain=(1, 0, 0))
        builder.add("body", case.role, horizontal)
    if back:
        role = builder.pick((case.role, case.role, "panel"))
        low, high = (x0 + t - 0.004, y1 - 0.012, z0 + t - 0.004), (x1 - t + 0.004, y1 - 0.004, z1 - t + 0.004)
        builder.add("body", role, board(low, high, grain=(0, 0, 1)))
    return Opening((x0 + t, x1 - t), (z0 + t, z1 - t))


def split_columns(builder: PieceBuilder, case: Case, opening: Opening, shares: list[float]) -> list[Opening]:
    """Divide an opening by vertical boards into columns of the relative widths ``shares``, from left to right."""
    return [Opening(span, opening.z) for span in _split(builder, case, opening, shares, 0, "body")]


def split_rows(
    builder: PieceBuilder, case: Case, opening: Opening, shares: list[float], *, component: str = "body"
) -> list[Opening]:
    """Divide an opening by horizontal boards into rows of the relative heights ``shares``, from the bottom up."""
    return [Opening(opening.x, span) for span in _split(builder, case, opening, shares, 1, component)]


def _split(
    builder: PieceBuilder, case: Case, opening: Opening, shares: list[float], axis: int, component: str
) -> list[Span]:
    low, high = (opening.x, opening.z)[axis]
    t = case.thickness
    free = high - low - t * (len(shares) - 1)
    y = case.y[0] + 0.001, case.y[1] - 0.006
    spans, start = [], low
    for i, share in enumerate(shares):
        end = start + free * share / sum(shares)
        spans.append((start, end))
        if i < len(shares) - 1:
            if axis == 0:
                board_low, board_high = (end, y[0], opening.z[0] - 0.001), (end + t, y[1], opening.z[1] + 0.001)
                divider = board(board_low, board_high, grain=(0, 0, 1))
            else:
                board_low, board_high = (opening.x[0] - 0.001, y[0], end), (opening.x[1] + 0.001, y[1], end + t)
                divider = board(board_low, board_high, grain=(1, 0, 0))
            builder.add(component, case.role, divider)
        start = end + t
    return spans


def _front_extent(fronts: FrontStyle, case: Case, opening: Opening) -> tuple[Span, Span, float]:
    """Return the x and z extents and the face of a front that closes an opening."""
    overlap = -fronts.gap if fronts.inset else case.thickness / 2 - fronts.gap / 2
    face = case.y[0] + 0.001 if fronts.inset else case.y[0] - fronts.thickness + 0.0006
    x = (opening.x[0] - overlap, opening.x[1] + overlap)
    z = (opening.z[0] - overlap, opening.z[1] + overlap)
    return x, z, face


def add_drawers(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening, shares: list[float]) -> None:
    """Add a stack of drawers of the relative heights ``shares``, from the bottom up."""
    x, z, face = _front_extent(fronts, case, opening)
    total = z[1] - z[0] - fronts.gap * (len(shares) - 1)
    if fronts.inset and len(shares) > 1:  # a board behind the gaps hides the inside of the case
        y = case.y[0] + fronts.thickness + 0.002
        low = (opening.x[0] - 0.001, y, opening.z[0] - 0.001)
        builder.add("body", case.role, board(low, (opening.x[1] + 0.001, y + 0.006, opening.z[1] + 0.001)))
    start = z[0]
    for share in shares:
        end = start + total * share / sum(shares)
        add_drawer_front(
            builder,
            x,
            (start, end),
            face,
            fronts.thickness,
            fronts.handles,
            style=fronts.drawer_style,
            role=fronts.role,
            bevel=fronts.bevel,
        )
        start = end + fronts.gap


def add_drawer_row(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening, count: int) -> None:
    """Divide an opening by boards into ``count`` columns with one drawer each."""
    for column in split_columns(builder, case, opening, [1.0] * count):
        add_drawers(builder, fronts, case, column, [1.0])


def add_doors(
    builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening, *, style: str | None = None
) -> None:
    """Add one door, or two to a wide opening. Behind glass and louvres, add shelves too."""
    x, z, face = _front_extent(fronts, case, opening)
    style = style or fronts.door_style
    if x[1] - x[0] > 0.62:
        middle = (x[0] + x[1]) / 2
        add_door(builder, fronts, (x[0], middle - fronts.gap / 2), z, face, hinge="left", style=style)
        add_door(builder, fronts, (middle + fronts.gap / 2, x[1]), z, face, hinge="right", style=style)
    else:
        add_door(builder, fronts, x, z, face, hinge=builder.pick(("left", "right")), style=style)
    if style in ("glass", "muntins", "louvre"):
        count = max(1, round((opening.z[1] - opening.z[0]) / 0.36) - 1)
        add_shelves(builder, case, opening, count, set_back=fronts.thickness + 0.01)


def add_shelves(builder: PieceBuilder, case: Case, opening: Opening, count: int, *, set_back: float = 0.006) -> None:
    """Add ``count`` shelves at equal distances, ``set_back`` metres behind the front of the case."""
    t = min(case.thickness, 0.02)
    for z in np.linspace(*opening.z, count + 2)[1:-1]:
        low = (opening.x[0] - 0.001, case.y[0] + set_back, z - t / 2)
        high = (opening.x[1] + 0.001, case.y[1] - 0.006, z + t / 2)
        builder.add("shelf", case.role, board(low, high, grain=(1, 0, 0)))


def add_sliding_doors(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening) -> None:
    """Add two sliding doors, one behind the other, with finger pulls."""
    middle, overlap, t = (opening.x[0] + opening.x[1]) / 2, 0.03, 0.014
    z = opening.z[0] + 0.003, opening.z[1] - 0.003
    for i, x in enumerate(((opening.x[0] + 0.001, middle + overlap), (middle - overlap, opening.x[1] - 0.001))):
        face = case.y[0] + 0.006 + i * (t + 0.003)
        builder.add("door", fronts.role, board((x[0], face, z[0]), (x[1], face + t, z[1]), bevel=0.001))
        pull_x = x[0] + 0.05 if i == 0 else x[1] - 0.05
        pull_height = min(0.07, 0.3 * (z[1] - z[0]))
        plate = extrude(rounded_rectangle(0.026, pull_height, 0.0129), 0.003, plane="xz", bevel=0.0008)
        builder.add("hardware", "fitting", plate.moved(pull_x, face + 0.001, (z[0] + z[1]) / 2))


def add_top_board(builder: PieceBuilder, case: Case, *, overhang: float, thickness: float) -> None:
    """Add a separate board on a carcass that projects by ``overhang`` at the front and the sides."""
    low = (case.x[0] - overhang, case.y[0] - overhang, case.z[1] - 0.001)
    high = (case.x[1] + overhang, case.y[1], case.z[1] + thickness)
    bevel = builder.pick((0.002, 0.004, min(0.009, 0.4 * thickness)))
    roles = {"timber": 2, "paint": 1} if case.role == "paint" else {case.role: 4, "wood2": 1.5, "stone": 0.4}
    role = builder.pick(roles)
    builder.add("top", role, board(low, high, bevel=bevel, grain=(1, 0, 0)))


def add_cornice(builder: PieceBuilder, case: Case) -> None:
    """Add two stepped mouldings around the top of a tall piece."""
    for i, (overhang, height) in enumerate(((0.012, 0.03), (0.035, 0.022))):
        z = case.z[1] - 0.001 + 0.029 * i
        low = (case.x[0] - overhang, case.y[0] - overhang, z)
        moulding = board(low, (case.x[1] + overhang, case.y[1], z + height), bevel=0.008)
        builder.add("frame", case.role, moulding)


def add_stand(builder: PieceBuilder, case: Case, style: str) -> None:
    """Add one of ``STAND_STYLES`` under a case about x = y = 0. For ``floor`` the case must stand at z = 0."""
    height, x, y = case.z[0], case.x[1], case.y[1]
    inset = builder.uniform(0.0, 0.05)
    if style == "legs":
        leg_style = builder.pick(LOW_LEG_STYLES if height < 0.2 else HIGH_LEG_STYLES)
        thickness = builder.uniform(0.035, 0.055) if leg_style != "bun" else 0.06
        add_four_legs(builder, leg_style, (x - inset, y - inset), height, thickness)
    elif style == "bracket":
        add_four_legs(builder, "bracket", (x, y), height, 0.04)
        skirt = board((-x + 0.02, -y + 0.004, 0.8 * height), (x - 0.02, -y + 0.019, height + 0.001))
        builder.add("leg", case.role, skirt)
    elif style == "steel":
        leg_style = builder.pick(("tube", "hairpin", "flat_steel"))
        add_four_legs(builder, leg_style, (x - 0.05, y - 0.05), height, 0.04)
    elif style == "sled":
        role = builder.pick(("metal", "wood"))
        add_sled(builder, (x - 0.06, y - 0.03), height + 0.001, (0.022, 0.022), role=role)
        for sy in (-1, 1):
            start, end = (-x + 0.06, sy * (y - 0.06), height - 0.011), (x - 0.06, sy * (y - 0.06), height - 0.011)
            builder.add("leg", role, bar(start, end, 0.022))
    elif style == "plinth":
        add_plinth(builder, (x, y), height, builder.uniform(0.005, 0.05))


def draw_stand_height(builder: PieceBuilder, style: str, legs: Span = (0.1, 0.2)) -> float:
    """Draw the height at which a stand carries a case. ``legs`` is the range for the styles legs, steel and sled."""
    return {"floor": 0.0, "plinth": builder.uniform(0.04, 0.1), "bracket": builder.uniform(0.09, 0.14)}.get(
        style, builder.uniform(*legs)
    )
