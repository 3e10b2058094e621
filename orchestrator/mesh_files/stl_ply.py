"""Check the plain mesh formats, STL and PLY, which hold one mesh and refer to nothing. OBJ is in ``obj_file``."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.mesh_files.limits import (
    MAX_VERTICES,
    Refused,
    check_corners,
    check_extent,
    check_triangles,
    check_vertices,
    empty,
    flat,
    has_area,
    shown,
)

STL_HEADER, STL_FACET = 84, np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
FACET_LINE = re.compile(rb"vertex[ \t]+([^\r\n]*)")
PIECE = 8 << 20
"""Text is parsed in pieces of about this many bytes, so that memory stays small beside the file."""
MAX_LINE = 64 << 10
"""A polygon of some thousand corners; no exporter writes longer ones."""
MAX_HEADER, MAX_ELEMENTS, MAX_PROPERTIES, MAX_CORNERS = 64 << 10, 100, 256, 1000
PLY_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"},
    **{"double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float32": "f4", "float64": "f8"},
}
CORNER_NAMES = ("vertex_indices", "vertex_index")


def is_binary_stl(data: bytes) -> bool:
    """Whether the size is just what the count of facets asks for."""
    if len(data) <= STL_HEADER:
        return False
    (count,) = struct.unpack_from("<I", data, 80)
    return len(data) == STL_HEADER + STL_FACET.itemsize * int(count)


def check_binary_stl(data: bytes) -> int:
    """Return the number of triangles.

    Raises:
        Refused: the count is wrong or too large, or a coordinate is no number.
    """
    if len(data) < STL_HEADER:
        raise Refused(f"the STL is cut short: it has {len(data)} bytes; its header alone needs {STL_HEADER}")
    (count,) = struct.unpack_from("<I", data, 80)
    if not count:
        raise empty("the STL has 0 triangles")
    check_triangles(count)
    needed = STL_HEADER + STL_FACET.itemsize * count
    if needed != len(data):
        raise Refused(f"the STL says {count} triangles, which need {needed} bytes; it has {len(data)}")
    corners = np.frombuffer(data, STL_FACET, offset=STL_HEADER)["corners"].reshape(-1, 3)
    check_vertices(corners, "the STL")
    _check_soup(corners)
    return int(count)


def check_text_stl(data: bytes) -> int:
    """As ``check_binary_stl``, for the text that begins with ``solid``."""
    parts = [numbers(b" ".join(FACET_LINE.findall(piece)), "the STL") for piece in pieces(data)]
    flat_list = np.concatenate(parts) if parts else np.empty(0)
    if not len(flat_list):
        raise empty("the STL has no facets")
    if len(flat_list) % 9:
        raise Refused(f"the STL has {len(flat_list)} coordinates, which is no multiple of 9: it is cut short")
    check_triangles(len(flat_list) // 9)
    if b"endsolid" not in data[-1024:]:
        raise Refused("the STL is cut short: it has no endsolid")
    corners = flat_list.reshape(-1, 3)
    check_vertices(corners, "the STL")
    _check_soup(corners)
    return len(corners) // 3


def _check_soup(corners: NDArray[Any]) -> None:
    if not has_area(corners, np.arange(len(corners)).reshape(-1, 3)):
        raise flat()


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut text at ends of lines into pieces of about PIECE bytes, with ``\\n`` for every end of a line.

    Raises:
        Refused: a line is longer than MAX_LINE.
    """
    at = 0
    while at < len(data):
        end = len(data)
        if at + PIECE < end:
            end = max(data.rfind(b"\n", at, at + PIECE), data.rfind(b"\r", at, at + PIECE)) + 1
            if end <= at:
                raise Refused(f"a line is longer than {MAX_LINE} bytes, the most that is allowed")
        piece = data[at:end].replace(b"\r", b"\n")
        ends = np.flatnonzero(np.frombuffer(piece, np.uint8) == ord("\n"))
        longest = int(np.diff(ends, prepend=-1, append=len(piece)).max()) - 1
        if longest > MAX_LINE:
            raise Refused(f"a line has {longest} bytes; at most {MAX_LINE} are allowed")
        yield piece
        at = end


