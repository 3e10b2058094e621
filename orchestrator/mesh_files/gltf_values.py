"""glTF's typed values, buffer views and accessors (glTF 2.0, 3.6), each checked against what it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.mesh_files.gltf_json import Json
from orchestrator.mesh_files.limits import MAX_UNPACKED_BYTES, MAX_VERTICES, Refused, check_corners, shown

MAX_OBJECTS = 100_000
"""Of one kind. A house of furniture has some thousands."""
COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
COLUMNS = {
    "SCALAR": (1, 1),
    "VEC2": (1, 2),
    "VEC3": (1, 3),
    "VEC4": (1, 4),
    "MAT2": (2, 2),
    "MAT3": (3, 3),
    "MAT4": (4, 4),
}


@dataclass(frozen=True)
class View:
    """Bytes ``offset`` to ``offset + length`` of a buffer; ``stride`` 0 where elements lie close together."""

    buffer: int
    offset: int
    length: int
    stride: int
    compressed: bool


@dataclass(frozen=True)
class Sparse:
    """Where an accessor's replaced elements are: (view, offset) of their indices and of their values."""

    count: int
    indices: tuple[int, int]
    index_type: np.dtype[Any]
    values: tuple[int, int]


@dataclass(frozen=True)
class Accessor:
    """``count`` elements of ``columns`` components (a matrix counts its padding); ``view`` None means zeros."""

    view: int | None
    offset: int
    count: int
    type: np.dtype[Any]
    columns: int
    stride: int
    sparse: Sparse | None

    def values(self, views: Sequence[View], buffers: Sequence[Any]) -> NDArray[Any] | None:
        """[count, columns] as stored, or None where they are compressed.

        Raises:
            Refused: sparse indices don't rise or are out of range.
        """
        sparse = (self.sparse.indices[0], self.sparse.values[0]) if self.sparse else ()
        if any(one is not None and _unreadable(views[one], buffers) for one in (self.view, *sparse)):
            return None
        if self.view is None:
            values = np.broadcast_to(np.zeros(1, self.type), (self.count, self.columns))
        else:
            place = (self.view, self.offset)
            values = _elements(place, self.count, self.type, self.columns, self.stride, views, buffers)
        if self.sparse is None:
            return values
        one = self.sparse
        size = self.type.itemsize * self.columns
        where = _elements(one.indices, one.count, one.index_type, 1, one.index_type.itemsize, views, buffers)[:, 0]
        check_corners(where, self.count, "a sparse accessor")
        if (np.diff(where.astype(np.int64)) <= 0).any():
            raise Refused("the indices of a sparse accessor must rise")
        replaced = np.array(values)
        replaced[where] = _elements(one.values, one.count, self.type, self.columns, size, views, buffers)
        return replaced


def objects(owner: Json, key: str, where: str = "the JSON") -> list[Json]:
    """The list of objects at ``owner[key]``; an empty list where it is missing."""
    found = owner.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Refused(f"{key} of {where} is {shown(found)}; it must be a list of objects")
    if len(found) > MAX_OBJECTS:
        raise Refused(f"{where} has {len(found)} {key}; at most {MAX_OBJECTS} are allowed")
    return found


def whole(owner: Json, key: str, where: str, low: int, high: int, default: int | None = None) -> int:
    """The integer at ``owner[key]`` within ``low`` and ``high``."""
    value = owner.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Refused(f"{key} of {where} is {shown(value)}; allowed are integers from {low} to {high}")
    return value


def read_views(document: Json, sizes: Sequence[int]) -> list[View]:
    """All buffer views, each within its buffer of the size that the JSON says."""
    made = []
    for number, one in enumerate(objects(document, "bufferViews")):
        where = f"bufferView {number}"
        view = _view(one, where, sizes)
        extensions = one.get("extensions", {})
        packed = extensions.get("EXT_meshopt_compression") if isinstance(extensions, dict) else None
        if packed is not None:
            if not isinstance(packed, dict):
                raise Refused(f"EXT_meshopt_compression of {where} is {shown(packed)}; it must be an object")
            _view(packed, f"EXT_meshopt_compression of {where}", sizes, least_stride=1)
            count = whole(packed, "count", where, 1, MAX_VERTICES)
            if count * whole(packed, "byteStride", where, 1, 256) != view.length:
                raise Refused(f"EXT_meshopt_compression of {where} unpacks to another size than {view.length} bytes")
        made.append(View(view.buffer, view.offset, view.length, view.stride, packed is not None))
    return made


