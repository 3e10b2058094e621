"""Procedurally generated furniture: plausible sizes, sound meshes, parts that touch, and reproducibility.

Each test checks the pieces of one kind and lists the broken ones by design and seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import pytest

from export_models.dataset.makers import KINDS, Design, Piece, make_piece
from orchestrator.domain.vocabulary import COMPONENTS, MATERIALS
from tests.support.contacts import MAX_GAP, Floats, Integers, surfaces_of, unconnected

Size = tuple[float, float, float]

SEEDS = range(4)
SEEDS_OF_FIRST_DESIGN = range(20)
"""Seeds of the first design of each kind, whose variants differ more than those of the other designs."""
SIZES: dict[str, tuple[Size, Size]] = {
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
"""Minimum and maximum width, depth and height of each kind in metres."""
DESIGN_SIZES: dict[str, tuple[Size, Size]] = {
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
SEAT_HEIGHTS = {"chair": (0.40, 0.50), "armchair": (0.36, 0.52), "sofa": (0.36, 0.54)}
"""Minimum and maximum height of the seat in metres."""
DESIGN_SEAT_HEIGHTS = {"build_adirondack_chair": (0.25, 0.42)}
"""Seat heights of designs that differ from the other designs of their kind."""
MAX_SHELL_SEAT_M = 0.3
"""Seats that are taller than this include their back: the seat of a moulded shell is near its bottom."""
MAX_PART_M = 3.0
"""Maximum width, depth and height of a part."""
MIN_TRIANGLE_M2 = 1e-12
"""Smaller triangles are degenerate."""
MAX_COPLANAR_M = 0.004
"""Visible faces in one plane overlap by at most this many metres. They would render as black patches."""
COPLANAR_M = 2e-5
"""Faces that are closer together are in one plane."""
DOWNWARDS = 5
"""The ``FlatFaces.side`` that faces down."""


@dataclass(frozen=True)
class Sample:
    """One piece, with all its parts in one mesh."""

    kind: str
    design: Design
    seed: int
    piece: Piece

    def __str__(self) -> str:
        return f"{self.design.__name__} seed {self.seed}"

    @cached_property
    def vertices(self) -> Floats:
        """[V, 3]."""
        return np.concatenate([part.vertices for part in self.piece.parts]).astype(np.float64)

    @cached_property
    def first_vertex(self) -> Integers:
        """[P] index in ``vertices`` of each part's first vertex."""
        return np.cumsum([0, *(len(part.vertices) for part in self.piece.parts[:-1])])

    @cached_property
    def triangles(self) -> Integers:
        """[T, 3] indices in ``vertices``."""
        parts = zip(self.piece.parts, self.first_vertex, strict=True)
        return np.concatenate([part.triangles + first for part, first in parts])

    @cached_property
    def part_of_triangle(self) -> Integers:
        """[T] index of each triangle's part."""
        return np.repeat(np.arange(len(self.piece.parts)), [len(part.triangles) for part in self.piece.parts])

    @cached_property
    def corners(self) -> Floats:
        """[T, 3, 3] corners of each triangle."""
        return self.vertices[self.triangles]

    @cached_property
    def area_vectors(self) -> Floats:
        """[T, 3] outward normal of each triangle, as long as its area."""
        a, b, c = self.corners.transpose(1, 0, 2)
        return np.asarray(np.cross(b - a, c - a) / 2)

    @cached_property
    def low(self) -> Floats:
        """[P, 3] lowest coordinates of each part."""
        return np.minimum.reduceat(self.vertices, self.first_vertex)

    @cached_property
    def high(self) -> Floats:
        """[P, 3] highest coordinates of each part."""
        return np.maximum.reduceat(self.vertices, self.first_vertex)

    def describe(self, parts: Iterable[int]) -> list[str]:
        """Return component, role and centre of the parts with these indices."""
        return [
            f"{self.piece.parts[i].component} of {self.piece.parts[i].role} at {self.vertices_of(i).mean(0).round(2)}"
            for i in sorted(set(parts))
        ]

    def vertices_of(self, part: int) -> Floats:
        """[N, 3] vertices of one part."""
        first = self.first_vertex[part]
        return self.vertices[first : first + len(self.piece.parts[part].vertices)]


@pytest.fixture(scope="module", params=KINDS)
def samples(request: pytest.FixtureRequest) -> list[Sample]:
    """Several pieces of each design of one kind."""
    kind: str = request.param
    return [
        Sample(kind, design, seed, make_piece(kind, seed, design))
        for number, design in enumerate(KINDS[kind])
        for seed in (SEEDS if number else SEEDS_OF_FIRST_DESIGN)
    ]


def test_pieces_stand_on_the_floor(samples: list[Sample]) -> None:
    lowest = {str(sample): sample.low[:, 2].min() for sample in samples}
    broken = {name: z for name, z in lowest.items() if abs(z) >= 1e-3}
    assert not broken, broken