def numbers(text: bytes, where: str) -> NDArray[np.float64]:
    """[N] the numbers in text, which stand between blanks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns, and stops, at the first word that is no number
            return np.fromstring(text, np.float64, sep=" ") if text.strip() else np.empty(0)
    except (DeprecationWarning, ValueError):
        raise Refused(f"{where} has a word where a number must be") from None


@dataclass(frozen=True)
class _Property:
    name: str
    type: np.dtype[Any]
    count_type: np.dtype[Any] | None  # of a list


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]


def check_ply(data: bytes) -> int:
    """Return the number of triangles (Turk, "The PLY polygon file format", 1994).

    Raises:
        Refused: the header is damaged or counts too much, or the body isn't what it says.
    """
    order, elements, body = _ply_header(data)
    named = {one.name: one for one in elements}
    vertex, face = named.get("vertex"), named.get("face")
    if vertex is None or not vertex.count:
        raise empty("the PLY has no vertices")
    if face is None or not face.count:
        raise empty("the PLY is a point cloud, without faces")
    if vertex.count > MAX_VERTICES:
        raise Refused(f"{vertex.count} vertices are too many; at most {MAX_VERTICES} are allowed")
    check_triangles(face.count)
    names = [one.name for one in vertex.properties]
    if not {"x", "y", "z"} <= set(names):
        raise Refused(f"the PLY's vertices have the properties {shown(names)}; x, y and z are needed")
    rows = _TextRows(data, body) if order == "" else _BinaryRows(data, body, order)
    points: NDArray[Any] | None = None
    corners: list[NDArray[Any]] = []
    for element in elements:
        if element.name == "face":
            at = next((place for place, one in enumerate(element.properties) if one.name in CORNER_NAMES), -1)
            if at < 0 or element.properties[at].count_type is None or element.properties[at].type.kind == "f":
                raise Refused("the PLY's faces have no list of integers named vertex_indices")
            corners = rows.lists(element, at)
        elif any(one.count_type is not None for one in element.properties):
            raise Refused(f"element {shown(element.name)} of the PLY has a list; only faces may have one")
        else:
            columns = rows.columns(element)
            if element.name == "vertex":
                points = np.stack([columns[names.index(axis)] for axis in "xyz"], axis=1)
    if points is None:
        raise empty("the PLY has no vertices")
    check_vertices(points, "the PLY")
    check_extent(points)
    triangles, solid = 0, False
    for polygons in corners:
        check_corners(polygons, len(points), "the PLY")
        triangles += len(polygons) * max(polygons.shape[1] - 2, 0)
        solid = solid or (polygons.shape[1] > 2 and has_area(points, polygons[:, :3]))
    check_triangles(triangles)
    if not triangles or not solid:
        raise flat()
    return triangles


def _ply_header(data: bytes) -> tuple[str, list[_Element], int]:
    """Byte order (nothing for text), the elements, and where the body begins."""
    match = re.search(rb"(?:^|[\r\n])end_header[ \t]*(\r\n|\n|\r)", data[:MAX_HEADER])
    if match is None:
        raise Refused(f"the PLY's header has no end_header in its first {MAX_HEADER} bytes")
    lines = [line.split() for line in data[: match.start()].decode("ascii", "replace").splitlines() if line.strip()]
    order: str | None = None
    elements: list[tuple[str, int, list[_Property]]] = []
    for words in lines[1:]:
        if words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) == 3:
            orders = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
            if words[1] not in orders:
                raise Refused(f"the PLY's format is {shown(words[1])}; allowed are {', '.join(orders)}")
            order = orders[words[1]]
        elif words[0] == "element" and len(words) == 3 and re.fullmatch("[0-9]{1,12}", words[2]):
            elements.append((words[1], int(words[2]), []))
        elif words[0] == "property" and elements:
            elements[-1][2].append(_ply_property(words, order or ""))
        else:
            raise Refused(f"the PLY's header has the line {shown(' '.join(words))}, which means nothing")
    if order is None:
        raise Refused("the PLY's header names no format; allowed are ascii, binary_little_endian, binary_big_endian")
    if len(elements) > MAX_ELEMENTS or any(len(one[2]) > MAX_PROPERTIES for one in elements):
        raise Refused(f"the PLY has more than {MAX_ELEMENTS} elements or {MAX_PROPERTIES} properties of one")
    if len({one[0] for one in elements}) < len(elements):
        raise Refused("the PLY's header names an element twice")
    return order, [_Element(name, count, tuple(found)) for name, count, found in elements], match.end()


def _ply_property(words: list[str], order: str) -> _Property:
    listed = len(words) == 5 and words[1] == "list"
    types = words[2:4] if listed else words[1:2]
    if not (listed or len(words) == 3) or any(one not in PLY_TYPES for one in types):
        raise Refused(f"the PLY's header has the line {shown(' '.join(words))}; types are {', '.join(PLY_TYPES)}")
    kinds = [np.dtype((order or "<") + PLY_TYPES[one]) for one in types]
    if listed and kinds[0].kind == "f":
        raise Refused(f"the PLY counts the list {shown(words[-1])} in {types[0]}; allowed are integers")
    return _Property(words[-1], kinds[-1], kinds[0] if listed else None)


class _BinaryRows:
    """Reads rows of a binary body, one element after the other."""

    def __init__(self, data: bytes, at: int, order: str) -> None:
        self.data, self.at, self.order = data, at, order

    def columns(self, element: _Element) -> list[NDArray[Any]]:
        """[count] of each property; the element has no list."""
        if not element.properties or not element.count:
            return [np.empty(0)] * len(element.properties)
        row = np.dtype([(str(place), one.type) for place, one in enumerate(element.properties)])
        self._need(element, row.itemsize * element.count)
        rows = np.frombuffer(self.data, row, element.count, self.at)
        self.at += row.itemsize * element.count
        return [rows[str(place)] for place in range(len(element.properties))]

    def lists(self, element: _Element, wanted: int) -> list[NDArray[Any]]:
        """The list at property ``wanted`` of all rows, as one [n, k] array for each length k."""
        kind = element.properties[wanted].type
        even = self._even(element, wanted)
        if even is not None:
            return [even]
        starts: dict[int, list[int]] = {}
        at, end = self.at, len(self.data)
        readers = [
            (place == wanted, one.type.itemsize, one.count_type and one.count_type.itemsize)
            for place, one in enumerate(element.properties)
        ]
        order = "little" if self.order == "<" else "big"
        for _ in range(element.count):
            for chosen, size, counted in readers:
                if counted:
                    number = int.from_bytes(self.data[at : at + counted], order)  # type: ignore[arg-type]
                    at += counted
                    if chosen:
                        _check_length(number)
                        starts.setdefault(number, []).append(at)
                    size *= number
                at += size
            if at > end:
                raise Refused(f"the PLY is cut short: element {shown(element.name)} needs more than its {end} bytes")
        self.at = at
        raw = np.frombuffer(self.data, np.uint8)
        return [
            np.ascontiguousarray(raw[np.array(places)[:, None] + np.arange(number * kind.itemsize)]).view(kind)
            for number, places in starts.items()
            if number
        ]

    def _even(self, element: _Element, wanted: int) -> NDArray[Any] | None:
        """All rows at once where each has lists as long as the first row's, as in most files; else None."""
        fields: list[Any] = []
        at = self.at
        for place, one in enumerate(element.properties):
            if one.count_type is None:
                fields.append((f"v{place}", one.type))
                at += one.type.itemsize
                continue
            if at + one.count_type.itemsize > len(self.data):
                return None
            number = int(np.frombuffer(self.data, one.count_type, 1, at)[0])
            if not 0 <= number <= MAX_CORNERS:
                return None
            fields += [(f"n{place}", one.count_type), (f"v{place}", one.type, (number,))]
            at += one.count_type.itemsize + one.type.itemsize * number
        row = np.dtype(fields)
        if self.at + row.itemsize * element.count > len(self.data):
            return None
        rows = np.frombuffer(self.data, row, element.count, self.at)
        for place, one in enumerate(element.properties):
            if one.count_type is not None and (rows[f"n{place}"] != rows[f"n{place}"][0]).any():
                return None
        self.at += row.itemsize * element.count
        return np.asarray(rows[f"v{wanted}"])

    def _need(self, element: _Element, size: int) -> None:
        if self.at + size > len(self.data):
            raise Refused(
                f"the PLY is cut short: {element.count} of element {shown(element.name)} need {size} bytes, "
                f"{len(self.data) - self.at} are left"
            )


