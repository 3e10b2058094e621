"""Closed solids: boards, bars, swept sections, turnings, extruded outlines and curved sheets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from export_models.dataset.makers.outlines import Floats, ear_clip, inset, normalized

Triangles = NDArray[np.int32]
Point = Sequence[float]

BEVEL = 0.002
"""Default bevel of edges in metres. Sharp edges show no highlights."""

PLANES = {
    "xy": np.eye(3),
    "xz": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "yz": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
}
"""Rotation [3, 3] from the plane z = 0, where ``extrude`` works, to each plane."""


@dataclass(frozen=True)
class Solid:
    """A closed surface in metres."""

    vertices: Floats  # [V, 3]
    triangles: Triangles  # [T, 3] counter-clockwise when seen from outside
    grain: Floats  # [3] direction of the wood grain, of any length
    smooth: bool = False

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        """Return the solid translated by x, y, z metres."""
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def rotated(self, axis: str, degrees: float) -> Solid:
        """Return the solid rotated counter-clockwise about the axis ``x``, ``y`` or ``z``."""
        i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        matrix = np.eye(3)
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        matrix[[i, i, j, j], [i, j, i, j]] = cosine, -sine, sine, cosine
        return replace(self, vertices=self.vertices @ matrix.T, grain=matrix @ self.grain)

    def mirrored(self, axis: int = 0) -> Solid:
        """Return the mirror image at the plane through the origin perpendicular to ``axis``: 0 is x, 1 is y, 2 is z."""
        flip = np.ones(3)
        flip[axis] = -1.0
        return replace(
            self, vertices=self.vertices * flip, grain=self.grain * flip, triangles=self.triangles[:, ::-1].copy()
        )

    def deformed(self, mapping: Callable[[Floats], Floats]) -> Solid:
        """Return the solid with its vertices [V, 3] mapped by ``mapping``, which must preserve orientation."""
        return replace(self, vertices=mapping(self.vertices))

    def clamped(self, low: float, high: float = np.inf) -> Solid:
        """Return the solid with the heights of its vertices clamped to [low, high] metres."""
        return self.deformed(lambda points: np.concatenate([points[:, :2], np.clip(points[:, 2:], low, high)], 1))

    def clamped_to_floor(self) -> Solid:
        """Return the solid with all vertices below the floor raised to z = 0."""
        return self.clamped(0.0)

    def with_grain(self, grain: Point) -> Solid:
        """Return the solid with the grain direction ``grain``."""
        return replace(self, grain=np.asarray(grain, np.float64))


def board(low: Point, high: Point, bevel: float = BEVEL, grain: Point | None = None) -> Solid:
    """Return the box between two corners with bevelled edges. The default grain runs along its longest side."""
    start, end = np.minimum(low, high).astype(np.float64), np.maximum(low, high).astype(np.float64)
    size = end - start
    along = int(np.argmax(size))
    across = (along + 1) % 3
    middle = (start + end) / 2
    path = np.stack([middle, middle])
    path[0, along], path[1, along] = start[along], end[along]
    solid = sweep(path, (size[across], size[(across + 1) % 3]), side=np.eye(3)[across].tolist(), bevel=bevel)
    return solid if grain is None else solid.with_grain(grain)


def bar(start: Point, end: Point, size: float | tuple[float, float], section: str = "rectangle") -> Solid:
    """Return a straight bar.

    Args:
        size: thickness, or (width along x, depth). For a bar along x: (height, depth).
        section: see ``sweep``.
    """
    width, depth = size if isinstance(size, tuple) else (size, size)
    return sweep([start, end], (width, depth), section=section)


def sweep(
    path: ArrayLike,
    sizes: ArrayLike,
    *,
    section: str = "rectangle",
    side: Point | None = None,
    bevel: float = BEVEL,
    closed: bool = False,
    sides: int = 12,
) -> Solid:
    """Sweep a cross-section along a path.

    Args:
        path: [N, 3] metres.
        sizes: thickness or (width, depth) of the section, or [N, 2] (width, depth) for each point of the path. The
            width lies along ``side``.
        section: ``rectangle`` with corners bevelled by ``bevel``, ``round``, or ``squircle``.
        side: direction of the section's width. Default: x, or z if the path runs along x; for a round section, any
            direction that does not twist about the path.
        closed: whether the end of the path joins its start. The ends of an open path are bevelled too.
        sides: number of vertices around a ``round`` or ``squircle`` section.
    """
    points = np.asarray(path, np.float64)
    half_size = np.broadcast_to(np.asarray(sizes, np.float64), (len(points), 2)) / 2
    if not closed and bevel > 0:
        points, half_size = _bevel_ends(points, half_size, bevel)
    tangent = _tangents(points, closed)
    if side is None and section == "round":
        across = _parallel_transport(tangent)
    else:
        if side is None:
            side = (0.0, 0.0, 1.0) if np.abs(tangent[:, 0]).max() > 0.8 else (1.0, 0.0, 0.0)
        direction = np.asarray(side, np.float64)
        across = normalized(direction - (tangent @ direction)[:, None] * tangent)
    up = _cross(tangent, across)
    outline = _section_outline(section, half_size, bevel, sides)
    rings = points[:, None] + outline[..., :1] * across[:, None] + outline[..., 1:] * up[:, None]
    grain = points[-1] - points[0] if not closed else np.eye(3)[int(np.argmax(np.ptp(points, axis=0)))]
    return loft(rings, closed=closed, grain=grain, smooth=section != "rectangle" or len(points) > 6)


def lathe(profile: ArrayLike, sides: int = 20) -> Solid:
    """Revolve a profile [N, 2] of (height, radius) about the z axis. Heights must not decrease."""
    heights, radii = np.asarray(profile, np.float64).T
    angle = np.arange(sides) * 2 * np.pi / sides
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides)], -1)
    rings = circle * np.maximum(radii, 1e-4)[:, None, None]
    rings[..., 2] = heights[:, None]
    return loft(rings, grain=np.array([0.0, 0.0, 1.0]), smooth=True)


def extrude(
    outline: ArrayLike, thickness: float, *, plane: str = "xy", bevel: float = BEVEL, smooth: bool = False
) -> Solid:
    """Extrude an outline to a board with bevelled edges. The grain runs along its longer side.

    Args:
        outline: [N, 2] counter-clockwise, in metres.
        thickness: extends from 0 towards +z in the plane ``xy``, towards -y in ``xz`` and towards +x in ``yz``.
    """
    points = np.asarray(outline, np.float64)
    bevel = min(bevel, 0.3 * thickness)
    bevelled = inset(points, bevel)
    rings = np.empty((4, len(points), 3))
    heights = (0.0, bevel, thickness - bevel, thickness)
    for ring, flat, height in zip(rings, (bevelled, points, points, bevelled), heights, strict=True):
        ring[:, :2], ring[:, 2] = flat, height
    along = np.zeros(3)
    along[int(np.argmax(np.ptp(points, axis=0)))] = 1.0
    solid = loft(rings, cap=ear_clip(points), grain=along, smooth=smooth)
    matrix = PLANES[plane]
    return replace(solid, vertices=solid.vertices @ matrix.T, grain=matrix @ solid.grain)


def sheet(grid: ArrayLike, thickness: float, grain: Point = (0.0, 0.0, 1.0)) -> Solid:
    """Thicken a curved surface [N, M, 3] by half of ``thickness`` to each side and taper its rim.

    The front faces the direction of the cross product of the grid's first and second axis.
    """
    points = np.asarray(grid, np.float64)
    normal = normalized(np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1)))
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    front = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    rim = np.concatenate([index[:-1, 0], index[-1, :-1], index[:0:-1, -1], index[0, :0:-1]])
    next_rim = np.roll(rim, -1)
    back = rows * columns  # index of the first vertex of the back
    edge = np.concatenate(
        [np.stack([rim, rim + back, next_rim + back], -1), np.stack([rim, next_rim + back, next_rim], -1)]
    )
    half_thickness = np.full((rows, columns, 1), thickness / 2)
    half_thickness[[0, -1]] *= 0.6
    half_thickness[:, [0, -1]] *= 0.6
    vertices = np.concatenate(
        [(points + normal * half_thickness).reshape(-1, 3), (points - normal * half_thickness).reshape(-1, 3)]
    )
    triangles = np.concatenate([front, front[:, ::-1] + back, edge]).astype(np.int32)
    return Solid(vertices, triangles, np.asarray(grain, np.float64), True)


def loft(
    rings: Floats, *, closed: bool = False, cap: Triangles | None = None, grain: Floats, smooth: bool = False
) -> Solid:
    """Connect consecutive rings of vertices and close both ends.

    Args:
        rings: [N, M, 3] counter-clockwise about the direction from the first to the last ring.
        closed: whether the last ring connects to the first; there are no ends then.
        cap: [T, 3] triangulation of a ring. Default: a fan about the ring's centre.
    """
    count, around = rings.shape[:2]
    has_fans = not closed and cap is None
    vertices, triangles = rings.reshape(-1, 3), _loft_triangles(count, around, closed, has_fans)
    if has_fans:
        vertices = np.concatenate([vertices, rings[[0, -1]].mean(1)])
    elif cap is not None:
        triangles = np.concatenate([triangles, cap[:, ::-1], cap + (count - 1) * around]).astype(np.int32)
    return Solid(vertices, triangles, grain, smooth)


@lru_cache(maxsize=256)
def _loft_triangles(count: int, around: int, closed: bool, has_fans: bool) -> Triangles:
    """Return the triangles [T, 3] that connect ``count`` rings of ``around`` vertices.

    Args:
        closed: whether the last ring connects to the first.
        has_fans: whether a fan closes each end. The centres of the fans are the two vertices after those of the rings.
    """
    index = np.arange(count * around).reshape(count, around)
    if closed:
        index = np.concatenate([index, index[:1]])
    a, b = index[:-1], np.roll(index[:-1], -1, 1)
    c, d = np.roll(index[1:], -1, 1), index[1:]
    triangles: list[NDArray[np.int64]] = [np.stack(corners, -1).reshape(-1, 3) for corners in ((a, b, c), (a, c, d))]
    if has_fans:
        first, last, centre = index[0], index[-1], np.full(around, count * around)
        triangles.append(np.stack([np.roll(first, -1), first, centre], -1))
        triangles.append(np.stack([last, np.roll(last, -1), centre + 1], -1))
    return np.concatenate(triangles).astype(np.int32)


def _tangents(points: Floats, closed: bool) -> Floats:
    """Return the unit tangent [N, 3] at each point of a path."""
    if closed:
        return normalized(np.roll(points, -1, 0) - np.roll(points, 1, 0))
    steps = normalized(np.diff(points, axis=0))
    return normalized(np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]]))


def _cross(a: Floats, b: Floats) -> Floats:
    """Return the cross product [N, 3]. ``np.cross`` takes several times longer for few vectors."""
    return np.asarray(a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]])


def _bevel_ends(points: Floats, half_size: Floats, bevel: float) -> tuple[Floats, Floats]:
    """Return the path and its section sizes with a smaller section added at both ends."""
    for order in (slice(None), slice(None, None, -1)):  # the first end, then the last
        points, half_size = points[order], half_size[order]
        step = points[1] - points[0]
        length = float(np.linalg.norm(step))
        cut = min(bevel, 0.3 * length, 0.6 * float(half_size[0].min()))
        inner = points[0] + step * (cut / length)
        points = np.concatenate([points[:1], inner[None], points[1:]])
        half_size = np.concatenate([half_size[:1] - cut, half_size[:1], half_size[1:]])
        points, half_size = points[order], half_size[order]
    return points, half_size


def _parallel_transport(tangent: Floats) -> Floats:
    """Return unit vectors [N, 3] perpendicular to the tangents that do not twist about the path."""
    across = np.empty_like(tangent)
    previous = np.eye(3)[int(np.argmin(np.abs(tangent[0])))]
    for i, along in enumerate(tangent):
        previous = previous - (previous @ along) * along
        previous = previous / np.linalg.norm(previous)
        across[i] = previous
    return across


def _section_outline(section: str, half_size: Floats, bevel: float, sides: int) -> Floats:
    """Return the counter-clockwise outline [N, M, 2] of the section for each of the half sizes [N, 2]."""
    if section == "rectangle":
        cut = np.clip(bevel, 0.0, 0.35 * half_size.min(1))[:, None]
        width, depth = half_size[:, :1], half_size[:, 1:]
        x = np.concatenate([width, width, width - cut, cut - width, -width, -width, cut - width, width - cut], 1)
        y = np.concatenate([cut - depth, depth - cut, depth, depth, depth - cut, cut - depth, -depth, -depth], 1)
        return np.stack([x, y], -1)
    power = {"round": 1.0, "squircle": 0.55}[section]
    angle = np.arange(sides) * 2 * np.pi / sides
    unit = np.stack([np.cos(angle), np.sin(angle)], -1)
    return np.asarray(np.sign(unit) * np.abs(unit) ** power * half_size[:, None])