def test_pieces_have_plausible_sizes(samples: list[Sample]) -> None:
    broken = {}
    for sample in samples:
        minimum, maximum = DESIGN_SIZES.get(sample.design.__name__, SIZES[sample.kind])
        size = np.ptp(sample.vertices, axis=0)
        if (size < minimum).any() or (size > maximum).any():
            broken[str(sample)] = size
    assert not broken, broken


@pytest.mark.parametrize("samples", SEAT_HEIGHTS, indirect=True)
def test_seats_have_plausible_heights(samples: list[Sample]) -> None:
    broken = {}
    for sample in samples:
        low, high = DESIGN_SEAT_HEIGHTS.get(sample.design.__name__, SEAT_HEIGHTS[sample.kind])
        heights = [part.vertices[:, 2] for part in sample.piece.parts if part.component in ("seat", "cushion")]
        tops = [np.percentile(z, 95 if np.ptp(z) < MAX_SHELL_SEAT_M else 20) for z in heights]
        if not any(low <= top <= high for top in tops):
            broken[str(sample)] = tops
    assert not broken, broken


def test_arrays_are_valid(samples: list[Sample]) -> None:
    for sample in samples:
        for part in sample.piece.parts:
            where = (str(sample), part.component, part.role)
            assert part.vertices.dtype == np.float32, where
            assert part.triangles.dtype == np.int32, where
            assert np.isfinite(part.vertices).all(), where
            assert part.triangles.min() >= 0, where
            assert part.triangles.max() < len(part.vertices), where
        assert (sample.high - sample.low).max() < MAX_PART_M, str(sample)
        grain = np.stack([part.grain for part in sample.piece.parts])
        assert np.linalg.norm(grain, axis=1) == pytest.approx(1.0, abs=1e-5), str(sample)


def test_parts_are_watertight_and_face_outwards(samples: list[Sample]) -> None:
    found = {str(sample): sample.describe([*open_parts(sample), *inverted_parts(sample)]) for sample in samples}
    broken = {name: parts for name, parts in found.items() if parts}
    assert not broken, broken


def open_parts(sample: Sample) -> list[int]:
    """Return the parts that are not watertight."""
    triangles = [part.triangles.astype(np.int32).tobytes() for part in sample.piece.parts]
    return [i for i, data in enumerate(triangles) if not is_watertight(data)]


@cache
def is_watertight(triangles: bytes) -> bool:
    """Whether each edge joins two triangles in opposite directions. Many parts have the same triangles."""
    start, end = np.frombuffer(triangles, np.int32).reshape(-1, 3)[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).T
    edges, reversed_edges = (np.sort(a.astype(np.int64) << 32 | b) for a, b in ((start, end), (end, start)))
    return np.array_equal(edges, reversed_edges) and bool((np.diff(edges) > 0).all())


def inverted_parts(sample: Sample) -> Integers:
    """Return the parts whose triangles enclose no positive volume."""
    from_middle = sample.corners[:, 0] - ((sample.low + sample.high) / 2)[sample.part_of_triangle]
    volume = np.bincount(sample.part_of_triangle, (from_middle * sample.area_vectors).sum(1))
    return np.flatnonzero(volume <= 0)


def test_parts_have_no_degenerate_triangles(samples: list[Sample]) -> None:
    broken = {}
    for sample in samples:
        area = np.linalg.norm(sample.area_vectors, axis=1)
        if area.min() <= MIN_TRIANGLE_M2:
            broken[str(sample)] = sample.describe(sample.part_of_triangle[area <= MIN_TRIANGLE_M2])
    assert not broken, broken


def test_no_two_visible_faces_lie_in_the_same_plane(samples: list[Sample]) -> None:
    broken = {}
    for sample in samples:
        faces = flat_faces(sample)
        visible = [pair for pair in coplanar_pairs(faces) if not is_hidden(sample, faces, *pair)]
        if visible:
            broken[str(sample)] = [sample.describe(faces.part[list(pair)]) for pair in visible]
    assert not broken, broken


class FlatFaces(NamedTuple):
    """The faces of flat-shaded parts that are perpendicular to an axis."""

    part: Integers  # [F]
    side: Integers  # [F] axis of the normal, plus 3 if it points in the negative direction
    position: Floats  # [F] along the axis
    low: Floats  # [F, 3]
    high: Floats  # [F, 3]


