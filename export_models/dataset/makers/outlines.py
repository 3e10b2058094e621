"""Flat outlines, paths and positions: rounded rectangles, ellipses, fillets, splines; insets and triangulations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

Floats = NDArray[np.float64]


def rounded_rectangle(width: float, depth: float, radius: float, steps: int = 6) -> Floats:
    """Return a counter-clockwise outline [N, 2] about the origin with ``steps`` segments per corner."""
    radius = min(radius, 0.499 * width, 0.499 * depth)
    if radius < 1e-4:
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, depth / 2)
    angle = np.linspace(0, np.pi / 2, steps + 1)
    corners = []
    for quarter, (x, y) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        turn = angle + quarter * np.pi / 2
        centre = np.array([x * (width / 2 - radius), y * (depth / 2 - radius)])
        corners.append(centre + radius * np.stack([np.cos(turn), np.sin(turn)], -1))
    return np.concatenate(corners)


def ellipse(width: float, depth: float, steps: int = 56, power: float = 2.0) -> Floats:
    """Return a counter-clockwise outline [steps, 2] about the origin. ``power`` above 2 gives a superellipse."""
    angle = np.arange(steps) * 2 * np.pi / steps
    unit = np.stack([np.cos(angle), np.sin(angle)], -1)
    return np.asarray(np.sign(unit) * np.abs(unit) ** (2 / power) * (width / 2, depth / 2))


def spline(points: ArrayLike, steps: int = 16) -> Floats:
    """Return a smooth path [steps, D] through the points [N, D]."""
    knots = np.asarray(points, np.float64)
    distance = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    curve = CubicSpline(distance, knots, bc_type="natural")
    return np.asarray(curve(np.linspace(0, distance[-1], steps)))


def fillet(points: ArrayLike, radius: float, steps: int = 5, closed: bool = False) -> Floats:
    """Replace each corner of a polyline [N, D] by a quadratic curve of ``steps`` segments.

    Args:
        radius: distance from the corner at which the curve starts and ends; less on short sides.
        closed: whether the last point is connected to the first. If false, these two points stay unchanged.
    """
    knots = np.asarray(points, np.float64)
    count = len(knots)
    pieces = []
    for i, corner in enumerate(knots):
        if not closed and i in (0, count - 1):
            pieces.append(corner[None])
            continue
        to_previous, to_next = knots[i - 1] - corner, knots[(i + 1) % count] - corner
        lengths = [float(np.linalg.norm(to_previous)), float(np.linalg.norm(to_next))]
        cut = min(radius, 0.45 * lengths[0], 0.45 * lengths[1])
        start, end = corner + to_previous / lengths[0] * cut, corner + to_next / lengths[1] * cut
        s = np.linspace(0, 1, steps + 1)[:, None]
        pieces.append((1 - s) ** 2 * start + 2 * s * (1 - s) * corner + s**2 * end)
    return np.concatenate(pieces)


def at_height(path: Floats, z: float | Floats) -> Floats:
    """Return the points [N, 3] above a flat path [N, 2] at one height or at a height [N] for each point."""
    return np.insert(path, 2, z, axis=1)


def evenly_spaced(count: int, span: float) -> Floats:
    """Return the centres [count] of the equal parts of a length ``span`` about 0."""
    return np.asarray((np.arange(count) - (count - 1) / 2) * span / count)


def inset(outline: Floats, distance: float) -> Floats:
    """Move the sides of a counter-clockwise outline [N, 2] inwards by ``distance``; less at sharp corners."""
    before = normalized(outline - np.roll(outline, 1, 0))
    after = normalized(np.roll(outline, -1, 0) - outline)
    normal = np.stack([-(before + after)[:, 1], (before + after)[:, 0]], -1)
    length = np.maximum((normal**2).sum(1, keepdims=True) / 2, 0.35)
    return np.asarray(outline + normal / length * distance)


def ear_clip(outline: Floats) -> NDArray[np.int32]:
    """Triangulate a simple counter-clockwise outline [N, 2] by ear clipping (Meisters 1975).

    Returns:
        [N - 2, 3] indices of corners.
    """
    remaining = list(range(len(outline)))
    triangles = []
    start = 0
    while len(remaining) > 3:
        for step in range(len(remaining)):
            i = (start + step) % len(remaining)
            ear = (remaining[i - 1], remaining[i], remaining[(i + 1) % len(remaining)])
            others = outline[[k for k in remaining if k not in ear]]
            if _is_ear(outline[list(ear)], others):
                break
        triangles.append(ear)
        remaining.pop(i)
        start = i + 1  # advance around the outline, so that slivers do not accumulate at one corner
    return np.array([*triangles, tuple(remaining)], np.int32)


def normalized(vectors: Floats) -> Floats:
    """Scale the vectors [..., D] to unit length. Zero vectors stay zero."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def _is_ear(corner: Floats, others: Floats) -> bool:
    """Whether the triangle ``corner`` [3, 2] is convex and contains none of ``others`` [N, 2]."""
    a, b, c = corner
    if _cross(b - a, c - a) <= 1e-14:
        return False
    inside = (_cross(b - a, others - a) > 0) & (_cross(c - b, others - b) > 0) & (_cross(a - c, others - c) > 0)
    return not bool(inside.any())


def _cross(a: Floats, b: Floats) -> Floats:
    """Return the z component of the cross product of the vectors [..., 2]."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
