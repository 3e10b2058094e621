"""Soft solids: padded blocks with rounded edges, crowns, tufts and channels; piping; pillows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.makers.outlines import Floats, rounded_rectangle
from export_models.dataset.makers.solids import Point, Solid, sweep

ROUNDING_STEPS = 3
"""Rows of cells across a rounded edge of a padded block."""


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
    """Return a padded block about the origin, with its top to +z.

    Args:
        size: width, depth and height in metres.
        radius: radius of the edges.
        crown: height by which the centre of the top rises above its edges. The other sides bulge by a quarter of it.
        tufts: [N, 2] positions of buttons, in metres from the centre.
        tuft_depth: depth by which a button pulls in the surface.
        channels: number of stitched channels along y.
        wrinkle: depth of smooth random wrinkles, drawn from ``rng``.
        cells: minimum number of cells across the longest side.
    """
    half_size = np.asarray(size, np.float64) / 2
    radius = min(radius, 0.96 * float(half_size.min()))
    axes = _cell_positions(half_size, radius, cells, channels)
    lattice, triangles = _box_lattice(*(len(axis) - 1 for axis in axes))
    cube = np.stack([axes[i][lattice[:, i]] for i in range(3)], -1)
    core = np.clip(cube, radius - half_size, half_size - radius)
    outward = cube - core
    points = core + radius * outward / np.linalg.norm(outward, axis=1, keepdims=True)
    u = points / half_size
    _bulge(points, u, crown)
    top_weight = np.clip(u[:, 2], 0, 1) ** 2  # 1 on the top, 0 on the lower half
    if channels:
        position = 0.5 * (1 + u[:, 0]) * channels
        seam_weight = (1 - np.abs(np.sin(np.pi * position))) ** 2  # 1 at the seams between channels
        is_inside = np.abs(u[:, 0]) < 0.97  # excludes the outer ends, which have no seam
        points[:, 2] -= top_weight * 0.014 * seam_weight * is_inside
    if tufts is not None and len(tufts):
        reach = 0.35 * _spacing(tufts)
        for tuft in tufts:
            distance = ((points[:, :2] - tuft) ** 2).sum(1) / reach**2
            points[:, 2] -= top_weight * tuft_depth * np.exp(-distance)
    if wrinkle and rng is not None:
        points += wrinkles(points, wrinkle, rng)[:, None] * outward / np.linalg.norm(outward, axis=1, keepdims=True)
    return Solid(points, triangles, np.array([1.0, 0.0, 0.0]), True)


def tuft_grid(width: float, depth: float, spacing: float) -> Floats:
    """Return positions [N, 2] in a diamond pattern that leaves a margin at the edges."""
    columns, rows = max(1, round(width / spacing) - 1), max(1, round(depth / spacing) - 1)
    tufts = []
    for row in range(rows):
        is_offset = row % 2 and columns > 1
        count = columns - 1 if is_offset else columns
        x = (np.arange(count) - (count - 1) / 2) * width / (columns + 1)
        y = (row - (rows - 1) / 2) * depth / (rows + 1)
        tufts.append(np.stack([x, np.full(count, y)], -1))
    return np.concatenate(tufts)


def piping(size: Point, radius: float, height: float, thickness: float = 0.008, crown: float = 0.0) -> Solid:
    """Return a cord around a padded block of the same size, edge radius and crown, ``height`` above its centre."""
    bulge = 0.2 * crown * max(0.0, 1 - (2 * height / size[2]) ** 2)
    outline = rounded_rectangle(size[0] + bulge, size[1] + bulge, radius, steps=5)
    path = np.concatenate([outline, np.full((len(outline), 1), height)], 1)
    return sweep(path, thickness, section="round", sides=6, closed=True, side=(0.0, 0.0, 1.0))


def pillow(width: float, depth: float, height: float, rng: np.random.Generator, cells: int = 12) -> Solid:
    """Return a filled pillow about the origin: two sheets joined at a seam, with pointed corners."""
    lattice, triangles = _box_lattice(cells, cells, 1)
    even = np.linspace(-1, 1, cells + 1)
    axis = np.sin(even * np.pi / 2)
    u, v = axis[lattice[:, 0]], axis[lattice[:, 1]]
    fill = np.clip((1 - u**2) * (1 - v**2), 0, 1) ** 0.45
    z = (2.0 * lattice[:, 2] - 1) * (0.003 + height / 2 * fill)
    pull_x = 0.09 * (1 - np.abs(v)) * np.abs(u) ** 2  # draws the middle of each side inwards
    pull_y = 0.09 * (1 - np.abs(u)) * np.abs(v) ** 2
    points = np.stack([u * (1 - pull_x) * width / 2, v * (1 - pull_y) * depth / 2, z], -1)
    points[:, 2] += wrinkles(points, 0.06 * height, rng) * fill
    return Solid(points, triangles, np.array([1.0, 0.0, 0.0]), True)


def upright(solid: Solid) -> Solid:
    """Rotate a horizontal pad so that its top faces -y and its depth becomes its height."""
    return solid.rotated("x", 90.0)


def wrinkles(points: Floats, depth: float, rng: np.random.Generator) -> Floats:
    """Return smooth noise [V] of about ``depth`` at the points [V, 3]: five waves of 0.15 to 0.6 m length."""
    total = np.zeros(len(points))
    for _ in range(5):
        direction = rng.normal(size=3)
        wave = direction / np.linalg.norm(direction) * 2 * np.pi / rng.uniform(0.15, 0.6)
        total += np.sin(points @ wave + rng.uniform(0, 2 * np.pi))
    return np.asarray(total * depth / 2.5)


def _cell_positions(half_size: Floats, radius: float, cells: int, channels: int) -> list[Floats]:
    """Return the positions of the cell borders along each axis: fine in the rounded edges, even between them."""
    axes = []
    longest = float(half_size.max())
    for axis, half_length in enumerate(half_size):
        channel_cells = channels * 7 if axis == 0 and channels else 0
        inner = max(1, round(cells * half_length / longest), channel_cells)
        rounding = np.linspace(0, radius, ROUNDING_STEPS, endpoint=False)
        flat = np.linspace(radius - half_length, half_length - radius, inner + 1)
        axes.append(np.concatenate([rounding - half_length, flat, half_length - rounding[::-1]]))
    return axes


def _bulge(points: Floats, u: Floats, crown: float) -> None:
    """Raise the top of a block by ``crown`` and bulge its other sides by a quarter of it, in place.

    Args:
        points: [V, 3] metres.
        u: [V, 3] the same points as shares of the half size, in [-1, 1].
    """
    centrality = np.clip(1 - u**2, 0, 1)
    lift = np.where(u[:, 2] > 0, 1.0, 0.25) * crown * centrality[:, 0] ** 0.7 * centrality[:, 1] ** 0.7
    side = 0.25 * crown
    points[:, 0] += u[:, 0] * side * centrality[:, 1] * centrality[:, 2]
    points[:, 1] += u[:, 1] * side * centrality[:, 0] * centrality[:, 2]
    points[:, 2] += u[:, 2] * lift


def _spacing(positions: Floats) -> float:
    """Return the smallest distance between two positions [N, 2]; 0.15 m for a single position."""
    if len(positions) < 2:
        return 0.15
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    return float(np.sort(distances, axis=1)[:, 1].min())  # column 0 is the distance of each position from itself


@lru_cache(maxsize=256)
def _box_lattice(nx: int, ny: int, nz: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the integer points [V, 3] on the surface of a box of nx, ny, nz cells, and its triangles [T, 3]."""
    counts = np.array([nx, ny, nz])
    faces = []
    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        a, b = (g.reshape(-1) for g in np.meshgrid(np.arange(counts[i]), np.arange(counts[j]), indexing="ij"))
        for side in (0, 1):
            corners = np.zeros((len(a), 4, 3), np.int64)
            corners[..., axis] = side * counts[axis]
            for corner, (da, db) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
                corners[:, corner, i], corners[:, corner, j] = a + da, b + db
            faces.append(corners if side else corners[:, ::-1])
    points, index = np.unique(np.concatenate(faces).reshape(-1, 3), axis=0, return_inverse=True)
    quads = index.reshape(-1, 4)
    return points, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
