"""Woven surfaces with visible strands: weavers that pass alternately in front of and behind stakes."""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.outlines import Floats, normalized
from export_models.dataset.makers.solids import Point, Solid, bar, sweep

STAKE_PITCH = 0.05
"""Approximate distance in metres between the stakes of a woven panel."""
STRAND_SIDES = 6
"""Vertices around the section of a weaver."""


def weave(
    grid: Floats, strand: tuple[float, float], *, side: Point, closed: bool = False, first: int = 0
) -> list[Solid]:
    """Return the weavers of a woven surface, one for each row.

    Args:
        grid: [R, C, 3] metres. Row r is the path of one weaver. The stakes stand at the odd columns. With ``closed``,
            C is divisible by 4, so that the pattern continues.
        strand: width and thickness of the weavers.
        side: direction of the weavers' width, across the rows.
        closed: whether the last column connects to the first.
        first: number of the first row. Rows with an even number pass the first stake on one side, the others on the
            other side.
    """
    columns = grid.shape[1]
    along = np.roll(grid, -1, axis=1) - np.roll(grid, 1, axis=1) if closed else np.gradient(grid, axis=1)
    normal = normalized(np.cross(along, np.asarray(side, np.float64)))
    wave = np.sin(np.arange(columns) * np.pi / 2) * 0.6 * strand[1]
    solids = []
    for row, outward, number in zip(grid, normal, range(first, first + len(grid)), strict=True):
        path = row + outward * (wave * (1 if number % 2 else -1))[:, None]
        solids.append(sweep(path, strand, section="squircle", side=side, closed=closed, sides=STRAND_SIDES))
    return solids


def wall_grid(path: Floats, low: float, high: float, pitch: float) -> Floats:
    """Return rows [R, C, 3] ``pitch`` apart from ``low`` to ``high`` above a path [C, 2] on the floor."""
    heights = np.arange(low + pitch / 2, high, pitch)
    grid = np.empty((len(heights), len(path), 3))
    grid[..., :2] = path
    grid[..., 2] = heights[:, None]
    return grid


def resampled(path: Floats, count: int, *, closed: bool = False) -> Floats:
    """Return ``count`` points at equal distances along a polyline [N, D]."""
    points = np.concatenate([path, path[:1]]) if closed else path
    distance = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0, distance[-1], count + 1)[:-1] if closed else np.linspace(0, distance[-1], count)
    return np.stack([np.interp(at, distance, points[:, i]) for i in range(points.shape[1])], -1)


def stakes(path: Floats, low: float, tops: Floats, thickness: float) -> list[Solid]:
    """Return an upright stake at each odd column of a path [C, 2], from ``low`` to its height in ``tops`` [C]."""
    return [
        bar((x, y, low), (x, y, top), thickness, section="round")
        for (x, y), top in zip(path[1::2], tops[1::2], strict=True)
    ]


def woven_panel(width: float, depth: float, pitch: float, thickness: float) -> list[Solid]:
    """Return a flat woven panel about the origin in the plane z = 0, with its weavers along x and stakes along y."""
    columns = 2 * max(3, round(width / STAKE_PITCH)) + 1
    x = np.linspace(-width / 2, width / 2, columns)
    y = np.arange(-depth / 2 + pitch / 2, depth / 2, pitch)
    grid = np.zeros((len(y), columns, 3))
    grid[..., 0], grid[..., 1] = x, y[:, None]
    rods = [bar((px, -depth / 2, 0), (px, depth / 2, 0), thickness, section="round") for px in x[1::2]]
    return [*weave(grid, (0.95 * pitch, 0.6 * thickness), side=(0, 1, 0)), *rods]
