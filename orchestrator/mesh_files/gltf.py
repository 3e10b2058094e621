"""Check a glTF 2.0 file, as GLB or as JSON with its resources, before any program reads it.

Counts come first, from the JSON alone; only when they are within bounds is a buffer looked at. Section numbers are
those of the glTF 2.0 specification.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.mesh_files.gltf_json import MAX_JSON_BYTES, Json, decoded_data_uri, entry_of_uri, parsed
from orchestrator.mesh_files.gltf_scene import check_references, check_scene
from orchestrator.mesh_files.gltf_values import Accessor, View, objects, read_accessors, read_views, whole
from orchestrator.mesh_files.image_header import Textures
from orchestrator.mesh_files.limits import (
    MAX_UNPACKED_BYTES,
    MAX_VERTICES,
    Refused,
    check_corners,
    check_triangles,
    check_vertices,
    empty,
    flat,
    has_area,
    printable,
    shown,
)

Resource = Callable[[str], bytes]
"""Gives the bytes of an entry beside the .gltf; raises Refused where there is none."""

MAX_CHUNKS = 16
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"
BUFFER_TYPES = ("application/octet-stream", "application/gltf-buffer")
IMAGE_TYPES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/ktx2": "ktx2"}
READABLE = (
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "KHR_texture_basisu",
    "EXT_texture_webp",
    "KHR_lights_punctual",
    "KHR_animation_pointer",
    "KHR_node_visibility",
    "EXT_mesh_gpu_instancing",
    "KHR_xmp_json_ld",
)
"""Extensions that a file may require: what Blender's importer or gltf-transform reads; KHR_materials_* besides."""
TRIANGLES, STRIP, FAN = 4, 5, 6


@dataclass(frozen=True)
class GltfInfo:
    """``compression`` is ``draco``, ``meshopt`` or nothing: what has one could be checked by its counts only."""

    triangles: int
    materials: tuple[str, ...]
    compression: str


@dataclass(frozen=True)
class _Primitive:
    positions: int  # index of the accessor
    indices: int | None
    mode: int
    triangles: int
    packed: bool  # with Draco: the accessors have no data
    where: str


def check_glb(data: bytes) -> GltfInfo:
    """Check the container (4.4) and what it holds.

    Raises:
        Refused: something is wrong with it.
    """
    if len(data) < 20:
        raise Refused(f"the GLB is cut short: it has {len(data)} bytes; its header alone needs 20")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise Refused(f"the GLB is of version {version}; allowed is 2 (glTF 2.0)")
    if length != len(data):
        state = "cut short" if length > len(data) else "followed by something else"
        raise Refused(f"the GLB is {state}: its header says {length} bytes, it has {len(data)}")
    chunks: list[tuple[bytes, memoryview]] = []
    at = 12
    while at < length:
        if len(chunks) == MAX_CHUNKS:
            raise Refused(f"the GLB has more than {MAX_CHUNKS} chunks, the most that is allowed")
        if length - at < 8:
            raise Refused(f"the GLB is damaged: {length - at} bytes are left where a chunk's header needs 8")
        size, kind = struct.unpack_from("<I4s", data, at)
        if size > length - at - 8:
            raise Refused(f"chunk {len(chunks)} of the GLB says {size} bytes, past the end: {length - at - 8} are left")
        chunks.append((kind, memoryview(data)[at + 8 : at + 8 + size]))
        at += 8 + size
    if chunks[0][0] != JSON_CHUNK:
        raise Refused(f"the first chunk of the GLB is {shown(chunks[0][0])}; it must be JSON")
    if len(chunks[0][1]) > MAX_JSON_BYTES:
        raise Refused(f"the JSON has {len(chunks[0][1])} bytes; at most {MAX_JSON_BYTES} are allowed")
    binary = chunks[1][1] if len(chunks) > 1 and chunks[1][0] == BINARY_CHUNK else None
    return check_gltf(bytes(chunks[0][1]), None, binary)


def check_gltf(text: bytes, resource: Resource | None = None, binary: memoryview | None = None) -> GltfInfo:
    """Check glTF's JSON and all that it refers to.

    Args:
        resource: gives what relative URIs mean; None where nothing stands beside the file.
        binary: GLB's binary chunk, which buffer 0 without a URI means.

    Raises:
        Refused: something is wrong with it.
    """
    document = parsed(text)
    _check_asset(document)
    sizes = _buffer_sizes(document)
    views = read_views(document, sizes)
    accessors = read_accessors(document, views)
    primitives = [
        _primitives(mesh, number, accessors, views, document) for number, mesh in enumerate(objects(document, "meshes"))
    ]
    check_references(document)
    triangles = check_scene(document, [sum(one.triangles for one in parts) for parts in primitives], accessors)
    check_triangles(triangles)
    flattened = [one for parts in primitives for one in parts]
    _check_totals(flattened, accessors)
    buffers = _load(document, sizes, resource, binary)
    _check_images(document, views, buffers, resource)
    packed = _check_geometry(flattened, accessors, views, buffers)
    compression = "draco" if any(one.packed for one in flattened) else "meshopt" if packed else ""
    names = tuple(printable(str(one.get("name", ""))) for one in objects(document, "materials"))
    return GltfInfo(triangles, names, compression)


