"""Closed solids that furniture is made of: boards, bars and tubes along a path, turnings, slabs, bent sheets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from export_models.dataset.makers.outlines import ear_clip, inset

Floats = NDArray[np.float64]
Triangles = NDArray[np.int32]
Point = Sequence[float]

BEVEL = 0.002
"""Metres broken off an edge, as a joiner's block plane does; without it no edge catches the light."""


@dataclass(frozen=True)
class Solid:
    """A closed surface, metres."""

    vertices: Floats  # [V, 3]
    triangles: Triangles  # [T, 3] outward, counter-clockwise
    grain: Floats  # [3], of any length
    smooth: bool = False

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def turned(self, axis: str, degrees: float) -> Solid:
        """Turn right-handed about the axis ``x``, ``y`` or ``z``."""
        i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        matrix = np.eye(3)
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        matrix[[i, i, j, j], [i, j, i, j]] = cosine, -sine, sine, cosine
        return replace(self, vertices=self.vertices @ matrix.T, grain=matrix @ self.grain)

    def mirrored(self, axis: int = 0) -> Solid:
        flip = np.ones(3)
        flip[axis] = -1.0
        return replace(
            self, vertices=self.vertices * flip, grain=self.grain * flip, triangles=self.triangles[:, ::-1].copy()
        )

    def bent(self, place: Callable[[Floats], Floats]) -> Solid:
        """Move each vertex [V, 3] to where ``place`` says; must not turn the solid inside out."""
        return replace(self, vertices=place(self.vertices))

    def floored(self) -> Solid:
        """Press what reaches below the floor up to it."""
        return self.bent(lambda points: np.concatenate([points[:, :2], np.maximum(points[:, 2:], 0.0)], 1))

    def grained(self, grain: Point) -> Solid:
        return replace(self, grain=np.asarray(grain, np.float64))


def board(low: Point, high: Point, bevel: float = BEVEL, grain: Point | None = None) -> Solid:
    """A board between two corners, its edges broken; the grain runs along its longest side unless said."""
    start, end = np.minimum(low, high).astype(np.float64), np.maximum(low, high).astype(np.float64)
    size = end - start
    along = int(np.argmax(size))
    across = (along + 1) % 3
    middle = (start + end) / 2
    path = np.stack([middle, middle])
    path[0, along], path[1, along] = start[along], end[along]
    solid = sweep(path, (size[across], size[(across + 1) % 3]), side=np.eye(3)[across].tolist(), bevel=bevel)
    return solid if grain is None else solid.grained(grain)


def bar(start: Point, end: Point, size: float | tuple[float, float], section: str = "board") -> Solid:
    """A straight bar; ``size`` is its thickness, or (width along x, depth), for a bar along x (height, depth)."""
    width, depth = size if isinstance(size, tuple) else (size, size)
    return sweep([start, end], (width, depth), section=section)


def sweep(
    path: ArrayLike,
    sizes: ArrayLike,
    *,
    section: str = "board",
    side: Point | None = None,
    bevel: float = BEVEL,
    closed: bool = False,
    sides: int = 12,
    ends: tuple[bool, bool] = (True, True),
) -> Solid:
    """Run a section along a path.

    Args:
        path: [N, 3] metres.
        sizes: (width, depth) or [N, 2] full size of the section, width along ``side``.
        section: ``board`` (corners broken by ``bevel``), ``round`` or ``plump`` (a rounded square).
        side: the direction that the section's width keeps to; by default x, or z where the path runs along x. A round
            section needs none.
        closed: the path runs back to its start.
        ends: whether the first and the last end are broken by ``bevel`` too.
    """
    points = np.asarray(path, np.float64)
    half = np.broadcast_to(np.asarray(sizes, np.float64), (len(points), 2)) / 2
    if not closed and bevel > 0:
        points, half = _break_ends(points, half, bevel, ends)
    if closed:
        tangent = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    else:
        steps = _unit(np.diff(points, axis=0))
        tangent = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    tangent = _unit(tangent)
    if side is None and section == "round":
        across = _untwisted(tangent)
    else:
        if side is None:
            side = (0.0, 0.0, 1.0) if np.abs(tangent[:, 0]).max() > 0.8 else (1.0, 0.0, 0.0)
        direction = np.asarray(side, np.float64)
        across = _unit(direction - (tangent @ direction)[:, None] * tangent)
    up = np.cross(tangent, across)
    outline = _section(section, half, bevel, sides)
    rings = points[:, None] + outline[..., :1] * across[:, None] + outline[..., 1:] * up[:, None]
    grain = points[-1] - points[0] if not closed else np.eye(3)[int(np.argmax(np.ptp(points, axis=0)))]
    return loft(rings, closed=closed, grain=grain, smooth=section != "board" or len(points) > 6)


def lathe(profile: ArrayLike, sides: int = 20) -> Solid:
    """Turn a profile [N, 2] of (height, radius) about z; heights must not fall."""
    heights, radii = np.asarray(profile, np.float64).T
    angle = np.arange(sides) * 2 * np.pi / sides
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides)], -1)
    rings = circle * np.maximum(radii, 1e-4)[:, None, None]
    rings[..., 2] = heights[:, None]
    return loft(rings, grain=np.array([0.0, 0.0, 1.0]), smooth=True)


