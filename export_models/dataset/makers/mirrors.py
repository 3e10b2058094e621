"""Standing mirrors in frames of wood, metal or wicker. The pane is the ``body``."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.backs import Placement, reclined
from export_models.dataset.makers.outlines import Floats, ellipse
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, extrude, lathe, sweep

FRAME_ROLES = {"wood": 5, "timber": 2, "metal": 1.5, "paint": 1, "wicker": 0.5}


def build_leaning_mirror(builder: PieceBuilder) -> None:
    """Build a tall framed mirror that leans against a wall."""
    width, height = builder.uniform(0.4, 0.9), builder.uniform(1.3, 1.85)
    place = reclined(builder.uniform(3, 8), 0.0, 0.02)
    shape = builder.pick({"rectangle": 4, "arch": 2, "oval": 1})
    _add_framed_mirror(builder, shape, width, height, place)
    builder.move(0.0, 0.0, -min(float(part.vertices[:, 2].min()) for part in builder.parts))


def build_cheval_mirror(builder: PieceBuilder) -> None:
    """Build a framed mirror that tilts about knobs at two posts on feet."""
    width, height = builder.uniform(0.36, 0.55), builder.uniform(1.1, 1.4)
    tilt_deg, t, lift = builder.uniform(-2, 9), builder.uniform(0.026, 0.038), builder.uniform(0.2, 0.28)
    role, pivot = builder.pick({"wood": 4, "timber": 1, "metal": 1}), lift + 0.55 * height
    tilt = reclined(tilt_deg, 0.0, pivot)

    def place(solid: Solid) -> Solid:
        return tilt(solid.moved(z=-0.55 * height))

    _add_framed_mirror(builder, builder.pick(("rectangle", "arch", "oval")), width, height, place)
    x, depth = width / 2 + 0.6 * t + 0.006, builder.uniform(0.4, 0.5)
    top = pivot + builder.uniform(0.04, 0.3)
    builder.add_pair("leg", role, bar((x, 0, 0.04), (x, 0, top), t))
    builder.add_pair("leg", role, board((x - 0.55 * t, -depth / 2, 0), (x + 0.55 * t, depth / 2, 0.05), bevel=0.006))
    builder.add("frame", role, board((-x, -0.4 * t, 0.1), (x, 0.4 * t, 0.15)))
    knob = lathe([(0, 0.006), (0.03, 0.006), (0.034, 0.014), (0.05, 0.014), (0.054, 0.004)], 14).rotated("y", 90)
    builder.add_pair("hardware", "fitting", knob.moved(x=width / 2 - 0.004, z=pivot))


def _add_framed_mirror(builder: PieceBuilder, shape: str, width: float, height: float, place: Placement) -> None:
    """Add a pane, its backing and its frame.

    Args:
        shape: ``rectangle``, ``arch`` or ``oval``.
        place: moves each part from the upright mirror on z = 0 to its place.
    """
    frame, depth = builder.uniform(0.018, 0.08), builder.uniform(0.02, 0.034)
    role = builder.pick(FRAME_ROLES)
    outline = _outline(shape, width - 0.8 * frame, height - 0.8 * frame, height / 2)
    builder.add("body", "mirror", place(extrude(outline, 0.004, plane="xz", bevel=0.0005).moved(y=-0.001)))
    builder.add("body", "panel", place(extrude(outline * (0.999, 1), 0.008, plane="xz", bevel=0.001).moved(y=0.0075)))
    if shape == "rectangle":
        x = width / 2
        stile = board((x - frame, -depth / 2, 0), (x, depth / 2, height), grain=(0, 0, 1))
        builder.add("frame", role, place(stile), place(stile.mirrored()))
        for z in (0.0, height - frame):
            low, high = (-x + frame - 0.001, -depth / 2 + 0.0008, z), (x - frame + 0.001, depth / 2 - 0.0008, z + frame)
            builder.add("frame", role, place(board(low, high, grain=(1, 0, 0))))
        return
    middle = _outline(shape, width - frame, height - frame, height / 2)
    path = np.insert(middle, 1, 0.0, axis=1)
    moulding = sweep(path, (depth, frame), closed=True, side=(0, 1, 0), bevel=0.004)
    builder.add("frame", role, place(moulding))


def _outline(shape: str, width: float, height: float, middle: float) -> Floats:
    """Return a counter-clockwise outline [N, 2] about x = 0 and the height ``middle``."""
    x, low, high = width / 2, middle - height / 2, middle + height / 2
    if shape == "oval":
        return np.asarray(ellipse(width, height, 64) + np.array([0.0, middle]))
    if shape == "rectangle":
        return np.array([(-x, low), (x, low), (x, high), (-x, high)])
    angle = np.linspace(0, np.pi, 21)
    arch = np.stack([x * np.cos(angle), high - x + x * np.sin(angle)], -1)
    return np.concatenate([[(-x, low), (x, low)], arch])
