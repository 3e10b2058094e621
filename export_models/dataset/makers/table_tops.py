"""Table tops: outlines and constructions."""

from __future__ import annotations

from dataclasses import dataclass

from export_models.dataset.makers.outlines import Floats, ellipse, rounded_rectangle
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import board, extrude

CONSTRUCTIONS = {"board": 6, "planks": 1.5, "breadboard": 1, "framed": 1, "leaves": 1}


@dataclass(frozen=True)
class TableTop:
    """Shape and material of a table top, in metres about the origin."""

    outline: Floats  # [N, 2] counter-clockwise
    shape: str  # one of tables.SHAPES
    role: str
    thickness: float
    under: float  # height of the underside

    @property
    def upper(self) -> float:
        """Height of the upper side."""
        return self.under + self.thickness


def table_outline(builder: PieceBuilder, shape: str, width: float, depth: float) -> Floats:
    """Return a counter-clockwise outline [N, 2] about the origin."""
    if shape in ("round", "oval"):
        return ellipse(width, depth, 72)
    if shape == "superellipse":
        return ellipse(width, depth, 72, power=builder.uniform(2.7, 4.0))
    return rounded_rectangle(width, depth, builder.uniform(0.02, 0.12) if shape == "rounded" else 0.0)


def add_table_top(builder: PieceBuilder, top: TableTop) -> None:
    """Add one board, planks with gaps, a board with breadboard ends, a framed pane, or a board with drop leaves.

    The construction is chosen at random. If it does not suit the shape or the material, the top is one board.
    """
    is_rectangular = top.shape == "rectangle"
    width = float(top.outline[:, 0].max() - top.outline[:, 0].min())
    construction = builder.pick(CONSTRUCTIONS)
    bevel = builder.pick((0.002, 0.003, 0.008)) if top.role != "glass" else 0.0015
    if construction == "planks" and is_rectangular and top.role == "wood":
        _add_planks(builder, top)
    elif construction == "breadboard" and is_rectangular and top.role == "wood":
        _add_breadboard(builder, top)
    elif construction == "framed" and is_rectangular and top.role in ("glass", "stone"):
        _add_framed_pane(builder, top)
    elif construction == "leaves" and is_rectangular and top.role == "wood" and top.under > 0.68 and width > 0.9:
        _add_drop_leaves(builder, top)
    else:
        smooth = not is_rectangular and top.shape != "rounded"
        solid = extrude(top.outline, top.thickness, bevel=min(bevel, 0.2 * top.thickness), smooth=smooth)
        builder.add("top", top.role, solid.moved(z=top.under))


def _add_planks(builder: PieceBuilder, top: TableTop) -> None:
    """Add planks with gaps on three battens."""
    low, high = top.outline.min(0), top.outline.max(0)
    width, depth = high - low
    count = max(3, round(depth / builder.uniform(0.09, 0.16)))
    gap, plank_width = builder.uniform(0.002, 0.007), depth / count
    for i in range(count):
        y = low[1] + i * plank_width
        plank_high = (high[0], y + plank_width - gap / 2, top.upper)
        builder.add("top", top.role, board((low[0], y + gap / 2, top.under), plank_high, bevel=0.002))
    for x in (-0.35 * width, 0.0, 0.35 * width):
        batten_low = (x - 0.025, low[1] + 0.05, top.under - 0.02)
        builder.add("frame", top.role, board(batten_low, (x + 0.025, high[1] - 0.05, top.under + 0.001)))


def _add_breadboard(builder: PieceBuilder, top: TableTop) -> None:
    """Add a board with a crosswise board at each end."""
    low, high = top.outline.min(0), top.outline.max(0)
    end = builder.uniform(0.07, 0.12)
    middle = board((low[0] + end, low[1], top.under), (high[0] - end, high[1], top.upper))
    builder.add("top", top.role, middle)
    for x in (low[0], high[0] - end):
        crosswise = board((x, low[1] - 0.001, top.under), (x + end, high[1] + 0.001, top.upper), grain=(0, 1, 0))
        builder.add("top", top.role, crosswise)


def _add_framed_pane(builder: PieceBuilder, top: TableTop) -> None:
    """Add a pane of glass or stone in a wooden frame."""
    low, high = top.outline.min(0), top.outline.max(0)
    rim, t = builder.uniform(0.03, 0.06), max(top.thickness, 0.02)
    pane = board(
        (low[0] + rim - 0.008, low[1] + rim - 0.008, top.under - 0.0005),
        (high[0] - rim + 0.008, high[1] - rim + 0.008, top.upper - 0.002),
        bevel=0.001,
    )
    builder.add("top", top.role, pane)
    for y in (low[1], high[1] - rim):
        builder.add("frame", "wood", board((low[0], y, top.upper - t), (high[0], y + rim, top.upper)))
    for x in (low[0], high[0] - rim):
        stile = board((x, low[1] + rim, top.upper - t), (x + rim, high[1] - rim, top.upper))
        builder.add("frame", "wood", stile)


def _add_drop_leaves(builder: PieceBuilder, top: TableTop) -> None:
    """Add a board and a leaf that hangs down at each end."""
    low, high = top.outline.min(0), top.outline.max(0)
    width = high[0] - low[0]
    drop = min(builder.uniform(0.2, 0.32), top.under - 0.2)
    builder.add("top", top.role, board((low[0], low[1], top.under), (high[0], high[1], top.upper)))
    for sx in (-1, 1):
        x = sx * (width / 2 + 0.002)
        leaf_high = (x + sx * top.thickness, high[1], top.upper - 0.002)
        builder.add("top", top.role, board((x, low[1], top.upper - drop), leaf_high, grain=(0, 1, 0)))
