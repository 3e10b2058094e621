"""Procedurally generated furniture: plausible sizes, sound meshes, parts that touch, and reproducibility."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.makers import KINDS, Design, Part, Piece, make_piece

SEEDS = range(20)
"""Seeds of a kind's first design, which has many variants. Other designs vary less: see ``seeds``."""
MAX_GAP = 0.005
"""Two parts touch if they are at most this many metres apart, as a drawer in its opening or a pin in its hole."""
SIZES = {  # minimum and maximum width, depth and height in metres
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
    "bench": ((0.65, 0.28, 0.38), (1.75, 0.80, 1.10)),
    "mirror": ((0.35, 0.05, 1.0), (1.0, 0.6, 1.95)),
    "rack": ((0.33, 0.01, 0.10), (1.60, 0.60, 2.00)),
    "stand": ((0.22, 0.22, 0.28), (1.10, 0.70, 1.95)),
}
SEAT_HEIGHTS = {"chair": (0.40, 0.50), "armchair": (0.36, 0.52), "sofa": (0.36, 0.54)}
LOW_SEATS = ("build_adirondack_chair",)
LOW_SEAT = (0.25, 0.42)
MIN_TRIANGLE_M2 = 1e-12
"""Smaller triangles are degenerate."""
MAX_COPLANAR_M = 0.004
"""Visible faces in one plane overlap by at most this many metres. They would render as black patches."""
COPLANAR_M = 2e-5
"""Faces that are closer together are in one plane."""
DOWNWARDS = 5
"""The side of a ``FlatFace`` that looks down."""
EDGES_PER_BLOCK = 400
"""Edges that ``edge_meets_face`` compares with all faces at once, which limits its memory."""

CASES = [(kind, design) for kind, designs in KINDS.items() for design in designs]
DESIGN_SIZES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "build_nesting_tables": ((0.33, 0.28, 0.40), (1.0, 1.3, 0.6)),
    "build_c_table": ((0.33, 0.22, 0.5), (0.6, 0.4, 0.7)),
    "build_tray_table": ((0.33, 0.2, 0.4), (0.8, 0.8, 0.65)),
    "build_kitchen_island": ((0.55, 0.4, 0.83), (1.45, 0.65, 0.95)),
    "build_crib": ((1.2, 0.6, 0.8), (1.4, 0.8, 1.0)),
    "build_house_bed": ((0.9, 1.6, 1.4), (1.1, 2.2, 1.85)),
    "build_sliding_wardrobe": ((1.35, 0.55, 1.9), (2.45, 0.7, 2.3)),
    "build_shoe_cabinet": ((0.45, 0.18, 0.65), (1.2, 0.4, 1.35)),
    "build_locker": ((0.3, 0.36, 0.5), (1.25, 0.55, 1.9)),
    "build_secretary": ((0.65, 0.55, 1.0), (1.05, 0.85, 1.45)),
    "build_leaning_desk": ((0.65, 0.34, 1.5), (1.0, 0.75, 1.95)),
    "build_futon": ((1.4, 0.75, 0.7), (2.1, 1.3, 1.15)),
    "build_adirondack_chair": ((0.5, 0.8, 0.7), (0.85, 1.2, 1.15)),
    "build_lounger": ((0.55, 1.7, 0.28), (0.8, 2.1, 1.1)),
    "build_picnic_table": ((1.15, 0.6, 0.7), (1.85, 1.75, 0.78)),
    "build_rocking_chair": ((0.45, 0.6, 0.8), (0.85, 1.1, 1.4)),
    "build_ottoman": ((0.48, 0.28, 0.36), (1.0, 1.0, 0.5)),
    "build_pouf": ((0.40, 0.40, 0.31), (0.65, 0.65, 0.43)),
    "build_corner_shelf": ((0.28, 0.28, 0.75), (0.5, 0.5, 1.8)),
}
"""Sizes of designs that differ from the other designs of their kind."""
every_design = pytest.mark.parametrize(
    ("kind", "design"), CASES, ids=[f"{kind}-{design.__name__.removeprefix('build_')}" for kind, design in CASES]
)
Points = NDArray[np.float64]


