"""Made furniture is what a shop could sell, in size and in build, and every part of it says truly what it is."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.makers import KINDS, Part, Piece, make_piece

SEEDS = range(20)
NEAR = 0.005
"""Metres that two parts may be apart and still hold each other: a drawer's gap, a pin's play."""
SIZES = {  # least and most width, depth and height, metres
    "chair": ((0.38, 0.40, 0.70), (0.75, 0.85, 1.35)),
    "armchair": ((0.50, 0.45, 0.65), (1.25, 1.10, 1.25)),
    "sofa": ((1.05, 0.65, 0.38), (3.40, 1.90, 1.10)),
    "table": ((0.33, 0.28, 0.33), (2.60, 1.45, 0.82)),
    "desk": ((0.95, 0.50, 0.71), (1.85, 0.90, 1.55)),
    "bed": ((0.90, 2.00, 0.35), (2.50, 2.50, 2.25)),
    "cabinet": ((0.36, 0.30, 0.38), (2.20, 0.75, 2.30)),
    "shelf": ((0.45, 0.24, 0.55), (1.70, 0.52, 2.25)),
    "dresser": ((0.38, 0.38, 0.65), (1.80, 0.62, 1.45)),
    "stool": ((0.28, 0.25, 0.37), (1.35, 0.80, 1.20)),
}
SEATS = {"chair": (0.40, 0.50), "armchair": (0.36, 0.52), "sofa": (0.36, 0.54)}

every_kind = pytest.mark.parametrize("kind", KINDS)
Points = NDArray[np.float64]


@cache
def made(kind: str) -> tuple[Piece, ...]:
    return tuple(make_piece(kind, seed) for seed in SEEDS)


def corners(piece: Piece) -> Points:
    return np.concatenate([part.vertices for part in piece.parts]).astype(np.float64)


def triangles_of(part: Part) -> Points:
    """[T, 3, 3]."""
    return np.asarray(part.vertices[part.triangles], np.float64)


def touch(a: Part, b: Part) -> bool:
    """Whether the surfaces cross, or come within NEAR of each other, or one part lies inside the other."""
    low = np.maximum(a.vertices.min(0), b.vertices.min(0)) - NEAR
    high = np.minimum(a.vertices.max(0), b.vertices.max(0)) + NEAR
    if (low > high).any():
        return False
    spots = [sampled(part, low, high) for part in (a, b)]
    if len(spots[0]) and len(spots[1]):
        distance, _ = cKDTree(spots[0]).query(spots[1], distance_upper_bound=2 * NEAR)
        if distance.min() < NEAR:
            return True
    return crossing(a, b, low, high) or crossing(b, a, low, high) or inside(a, b) or inside(b, a)


def sampled(part: Part, low: Points, high: Points) -> Points:
    """[N, 3] corners and middles of the part's triangles within a box."""
    faces = triangles_of(part)
    spots = np.concatenate([faces.reshape(-1, 3), faces.mean(1), (faces + np.roll(faces, 1, 1)).reshape(-1, 3) / 2])
    return np.asarray(spots[((spots >= low) & (spots <= high)).all(1)])


def inside(a: Part, b: Part) -> bool:
    """Whether the first corner of ``a`` lies in ``b``: solid angles add up to 4 pi (Van Oosterom & Strackee 1983)."""
    p, q, r = (triangles_of(b) - a.vertices[0]).transpose(1, 0, 2)
    lengths = [np.linalg.norm(side, axis=1) for side in (p, q, r)]
    volume = (p * np.cross(q, r)).sum(1)
    below = np.prod(lengths, axis=0) + sum(
        (u * v).sum(1) * length for u, v, length in ((p, q, lengths[2]), (q, r, lengths[0]), (r, p, lengths[1]))
    )
    return bool(abs(np.arctan2(volume, below).sum()) > np.pi)


def crossing(a: Part, b: Part, low: Points, high: Points) -> bool:
    """Whether an edge of ``a`` passes through a triangle of ``b``, or a corner of ``a`` lies within NEAR of one."""
    faces, others = triangles_of(b), triangles_of(a)
    faces = faces[((faces.max(1) >= low) & (faces.min(1) <= high)).all(1)]
    others = others[((others.max(1) >= low) & (others.min(1) <= high)).all(1)]
    if not len(faces) or not len(others):
        return False
    starts, ends = others.reshape(-1, 3), np.roll(others, -1, 1).reshape(-1, 3)
    normal = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    for begin in range(0, len(starts), 400):
        some = slice(begin, begin + 400)
        heights = [p[some] @ normal.T - (faces[:, 0] * normal).sum(1) for p in (starts, ends)]
        passing = (heights[0] * heights[1] <= 0) | (np.abs(heights[0]) < NEAR)
        edge, face = np.nonzero(passing)
        h0, h1 = heights[0][edge, face], heights[1][edge, face]
        share = np.where(h0 * h1 <= 0, h0 / np.where(h0 == h1, 1.0, h0 - h1), 0.0)
        spots = starts[some][edge] + share[:, None] * (ends[some] - starts[some])[edge]
        near = trimesh.triangles.closest_point(faces[face], spots)
        if len(spots) and (np.linalg.norm(near - spots, axis=1) < NEAR).any():
            return True
    return False


