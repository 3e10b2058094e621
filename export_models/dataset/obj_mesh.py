"""Read Wavefront OBJ as the furniture package has it: positions, UVs, normals, materials and groups, as triangles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.makers.outlines import ear_clip

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ObjMesh:
    """The triangles of an OBJ."""

    vertices: Floats  # [V, 3]
    triangles: Ints  # [T, 3]
    uv: Floats  # [T, 3, 2], zeros where there is none
    normals: Floats  # [T, 3, 3], zeros where there is none
    material: Ints  # [T] index into material_names
    material_names: tuple[str, ...]
    group: Ints  # [T] index into group_names
    group_names: tuple[str, ...]  # of `o` and `g` lines alike


def read_obj(text: bytes) -> ObjMesh:
    """Read the faces of a Wavefront OBJ; lines, points and unused vertices are left out.

    Raises:
        ValueError: a number in it cannot be read.
    """
    numbers: dict[bytes, list[bytes]] = {b"v": [], b"vt": [], b"vn": []}
    faces: list[bytes] = []
    owner: list[tuple[int, int]] = []
    names: dict[bytes, dict[str, int]] = {b"material": {"": 0}, b"group": {"": 0}}
    current = {b"material": 0, b"group": 0}
    for line in text.splitlines():
        key, _, rest = line.partition(b" ")
        if key == b"f":
            if rest.count(b" ") > 1:
                faces.append(rest)
                owner.append((current[b"material"], current[b"group"]))
        elif key in numbers:
            numbers[key].append(rest)
        elif key in (b"usemtl", b"g", b"o"):
            what = b"material" if key == b"usemtl" else b"group"
            name = rest.decode("latin-1").strip()
            current[what] = names[what].setdefault(name, len(names[what]))
    points, uv, normals = (_table(numbers[key], width) for key, width in ((b"v", 3), (b"vt", 2), (b"vn", 3)))
    corner, count = _face_corners(faces, [len(points), len(uv), len(normals)])
    fan, face = _triangulate(points[corner[:, 0]], count)
    corner, owners = corner[fan], np.array(owner)[face]
    used, triangles = np.unique(corner[:, :, 0], return_inverse=True)
    return ObjMesh(
        points[used],
        triangles.reshape(-1, 3),
        np.vstack([uv, np.zeros((1, 2))])[corner[:, :, 1]],
        np.vstack([normals, np.zeros((1, 3))])[corner[:, :, 2]],
        owners[:, 0],
        tuple(names[b"material"]),
        owners[:, 1],
        tuple(names[b"group"]),
    )


def _table(lines: list[bytes], width: int) -> Floats:
    """[L, width] the first numbers of each line; all lines have as many."""
    values = np.array(b" ".join(lines).split(), np.float64)
    return np.asarray(values.reshape(len(lines), -1)[:, :width]) if lines else np.zeros((0, width))


def _face_corners(faces: list[bytes], lengths: list[int]) -> tuple[Ints, Ints]:
    """[C, 3] index from 0 of the position, UV and normal of each corner, -1 for none; and [F] corners a face.

    Raises:
        ValueError: an index is relative or out of range.
    """
    count = np.array([len(face.split()) for face in faces])
    given = np.array([face.count(b"/") for face in faces]) // count  # 0: v, 1: v/vt, 2: v/vt/vn or v//vn
    values = np.zeros((count.sum(), 3), np.int64)
    for slashes in range(3):
        alike = b" ".join(face for face, has in zip(faces, given.tolist(), strict=True) if has == slashes)
        numbers = np.array(alike.replace(b"//", b"/0/").replace(b"/", b" ").split(), np.int64)
        values[np.repeat(given, count) == slashes, : slashes + 1] = numbers.reshape(-1, slashes + 1)
    if values.min() < 0 or (values.max(0) > lengths).any():
        raise ValueError(f"face indices run from {values.min()} to {values.max(0)}, allowed are 1 to {lengths}")
    return values - 1, count


def _triangulate(corners: Floats, count: Ints) -> tuple[Ints, Ints]:
    """Cut polygons into triangles: fans where they are convex, ears where they are not.

    Args:
        corners: [C, 3], face after face.
        count: [F] corners of each face.

    Returns:
        [T, 3] indices of corners, and [T] the face each triangle is of.
    """
    start = np.cumsum(count) - count
    triangles, faces = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    for sides in np.unique(count):
        some = np.flatnonzero(count == sides)
        index = start[some, None] + np.arange(sides)
        at = corners[index]
        turns = np.cross(at - np.roll(at, 1, 1), np.roll(at, -1, 1) - at)
        facing = (turns * _newell(at)[:, None]).sum(-1)
        convex = (facing >= -1e-4 * np.abs(facing).max(1, keepdims=True)).all(1) | (sides == 3)
        fan = np.stack([np.zeros(sides - 2, int), np.arange(1, sides - 1), np.arange(2, sides)], 1)
        triangles.append(index[convex][:, fan].reshape(-1, 3))
        faces.append(np.repeat(some[convex], sides - 2))
        for number in np.flatnonzero(~convex):
            triangles.append(index[number][_ears(at[number])])
            faces.append(np.full(sides - 2, some[number]))
    return np.concatenate(triangles), np.concatenate(faces)


def _newell(at: Floats) -> Floats:
    """[..., 3] twice the area vector of polygons [..., n, 3]."""
    return np.asarray(np.cross(at, np.roll(at, -1, -2)).sum(-2))


def _ears(polygon: Floats) -> Ints:
    """[n - 2, 3] triangles of a simple polygon [n, 3], cut in the plane that it is largest in."""
    across = np.sort(np.argsort(np.abs(_newell(polygon)))[:2])
    flat = polygon[:, across]
    clockwise = _newell(np.pad(flat, ((0, 0), (0, 1))))[2] < 0
    return ear_clip(flat * [1, -1] if clockwise else flat).astype(np.int64)