def seeds(kind: str, design: Design) -> range:
    """Return the seeds of the pieces that are tested."""
    return SEEDS if design is next(iter(KINDS[kind])) else range(4)


@cache
def pieces(kind: str, design: Design) -> tuple[Piece, ...]:
    """Return the piece of each seed."""
    return tuple(make_piece(kind, seed, design) for seed in seeds(kind, design))


def vertices_of(piece: Piece) -> Points:
    """[V, 3]."""
    return np.concatenate([part.vertices for part in piece.parts]).astype(np.float64)


def corners_of(part: Part) -> Points:
    """[T, 3, 3] corners of each triangle."""
    return np.asarray(part.vertices[part.triangles], np.float64)


def touch(a: Part, b: Part) -> bool:
    """Whether two parts intersect or come within MAX_GAP of each other, or one is inside the other."""
    low = np.maximum(a.vertices.min(0), b.vertices.min(0)) - MAX_GAP
    high = np.minimum(a.vertices.max(0), b.vertices.max(0)) + MAX_GAP
    if (low > high).any():
        return False
    samples = [surface_samples(part, low, high) for part in (a, b)]
    if len(samples[0]) and len(samples[1]):
        distance, _ = cKDTree(samples[0]).query(samples[1], distance_upper_bound=2 * MAX_GAP)
        if distance.min() < MAX_GAP:
            return True
    return edge_meets_face(a, b, low, high) or edge_meets_face(b, a, low, high) or is_inside(a, b) or is_inside(b, a)


def surface_samples(part: Part, low: Points, high: Points) -> Points:
    """Return the corners, centroids and edge midpoints [N, 3] of the part's triangles that are inside a box."""
    faces = corners_of(part)
    midpoints = (faces + np.roll(faces, 1, 1)).reshape(-1, 3) / 2
    samples = np.concatenate([faces.reshape(-1, 3), faces.mean(1), midpoints])
    return np.asarray(samples[((samples >= low) & (samples <= high)).all(1)])


def is_inside(a: Part, b: Part) -> bool:
    """Whether the first vertex of ``a`` is inside ``b``.

    The solid angles of the faces of ``b`` (Van Oosterom & Strackee 1983) add up to 4 pi inside and to 0 outside.
    """
    p, q, r = (corners_of(b) - a.vertices[0]).transpose(1, 0, 2)
    lengths = [np.linalg.norm(side, axis=1) for side in (p, q, r)]
    numerator = (p * np.cross(q, r)).sum(1)
    denominator = np.prod(lengths, axis=0) + sum(
        (u * v).sum(1) * length for u, v, length in ((p, q, lengths[2]), (q, r, lengths[0]), (r, p, lengths[1]))
    )
    return bool(abs(np.arctan2(numerator, denominator).sum()) > np.pi)


def edge_meets_face(a: Part, b: Part, low: Points, high: Points) -> bool:
    """Whether an edge of ``a`` passes through a face of ``b``, or a vertex of ``a`` is within MAX_GAP of one.

    Only faces that overlap the box from ``low`` to ``high`` are compared.
    """
    faces, others = corners_of(b), corners_of(a)
    faces = faces[((faces.max(1) >= low) & (faces.min(1) <= high)).all(1)]
    others = others[((others.max(1) >= low) & (others.min(1) <= high)).all(1)]
    if not len(faces) or not len(others):
        return False
    starts, ends = others.reshape(-1, 3), np.roll(others, -1, 1).reshape(-1, 3)
    normal = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    for first in range(0, len(starts), EDGES_PER_BLOCK):
        block = slice(first, first + EDGES_PER_BLOCK)
        heights = [points[block] @ normal.T - (faces[:, 0] * normal).sum(1) for points in (starts, ends)]
        near_plane = (heights[0] * heights[1] <= 0) | (np.abs(heights[0]) < MAX_GAP)
        edge, face = np.nonzero(near_plane)
        h0, h1 = heights[0][edge, face], heights[1][edge, face]
        share = np.where(h0 * h1 <= 0, h0 / np.where(h0 == h1, 1.0, h0 - h1), 0.0)
        candidates = starts[block][edge] + share[:, None] * (ends[block] - starts[block])[edge]
        closest = trimesh.triangles.closest_point(faces[face], candidates)
        if len(candidates) and (np.linalg.norm(closest - candidates, axis=1) < MAX_GAP).any():
            return True
    return False


