"""Headboards and footboards."""

from __future__ import annotations

import itertools

import numpy as np

from export_models.dataset.makers.backs import add_upholstered_back, reclined
from export_models.dataset.makers.outlines import evenly_spaced
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import bar, board, extrude

HEADBOARD_STYLES = {
    "slats": 2, "bars": 1, "panel": 2, "framed": 1.5, "soft": 3, "arched": 1, "cane": 0.8, "none": 0.6,
}  # fmt: skip


def add_headboard(
    builder: PieceBuilder, style: str, width: float, low: float, high: float, y: float, *, between_posts: bool
) -> None:
    """Add a headboard from the height ``low`` to ``high`` in the plane y.

    Args:
        style: one of ``HEADBOARD_STYLES`` except ``none``.
        between_posts: whether bed posts carry it. Otherwise some styles get stiles that reach the floor.
    """
    half_width, t = width / 2, 0.024
    if style == "soft":
        thickness = builder.uniform(0.06, 0.1)
        place = reclined(0.0, y - (0.5 * thickness if between_posts else 0.015), low)
        back_style = "plain" if between_posts else None
        add_upholstered_back(builder, width, high - low, thickness, place, style=back_style)
    elif style == "arched" and not between_posts:
        u = np.linspace(1, -1, 25)
        arch = 0.18 * np.sqrt(np.clip(1 - u**2, 0, 1))
        upper_edge = np.stack([u * half_width, high - 0.18 + arch], -1)
        outline = np.concatenate([[(-half_width, low), (half_width, low)], upper_edge])
        builder.add("back", "wood", extrude(outline, t, plane="xz", smooth=False).moved(y=y + t / 2))
    elif style in ("panel", "arched"):
        count = builder.pick((1, 1, 3, 5))
        for start, end in itertools.pairwise(np.linspace(low, high, count + 1)):
            plank_low = (-half_width, y - t / 2, start + 0.001)
            builder.add("back", "wood", board(plank_low, (half_width, y + t / 2, end - 0.001), bevel=0.003))
    else:
        _add_filled_frame(builder, style, width, low, high, y, between_posts)


def _add_filled_frame(
    builder: PieceBuilder, style: str, width: float, low: float, high: float, y: float, between_posts: bool
) -> None:
    """Add two rails filled with slats, bars, cane or framed panels."""
    half_width = width / 2
    rail = builder.uniform(0.06, 0.1)
    builder.add("frame", "wood", board((-half_width, y - 0.016, high - rail), (half_width, y + 0.016, high)))
    bottom = max(low + 0.06, high - 0.75)
    builder.add("frame", "wood", board((-half_width, y - 0.016, bottom - 0.06), (half_width, y + 0.016, bottom)))
    start, end = bottom - 0.006, high - rail + 0.006
    if not between_posts:
        stile = board((half_width - 0.05, y - 0.017, 0), (half_width + 0.001, y + 0.017, high - 0.001))
        builder.add_pair("frame", "wood", stile)
    if style in ("slats", "bars"):
        count = max(4, round(width / builder.uniform(0.09, 0.2)))
        slat_width = width / count * builder.uniform(0.25, 0.75) if style == "slats" else 0.018
        for x in evenly_spaced(count, width):
            if style == "slats":
                slat = board((x - slat_width / 2, y - 0.008, start), (x + slat_width / 2, y + 0.008, end))
            else:
                slat = bar((x, y, start), (x, y, end), slat_width, section="round")
            builder.add("back", "wood", slat)
    elif style == "cane":
        cane_low = (-half_width + 0.002, y - 0.004, start)
        builder.add("back", "cane", board(cane_low, (half_width - 0.002, y + 0.004, end), bevel=0.001))
    else:
        count = max(1, round(width / 0.7))
        for i in range(count):
            left, right = -half_width + width * i / count, -half_width + width * (i + 1) / count
            panel = board((left + 0.03, y - 0.008, start), (right - 0.03, y + 0.008, end), bevel=0.003)
            builder.add("back", "wood", panel)
            for x in (left, right - 0.036):
                builder.add("frame", "wood", board((x, y - 0.015, start), (x + 0.036, y + 0.015, end)))
