"""Soft things: padded blocks with rounded edges, crowns, tufts and channels; piping; pillows; bed covers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.makers.outlines import rounded_rectangle
from export_models.dataset.makers.solids import Floats, Point, Solid, sweep

ROUNDING_STEPS = 3


def pad(
    size: Point,
    *,
    radius: float = 0.03,
    crown: float = 0.0,
    tufts: Floats | None = None,
    tuft_depth: float = 0.015,
    channels: int = 0,
    wrinkle: float = 0.0,
    rng: np.random.Generator | None = None,
    cells: int = 10,
) -> Solid:
    """A padded block about the origin, its best side up.

    Args:
        size: width, depth, height in metres.
        radius: of its edges.
        crown: how far the middle of the top rises above its edges; a quarter of it swells the other sides.
        tufts: [N, 2] places, in metres from the middle, that buttons pull in by ``tuft_depth``.
        channels: stitched channels that run along y.
        wrinkle: depth of soft, random dents, drawn from ``rng``.
        cells: at least this many across the longest side.
    """
    half = np.asarray(size, np.float64) / 2
    radius = min(radius, 0.96 * float(half.min()))
    axes = []
    longest = float(half.max())
    for axis, reach in enumerate(half):
        fine = channels * 7 if axis == 0 and channels else 0
        inner = max(1, round(cells * reach / longest), fine)
        rounding = np.linspace(0, radius, ROUNDING_STEPS, endpoint=False)
        axes.append(
            np.concatenate(
                [rounding - reach, np.linspace(radius - reach, reach - radius, inner + 1), reach - rounding[::-1]]
            )
        )
    lattice, triangles = _box_lattice(*(len(axis) - 1 for axis in axes))
    cube = np.stack([axes[i][lattice[:, i]] for i in range(3)], -1)
    core = np.clip(cube, radius - half, half - radius)
    out = cube - core
    points = core + radius * out / np.linalg.norm(out, axis=1, keepdims=True)
    u = points / half
    free = np.clip(1 - u**2, 0, 1)
    lift = np.where(u[:, 2] > 0, 1.0, 0.25) * crown * free[:, 0] ** 0.7 * free[:, 1] ** 0.7
    swell = 0.25 * crown
    points[:, 0] += u[:, 0] * swell * free[:, 1] * free[:, 2]
    points[:, 1] += u[:, 1] * swell * free[:, 0] * free[:, 2]
    points[:, 2] += u[:, 2] * lift
    top = np.clip(u[:, 2], 0, 1) ** 2
    if channels:
        inside = 0.5 * (1 + u[:, 0]) * channels
        points[:, 2] -= top * 0.014 * (1 - np.abs(np.sin(np.pi * inside))) ** 2 * (np.abs(u[:, 0]) < 0.97)
    if tufts is not None and len(tufts):
        reach = 0.35 * _spacing(tufts)
        for place in tufts:
            away = ((points[:, :2] - place) ** 2).sum(1) / reach**2
            points[:, 2] -= top * tuft_depth * np.exp(-away)
    if wrinkle and rng is not None:
        points += dents(points, wrinkle, rng)[:, None] * out / np.linalg.norm(out, axis=1, keepdims=True)
    return Solid(points, triangles, np.array([1.0, 0.0, 0.0]), True)


def tuft_grid(width: float, depth: float, spacing: float) -> Floats:
    """[N, 2] a diamond pattern that keeps clear of the edges."""
    columns, rows = max(1, round(width / spacing) - 1), max(1, round(depth / spacing) - 1)
    places = []
    for row in range(rows):
        odd = row % 2 and columns > 1
        count = columns - 1 if odd else columns
        x = (np.arange(count) - (count - 1) / 2) * width / (columns + 1)
        y = (row - (rows - 1) / 2) * depth / (rows + 1)
        places.append(np.stack([x, np.full(count, y)], -1))
    return np.concatenate(places)


def piping(size: Point, radius: float, height: float, thickness: float = 0.008, crown: float = 0.0) -> Solid:
    """A cord round a padded block of that size and edge radius, at ``height`` over its middle."""
    grow = 0.2 * crown * max(0.0, 1 - (2 * height / size[2]) ** 2)
    flat = rounded_rectangle(size[0] + grow, size[1] + grow, radius, steps=5)
    path = np.concatenate([flat, np.full((len(flat), 1), height)], 1)
    return sweep(path, (thickness, thickness), section="round", sides=6, closed=True, side=(0.0, 0.0, 1.0))


def pillow(width: float, depth: float, height: float, rng: np.random.Generator, cells: int = 12) -> Solid:
    """A loose pillow lying about the origin: two cloths sewn at the seam, filled, its corners pointed."""
    lattice, triangles = _box_lattice(cells, cells, 1)
    even = np.linspace(-1, 1, cells + 1)
    axis = np.sin(even * np.pi / 2)
    u, v = axis[lattice[:, 0]], axis[lattice[:, 1]]
    fill = np.clip((1 - u**2) * (1 - v**2), 0, 1) ** 0.45
    z = (2.0 * lattice[:, 2] - 1) * (0.003 + height / 2 * fill)
    pull = 0.09 * (1 - np.abs(u)) * np.abs(v) ** 2, 0.09 * (1 - np.abs(v)) * np.abs(u) ** 2
    points = np.stack([u * (1 - pull[1]) * width / 2, v * (1 - pull[0]) * depth / 2, z], -1)
    points[:, 2] += dents(points, 0.06 * height, rng) * fill
    return Solid(points, triangles, np.array([1.0, 0.0, 0.0]), True)


def upright(solid: Solid) -> Solid:
    """Stand a lying pad up: its top becomes the front (-y), its depth its height."""
    return solid.turned("x", 90.0)


def _spacing(places: Floats) -> float:
    if len(places) < 2:
        return 0.15
    return float(np.sort(np.linalg.norm(places[:, None] - places[None], axis=-1), axis=1)[:, 1].min())


def dents(points: Floats, depth: float, rng: np.random.Generator) -> Floats:
    """[V] smooth noise of about ``depth``: a few waves of 0.15 to 0.6 m."""
    total = np.zeros(len(points))
    for _ in range(5):
        direction = rng.normal(size=3)
        wave = direction / np.linalg.norm(direction) * 2 * np.pi / rng.uniform(0.15, 0.6)
        total += np.sin(points @ wave + rng.uniform(0, 2 * np.pi))
    return np.asarray(total * depth / 2.5)


@lru_cache(maxsize=256)
def _box_lattice(nx: int, ny: int, nz: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """[V, 3] whole numbers on the surface of a box of nx, ny, nz cells, and its outward triangles."""
    counts = np.array([nx, ny, nz])
    quads = []
    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        a, b = (g.reshape(-1) for g in np.meshgrid(np.arange(counts[i]), np.arange(counts[j]), indexing="ij"))
        for side in (0, 1):
            corners = np.zeros((len(a), 4, 3), np.int64)
            corners[..., axis] = side * counts[axis]
            for corner, (da, db) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
                corners[:, corner, i], corners[:, corner, j] = a + da, b + db
            quads.append(corners if side else corners[:, ::-1])
    quad = np.concatenate(quads)
    points, number = np.unique(quad.reshape(-1, 3), axis=0, return_inverse=True)
    number = number.reshape(-1, 4)
    return points, np.concatenate([number[:, [0, 1, 2]], number[:, [0, 2, 3]]]).astype(np.int32)