class FlatFace(NamedTuple):
    """The extent of a part's triangles in one plane perpendicular to an axis."""

    part: Part
    side: int  # axis, plus 3 if the face looks in the negative direction
    position: float  # along the axis
    low: Points  # [2] along the other axes
    high: Points


def flat_faces(part: Part) -> list[FlatFace]:
    """Return the faces of a flat-shaded part that are perpendicular to an axis."""
    if part.smooth:
        return []
    corners = corners_of(part)
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    faces = []
    for side in range(6):
        axis = side % 3
        facing = area[:, axis] * (1 if side < 3 else -1) > 0.999 * np.linalg.norm(area, axis=1) + 1e-9
        if facing.any() and np.ptp(corners[facing][..., axis]) < 1e-5:
            others = np.delete(corners[facing].reshape(-1, 3), axis, axis=1)
            position = float(corners[facing][..., axis].mean())
            faces.append(FlatFace(part, side, position, others.min(0), others.max(0)))
    return faces


def coplanar_pairs(faces: list[FlatFace]) -> Iterator[tuple[FlatFace, FlatFace]]:
    """Yield the pairs of faces that look in the same direction and overlap in one plane."""
    faces = sorted(faces, key=lambda face: (face.side, face.position))
    for i, a in enumerate(faces):
        for b in faces[i + 1 :]:
            if b.side != a.side or b.position - a.position > COPLANAR_M:
                break
            if (np.minimum(a.high, b.high) - np.maximum(a.low, b.low)).min() > MAX_COPLANAR_M:
                yield a, b


def is_hidden(piece: Piece, a: FlatFace, b: FlatFace) -> bool:
    """Whether the bounding boxes of other parts cover the overlap of two coplanar faces."""
    low, high = np.maximum(a.low, b.low), np.minimum(a.high, b.high)
    shares = np.stack(np.meshgrid(*[(np.arange(4) + 0.5) / 4] * 2), -1).reshape(-1, 2)
    outside = a.position + (1 if a.side < 3 else -1) * 0.0006
    points = np.insert(low + shares * (high - low), a.side % 3, outside, axis=1)
    others = [part.vertices for part in piece.parts if part is not a.part and part is not b.part]
    covered = [((points >= box.min(0)) & (points <= box.max(0))).all(1) for box in others]
    return bool(np.any(covered, axis=0).all())


@every_design
def test_pieces_stand_on_the_floor(kind: str, design: Design) -> None:
    for piece in pieces(kind, design):
        assert abs(vertices_of(piece)[:, 2].min()) < 1e-3


@every_design
def test_pieces_have_plausible_sizes(kind: str, design: Design) -> None:
    minimum, maximum = DESIGN_SIZES.get(design.__name__, SIZES[kind])
    for seed, piece in zip(seeds(kind, design), pieces(kind, design), strict=True):
        size = np.ptp(vertices_of(piece), axis=0)
        assert (size >= minimum).all(), (seed, size)
        assert (size <= maximum).all(), (seed, size)


@pytest.mark.parametrize(("kind", "design"), [case for case in CASES if case[0] in SEAT_HEIGHTS])
def test_seats_have_plausible_heights(kind: str, design: Design) -> None:
    low, high = LOW_SEAT if design.__name__ in LOW_SEATS else SEAT_HEIGHTS[kind]
    for seed, piece in zip(seeds(kind, design), pieces(kind, design), strict=True):
        heights = [part.vertices[:, 2] for part in piece.parts if part.component in ("seat", "cushion")]
        # Moulded shells are taller than 0.3 m; their seat is near the bottom.
        tops = [np.percentile(z, 95) if np.ptp(z) < 0.3 else np.percentile(z, 20) for z in heights]
        assert any(low <= top <= high for top in tops), (seed, tops)