@every_kind
def test_stands_on_the_floor(kind: str) -> None:
    for piece in made(kind):
        assert abs(corners(piece)[:, 2].min()) < 1e-3


@every_kind
def test_has_a_true_size(kind: str) -> None:
    least, most = SIZES[kind]
    for seed, piece in zip(SEEDS, made(kind), strict=True):
        size = np.ptp(corners(piece), axis=0)
        assert (size >= least).all(), (seed, size)
        assert (size <= most).all(), (seed, size)


@pytest.mark.parametrize("kind", SEATS)
def test_seats_are_at_the_height_of_a_knee(kind: str) -> None:
    low, high = SEATS[kind]
    for seed, piece in zip(SEEDS, made(kind), strict=True):
        heights = [part.vertices[:, 2] for part in piece.parts if part.component in ("seat", "cushion")]
        tops = [
            np.percentile(z, 95) if np.ptp(z) < 0.3 else np.percentile(z, 20) for z in heights
        ]  # a shell dips to its seat
        assert any(low <= top <= high for top in tops), (seed, tops)


@every_kind
def test_meshes_are_sound(kind: str) -> None:
    for seed, piece in zip(SEEDS, made(kind), strict=True):
        for part in piece.parts:
            assert part.vertices.dtype == np.float32
            assert part.triangles.dtype == np.int32
            assert np.isfinite(part.vertices).all()
            assert part.triangles.min() >= 0
            assert part.triangles.max() < len(part.vertices)
            assert np.ptp(part.vertices, axis=0).max() < 3.0, (seed, part.component)
            assert np.linalg.norm(part.grain) == pytest.approx(1.0, abs=1e-5)


@every_kind
def test_parts_are_watertight_and_look_outward(kind: str) -> None:
    for seed, piece in zip(SEEDS, made(kind), strict=True):
        for part in piece.parts:
            edges = part.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
            ways = edges[:, 0].astype(np.int64) * len(part.vertices) + edges[:, 1]
            back = edges[:, 1].astype(np.int64) * len(part.vertices) + edges[:, 0]
            assert np.array_equal(np.sort(ways), np.sort(back)), (seed, part.component)
            assert len(np.unique(ways)) == len(ways), (seed, part.component)
            a, b, c = triangles_of(part).transpose(1, 0, 2) - part.vertices.mean(0)
            assert (a * np.cross(b, c)).sum() / 6 > 0, (seed, part.component, part.role)


@every_kind
def test_labels_and_materials_are_known(kind: str) -> None:
    for piece in made(kind):
        assert piece.kind == kind
        assert {part.component for part in piece.parts} <= set(COMPONENTS) - {"background"}
        assert {part.role for part in piece.parts} == set(piece.roles)
        for classes in piece.roles.values():
            assert classes
            assert set(classes) <= set(MATERIALS) - {"other"}


@every_kind
def test_no_part_floats(kind: str) -> None:
    for seed, piece in zip(SEEDS, made(kind), strict=True):
        waiting = list(piece.parts)
        held = [part for part in waiting if part.vertices[:, 2].min() < NEAR]
        waiting = [part for part in waiting if part.vertices[:, 2].min() >= NEAR]
        new = held
        while new and waiting:
            reached = [part for part in waiting if any(touch(part, other) for other in new)]
            waiting = [part for part in waiting if not any(part is other for other in reached)]
            new = reached
        loose = [(part.component, part.role, part.vertices.mean(0).round(2).tolist()) for part in waiting]
        assert not waiting, (seed, loose)


@every_kind
def test_is_not_too_heavy(kind: str) -> None:
    for seed, piece in zip(SEEDS, made(kind), strict=True):
        assert sum(len(part.triangles) for part in piece.parts) <= 40_000, seed


@every_kind
def test_the_same_seed_makes_the_same_piece(kind: str) -> None:
    first, again = make_piece(kind, 7), make_piece(kind, 7)
    assert len(first.parts) == len(again.parts)
    for a, b in zip(first.parts, again.parts, strict=True):
        assert (a.component, a.role, a.smooth) == (b.component, b.role, b.smooth)
        assert np.array_equal(a.vertices, b.vertices)
        assert np.array_equal(a.triangles, b.triangles)


@every_kind
def test_no_two_seeds_make_the_same_piece(kind: str) -> None:
    for a, b in itertools.combinations([corners(piece) for piece in made(kind)], 2):
        assert a.shape != b.shape or not np.allclose(a, b)
