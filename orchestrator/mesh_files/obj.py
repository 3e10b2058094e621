"""Check a Wavefront OBJ and its materials: numbers that are numbers, faces that exist, paths that lead nowhere else."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

import numpy as np

from orchestrator.mesh_files.gltf_json import leads_out
from orchestrator.mesh_files.limits import (
    MAX_VERTICES,
    Refused,
    check_extent,
    check_triangles,
    check_vertices,
    empty,
    printable,
    shown,
)
from orchestrator.mesh_files.stl_ply import numbers, pieces

VERTEX_LINE = re.compile(rb"\nv[ \t]")
VERTEX = re.compile(rb"\nv[ \t]+([^\s]+[ \t]+[^\s]+[ \t]+[^\s]+)")
FACE = re.compile(rb"\nf[ \t]([^\n]*)")
OTHER_CORNER_PARTS = re.compile(rb"/[^\s]*")
LIBRARY = re.compile(rb"\nmtllib[ \t]([^\n]*)")
MATERIAL = re.compile(rb"\nusemtl[ \t]+([^\n]+)")
NEW_MATERIAL = re.compile(rb"(?:^|\n)[ \t]*newmtl[ \t]+([^\n]+)")
MAP = re.compile(rb"\n[ \t]*(map_\w+|bump|disp|decal|refl|norm)[ \t]+([^\n]+)", re.IGNORECASE)
INDENT = re.compile(rb"\n[ \t]+")
OPTION = re.compile(r"\s*-(?:(?:o|s|t)(?:\s+[-+.\deE]+){1,3}|mm(?:\s+[-+.\deE]+){2}|[a-zA-Z]+\s+[^\s]+)\s+")
MAX_MATERIALS = 10_000


@dataclass(frozen=True)
class ObjInfo:
    """``libraries`` are the paths of MTL files as written, with ``/`` between their parts."""

    triangles: int
    materials: tuple[str, ...]
    libraries: tuple[str, ...]


def check_obj(data: bytes) -> ObjInfo:
    """Check the text of an OBJ.

    Raises:
        Refused: a coordinate is no number, an index names no vertex, nothing has faces, or a path leads out.
    """
    if b"\0" in data[:65536]:
        raise Refused("the OBJ isn't text: it has NUL bytes")
    vertices = triangles = 0
    lowest, highest = 1, 0  # of the indices that count from 1
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    materials: dict[str, None] = {}
    libraries: dict[str, None] = {}
    for piece in pieces(re.sub(rb"\\\r?\n", b" ", data) if b"\\\n" in data or b"\\\r" in data else data):
        text = b"\n" + piece
        if INDENT.search(text):
            text = INDENT.sub(b"\n", text)
        points = _points(text, vertices)
        if len(points):
            low, high = np.minimum(low, points.min(0)), np.maximum(high, points.max(0))
        faces = FACE.findall(text)
        if faces:
            words = numbers(OTHER_CORNER_PARTS.sub(b"", b"\n".join(faces)), "a face of the OBJ")
            if not (np.abs(words) <= MAX_VERTICES).all():
                raise Refused(f"a face of the OBJ names a vertex beyond {MAX_VERTICES}, or none")
            corners = words.astype(np.int64)
            triangles += _triangles(faces, len(corners))
            check_triangles(triangles)
            if (corners < 0).any():
                corners = _absolute(text, faces, corners, vertices)
            lowest = min(lowest, int(corners.min(initial=1)))
            highest = max(highest, int(corners.max(initial=0)))
        vertices += len(points)
        if vertices > MAX_VERTICES:
            raise Refused(f"{vertices} vertices are too many; at most {MAX_VERTICES} are allowed")
        libraries |= {_path(one, "mtllib"): None for one in dict.fromkeys(LIBRARY.findall(text))}
        materials |= {_name(one): None for one in dict.fromkeys(MATERIAL.findall(text))}
        if max(len(materials), len(libraries)) > MAX_MATERIALS:
            raise Refused(f"the OBJ names more than {MAX_MATERIALS} materials, the most that is allowed")
    if not triangles:
        raise empty("the OBJ has no faces")
    if lowest < 1 or highest > vertices:
        wrong = lowest if lowest < 1 else highest
        raise Refused(f"a face of the OBJ names vertex {wrong}; allowed are 1 to {vertices}")
    check_extent(np.array([low, high]))
    return ObjInfo(triangles, tuple(materials), tuple(libraries))


def check_mtl(data: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the materials and the paths of the textures in an MTL.

    Raises:
        Refused: it is no text, or a path leads out.
    """
    names: dict[str, None] = {}
    maps: dict[str, None] = {}
    if b"\0" in data[:65536]:
        raise Refused("the MTL isn't text: it has NUL bytes")
    for piece in pieces(data):
        text = b"\n" + piece
        names |= {_name(one): None for one in dict.fromkeys(NEW_MATERIAL.findall(text))}
        maps |= {_path(value, key.decode("ascii")): None for key, value in dict.fromkeys(MAP.findall(text))}
        if max(len(names), len(maps)) > MAX_MATERIALS:
            raise Refused(f"the MTL has more than {MAX_MATERIALS} materials, the most that is allowed")
    return tuple(names), tuple(maps)


def beside(path: str, owner: str) -> str:
    """The entry that a path in the file ``owner`` means."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(owner), path))


def _points(text: bytes, before: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    count = len(VERTEX_LINE.findall(text))
    found = VERTEX.findall(text)
    if len(found) != count:
        raise Refused(f"one of the vertices {before + 1} to {before + count} has fewer than 3 coordinates")
    points = numbers(b" ".join(found), "a vertex of the OBJ").reshape(-1, 3)
    check_vertices(points, "the OBJ")
    return points


def _triangles(faces: list[bytes], corners: int) -> int:
    """Of polygons with so many corners in all; those with fewer than three show nothing."""
    few = [len(face.split()) for face in faces if len(face) < 80 and len(face.split(None, 3)) < 3]
    return max(corners - sum(few) - 2 * (len(faces) - len(few)), 0)


def _absolute(text: bytes, faces: list[bytes], corners: np.ndarray, before: int) -> np.ndarray:  # type: ignore[type-arg]
    """Negative indices count back from the last vertex above the face; give them as the others are."""
    seen = np.array([match.start() for match in VERTEX_LINE.finditer(text)])
    places = np.array([match.start() for match in FACE.finditer(text)])
    above = before + np.searchsorted(seen, places)
    each = np.repeat(above, [len(face.split()) for face in faces])
    back = np.where(corners < 0, each + corners + 1, corners)
    # What was negative and reaches before the first vertex must not become a valid number.
    return np.where((corners < 0) & (back < 1), 0, back)


def _name(raw: bytes) -> str:
    return printable(raw.decode("utf-8", "replace").strip())


def _path(raw: bytes, key: str) -> str:
    """The path of a library or a texture, behind its options; Windows' separators are taken for the others."""
    text = raw.decode("utf-8", "replace").strip()
    while key != "mtllib" and (match := OPTION.match(text)):
        text = text[match.end() :]
    path = text.strip().strip('"').replace("\\", "/")
    reason = leads_out(path) or ("is longer than 1024 characters" if len(path) > 1024 else "")
    if reason:
        raise Refused(f"the path {shown(path)} of {key} {reason}; allowed are paths inside the archive")
    return path