@every_design
def test_arrays_are_valid(kind: str, design: Design) -> None:
    for seed, piece in zip(seeds(kind, design), pieces(kind, design), strict=True):
        for part in piece.parts:
            assert part.vertices.dtype == np.float32
            assert part.triangles.dtype == np.int32
            assert np.isfinite(part.vertices).all()
            assert part.triangles.min() >= 0
            assert part.triangles.max() < len(part.vertices)
            assert np.ptp(part.vertices, axis=0).max() < 3.0, (seed, part.component)
            assert np.linalg.norm(part.grain) == pytest.approx(1.0, abs=1e-5)


@every_design
def test_parts_are_watertight_and_face_outwards(kind: str, design: Design) -> None:
    for seed, piece in zip(seeds(kind, design), pieces(kind, design), strict=True):
        for part in piece.parts:
            edges = part.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
            forward = edges[:, 0].astype(np.int64) * len(part.vertices) + edges[:, 1]
            backward = edges[:, 1].astype(np.int64) * len(part.vertices) + edges[:, 0]
            assert np.array_equal(np.sort(forward), np.sort(backward)), (seed, part.component)
            assert len(np.unique(forward)) == len(forward), (seed, part.component)
            a, b, c = corners_of(part).transpose(1, 0, 2) - part.vertices.mean(0)
            volume = (a * np.cross(b, c)).sum() / 6
            assert volume > 0, (seed, part.component, part.role)


@every_design
def test_parts_have_no_degenerate_triangles(kind: str, design: Design) -> None:
    for seed, piece in zip(seeds(kind, design), pieces(kind, design), strict=True):
        for part in piece.parts:
            a, b, c = corners_of(part).transpose(1, 0, 2)
            area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
            assert area.min() > MIN_TRIANGLE_M2, (seed, part.component, part.role)


@every_design
def test_no_two_visible_faces_lie_in_the_same_plane(kind: str, design: Design) -> None:
    for seed, piece in zip(seeds(kind, design), pieces(kind, design), strict=True):
        faces = [face for part in piece.parts for face in flat_faces(part)]
        above_floor = [face for face in faces if face.side != DOWNWARDS or face.position > 1e-3]
        for a, b in coplanar_pairs(above_floor):
            assert is_hidden(piece, a, b), (seed, a, b)


@every_design
def test_labels_and_materials_are_known(kind: str, design: Design) -> None:
    for piece in pieces(kind, design):
        assert piece.kind == kind
        assert {part.component for part in piece.parts} <= set(COMPONENTS) - {"background"}
        assert {part.role for part in piece.parts} == set(piece.roles)
        for classes in piece.roles.values():
            assert classes
            assert set(classes) <= set(MATERIALS)


@every_design
def test_every_part_is_connected_to_the_floor(kind: str, design: Design) -> None:
    for seed, piece in zip(seeds(kind, design), pieces(kind, design), strict=True):
        newly_connected = [part for part in piece.parts if part.vertices[:, 2].min() < MAX_GAP]
        unconnected = [part for part in piece.parts if part.vertices[:, 2].min() >= MAX_GAP]
        while newly_connected and unconnected:
            touching = [part for part in unconnected if any(touch(part, other) for other in newly_connected)]
            unconnected = [part for part in unconnected if not any(part is other for other in touching)]
            newly_connected = touching
        summary = [(part.component, part.role, part.vertices.mean(0).round(2).tolist()) for part in unconnected]
        assert not unconnected, (seed, summary)


@every_design
def test_pieces_have_at_most_40000_triangles(kind: str, design: Design) -> None:
    for seed, piece in zip(seeds(kind, design), pieces(kind, design), strict=True):
        assert sum(len(part.triangles) for part in piece.parts) <= 40_000, seed


@every_design
def test_the_same_seed_makes_the_same_piece(kind: str, design: Design) -> None:
    first, again = make_piece(kind, 7, design), make_piece(kind, 7, design)
    assert len(first.parts) == len(again.parts)
    for a, b in zip(first.parts, again.parts, strict=True):
        assert (a.component, a.role, a.smooth) == (b.component, b.role, b.smooth)
        assert np.array_equal(a.vertices, b.vertices)
        assert np.array_equal(a.triangles, b.triangles)


@every_design
def test_no_two_seeds_make_the_same_piece(kind: str, design: Design) -> None:
    for a, b in itertools.combinations([vertices_of(piece) for piece in pieces(kind, design)], 2):
        assert a.shape != b.shape or not np.allclose(a, b)
