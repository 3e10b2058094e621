"""Kitchen islands and trolleys: a thick wooden worktop on a case, or on posts with open shelves."""

from __future__ import annotations

from export_models.dataset.makers.bins import add_bins
from export_models.dataset.makers.cases import (
    Case,
    Opening,
    add_carcass,
    add_doors,
    add_drawers,
    add_shelves,
    add_stand,
    draw_fronts,
    split_columns,
    split_rows,
)
from export_models.dataset.makers.fronts import FrontStyle
from export_models.dataset.makers.outlines import fillet
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, sweep
from export_models.dataset.makers.stands import CASTER_HEIGHT, add_casters


def build_kitchen_island(builder: PieceBuilder) -> None:
    """Build an island or, on casters, a trolley."""
    width, depth, height = builder.uniform(0.6, 1.35), builder.uniform(0.42, 0.62), builder.uniform(0.85, 0.93)
    role = builder.pick({"paint": 4, "wood": 2, "timber": 1, "metal": 0.5})
    under, has_casters = height - builder.uniform(0.026, 0.05), builder.chance(0.45)
    lift = CASTER_HEIGHT if has_casters else builder.pick((0.0, 0.08))
    x, y = width / 2 - 0.03, depth / 2 - 0.02
    top_role = builder.pick({"timber": 5, "wood2": 1, "stone": 1})
    builder.add("top", top_role, board((-width / 2, -depth / 2, under), (width / 2, depth / 2, height), bevel=0.004))
    if role == "metal" or builder.chance(0.3):
        _add_posts_and_shelves(builder, role, (x, y), CASTER_HEIGHT if has_casters else 0.0, under)
    else:
        case = Case((-x, x), (-y, y), (lift, under + 0.001), 0.02, role)
        if lift and not has_casters:
            add_stand(builder, case, builder.pick(("legs", "plinth")))
        _fill_case(builder, case, add_carcass(builder, case))
        if builder.chance(0.5):
            _add_towel_rail(builder, x, 0.7 * y, under - 0.06)
    if has_casters:
        add_casters(builder, x - 0.03, y - 0.03)


def _add_posts_and_shelves(
    builder: PieceBuilder, role: str, half_size: tuple[float, float], low: float, under: float
) -> None:
    """Add four posts from the height ``low``, rails under the top, and one or two boarded or slatted shelves."""
    x, y = half_size
    t = 0.03 if role == "metal" else builder.uniform(0.045, 0.06)
    inner_x, inner_y = x - t / 2, y - t / 2
    for sy in (-1, 1):
        post = bar((inner_x, sy * inner_y, low), (inner_x, sy * inner_y, under + 0.001), t)
        builder.add_pair("leg", role, post)
        rail = board((-inner_x, sy * inner_y - 0.01, under - 0.1), (inner_x, sy * inner_y + 0.01, under + 0.0007))
        builder.add("frame", role, rail)
    side = board((inner_x - 0.01, -inner_y, under - 0.099), (inner_x + 0.01, inner_y, under + 0.0003))
    builder.add_pair("frame", role, side)
    shelf_role = "timber" if role in ("paint", "metal") else role
    count = builder.pick((1, 6))
    pitch, gap = 2 * y / count, 0.012 if count > 1 else 0.0
    for z in (0.16, 0.5)[: builder.pick((1, 2))]:
        support = board((inner_x - 0.011, -inner_y, z - 0.03), (inner_x + 0.011, inner_y, z + 0.001))
        builder.add_pair("frame", role, support)
        for i in range(count):
            start = -y + i * pitch + gap / 2
            reach = inner_x - t / 2 + 0.001 if i in (0, count - 1) else inner_x  # the outer slats lie between the posts
            slat = board((-reach, start, z), (reach, start + pitch - gap, z + 0.018), grain=(1, 0, 0))
            builder.add("shelf", shelf_role, slat)


def _fill_case(builder: PieceBuilder, case: Case, opening: Opening) -> None:
    """Divide the front into columns and fill each, often with a drawer at the top."""
    fronts = draw_fronts(builder, case, {"panel": 4, "slab": 2, "raised": 1, "louvre": 0.5})
    count = max(1, round((case.x[1] - case.x[0]) / 0.45))
    has_drawers = builder.chance(0.7)
    for column in split_columns(builder, case, opening, [1.0] * count):
        if has_drawers:
            column, upper = split_rows(builder, case, column, [builder.uniform(2.6, 4.0), 1.0])
            add_drawers(builder, fronts, case, upper, [1.0])
        _fill_compartment(builder, fronts, case, column)


def _fill_compartment(builder: PieceBuilder, fronts: FrontStyle, case: Case, opening: Opening) -> None:
    """Add doors, shelves, three drawers, or two rows of baskets."""
    filling = builder.pick({"door": 3, "shelves": 3, "drawers": 1.5, "bins": 1})
    if filling == "door":
        add_doors(builder, fronts, case, opening)
    elif filling == "drawers":
        add_drawers(builder, fronts, case, opening, [1.0, 1.0, 1.0])
    elif filling == "shelves":
        add_shelves(builder, case, opening, builder.pick((1, 2)))
    else:
        for row in split_rows(builder, case, opening, [1.0, 1.0], component="shelf"):
            add_bins(builder, "wicker", case, row)


def _add_towel_rail(builder: PieceBuilder, x: float, y: float, z: float) -> None:
    """Add a bent rail along y to the right side, whose face is at x."""
    corners = [(x - 0.001, -y, z), (x + 0.05, -y, z), (x + 0.05, y, z), (x - 0.001, y, z)]
    rail = sweep(fillet(corners, 0.012, 3), 0.012, section="round")
    builder.add("hardware", "fitting", rail)
