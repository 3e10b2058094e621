"""Bins and baskets, which replace drawers."""

from __future__ import annotations

from export_models.dataset.makers.cases import Case, Opening
from export_models.dataset.makers.fronts import Span
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import board

BIN_WIDTH = 0.36
"""Preferred width in metres of the bins that fill a compartment."""


def add_bin(builder: PieceBuilder, role: str, x: Span, y: Span, z: Span) -> None:
    """Add an open box with a grip at its front."""
    t = 0.006
    for px in (x[0], x[1] - t):
        builder.add("drawer", role, board((px, y[0], z[0]), (px + t, y[1], z[1]), grain=(0, 1, 0)))
    for py in (y[0], y[1] - t):
        wall = board((x[0] + t - 0.001, py, z[0]), (x[1] - t + 0.001, py + t, z[1]), grain=(1, 0, 0))
        builder.add("drawer", role, wall)
    bottom = board((x[0] + 0.001, y[0] + 0.001, z[0] + 0.001), (x[1] - 0.001, y[1] - 0.001, z[0] + t), bevel=0.001)
    builder.add("drawer", role, bottom)
    middle, grip_z = (x[0] + x[1]) / 2, z[1] - 0.3 * (z[1] - z[0])
    grip = board((middle - 0.04, y[0] - 0.006, grip_z - 0.01), (middle + 0.04, y[0] + 0.001, grip_z + 0.01))
    builder.add("hardware", "fitting", grip)


def add_bins(builder: PieceBuilder, role: str, case: Case, opening: Opening) -> None:
    """Add bins of equal width side by side that nearly fill a compartment."""
    width, height = opening.x[1] - opening.x[0], opening.z[1] - opening.z[0]
    count = max(1, round(width / BIN_WIDTH))
    top = opening.z[0] + height * builder.uniform(0.65, 0.92)
    y = case.y[0] + builder.uniform(0.004, 0.02), case.y[1] - 0.02
    for i in range(count):
        x = opening.x[0] + width * i / count + 0.008, opening.x[0] + width * (i + 1) / count - 0.008
        add_bin(builder, role, x, y, (opening.z[0], top))
