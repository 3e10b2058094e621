"""Mattress, pillows, duvet and throw of a bed."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.outlines import evenly_spaced
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, sheet
from export_models.dataset.makers.upholstery import pad, pillow, piping, tuft_grid, wrinkles

MATTRESS_LENGTH = 2.0
"""Length of a mattress in metres."""


def add_mattress(builder: PieceBuilder, width: float, deck: float, height: float) -> None:
    """Add a mattress of ``height`` that lies at the height ``deck``."""
    size = (width - 0.01, MATTRESS_LENGTH - 0.01, height)
    tufts = tuft_grid(width, MATTRESS_LENGTH, 0.3) if builder.chance(0.4) else None
    cells = 26 if tufts is not None else 12
    soft = pad(size, radius=0.045, crown=0.012, tufts=tufts, tuft_depth=0.008, cells=cells)
    builder.add("cushion", "linen", soft.moved(z=deck + height / 2))
    if builder.chance(0.5):
        for z in (0.5 * height - 0.028, 0.028 - 0.5 * height):
            builder.add("cushion", "linen", piping(size, 0.045, z, 0.008).moved(z=deck + height / 2))


def add_bedding(builder: PieceBuilder, width: float, top: float, mattress: float, *, tucked: bool) -> None:
    """Add pillows at the head, a duvet over most of the mattress, and sometimes a throw at the foot.

    Args:
        top: height of the mattress's top.
        mattress: thickness of the mattress.
        tucked: whether the duvet ends at the foot instead of hanging over it.
    """
    count = 1 if width < 1.3 else 2
    duvet_role = builder.pick({"linen": 3, "soft2": 1})
    pillow_width = min(width / count - 0.04, builder.uniform(0.62, 0.8))
    tilt_deg = builder.pick((0.0, builder.uniform(8, 55)))
    for x in evenly_spaced(count, width):
        soft = pillow(pillow_width, builder.uniform(0.42, 0.5), builder.uniform(0.13, 0.19), builder.rng)
        builder.add("cushion", "linen", _laid_down(soft, tilt_deg, x, MATTRESS_LENGTH / 2 - 0.27, top))
        if builder.chance(0.4):
            small = pillow(0.45, 0.45, 0.14, builder.rng)
            builder.add("cushion", "soft2", _laid_down(small, 60, x, MATTRESS_LENGTH / 2 - 0.52, top + 0.01))
    thickness, drop = builder.uniform(0.025, 0.05), builder.uniform(0.14, max(0.15, mattress))
    end = MATTRESS_LENGTH / 2 - builder.uniform(0.45, 0.9)
    foot_drop = 0.0 if tucked else drop
    duvet = _draped(
        builder, width, -MATTRESS_LENGTH / 2, end, top + thickness / 2, drop, thickness, foot_drop=foot_drop
    )
    builder.add("cushion", duvet_role, duvet)
    if builder.chance(0.35):
        start = -MATTRESS_LENGTH / 2 + builder.uniform(0.1, 0.3)
        end = start + builder.uniform(0.4, 0.7)
        throw_width, throw_top = width + 2 * thickness, top + thickness + 0.006
        throw = _draped(builder, throw_width, start, end, throw_top, drop * 0.8, 0.012, foot_drop=0.0)
        builder.add("cushion", "soft2", throw)


def _laid_down(soft: Solid, tilt_deg: float, x: float, y: float, top: float) -> Solid:
    """Return a pillow that lies on a surface at the height ``top``, sinks in a little and leans up by ``tilt_deg``."""
    tilted = soft.rotated("x", tilt_deg)
    return tilted.moved(x, y, top + 0.012 - 0.03 - float(tilted.vertices[:, 2].min()))


def _draped(
    builder: PieceBuilder,
    width: float,
    start: float,
    end: float,
    top: float,
    drop: float,
    thickness: float,
    *,
    foot_drop: float,
) -> Solid:
    """Return a cloth over a mattress.

    Args:
        width: width of the mattress.
        start, end: y coordinates of the covered length.
        top: height of the cloth's centre on the mattress.
        drop: length that hangs down at each side.
        thickness: thickness of the cloth.
        foot_drop: length that hangs down at the foot.
    """
    rows, columns = 41, 41
    s = np.linspace(-width / 2 - drop, width / 2 + drop, rows)[:, None]  # distance across the flat cloth
    r = np.linspace(start - foot_drop, end, columns)[None]  # distance along the flat cloth
    over_x, over_y = np.maximum(np.abs(s) - width / 2, 0), np.maximum(start - r, 0)
    flare = 0.12
    outward = thickness * 0.5
    x = np.clip(s, -width / 2, width / 2) + np.sign(s) * (outward * np.clip(over_x / 0.04, 0, 1) + flare * over_x)
    y = np.maximum(r, start) - outward * np.clip(over_y / 0.04, 0, 1) - flare * over_y
    x, y = np.broadcast_arrays(x, y)
    z = top - np.maximum(over_x, over_y) * 0.98
    flat = np.stack([np.broadcast_to(s, x.shape), np.broadcast_to(r, x.shape), np.zeros_like(x)], -1)
    ripple = wrinkles(flat.reshape(-1, 3), 0.008, builder.rng).reshape(x.shape) + 0.006
    z = z + np.abs(ripple)
    wave = np.sin(r * 2 * np.pi / builder.uniform(0.25, 0.5))
    fold = 0.012 * wave * np.clip(over_x / max(drop, 1e-3), 0, 1) * np.sign(s)
    return sheet(np.stack([x + fold, y, z], -1), thickness, grain=(0, 1, 0))
