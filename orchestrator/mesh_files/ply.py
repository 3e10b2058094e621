"""Checks the header of a PLY and its counts (Turk, "The PLY polygon file format", 1994). Faces are left to Blender."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from orchestrator.mesh_files.limits import InvalidMeshFile, check_triangles, check_vertices, empty_scene, quoted
from orchestrator.mesh_files.mesh_file import MeshFile

MAX_HEADER_BYTES = 64 << 10
MIN_TEXT_BYTES = 2
"""Minimum size of a number in a text body: a digit and a separator."""
MIN_CORNERS = 3
AXES = ("x", "y", "z")
CORNER_LISTS = ("vertex_indices", "vertex_index")
BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
INTEGERS = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
}
TYPES = {**INTEGERS, "float": "f4", "double": "f8", "float32": "f4", "float64": "f8"}
END_HEADER = re.compile(rb"(?:^|[\r\n])end_header[ \t]*(\r\n|\n|\r)")
NOT_A_NUMBER = re.compile(rb"[^\s]*[^-+.\deE\s][^\s]*")


@dataclass(frozen=True)
class Element:
    """A kind of element: its count, and numpy's types of its properties and of its lists (count, item) by name."""

    name: str
    count: int
    properties: dict[str, str] = field(default_factory=dict)
    lists: dict[str, tuple[str, str]] = field(default_factory=dict)

    def min_bytes(self, is_text: bool) -> int:
        """The minimum size of all elements of this kind. Lists of corners have at least MIN_CORNERS items."""
        numbers = list(self.properties.values())
        for name, (count, item) in self.lists.items():
            numbers += [count, *[item] * (MIN_CORNERS if name in CORNER_LISTS else 0)]
        row = sum(MIN_TEXT_BYTES if is_text else np.dtype(number).itemsize for number in numbers)
        return self.count * row


def check_ply(mesh: MeshFile) -> None:
    """Check a PLY.

    Stops counts that make a reader allocate more than the file holds, and coordinates that are not numbers, which
    Blender replaces by 0 without a warning.

    Raises:
        InvalidMeshFile: the header is damaged or declares too much, or the body has a value that is not a number.
    """
    byte_order, elements, body_at = _read_header(mesh.data)
    vertices, faces = elements.get("vertex"), elements.get("face")
    if vertices is None or not vertices.count:
        raise empty_scene("the PLY has no vertices")
    if faces is None or not faces.count:
        raise empty_scene("the PLY is a point cloud, without faces")
    if not set(AXES) <= vertices.properties.keys():
        raise InvalidMeshFile(
            f"the vertices of the PLY have {quoted(list(vertices.properties))}; x, y and z are needed"
        )
    check_vertices(vertices.count)
    check_triangles(faces.count)
    for element in elements.values():
        if element.lists and element is not faces:
            names = quoted(", ".join(element.lists))
            raise InvalidMeshFile(f"the PLY has the list {names} in {quoted(element.name)}; only faces may have lists")
    body = memoryview(mesh.data)[body_at:]
    needed = sum(element.min_bytes(is_text=not byte_order) for element in elements.values())
    if len(body) + 1 < needed:  # the last number of a text needs no separator
        raise InvalidMeshFile(
            f"the PLY is cut short: {vertices.count} vertices and {faces.count} faces need at least {needed} bytes; "
            f"its body has {len(body)}"
        )
    if not byte_order and (word := NOT_A_NUMBER.search(body)):
        raise InvalidMeshFile(f"the PLY has {quoted(word[0][:80].decode('utf-8', 'replace'))} in place of a number")
    if byte_order and next(iter(elements)) == "vertex":
        _check_finite(body, vertices, byte_order)


def _check_finite(body: memoryview, vertices: Element, byte_order: str) -> None:
    row = np.dtype([(name, byte_order + item) for name, item in vertices.properties.items()])
    rows = np.frombuffer(body, row, vertices.count)
    for name in AXES:
        finite = np.isfinite(rows[name])
        if not finite.all():
            vertex = int(np.argmin(finite))
            raise InvalidMeshFile(f"{name} of vertex {vertex} of the PLY is {rows[name][vertex]}; it must be a number")


def _read_header(data: bytes) -> tuple[str, dict[str, Element], int]:
    """Return the byte order (empty for text), the elements in their order, and where the body begins."""
    end = END_HEADER.search(data[:MAX_HEADER_BYTES])
    if end is None:
        raise InvalidMeshFile(f"the PLY's header has no end_header in its first {MAX_HEADER_BYTES} bytes")
    byte_order: str | None = None
    elements: dict[str, Element] = {}
    element = Element("", 0)
    for line in data[: end.start()].decode("ascii", "replace").splitlines()[1:]:
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                continue
            case ["format", name, _] if name in BYTE_ORDERS:
                byte_order = BYTE_ORDERS[name]
            case ["element", name, count] if re.fullmatch("[0-9]{1,12}", count) and name not in elements:
                elements[name] = element = Element(name, int(count))
            case ["property", "list", count, item, name] if count in INTEGERS and item in TYPES and elements:
                element.lists[name] = (INTEGERS[count], TYPES[item])
            case ["property", item, name] if item in TYPES and elements and name not in element.properties:
                element.properties[name] = TYPES[item]
            case _:
                raise InvalidMeshFile(
                    f"the PLY's header has the unknown line {quoted(line)}; "
                    f"formats are {', '.join(BYTE_ORDERS)}, types are {', '.join(TYPES)}; lists are counted in integers"
                )
    if byte_order is None:
        raise InvalidMeshFile(f"the PLY's header names no format; allowed are {', '.join(BYTE_ORDERS)}")
    return byte_order, elements, end.end()
