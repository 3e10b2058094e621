"""Check a binary FBX: the tree of its records whole, its packed arrays no bombs, its coordinates numbers.

The format has no public specification; this follows the notes of Blender's developers ("FBX binary file format
specification", code.blender.org, 2013).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator.mesh_files.limits import (
    MAX_UNPACKED_BYTES,
    Refused,
    check_extent,
    check_triangles,
    check_vertices,
    empty,
    printable,
    shown,
)

MAGIC = b"Kaydara FBX Binary  \0\x1a\0"
VERSIONS = (7100, 7700)
"""What Blender's importer reads, to what the newest SDK writes."""
WIDE = 7500  # from this version on, records count in 64 bits
MAX_DEPTH, MAX_RECORDS = 64, 500_000
PLAIN = {b"B": 1, b"C": 1, b"Y": 2, b"I": 4, b"F": 4, b"D": 8, b"L": 8}
ARRAYS = {b"f": "<f4", b"d": "<f8", b"i": "<i4", b"l": "<i8", b"b": "u1", b"c": "u1"}
NAME_MARK = b"\0\x01"  # between an object's name and its class
NAMED = (b"Material", b"Model", b"Geometry", b"Texture", b"Video")
"""Records whose names programs print, and we read what programs print line by line."""


@dataclass
class _Found:
    """What the walk through the records has seen so far."""

    records: int = 0
    unpacked: int = 0
    triangles: int = 0
    solid: bool = False
    materials: list[str] = field(default_factory=list)


def check_fbx(data: bytes) -> tuple[int, tuple[str, ...]]:
    """Return the number of triangles and the names of the materials.

    Raises:
        Refused: the version isn't ours, the file is cut short or damaged, or it unpacks to too much.
    """
    start = len(MAGIC) + 4
    if len(data) < start:
        raise Refused(f"the FBX is cut short: it has {len(data)} bytes; its header alone needs {start}")
    (version,) = struct.unpack_from("<I", data, len(MAGIC))
    if not VERSIONS[0] <= version <= VERSIONS[1]:
        raise Refused(f"the FBX is of version {version}; allowed are {VERSIONS[0]} to {VERSIONS[1]}")
    found = _Found()
    _walk(data, start, len(data), version >= WIDE, 0, found)
    if not found.triangles:
        raise empty("the FBX has no polygons")
    if not found.solid:
        raise Refused("the FBX has polygons, but no vertices for them")
    return found.triangles, tuple(found.materials)


def _walk(data: bytes, at: int, end: int, wide: bool, depth: int, found: _Found) -> None:
    """Go through the records from ``at`` to their null record; at the top, a footer follows it."""
    head = struct.Struct("<QQQB" if wide else "<IIIB")
    if depth > MAX_DEPTH:
        raise Refused(f"the FBX is nested more than {MAX_DEPTH} deep, the most that is allowed")
    while at < end:
        if at + head.size > end:
            raise Refused(f"the FBX is cut short: a record begins at byte {at}, its last one")
        stop, count, size, name_size = head.unpack_from(data, at)
        if stop == 0:
            return
        first = at + head.size + name_size
        if not first + size <= stop <= end:
            raise Refused(f"the FBX is cut short: a record at byte {at} ends at {stop}, allowed is at most {end}")
        found.records += 1
        if found.records > MAX_RECORDS:
            raise Refused(f"the FBX has more than {MAX_RECORDS} records, the most that is allowed")
        name = data[at + head.size : first]
        _properties(data, first, first + size, count, name, found)
        if first + size < stop:
            _walk(data, first + size, stop, wide, depth + 1, found)
        at = stop
    if depth == 0:
        raise Refused("the FBX is cut short: its last record is missing")


def _properties(data: bytes, at: int, end: int, count: int, name: bytes, found: _Found) -> None:
    strings: list[bytes] = []
    for _ in range(count):
        kind = data[at : at + 1]
        at += 1
        if at > end:
            break
        if kind in PLAIN:
            at += PLAIN[kind]
        elif kind in (b"S", b"R"):
            size = int.from_bytes(data[at : at + 4], "little")
            strings.append(data[at + 4 : min(at + 4 + size, at + 1024, end)])
            at += 4 + size
        elif kind in ARRAYS:
            size = int.from_bytes(data[at + 8 : at + 12], "little")
            if at + 12 + size <= end:
                _array(data, at, size, np.dtype(ARRAYS[kind]), name, found)
            at += 12 + size
        else:
            raise Refused(f"the FBX is damaged: {shown(kind)} is no type of a property")
    if at != end:
        raise Refused(f"the FBX is damaged: the properties of {shown(name[:40])} end at byte {at}, not at {end}")
    title = strings[0].partition(NAME_MARK)[0] if strings else b""
    if name in NAMED and (b"\n" in title or b"\r" in title):
        raise Refused(f"the name {shown(title.decode('utf-8', 'replace'))} has a line break, which is not allowed")
    if name == b"Material" and strings and len(found.materials) < 10_000:
        found.materials.append(printable(title.decode("utf-8", "replace")))


def _array(data: bytes, at: int, size: int, kind: np.dtype[np.generic], name: bytes, found: _Found) -> None:
    """Unpack an array no further than it says; its reader unpacks all that is there."""
    count, packed = struct.unpack_from("<II", data, at)
    wanted = count * kind.itemsize
    found.unpacked += wanted
    if found.unpacked > MAX_UNPACKED_BYTES:
        raise Refused(f"the FBX unpacks to more than {MAX_UNPACKED_BYTES} bytes, the most that is allowed")
    raw: bytes | memoryview = memoryview(data)[at + 12 : at + 12 + size]
    if packed == 1:
        try:
            raw = zlib.decompressobj().decompress(raw, wanted + 1)
        except zlib.error:
            raise Refused(f"the FBX is damaged: the array {shown(name[:40])} can't be unpacked") from None
    if packed > 1 or len(raw) != wanted:
        raise Refused(f"the FBX is damaged: the array {shown(name[:40])} isn't {count} of {kind.itemsize} bytes")
    values: NDArray[np.generic] = np.frombuffer(raw, kind)
    if name == b"PolygonVertexIndex" and kind.kind == "i":
        # The last corner of a polygon is stored as its complement.
        found.triangles += max(count - 2 * int((values < 0).sum()), 0)  # type: ignore[operator]
        check_triangles(found.triangles)
    elif name == b"Vertices" and kind.kind == "f":
        if count % 3:
            raise Refused(f"the FBX has {count} coordinates in one mesh, which is no multiple of 3")
        if count:
            points = values.reshape(-1, 3)
            check_vertices(points, "the FBX")
            check_extent(points)
            found.solid = True