def flat_faces(sample: Sample) -> FlatFaces:
    """Return the extent of each part's triangles on each side, if they are in one plane."""
    is_flat = np.array([not part.smooth for part in sample.piece.parts])[sample.part_of_triangle]
    axis = np.abs(sample.area_vectors).argmax(1)
    along = sample.area_vectors[np.arange(len(axis)), axis]
    area = np.linalg.norm(sample.area_vectors, axis=1)
    chosen = np.flatnonzero(is_flat & (np.abs(along) > 0.999 * area + 1e-9))
    face = 6 * sample.part_of_triangle[chosen] + axis[chosen] + 3 * (along[chosen] < 0)
    order = face.argsort(kind="stable")
    numbers, first = np.unique(face[order], return_index=True)
    corners = sample.corners[chosen[order]]
    low, high = np.minimum.reduceat(corners.min(1), first), np.maximum.reduceat(corners.max(1), first)
    part, side = np.divmod(numbers, 6)
    start, end = low[np.arange(len(side)), side % 3], high[np.arange(len(side)), side % 3]
    faces = FlatFaces(part, side, (start + end) / 2, low, high)
    return FlatFaces(*(values[end - start < 1e-5] for values in faces))


def coplanar_pairs(faces: FlatFaces) -> Integers:
    """Return the pairs [N, 2] of faces on the same side that overlap in one plane above the floor."""
    is_above_floor = (faces.side != DOWNWARDS) | (faces.position > 1e-3)
    in_one_plane = np.abs(faces.position[:, None] - faces.position) <= COPLANAR_M
    in_one_plane &= (faces.side[:, None] == faces.side) & is_above_floor
    i, j = np.nonzero(np.triu(in_one_plane, 1))
    overlap = np.minimum(faces.high[i], faces.high[j]) - np.maximum(faces.low[i], faces.low[j])
    overlap[np.arange(len(i)), faces.side[i] % 3] = np.inf
    return np.asarray(np.stack([i, j], -1)[(overlap > MAX_COPLANAR_M).all(1)])


def is_hidden(sample: Sample, faces: FlatFaces, i: int, j: int) -> bool:
    """Whether the bounding boxes of other parts cover the overlap of two coplanar faces."""
    low, high = np.maximum(faces.low[i], faces.low[j]), np.minimum(faces.high[i], faces.high[j])
    axis, sign = faces.side[i] % 3, 1 if faces.side[i] < 3 else -1
    shares = np.insert(np.stack(np.meshgrid(*[(np.arange(4) + 0.5) / 4] * 2), -1).reshape(-1, 2), axis, 0.0, axis=1)
    points = low + shares * (high - low)
    points[:, axis] = faces.position[i] + 0.0006 * sign
    others = np.setdiff1d(np.arange(len(sample.piece.parts)), faces.part[[i, j]])
    covered = (points[:, None] >= sample.low[others]) & (points[:, None] <= sample.high[others])
    return bool(covered.all(2).any(1).all())


def test_labels_and_materials_are_known(samples: list[Sample]) -> None:
    for sample in samples:
        piece = sample.piece
        assert piece.kind == sample.kind, str(sample)
        assert {part.component for part in piece.parts} <= set(COMPONENTS), str(sample)
        assert {part.role for part in piece.parts} == set(piece.roles), str(sample)
        for role, classes in piece.roles.items():
            assert classes, (str(sample), role)
            assert set(classes) <= set(MATERIALS), (str(sample), role)


def test_every_part_is_connected_to_the_floor(samples: list[Sample]) -> None:
    found = {str(sample): sample.describe(loose_parts(sample)) for sample in samples}
    broken = {name: parts for name, parts in found.items() if parts}
    assert not broken, broken


def loose_parts(sample: Sample) -> list[int]:
    """Return the parts that do not touch the floor, directly or through other parts."""
    surfaces = surfaces_of(sample.vertices, sample.triangles, sample.part_of_triangle)
    return unconnected(surfaces, roots=np.flatnonzero(sample.low[:, 2] < MAX_GAP))


def test_pieces_have_at_most_40000_triangles(samples: list[Sample]) -> None:
    broken = {str(sample): len(sample.triangles) for sample in samples if len(sample.triangles) > 40_000}
    assert not broken, broken


def test_the_same_seed_makes_the_same_piece(samples: list[Sample]) -> None:
    for sample in samples:
        if sample.seed != SEEDS[0]:
            continue
        again = make_piece(sample.kind, sample.seed, sample.design)
        assert len(again.parts) == len(sample.piece.parts), str(sample)
        for a, b in zip(sample.piece.parts, again.parts, strict=True):
            assert (a.component, a.role, a.smooth) == (b.component, b.role, b.smooth), str(sample)
            assert np.array_equal(a.vertices, b.vertices), str(sample)
            assert np.array_equal(a.triangles, b.triangles), str(sample)


def test_no_two_seeds_make_the_same_piece(samples: list[Sample]) -> None:
    for a, b in itertools.combinations(samples, 2):
        if a.design is b.design and a.vertices.shape == b.vertices.shape:
            assert not np.allclose(a.vertices, b.vertices), (str(a), b.seed)
