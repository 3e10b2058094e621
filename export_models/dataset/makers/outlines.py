"""Flat outlines and paths: rounded rectangles, ellipses, fillets, splines; their offsets and triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

Floats = NDArray[np.float64]


def rounded_rectangle(width: float, depth: float, radius: float, steps: int = 6) -> Floats:
    """[N, 2] counter-clockwise about the origin."""
    radius = min(radius, 0.499 * width, 0.499 * depth)
    if radius < 1e-4:
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, depth / 2)
    angle = np.linspace(0, np.pi / 2, steps + 1)
    corners = []
    for quarter, (x, y) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        turn = angle + quarter * np.pi / 2
        middle = np.array([x * (width / 2 - radius), y * (depth / 2 - radius)])
        corners.append(middle + radius * np.stack([np.cos(turn), np.sin(turn)], -1))
    return np.concatenate(corners)


def ellipse(width: float, depth: float, steps: int = 56, power: float = 2.0) -> Floats:
    """[N, 2] counter-clockwise; ``power`` above 2 makes a superellipse."""
    angle = np.arange(steps) * 2 * np.pi / steps
    unit = np.stack([np.cos(angle), np.sin(angle)], -1)
    return np.asarray(np.sign(unit) * np.abs(unit) ** (2 / power) * (width / 2, depth / 2))


def spline(points: ArrayLike, steps: int = 16, closed: bool = False) -> Floats:
    """[steps, D] a smooth path through the points."""
    knots = np.asarray(points, np.float64)
    if closed:
        knots = np.concatenate([knots, knots[:1]])
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    curve = CubicSpline(way, knots, bc_type="periodic" if closed else "natural")
    return np.asarray(curve(np.linspace(0, way[-1], steps, endpoint=not closed)))


def fillet(points: ArrayLike, radius: float, steps: int = 5, closed: bool = False) -> Floats:
    """[N, D] the polyline with its corners rounded."""
    knots = np.asarray(points, np.float64)
    count = len(knots)
    made = []
    for i, corner in enumerate(knots):
        if not closed and i in (0, count - 1):
            made.append(corner[None])
            continue
        before, after = knots[i - 1] - corner, knots[(i + 1) % count] - corner
        reach = [float(np.linalg.norm(before)), float(np.linalg.norm(after))]
        cut = min(radius, 0.45 * reach[0], 0.45 * reach[1])
        start, end = corner + before / reach[0] * cut, corner + after / reach[1] * cut
        share = np.linspace(0, 1, steps + 1)[:, None]
        made.append((1 - share) ** 2 * start + 2 * share * (1 - share) * corner + share**2 * end)
    return np.concatenate(made)


def inset(outline: Floats, distance: float) -> Floats:
    """Move each corner of a counter-clockwise outline [N, 2] inwards, so that its sides move by ``distance``."""
    before = _unit(outline - np.roll(outline, 1, 0))
    after = _unit(np.roll(outline, -1, 0) - outline)
    normal = np.stack([-(before + after)[:, 1], (before + after)[:, 0]], -1)
    length = np.maximum((normal**2).sum(1, keepdims=True) / 2, 0.35)
    return np.asarray(outline + normal / length * distance)


def ear_clip(outline: Floats) -> NDArray[np.int32]:
    """[N - 2, 3] triangles of a simple counter-clockwise outline (Meisters 1975)."""
    left = list(range(len(outline)))
    triangles = []
    start = 0
    while len(left) > 3:
        for tried in range(len(left)):
            i = (start + tried) % len(left)
            ear = (left[i - 1], left[i], left[(i + 1) % len(left)])
            others = outline[[k for k in left if k not in ear]]
            if _is_ear(outline[list(ear)], others):
                break
        triangles.append(ear)
        left.pop(i)
        start = i + 1  # round the outline, so that no corner collects slivers
    return np.array([*triangles, tuple(left)], np.int32)


def _is_ear(corner: Floats, others: Floats) -> bool:
    a, b, c = corner
    if _cross(b - a, c - a) <= 1e-14:
        return False
    inside = (_cross(b - a, others - a) > 0) & (_cross(c - b, others - b) > 0) & (_cross(a - c, others - c) > 0)
    return not bool(inside.any())


def _cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
