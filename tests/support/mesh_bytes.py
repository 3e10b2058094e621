"""Builds small 3D files byte by byte, so that tests can damage any part of them."""

from __future__ import annotations

import base64
import io
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4")
TEN_MILLION = 10_000_000
FBX_MAGIC = b"Kaydara FBX Binary  \0\x1a\0"
FBX_HEADER_SIZE = 27
FBX_NULL_RECORD = b"\0" * 13


@dataclass(frozen=True)
class FbxArray:
    """A compressed array; ``declared`` is the count that the file declares, if it is not the true one."""

    kind: bytes
    values: np.ndarray
    declared: int | None = None


@dataclass(frozen=True)
class FbxNode:
    """A node of an FBX file."""

    name: bytes
    properties: tuple[bytes | int | FbxArray, ...] = ()
    children: tuple[FbxNode, ...] = ()


def gltf() -> dict[str, Any]:
    """One triangle: 36 bytes of positions and 6 of indices in a buffer of 44."""
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": 6},
        ],
        "buffers": [{"byteLength": 44}],
    }


def binary(vertices: np.ndarray = TRIANGLE, indices: tuple[int, ...] = (0, 1, 2)) -> bytes:
    return np.asarray(vertices, "<f4").tobytes() + np.array(indices, "<u2").tobytes() + b"\0\0"


def chunk(kind: bytes, body: bytes, filler: bytes = b" ") -> bytes:
    body += filler * (-len(body) % 4)
    return struct.pack("<I", len(body)) + kind + body


def glb(document: dict[str, Any] | bytes, body: bytes | None = None, version: int = 2) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    chunks = chunk(b"JSON", text) + chunk(b"BIN\0", binary() if body is None else body, b"\0")
    return b"glTF" + struct.pack("<II", version, 12 + len(chunks)) + chunks


def changed_glb(change: Callable[[dict[str, Any]], object], body: bytes | None = None) -> bytes:
    """The triangle as GLB, after ``change`` edited its JSON."""
    document = gltf()
    change(document)
    return glb(document, body)


def set_value(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], packed: bool = True) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return file.getvalue()


def gltf_with_uri(uri: str = "data.bin") -> bytes:
    """The triangle as JSON with its buffer at ``uri``."""
    document = gltf()
    document["buffers"][0]["uri"] = uri
    return json.dumps(document).encode()


def gltf_zip(*more: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    return zipped(("model.gltf", gltf_with_uri()), ("data.bin", binary()), *more)


def usdz(*entries: tuple[str, bytes], packed: bool = False, aligned: bool = True) -> bytes:
    """A package. If ``aligned``, entries are padded by an extra field to begin at multiples of 64 bytes, as by USD."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = archive.compression
            if aligned:
                padding = -(file.tell() + 30 + len(name) + 4) % 64
                info.extra = struct.pack("<HH", 0x1986, padding) + b"\0" * padding
            archive.writestr(info, data)
    return file.getvalue()


USDA = b"""#usda 1.0
( upAxis = "Y" )
def Mesh "a" {
    point3f[] points = [(0,0,0),(1,0,0),(0,1,0)]
    int[] faceVertexCounts = [3]
    int[] faceVertexIndices = [0,1,2]
}
"""


def encoded_image(width: int = 4, height: int = 4, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, format)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of this size without pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def glb_with_image(data: bytes, **more: Any) -> bytes:
    document = gltf()
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    document["images"] = [{"uri": uri, **more}]
    return glb(document)


def stl(count: int | None = None, corners: np.ndarray = TRIANGLE) -> bytes:
    facet = struct.pack("<3f", 0, 0, 1) + np.asarray(corners, "<f4").tobytes() + b"\0\0"
    return b"binary".ljust(80) + struct.pack("<I", 1 if count is None else count) + facet


def ply(header: str = "", body: bytes = b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", **declared: int) -> bytes:
    elements = header or (
        f"element vertex {declared.get('vertex', 3)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {declared.get('face', 1)}\nproperty list uchar int vertex_indices\n"
    )
    return f"ply\nformat ascii 1.0\n{elements}end_header\n".encode() + body


def fbx_property(value: bytes | int | FbxArray) -> bytes:
    if isinstance(value, bytes):
        return b"S" + struct.pack("<I", len(value)) + value
    if isinstance(value, int):
        return b"L" + struct.pack("<q", value)
    packed = zlib.compress(value.values.tobytes())
    count = len(value.values) if value.declared is None else value.declared
    return value.kind + struct.pack("<III", count, 1, len(packed)) + packed


def fbx_node(node: FbxNode, start: int) -> bytes:
    """A node of FBX 7.4 that begins at byte ``start``; nodes with children end with a null record of 13 bytes."""
    properties = b"".join(fbx_property(value) for value in node.properties)
    head_size = 13 + len(node.name) + len(properties)
    children = b""
    for child in node.children:
        children += fbx_node(child, start + head_size + len(children))
    if node.children:
        children += FBX_NULL_RECORD
    end = start + head_size + len(children)
    sizes = struct.pack("<IIIB", end, len(node.properties), len(properties), len(node.name))
    return sizes + node.name + properties + children


def fbx_file(*nodes: FbxNode, version: int = 7400) -> bytes:
    body = b""
    for node in nodes:
        body += fbx_node(node, FBX_HEADER_SIZE + len(body))
    return FBX_MAGIC + struct.pack("<I", version) + body + FBX_NULL_RECORD


def fbx(points: np.ndarray = TRIANGLE, version: int = 7400, declared: int | None = None, name: bytes = b"a") -> bytes:
    """One triangle. ``declared`` is the number of coordinates that the file declares, if it is not the true one."""
    vertices = FbxNode(b"Vertices", (FbxArray(b"d", points.astype("<f8").ravel(), declared),))
    corners = np.array((0, 1, ~2), "<i4")  # the last corner of a polygon is stored as its complement
    polygons = FbxNode(b"PolygonVertexIndex", (FbxArray(b"i", corners),))
    geometry = FbxNode(b"Geometry", (1, name + b"\0\1Geometry", b"Mesh"), (vertices, polygons))
    model = FbxNode(b"Model", (2, name + b"\0\1Model", b"Mesh"))
    to_model, to_root = FbxNode(b"C", (b"OO", 1, 2)), FbxNode(b"C", (b"OO", 2, 0))
    objects = FbxNode(b"Objects", (), (geometry, model))
    return fbx_file(objects, FbxNode(b"Connections", (), (to_model, to_root)), version=version)


def fbx_nested(depth: int) -> bytes:
    node = FbxNode(b"a")
    for _ in range(depth):
        node = FbxNode(b"a", (), (node,))
    return fbx_file(node)


def marked_encrypted(data: bytes) -> bytes:
    """Set the flag for encryption in the local headers and in the directory."""
    marked = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            marked[at + offset] |= 1
            at = data.find(signature, at + 1)
    return bytes(marked)


def symlink(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def zip_declaring_too_much() -> bytes:
    """A zip of 3 MB that declares 570 MB once unpacked, below the maximum ratio."""
    noise = np.random.default_rng(0).bytes(3 << 20)
    return gltf_zip(("noise.bin", noise)).replace(struct.pack("<I", len(noise)), struct.pack("<I", 190 * len(noise)))


def zip_with_shared_bytes() -> bytes:
    """A zip with two entries that share their bytes."""
    whole = zipped(("model.gltf", gltf_with_uri()), ("model.bin1", b"x"))
    at = whole.rfind(b"PK\x01\x02")
    return whole[: at + 42] + struct.pack("<I", 0) + whole[at + 46 :]
