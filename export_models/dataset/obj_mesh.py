"""Reads Wavefront OBJ files: positions, UVs, normals, materials and groups, as triangles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.makers.outlines import ear_clip

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_CONCAVITY = 1e-4
"""A polygon counts as convex if no corner turns inwards by more than this share of its sharpest corner. Not tuned."""


@dataclass(frozen=True)
class ObjMesh:
    """The triangles of an OBJ file."""

    vertices: Floats  # [V, 3]
    triangles: Ints  # [T, 3]
    uv: Floats  # [T, 3, 2], zeros if the file has none
    normals: Floats  # [T, 3, 3], zeros if the file has none
    material: Ints  # [T] index into material_names
    material_names: tuple[str, ...]
    group: Ints  # [T] index into group_names
    group_names: tuple[str, ...]  # from both `o` and `g` lines


def read_obj(text: bytes) -> ObjMesh:
    """Read the faces of a Wavefront OBJ file. Lines, points and unused vertices are dropped.

    Raises:
        ValueError: a number cannot be parsed, or an index is relative or out of range.
    """
    values: dict[bytes, list[bytes]] = {b"v": [], b"vt": [], b"vn": []}
    faces: list[bytes] = []
    face_labels: list[tuple[int, int]] = []  # material and group of each face
    names: dict[bytes, dict[str, int]] = {b"material": {"": 0}, b"group": {"": 0}}
    current = {b"material": 0, b"group": 0}
    for line in text.splitlines():
        key, _, rest = line.partition(b" ")
        if key == b"f":
            if rest.count(b" ") > 1:
                faces.append(rest)
                face_labels.append((current[b"material"], current[b"group"]))
        elif key in values:
            values[key].append(rest)
        elif key in (b"usemtl", b"g", b"o"):
            label = b"material" if key == b"usemtl" else b"group"
            name = rest.decode("latin-1").strip()
            current[label] = names[label].setdefault(name, len(names[label]))
    points, uv, normals = (_parse_table(values[key], width) for key, width in ((b"v", 3), (b"vt", 2), (b"vn", 3)))
    corners, corner_counts = _parse_corners(faces, [len(points), len(uv), len(normals)])
    triangle_corners, face_of_triangle = _triangulate(points[corners[:, 0]], corner_counts)
    corners, labels = corners[triangle_corners], np.array(face_labels)[face_of_triangle]
    used, triangles = np.unique(corners[:, :, 0], return_inverse=True)
    return ObjMesh(
        points[used],
        triangles.reshape(-1, 3),
        np.vstack([uv, np.zeros((1, 2))])[corners[:, :, 1]],  # the index -1 selects the appended zeros
        np.vstack([normals, np.zeros((1, 3))])[corners[:, :, 2]],
        labels[:, 0],
        tuple(names[b"material"]),
        labels[:, 1],
        tuple(names[b"group"]),
    )


def _parse_table(lines: list[bytes], width: int) -> Floats:
    """Return the first ``width`` numbers [L, width] of each line. All lines must have the same length."""
    values = np.array(b" ".join(lines).split(), np.float64)
    return np.asarray(values.reshape(len(lines), -1)[:, :width]) if lines else np.zeros((0, width))


def _parse_corners(faces: list[bytes], lengths: list[int]) -> tuple[Ints, Ints]:
    """Parse the corners of all faces.

    Args:
        lengths: number of positions, UVs and normals in the file.

    Returns:
        [C, 3] zero-based index of the position, UV and normal of each corner, -1 for none; and [F] number of corners of
        each face.

    Raises:
        ValueError: an index is relative or out of range.
    """
    counts = np.array([len(face.split()) for face in faces])
    slashes = np.array([face.count(b"/") for face in faces]) // counts  # 0: v, 1: v/vt, 2: v/vt/vn or v//vn
    corners = np.zeros((counts.sum(), 3), np.int64)
    for slash_count in range(3):
        selected = b" ".join(face for face, n in zip(faces, slashes.tolist(), strict=True) if n == slash_count)
        numbers = np.array(selected.replace(b"//", b"/0/").replace(b"/", b" ").split(), np.int64)
        rows = np.repeat(slashes, counts) == slash_count
        corners[rows, : slash_count + 1] = numbers.reshape(-1, slash_count + 1)
    if corners.min() < 0 or (corners.max(0) > lengths).any():
        raise ValueError(
            f"Invalid face index: position, UV and normal indices range from {corners.min()} to {corners.max(0)}, but "
            f"the file has {lengths} of them. Relative (negative) indices are not supported."
        )
    return corners - 1, counts


def _triangulate(corners: Floats, counts: Ints) -> tuple[Ints, Ints]:
    """Triangulate polygons: convex ones as fans, the others by ear clipping.

    Args:
        corners: [C, 3] positions, face after face.
        counts: [F] number of corners of each face.

    Returns:
        [T, 3] indices into ``corners``, and [T] face of each triangle.
    """
    first_corner = np.cumsum(counts) - counts
    triangles, faces = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    for sides in np.unique(counts):
        selected = np.flatnonzero(counts == sides)
        index = first_corner[selected, None] + np.arange(sides)
        polygons = corners[index]
        turns = np.cross(polygons - np.roll(polygons, 1, 1), np.roll(polygons, -1, 1) - polygons)
        turn_sign = (turns * _area_vector(polygons)[:, None]).sum(-1)
        limit = -MAX_CONCAVITY * np.abs(turn_sign).max(1, keepdims=True)
        is_convex = (turn_sign >= limit).all(1) | (sides == 3)
        fan = np.stack([np.zeros(sides - 2, int), np.arange(1, sides - 1), np.arange(2, sides)], 1)
        triangles.append(index[is_convex][:, fan].reshape(-1, 3))
        faces.append(np.repeat(selected[is_convex], sides - 2))
        for number in np.flatnonzero(~is_convex):
            triangles.append(index[number][_clip_ears(polygons[number])])
            faces.append(np.full(sides - 2, selected[number]))
    return np.concatenate(triangles), np.concatenate(faces)


def _area_vector(polygons: Floats) -> Floats:
    """Return twice the area vector [..., 3] of polygons [..., n, 3] (Newell's method)."""
    return np.asarray(np.cross(polygons, np.roll(polygons, -1, -2)).sum(-2))


def _clip_ears(polygon: Floats) -> Ints:
    """Return the triangles [n - 2, 3] of a simple polygon [n, 3]: clip ears in its largest axis-aligned projection."""
    plane_axes = np.sort(np.argsort(np.abs(_area_vector(polygon)))[:2])
    flat = polygon[:, plane_axes]
    is_clockwise = _area_vector(np.pad(flat, ((0, 0), (0, 1))))[2] < 0
    return ear_clip(flat * [1, -1] if is_clockwise else flat).astype(np.int64)