def _check_asset(document: Json) -> None:
    asset = document.get("asset")
    version = asset.get("version") if isinstance(asset, dict) else None
    if not isinstance(version, str) or not version.startswith("2."):
        raise Refused(f"asset.version is {shown(version)}; allowed is '2.0'")
    least = asset.get("minVersion", "2.0") if isinstance(asset, dict) else "2.0"
    if least != "2.0":
        raise Refused(f"asset.minVersion is {shown(least)}; allowed is '2.0'")
    for key in ("extensionsRequired", "extensionsUsed"):
        names = document.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise Refused(f"{key} is {shown(names)}; it must be a list of names")
    for name in document.get("extensionsRequired", []):
        if name not in READABLE and not name.startswith("KHR_materials_"):
            raise Refused(
                f"the file requires the extension {shown(name)}, which we can't read; "
                f"allowed are KHR_materials_* and {', '.join(READABLE)}"
            )


def _buffer_sizes(document: Json) -> list[int]:
    sizes = [
        whole(one, "byteLength", f"buffer {number}", 1, MAX_UNPACKED_BYTES)
        for number, one in enumerate(objects(document, "buffers"))
    ]
    if sum(sizes) > MAX_UNPACKED_BYTES:
        raise Refused(f"the buffers have {sum(sizes)} bytes; at most {MAX_UNPACKED_BYTES} are allowed")
    return sizes


def _primitives(
    mesh: Json, number: int, accessors: list[Accessor], views: list[View], document: Json
) -> list[_Primitive]:
    """The mesh's primitives that have triangles (3.7.2.1); the others are checked and left out."""
    made = []
    for place, one in enumerate(objects(mesh, "primitives", f"mesh {number}")):
        where = f"mesh {number}, primitive {place}"
        attributes = one.get("attributes")
        if not isinstance(attributes, dict):
            raise Refused(f"{where} has no attributes")
        counts = {name: _accessor(attributes, name, where, accessors).count for name in attributes}
        if len(set(counts.values())) > 1:
            raise Refused(f"{where} has attributes of different counts: {shown(sorted(set(counts.values())))}")
        for target in objects(one, "targets", where):
            for name in target:
                if _accessor(target, name, where, accessors).count not in counts.values():
                    raise Refused(f"{where} has a morph target {shown(name)} of another count than its vertices")
        mode = whole(one, "mode", where, 0, 6, TRIANGLES)
        packed = _draco(one, where, views)
        indices = _accessor(one, "indices", where, accessors) if "indices" in one else None
        if indices is not None and (indices.columns != 1 or indices.type.kind != "u"):
            raise Refused(f"the indices of {where} must be scalars of unsigned integers")
        if mode < TRIANGLES or "POSITION" not in attributes:
            continue
        positions = _accessor(attributes, "POSITION", where, accessors)
        quantized = "KHR_mesh_quantization" in document.get("extensionsUsed", [])
        if positions.columns != 3 or (positions.type.kind != "f" and not quantized):
            raise Refused(f"POSITION of {where} must be a VEC3 of floats")
        count = positions.count if indices is None else indices.count
        if mode == TRIANGLES and count % 3:
            raise Refused(f"{where} has {count} corners, which is no multiple of 3")
        triangles = count // 3 if mode == TRIANGLES else max(count - 2, 0)
        made.append(_Primitive(attributes["POSITION"], one.get("indices"), mode, triangles, packed, where))
    return made


def _accessor(owner: Json, key: str, where: str, accessors: list[Accessor]) -> Accessor:
    if not accessors:
        raise Refused(f"{where} names an accessor for {shown(key)}; the file has none")
    return accessors[whole(owner, key, where, 0, len(accessors) - 1)]


def _draco(primitive: Json, where: str, views: list[View]) -> bool:
    extensions = primitive.get("extensions", {})
    said = extensions.get("KHR_draco_mesh_compression") if isinstance(extensions, dict) else None
    if said is None:
        return False
    if not isinstance(said, dict) or not views:
        raise Refused(f"{where} has a broken KHR_draco_mesh_compression")
    whole(said, "bufferView", where, 0, len(views) - 1)
    return True