def slab(
    outline: ArrayLike, thickness: float, *, plane: str = "xy", bevel: float = BEVEL, smooth: bool = False
) -> Solid:
    """Saw an outline out of a board, and break its edges.

    Args:
        outline: [N, 2] counter-clockwise, in metres.
        thickness: from 0 towards +z for ``xy``, from 0 towards -y for ``xz``, from 0 towards +x for ``yz``.
    """
    points = np.asarray(outline, np.float64)
    bevel = min(bevel, 0.3 * thickness)
    small = inset(points, bevel)
    rings = np.empty((4, len(points), 3))
    heights = (0.0, bevel, thickness - bevel, thickness)
    for ring, flat, height in zip(rings, (small, points, points, small), heights, strict=True):
        ring[:, :2], ring[:, 2] = flat, height
    along = np.zeros(3)
    along[int(np.argmax(np.ptp(points, axis=0)))] = 1.0
    solid = loft(rings, cap=ear_clip(points), grain=along, smooth=smooth)
    turn = {"xy": np.eye(3), "xz": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "yz": [[0, 0, 1], [1, 0, 0], [0, 1, 0]]}
    matrix = np.asarray(turn[plane], np.float64)
    return replace(solid, vertices=solid.vertices @ matrix.T, grain=matrix @ solid.grain)


def sheet(grid: ArrayLike, thickness: float, grain: Point = (0.0, 0.0, 1.0)) -> Solid:
    """Give a bent surface [N, M, 3] a thickness, half to each side; its first side is where rows x columns point."""
    points = np.asarray(grid, np.float64)
    normal = _unit(np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1)))
    rows, columns = points.shape[:2]
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    front = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    rim = np.concatenate([number[:-1, 0], number[-1, :-1], number[:0:-1, -1], number[0, :0:-1]])
    after, back = np.roll(rim, -1), rows * columns
    edge = np.concatenate([np.stack([rim, rim + back, after + back], -1), np.stack([rim, after + back, after], -1)])
    # A rounded edge: the rim's two sides are drawn together.
    half = np.full((rows, columns, 1), thickness / 2)
    half[[0, -1]] *= 0.6
    half[:, [0, -1]] *= 0.6
    vertices = np.concatenate([(points + normal * half).reshape(-1, 3), (points - normal * half).reshape(-1, 3)])
    triangles = np.concatenate([front, front[:, ::-1] + back, edge]).astype(np.int32)
    return Solid(vertices, triangles, np.asarray(grain, np.float64), True)


def loft(
    rings: Floats, *, closed: bool = False, cap: Triangles | None = None, grain: Floats, smooth: bool = False
) -> Solid:
    """Join rings [N, M, 3], counter-clockwise about the way from first to last, and close both ends.

    ``cap`` [T, 3] triangulates a ring; without it the ends are fans about the ring's middle.
    """
    count, around = rings.shape[:2]
    number = np.arange(count * around).reshape(count, around)
    if closed:
        number = np.concatenate([number, number[:1]])
    a, b = number[:-1], np.roll(number[:-1], -1, 1)
    c, d = np.roll(number[1:], -1, 1), number[1:]
    wall = [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    vertices = [rings.reshape(-1, 3)]
    if not closed and cap is not None:
        wall += [cap[:, ::-1], cap + (count - 1) * around]
    elif not closed:
        first, last = number[0], number[-1]
        vertices += [rings[0].mean(0, keepdims=True), rings[-1].mean(0, keepdims=True)]
        middle = np.full(around, count * around)
        wall.append(np.stack([np.roll(first, -1), first, middle], -1))
        wall.append(np.stack([last, np.roll(last, -1), middle + 1], -1))
    return Solid(np.concatenate(vertices), np.concatenate(wall).astype(np.int32), grain, smooth)


def _break_ends(points: Floats, half: Floats, bevel: float, ends: tuple[bool, bool]) -> tuple[Floats, Floats]:
    for last, wanted in ((False, ends[0]), (True, ends[1])):
        if not wanted:
            continue
        order = slice(None, None, -1) if last else slice(None)
        points, half = points[order], half[order]
        step = points[1] - points[0]
        length = float(np.linalg.norm(step))
        cut = min(bevel, 0.3 * length, 0.6 * float(half[0].min()))
        inner = points[0] + step * (cut / length)
        points = np.concatenate([points[:1], inner[None], points[1:]])
        half = np.concatenate([half[:1] - cut, half[:1], half[1:]])
        points, half = points[order], half[order]
    return points, half


def _untwisted(tangent: Floats) -> Floats:
    """[N, 3] a direction across the path that does not turn about it (parallel transport)."""
    across = np.empty_like(tangent)
    last = np.eye(3)[int(np.argmin(np.abs(tangent[0])))]
    for i, along in enumerate(tangent):
        last = last - (last @ along) * along
        last = last / np.linalg.norm(last)
        across[i] = last
    return across


def _section(section: str, half: Floats, bevel: float, sides: int) -> Floats:
    """[N, M, 2] outline of the section at each of [N, 2] half sizes, counter-clockwise."""
    if section == "board":
        cut = np.clip(bevel, 0.0, 0.35 * half.min(1))[:, None]
        width, depth = half[:, :1], half[:, 1:]
        x = np.concatenate([width, width, width - cut, cut - width, -width, -width, cut - width, width - cut], 1)
        y = np.concatenate([cut - depth, depth - cut, depth, depth, depth - cut, cut - depth, -depth, -depth], 1)
        return np.stack([x, y], -1)
    power = {"round": 1.0, "plump": 0.55}[section]
    angle = np.arange(sides) * 2 * np.pi / sides
    unit = np.stack([np.cos(angle), np.sin(angle)], -1)
    return np.asarray(np.sign(unit) * np.abs(unit) ** power * half[:, None])


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
