"""Checks the header of a PLY and its counts (Turk, "The PLY polygon file format", 1994). Faces are left to Blender."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from orchestrator.mesh_files.limits import (
    InvalidMeshFile,
    check_triangles,
    check_vertices,
    empty_scene,
    quoted,
)
from orchestrator.mesh_files.mesh_file import MeshFile

MAX_HEADER_BYTES = 64 << 10
"""Maximum size of the header."""
MAX_ELEMENTS = 100
"""Maximum number of kinds of elements."""
MAX_PROPERTIES = 256
"""Maximum number of properties of an element."""
MIN_TEXT_BYTES = 2
"""Minimum size of a number in a text body: a digit and a separator."""
MIN_CORNERS = 3
"""Number of corners that each face must have room for."""
BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
INTEGERS = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
}
TYPES = {**INTEGERS, "float": "f4", "double": "f8", "float32": "f4", "float64": "f8"}
END_HEADER = re.compile(rb"(?:^|[\r\n])end_header[ \t]*(\r\n|\n|\r)")
NOT_A_NUMBER = re.compile(rb"[^\s]*[^-+.\deE\s][^\s]*")


@dataclass(frozen=True)
class Property:
    """One property; ``type`` and ``count_type`` are numpy type codes, the latter empty unless it is a list."""

    name: str
    type: str
    count_type: str = ""


@dataclass(frozen=True)
class Element:
    """One kind of element and how many of it the body has."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)

    def min_bytes(self, byte_order: str) -> int:
        """The minimum size of all elements of this kind in a body."""
        corners = MIN_CORNERS if self.name == "face" else 0
        if not byte_order:
            numbers = sum(1 + corners if one.count_type else 1 for one in self.properties)
            return self.count * numbers * MIN_TEXT_BYTES
        row = 0
        for one in self.properties:
            size = np.dtype(one.type).itemsize
            row += np.dtype(one.count_type).itemsize + corners * size if one.count_type else size
        return self.count * row


def check_ply(mesh: MeshFile) -> None:
    """Check a PLY.

    Stops counts that make a reader allocate more than the file holds, and coordinates that are no numbers, which
    Blender replaces by 0 without a warning.

    Raises:
        InvalidMeshFile: the header is damaged or declares too much, or the body has a value that is no number.
    """
    byte_order, elements, body_at = _read_header(mesh.data)
    by_name = {element.name: element for element in elements}
    vertices, faces = by_name.get("vertex"), by_name.get("face")
    if vertices is None or not vertices.count:
        raise empty_scene("the PLY has no vertices")
    if faces is None or not faces.count:
        raise empty_scene("the PLY is a point cloud, without faces")
    check_vertices(vertices.count)
    check_triangles(faces.count)
    for element in elements:
        lists = [one.name for one in element.properties if one.count_type]
        if lists and element is not faces:
            raise InvalidMeshFile(f"{quoted(element.name)} of the PLY has the list {quoted(lists[0])}; only faces may")
    body = memoryview(mesh.data)[body_at:]
    needed = sum(element.min_bytes(byte_order) for element in elements)
    if len(body) + 1 < needed:  # the last number of a text needs no separator
        raise InvalidMeshFile(
            f"the PLY is cut short: {vertices.count} vertices and {faces.count} faces need at least {needed} bytes; "
            f"its body has {len(body)}"
        )
    if not byte_order:
        if word := NOT_A_NUMBER.search(body):
            raise InvalidMeshFile(f"the PLY has {quoted(word[0][:80].decode('utf-8', 'replace'))} in place of a number")
    elif elements[0] is vertices:
        _check_finite(body, vertices, byte_order)


def _check_finite(body: memoryview, vertices: Element, byte_order: str) -> None:
    types = [(f"{number}", byte_order + one.type) for number, one in enumerate(vertices.properties)]
    rows = np.frombuffer(body, np.dtype(types), vertices.count)
    for number, one in enumerate(vertices.properties):
        finite = np.isfinite(rows[f"{number}"])
        if one.name in ("x", "y", "z") and not finite.all():
            vertex = int(np.argmin(finite))
            value = rows[f"{number}"][vertex]
            raise InvalidMeshFile(f"{one.name} of vertex {vertex} of the PLY is {value}; it must be a number")


def _read_header(data: bytes) -> tuple[str, list[Element], int]:
    """Return the byte order (empty for text), the elements, and where the body begins."""
    match = END_HEADER.search(data[:MAX_HEADER_BYTES])
    if match is None:
        raise InvalidMeshFile(f"the PLY's header has no end_header in its first {MAX_HEADER_BYTES} bytes")
    lines = [line.split() for line in data[: match.start()].decode("ascii", "replace").splitlines() if line.strip()]
    byte_order: str | None = None
    elements: list[Element] = []
    for words in lines[1:]:
        if words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) == 3:
            if words[1] not in BYTE_ORDERS:
                raise InvalidMeshFile(f"the PLY's format is {quoted(words[1])}; allowed are {', '.join(BYTE_ORDERS)}")
            byte_order = BYTE_ORDERS[words[1]]
        elif words[0] == "element" and len(words) == 3 and re.fullmatch("[0-9]{1,12}", words[2]):
            elements.append(Element(words[1], int(words[2])))
        elif words[0] == "property" and elements:
            elements[-1].properties.append(_read_property(words))
        else:
            raise InvalidMeshFile(f"the PLY's header has the unknown line {quoted(' '.join(words))}")
    if byte_order is None:
        raise InvalidMeshFile(f"the PLY's header names no format; allowed are {', '.join(BYTE_ORDERS)}")
    if len(elements) > MAX_ELEMENTS or any(len(element.properties) > MAX_PROPERTIES for element in elements):
        raise InvalidMeshFile(
            f"the PLY has more than {MAX_ELEMENTS} elements, or one with more than {MAX_PROPERTIES} properties"
        )
    if len({element.name for element in elements}) < len(elements):
        raise InvalidMeshFile("the PLY's header names an element twice")
    return byte_order, elements, match.end()


def _read_property(words: list[str]) -> Property:
    is_list = len(words) == 5 and words[1] == "list"
    types = words[2:4] if is_list else words[1:2]
    if not (is_list or len(words) == 3) or any(word not in TYPES for word in types):
        raise InvalidMeshFile(f"the PLY's header has the line {quoted(' '.join(words))}; types are {', '.join(TYPES)}")
    if is_list and types[0] not in INTEGERS:
        raise InvalidMeshFile(f"the PLY counts the list {quoted(words[-1])} in {types[0]}; allowed are integers")
    return Property(words[-1], TYPES[types[-1]], TYPES[types[0]] if is_list else "")