def _check_totals(primitives: list[_Primitive], accessors: list[Accessor]) -> None:
    """Accessors may share bytes, so that a small file could ask for endless reading."""
    if not any(one.triangles for one in primitives):
        raise empty("no mesh has triangles")
    vertices = sum(accessors[number].count for number in {one.positions for one in primitives})
    corners = sum(accessors[number].count for number in {one.indices for one in primitives if one.indices is not None})
    for count, what in ((vertices, "vertices"), (corners, "indices")):
        if count > MAX_VERTICES:
            raise Refused(f"{count} {what} are too many; at most {MAX_VERTICES} are allowed")


def _load(document: Json, sizes: list[int], resource: Resource | None, binary: memoryview | None) -> list[Any]:
    """Each buffer's bytes; None for one that only stands for what meshopt unpacks."""
    buffers: list[Any] = []
    for number, (one, size) in enumerate(zip(objects(document, "buffers"), sizes, strict=True)):
        where = f"buffer {number}"
        extensions = one.get("extensions", {})
        if isinstance(extensions, dict) and "EXT_meshopt_compression" in extensions and "uri" not in one:
            buffers.append(None)
            continue
        if "uri" in one:
            loaded: bytes | memoryview = _fetched(one["uri"], BUFFER_TYPES, where, resource)
        elif number == 0 and binary is not None:
            loaded = binary
        else:
            raise Refused(f"{where} has no URI, and there is no binary chunk for it")
        if len(loaded) < size:
            raise Refused(f"{where} says {size} bytes; there are {len(loaded)}: the file is cut short")
        buffers.append(memoryview(loaded)[:size])
    return buffers


def _fetched(uri: object, types: tuple[str, ...], where: str, resource: Resource | None) -> bytes:
    if not isinstance(uri, str):
        raise Refused(f"the URI of {where} is {shown(uri)}; it must be a string")
    data = decoded_data_uri(uri, types, where)
    if data is not None:
        return data
    name = entry_of_uri(uri, where)
    if resource is None:
        raise Refused(f"{where} is in another file, {shown(uri)}: send a GLB, or a zip that holds both")
    return resource(name)


def _check_images(document: Json, views: list[View], buffers: list[Any], resource: Resource | None) -> None:
    textures = Textures()
    for number, one in enumerate(objects(document, "images")):
        where = f"image {number}"
        if ("uri" in one) == ("bufferView" in one):
            raise Refused(f"{where} must have either a URI or a bufferView")
        if "uri" in one:
            data: Any = _fetched(one["uri"], tuple(IMAGE_TYPES), where, resource)
        else:
            if not views:
                raise Refused(f"{where} names a bufferView; the file has none")
            view = views[whole(one, "bufferView", where, 0, len(views) - 1)]
            if view.compressed or buffers[view.buffer] is None:
                raise Refused(f"{where} is in a compressed bufferView, which is not allowed")
            data = buffers[view.buffer][view.offset : view.offset + view.length]
            if one.get("mimeType") not in IMAGE_TYPES:
                raise Refused(f"{where} is of type {shown(one.get('mimeType'))}; allowed are {', '.join(IMAGE_TYPES)}")
        if textures.add(data, where) not in IMAGE_TYPES.values():
            raise Refused(f"{where} begins with {shown(bytes(data[:8]))}; allowed are PNG, JPEG, WebP and KTX2")


def _check_geometry(
    primitives: list[_Primitive], accessors: list[Accessor], views: list[View], buffers: list[Any]
) -> bool:
    """Check vertices, indices and that something has an area; returns whether a part is packed by meshopt."""
    places: dict[int, NDArray[Any] | None] = {}
    corners: dict[int, NDArray[Any] | None] = {}
    solid = packed = False
    for one in primitives:
        if one.packed:
            solid = True  # nobody can say without unpacking
            continue
        if one.positions not in places:
            values = accessors[one.positions].values(views, buffers)
            places[one.positions] = values
            if values is not None:
                check_vertices(values, one.where)
        if one.indices is not None and one.indices not in corners:
            values = accessors[one.indices].values(views, buffers)
            corners[one.indices] = None if values is None else values[:, 0]
        vertices = places[one.positions]
        indices = np.arange(accessors[one.positions].count) if one.indices is None else corners[one.indices]
        if indices is not None:
            check_corners(indices, accessors[one.positions].count, one.where)
        if vertices is None or indices is None:
            solid = packed = True
        elif not solid:
            solid = has_area(vertices, _triangles(indices, one.mode))
    if not solid:
        raise flat()
    return packed


def _triangles(indices: NDArray[Any], mode: int) -> NDArray[Any]:
    if mode == TRIANGLES:
        return indices.reshape(-1, 3)
    if mode == STRIP:
        return np.stack([indices[:-2], indices[1:-1], indices[2:]], axis=1)
    return np.stack([np.broadcast_to(indices[:1], len(indices) - 2), indices[1:-1], indices[2:]], axis=1)