def _view(one: Json, where: str, sizes: Sequence[int], least_stride: int = 4) -> View:
    if not sizes:
        raise Refused(f"{where} names a buffer; the file has none")
    buffer = whole(one, "buffer", where, 0, len(sizes) - 1)
    offset = whole(one, "byteOffset", where, 0, MAX_UNPACKED_BYTES, 0)
    length = whole(one, "byteLength", where, 1, MAX_UNPACKED_BYTES)
    stride = whole(one, "byteStride", where, least_stride, 256) if "byteStride" in one else 0
    if offset + length > sizes[buffer]:
        raise Refused(
            f"{where} ends at byte {offset + length}, past the end of buffer {buffer}, which has {sizes[buffer]}"
        )
    return View(buffer, offset, length, stride, False)


def read_accessors(document: Json, views: Sequence[View]) -> list[Accessor]:
    """All accessors, each within its view."""
    return [_accessor(one, f"accessor {number}", views) for number, one in enumerate(objects(document, "accessors"))]


def _accessor(one: Json, where: str, views: Sequence[View]) -> Accessor:
    type = _component(one, where, COMPONENTS)
    kind = one.get("type")
    if not isinstance(kind, str) or kind not in COLUMNS:
        raise Refused(f"type of {where} is {shown(kind)}; allowed are {', '.join(COLUMNS)}")
    count = whole(one, "count", where, 1, MAX_VERTICES)
    offset = whole(one, "byteOffset", where, 0, MAX_UNPACKED_BYTES, 0)
    matrix, rows = COLUMNS[kind]
    # Columns of a matrix begin at multiples of four bytes (3.6.2.4).
    column = rows * type.itemsize if matrix == 1 else -(-rows * type.itemsize // 4) * 4
    columns = matrix * column // type.itemsize
    view, stride = None, columns * type.itemsize
    if "bufferView" in one:
        view = _fits(one, "bufferView", offset, count, type, columns, where, views)
        stride = views[view].stride or stride
    sparse = _sparse(one["sparse"], count, type, columns, where, views) if "sparse" in one else None
    return Accessor(view, offset, count, type, columns, stride, sparse)


def _sparse(said: object, count: int, type: np.dtype[Any], columns: int, where: str, views: Sequence[View]) -> Sparse:
    where = f"sparse of {where}"
    if not isinstance(said, dict):
        raise Refused(f"{where} is {shown(said)}; it must be an object")
    changed = whole(said, "count", where, 1, count)
    indices, values = said.get("indices"), said.get("values")
    if not isinstance(indices, dict) or not isinstance(values, dict):
        raise Refused(f"{where} must have indices and values")
    index_type = _component(indices, where, {code: COMPONENTS[code] for code in (5121, 5123, 5125)})
    offsets = [whole(part, "byteOffset", where, 0, MAX_UNPACKED_BYTES, 0) for part in (indices, values)]
    at = _fits(indices, "bufferView", offsets[0], changed, index_type, 1, where, views, strided=False)
    to = _fits(values, "bufferView", offsets[1], changed, type, columns, where, views, strided=False)
    return Sparse(changed, (at, offsets[0]), index_type, (to, offsets[1]))


def _component(one: Json, where: str, allowed: dict[int, str]) -> np.dtype[Any]:
    code = one.get("componentType")
    if isinstance(code, bool) or not isinstance(code, int) or code not in allowed:
        raise Refused(f"componentType of {where} is {shown(code)}; allowed are {', '.join(map(str, allowed))}")
    return np.dtype(allowed[code])


def _fits(
    one: Json,
    key: str,
    offset: int,
    count: int,
    type: np.dtype[Any],
    columns: int,
    where: str,
    views: Sequence[View],
    strided: bool = True,
) -> int:
    """The number of the view, once ``count`` elements are known to lie within it, aligned (3.6.2.4)."""
    if not views:
        raise Refused(f"{where} names a bufferView; the file has none")
    number = whole(one, key, where, 0, len(views) - 1)
    view, size = views[number], columns * type.itemsize
    stride = (view.stride if strided else 0) or size
    if stride < size:
        raise Refused(f"{where} has elements of {size} bytes; byteStride {stride} of bufferView {number} is below that")
    if (view.offset + offset) % type.itemsize or stride % type.itemsize:
        raise Refused(f"{where} is misaligned: it must begin at a multiple of {type.itemsize} bytes")
    end = offset + stride * (count - 1) + size
    if end > view.length:
        raise Refused(f"{where} ends at byte {end}, past the end of bufferView {number}, which has {view.length}")
    return number


def _unreadable(view: View, buffers: Sequence[Any]) -> bool:
    return view.compressed or buffers[view.buffer] is None


def _elements(
    place: tuple[int, int],
    count: int,
    type: np.dtype[Any],
    columns: int,
    stride: int,
    views: Sequence[View],
    buffers: Sequence[Any],
) -> NDArray[Any]:
    view = views[place[0]]
    return np.ndarray(
        (count, columns), type, buffers[view.buffer], offset=view.offset + place[1], strides=(stride, type.itemsize)
    )
