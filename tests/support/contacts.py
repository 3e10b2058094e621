"""Which closed surfaces touch each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_GAP = 0.005
"""Two surfaces touch if they are at most this many metres apart, as a drawer in its opening or a pin in its hole."""
EDGES_PER_BLOCK = 32
"""Edges that are compared at once. Larger blocks are slower: surfaces that touch mostly do so in the first block."""


class Shapes(NamedTuple):
    """Edges or triangles with their bounding boxes, in metres."""

    corners: Floats  # [N, 2 or 3, 3]
    low: Floats  # [N, 3]
    high: Floats  # [N, 3]

    @staticmethod
    def of(corners: Floats) -> Shapes:
        """Return shapes with these corners."""
        by_corner = corners.transpose(1, 0, 2)
        return Shapes(corners, reduce(np.minimum, by_corner), reduce(np.maximum, by_corner))

    def chosen(self, index: slice | NDArray[Any]) -> Shapes:
        """Return the shapes with this index."""
        return Shapes(self.corners[index], self.low[index], self.high[index])

    def overlap(self, low: Floats, high: Floats) -> NDArray[np.bool_]:
        """Whether each bounding box [N] overlaps the box between two corners [3]."""
        x, y, z = ((self.high >= low) & (self.low <= high)).T
        return np.asarray(x & y & z)


@dataclass(frozen=True)
class Surface:
    """A closed surface."""

    low: Floats  # [3] of the bounding box
    high: Floats  # [3]
    edges: Shapes  # each edge once
    faces: Shapes
    normals: Floats  # [T, 3] unit vectors


def surfaces_of(vertices: Floats, triangles: Integers, part_of_triangle: Integers) -> list[Surface]:
    """Return the surface of each part of a mesh.

    Args:
        vertices: [V, 3] metres.
        triangles: [T, 3], sorted by part.
        part_of_triangle: [T] numbers from 0.
    """
    ends = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    is_first = ends[:, 0] < ends[:, 1]  # neighbouring triangles have opposite edges
    edges, faces = Shapes.of(vertices[ends[is_first]]), Shapes.of(vertices[triangles])
    normals = _cross(faces.corners[:, 1] - faces.corners[:, 0], faces.corners[:, 2] - faces.corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-18)
    starts = np.arange(part_of_triangle[-1] + 2)
    edge_starts = np.searchsorted(np.repeat(part_of_triangle, 3)[is_first], starts)
    face_starts = np.searchsorted(part_of_triangle, starts)
    surfaces = []
    for edge_span, face_span in zip(itertools.pairwise(edge_starts), itertools.pairwise(face_starts), strict=True):
        own_faces = faces.chosen(slice(*face_span))
        low, high = own_faces.low.min(0), own_faces.high.max(0)
        surfaces.append(Surface(low, high, edges.chosen(slice(*edge_span)), own_faces, normals[slice(*face_span)]))
    return surfaces


def unconnected(surfaces: list[Surface], roots: Iterable[int]) -> list[int]:
    """Return the numbers of the surfaces that do not touch the surfaces ``roots``, directly or through others."""
    low, high = np.stack([surface.low for surface in surfaces]), np.stack([surface.high for surface in surfaces])
    boxes_touch = ((low[:, None] <= high + MAX_GAP) & (high[:, None] >= low - MAX_GAP)).all(2)
    reached = list(roots)
    remaining = sorted(set(range(len(surfaces))) - set(reached))
    while reached and remaining:
        reached = [i for i in remaining if any(boxes_touch[i, j] and touch(surfaces[i], surfaces[j]) for j in reached)]
        remaining = [i for i in remaining if i not in reached]
    return remaining


def touch(a: Surface, b: Surface) -> bool:
    """Whether two surfaces intersect or come within MAX_GAP of each other, or one is inside the other."""
    low, high = np.maximum(a.low, b.low) - MAX_GAP, np.minimum(a.high, b.high) + MAX_GAP
    return (
        _edges_meet_surface(a, b, low, high)
        or _edges_meet_surface(b, a, low, high)
        or any(_are_near(block, b.edges.chosen(close)) for block, close in _blocks(a.edges, b.edges, low, high))
        or _is_inside(a, b)
        or _is_inside(b, a)
    )


def _blocks(edges: Shapes, others: Shapes, low: Floats, high: Floats) -> Iterator[tuple[Shapes, Integers]]:
    """Yield blocks of neighbouring edges with the indices of the other shapes that may be within MAX_GAP of them.

    Only edges and shapes in the region from ``low`` [3] to ``high`` [3] are considered.
    """
    in_region = np.flatnonzero(edges.overlap(low, high))
    order = in_region[edges.low[in_region, np.argmax(high - low)].argsort()]
    for first in range(0, len(order), EDGES_PER_BLOCK):
        block = edges.chosen(order[first : first + EDGES_PER_BLOCK])
        block_low, block_high = block.low.min(0) - MAX_GAP, block.high.max(0) + MAX_GAP
        close = np.flatnonzero(others.overlap(np.maximum(low, block_low), np.minimum(high, block_high)))
        if len(close):
            yield block, close


def _edges_meet_surface(a: Surface, b: Surface, low: Floats, high: Floats) -> bool:
    """Whether an edge of ``a`` ends at most MAX_GAP above or below a face of ``b``, or passes through one."""
    return any(
        _meet(block.corners, b.faces.corners[close], b.normals[close])
        for block, close in _blocks(a.edges, b.faces, low, high)
    )


def _meet(edges: Floats, faces: Floats, normals: Floats) -> bool:
    """Whether one of the edges [E, 2, 3] meets one of the faces [T, 3, 3], see ``_edges_meet_surface``."""
    height = edges @ normals.T - (faces[:, 0] * normals).sum(1)  # [E, 2, T] above the plane of each face
    edge, end, face = np.nonzero(np.abs(height) < MAX_GAP)
    if _project_to_faces(edges[edge, end], faces[face], normals[face]):
        return True
    edge, face = np.nonzero(height[:, 0] * height[:, 1] < 0)
    before, after = height[edge, 0, face], height[edge, 1, face]
    crossing = edges[edge, 0] + (before / (before - after))[:, None] * (edges[edge, 1] - edges[edge, 0])
    return _project_to_faces(crossing, faces[face], normals[face])


def _project_to_faces(points: Floats, faces: Floats, normals: Floats) -> bool:
    """Whether one of the points [N, 3] is above, below or on its face [N, 3, 3]."""
    sides, to_point = faces[:, [1, 2, 0]] - faces, points[:, None] - faces
    inward = np.einsum("nkc,nc->kn", _cross(sides, to_point), normals)  # m2, positive inside of each side
    return bool((inward > -1e-9).all(0).any())


def _are_near(a: Shapes, b: Shapes) -> bool:
    """Whether an edge of ``a`` is within MAX_GAP of an edge of ``b`` (Ericson 2005, section 5.1.9)."""
    overlap = (a.high[:, None] + MAX_GAP > b.low) & (a.low[:, None] - MAX_GAP < b.high)
    i, j = np.nonzero(overlap.all(2))
    between = a.corners[i, 0] - b.corners[j, 0]
    u, v = a.corners[i, 1] - a.corners[i, 0], b.corners[j, 1] - b.corners[j, 0]
    uu, vv, uv, ur, vr = ((p * q).sum(1) for p, q in ((u, u), (v, v), (u, v), (u, between), (v, between)))
    s = ((uv * vr - ur * vv) / (uu * vv - uv**2).clip(1e-18)).clip(0, 1)  # share of u at the closest point
    t = ((uv * s + vr) / vv.clip(1e-18)).clip(0, 1)
    s = ((uv * t - ur) / uu.clip(1e-18)).clip(0, 1)
    distance = between + s[:, None] * u - t[:, None] * v
    return bool(((distance**2).sum(1) < MAX_GAP**2).any())


def _is_inside(a: Surface, b: Surface) -> bool:
    """Whether ``a``, which does not intersect ``b``, is inside ``b``.

    The solid angles of the faces of ``b`` (Van Oosterom & Strackee 1983) add up to 4 pi inside and to 0 outside.
    """
    if (a.low < b.low).any() or (a.high > b.high).any():
        return False
    p, q, r = (b.faces.corners - a.faces.corners[0, 0]).transpose(1, 0, 2)
    lengths = [np.linalg.norm(side, axis=1) for side in (p, q, r)]
    numerator = (p * _cross(q, r)).sum(1)
    denominator = np.prod(lengths, axis=0) + sum(
        (u * v).sum(1) * length for u, v, length in ((p, q, lengths[2]), (q, r, lengths[0]), (r, p, lengths[1]))
    )
    return bool(abs(np.arctan2(numerator, denominator).sum()) > np.pi)


def _cross(a: Floats, b: Floats) -> Floats:
    """Return the cross product [..., 3]. ``np.cross`` takes several times longer for few vectors."""
    return np.asarray(a[..., [1, 2, 0]] * b[..., [2, 0, 1]] - a[..., [2, 0, 1]] * b[..., [1, 2, 0]])