class _TextRows:
    """Reads rows of a body of words."""

    def __init__(self, data: bytes, at: int) -> None:
        parts = [numbers(piece, "the PLY") for piece in pieces(data[at:])]
        self.words = np.concatenate(parts) if parts else np.empty(0)
        self.at = 0

    def columns(self, element: _Element) -> list[NDArray[Any]]:
        """As ``_BinaryRows.columns``."""
        width = len(element.properties)
        rows = self._take(element, element.count * width).reshape(element.count, width)
        return list(rows.T)

    def lists(self, element: _Element, wanted: int) -> list[NDArray[Any]]:
        """As ``_BinaryRows.lists``."""
        words, at, end = self.words, self.at, len(self.words)
        starts: dict[int, list[int]] = {}
        for _ in range(element.count):
            for place, one in enumerate(element.properties):
                number = 1
                if one.count_type is not None:
                    if at >= end:
                        raise _cut(element, end)
                    value = float(words[at])
                    number = int(value) if 0 <= value <= MAX_VERTICES else -1
                    at += 1
                    if place == wanted:
                        _check_length(number)
                        starts.setdefault(number, []).append(at)
                at += max(number, 0)
            if at > end:
                raise _cut(element, end)
        self.at = at
        lists = [words[np.array(places)[:, None] + np.arange(number)] for number, places in starts.items() if number]
        if any(not (np.abs(one) <= MAX_VERTICES).all() for one in lists):
            raise Refused(f"an index of the PLY is no number within {MAX_VERTICES}")
        return [one.astype(np.int64) for one in lists]

    def _take(self, element: _Element, count: int) -> NDArray[Any]:
        if self.at + count > len(self.words):
            raise Refused(
                f"the PLY is cut short: {element.count} of element {shown(element.name)} need {count} numbers, "
                f"{len(self.words) - self.at} are left"
            )
        self.at += count
        return self.words[self.at - count : self.at]


def _cut(element: _Element, numbers: int) -> Refused:
    return Refused(f"the PLY is cut short: it has {numbers} numbers, element {shown(element.name)} needs more")


def _check_length(corners: int) -> None:
    if not 0 <= corners <= MAX_CORNERS:
        raise Refused(f"a face of the PLY has {corners} corners; at most {MAX_CORNERS} are allowed")
