"""3D files that come in from a careless or hostile world: made here, name → bytes and what must be said of them."""

from __future__ import annotations

import base64
import gzip
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
FBX_HEAD, FBX_START = b"Kaydara FBX Binary  \0\x1a\0", 27


@dataclass(frozen=True)
class Case:
    """One file that must be refused, with all of ``words`` in the message."""

    data: bytes
    filename: str
    words: tuple[str, ...]


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


def changed(change: Callable[[dict[str, Any]], object], body: bytes | None = None) -> bytes:
    """The triangle as GLB, after something was done to its JSON."""
    document = gltf()
    change(document)
    return glb(document, body)


def put(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
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


def separate(uri: str = "data.bin") -> bytes:
    """The triangle as JSON with its buffer at ``uri``."""
    document = gltf()
    document["buffers"][0]["uri"] = uri
    return json.dumps(document).encode()


def gltf_zip(*more: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    return zipped(("model.gltf", separate()), ("data.bin", binary()), *more)


def usdz(*entries: tuple[str, bytes], packed: bool = False, aligned: bool = True) -> bytes:
    """A package whose entries begin at multiples of 64 bytes, padded by an extra field as USD does it."""
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


USDA = b'#usda 1.0\n( upAxis = "Y" )\ndef Mesh "a" { point3f[] points = [(0,0,0),(1,0,0),(0,1,0)] }\n'


def picture(width: int = 4, height: int = 4, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, format)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def with_image(data: bytes, **more: Any) -> bytes:
    document = gltf()
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    document["images"] = [{"uri": uri, **more}]
    return glb(document)


def stl(count: int | None = None, corners: np.ndarray = TRIANGLE) -> bytes:
    facet = struct.pack("<3f", 0, 0, 1) + np.asarray(corners, "<f4").tobytes() + b"\0\0"
    return b"binary".ljust(80) + struct.pack("<I", 1 if count is None else count) + facet


def ply(header: str = "", body: bytes = b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", **count: int) -> bytes:
    said = header or (
        f"element vertex {count.get('vertex', 3)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {count.get('face', 1)}\nproperty list uchar int vertex_indices\n"
    )
    return f"ply\nformat ascii 1.0\n{said}end_header\n".encode() + body


def fbx_record(name: bytes, properties: bytes, at: int) -> bytes:
    """A record of version 7400 with one property, that begins at byte ``at``."""
    end = at + 13 + len(name) + len(properties)
    return struct.pack("<IIIB", end, 1, len(properties), len(name)) + name + properties


def fbx_nested(depth: int) -> bytes:
    """Records in records, each closed by a null record of 13 bytes."""
    sizes = [14 + 27 * number for number in range(depth)]
    heads = [
        struct.pack("<IIIB", FBX_START + 14 * number + size, 0, 0, 1) + b"a"
        for number, size in enumerate(reversed(sizes))
    ]
    return FBX_HEAD + struct.pack("<I", 7400) + b"".join(heads) + b"\0" * 13 * depth


def fbx_array(kind: bytes, values: np.ndarray, count: int | None = None) -> bytes:
    raw = zlib.compress(values.tobytes())
    return kind + struct.pack("<III", len(values) if count is None else count, 1, len(raw)) + raw


def fbx(points: np.ndarray = TRIANGLE, version: int = 7400, said: int | None = None) -> bytes:
    """One triangle, without the records that only other programs ask for; ``said`` coordinates, if not all."""
    corners = np.array((0, 1, ~2), "<i4")  # the last one of a polygon is stored as its complement
    first = fbx_record(b"Vertices", fbx_array(b"d", points.astype("<f8").ravel(), said), FBX_START)
    second = fbx_record(b"PolygonVertexIndex", fbx_array(b"i", corners), FBX_START + len(first))
    return FBX_HEAD + struct.pack("<I", version) + first + second + b"\0" * 13


def nested(depth: int) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["nodes"] = [{"children": [number + 1]} for number in range(depth)] + [{"mesh": 0}]

    return change


def huge(document: dict[str, Any]) -> None:
    """Ten million triangles, by the counts alone: no such buffer is there."""
    document["accessors"] = [
        {"bufferView": 0, "componentType": 5126, "count": 15_000_000, "type": "VEC3"},
    ]
    document["meshes"][0]["primitives"] = [{"attributes": {"POSITION": 0}}] * 2
    document["bufferViews"] = [{"buffer": 0, "byteLength": 180_000_000}]
    document["buffers"] = [{"byteLength": 180_000_000}]


def instanced(document: dict[str, Any]) -> None:
    """A mesh of 1000 triangles that 10 000 nodes show."""
    document["accessors"][1] |= {"count": 3000}
    document["bufferViews"][1]["byteLength"] = 6000
    document["buffers"][0]["byteLength"] = 6036
    document["nodes"] = [{"mesh": 0}] * 10_000
    document["scenes"][0]["nodes"] = list(range(10_000))


def sparse(**more: Any) -> Callable[[dict[str, Any]], None]:
    said = {
        "count": 2,
        "indices": {"bufferView": 1, "componentType": 5123},
        "values": {"bufferView": 0},
        **more,
    }
    return put("accessors", 0, "sparse", value=said)


def encrypted(data: bytes) -> bytes:
    """Set the flag in the local headers and in the directory."""
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


def overstated() -> bytes:
    """3 MB that say they are 570 once unpacked, within what may be the ratio."""
    noise = np.random.default_rng(0).bytes(3 << 20)
    return gltf_zip(("noise.bin", noise)).replace(struct.pack("<I", len(noise)), struct.pack("<I", 190 * len(noise)))


def overlapping() -> bytes:
    """Two names for one entry's bytes."""
    whole = zipped(("model.gltf", separate()), ("model.bin1", b"x"))
    at = whole.rfind(b"PK\x01\x02")
    return whole[: at + 42] + struct.pack("<I", 0) + whole[at + 46 :]


def _glbs() -> dict[str, tuple[bytes, tuple[str, ...]]]:
    whole = glb(gltf())
    nan, infinite = TRIANGLE.copy(), TRIANGLE.copy()
    nan[1, 0], infinite[2, 2] = np.nan, np.inf
    json_end = 20 + struct.unpack_from("<I", whole, 12)[0]
    repeated = json.dumps(gltf()).encode().replace(b'{"asset"', b'{"scene": 0, "asset"', 1)
    counts = {
        "of -1": -1,
        "of 0": 0,
        "a float": 3.0,
        "a huge float": 1e300,
        "a word": "3",
        "true": True,
        "null": None,
        "a huge integer": 10**30,
        "2 to the 32": 2**32,
    }
    cases: dict[str, tuple[bytes, tuple[str, ...]]] = {
        "glb cut in half": (whole[: len(whole) // 2], ("cut short", "bytes")),
        "glb cut by a byte": (whole[:-1], ("cut short", str(len(whole)))),
        "glb of four bytes": (b"glTF", ("cut short",)),
        "glb with something after it": (whole + b"PK", ("followed by",)),
        "glb with the wrong magic": (b"glTf" + whole[4:], ("no 3D model", "allowed are GLB")),
        "glb of version 1": (glb(gltf(), version=1), ("version 1", "allowed is 2")),
        "glb with a chunk past the end": (whole[:12] + b"\xff\xff\xff\x7f" + whole[16:], ("past the end",)),
        "glb with three bytes for a chunk": (
            whole[:8] + struct.pack("<I", len(whole) + 3) + whole[12:] + b"abc",
            ("3 bytes are left",),
        ),
        "glb without json": (
            b"glTF" + struct.pack("<II", 2, 12 + len(whole) - json_end) + whole[json_end:],
            ("first chunk", "must be JSON"),
        ),
        "glb of a thousand chunks": (
            b"glTF" + struct.pack("<II", 2, 12 + 8 * 1000) + b"\0\0\0\0JSON" * 1000,
            ("more than 16 chunks",),
        ),
        "glb without its binary chunk": (
            b"glTF" + struct.pack("<II", 2, json_end) + whole[12:json_end],
            ("buffer 0", "no binary chunk"),
        ),
        "buffer longer than the binary chunk": (changed(put("buffers", 0, "byteLength", value=4000)), ("4000 bytes",)),
        "json that is no utf-8": (glb(b'{"asset": "\xff\xfe"}'), ("no UTF-8",)),
        "json that is a list": (glb(b"[]"), ("list", "must be an object")),
        "json that is nothing": (glb(b""), ("JSON is broken",)),
        "json cut short": (glb(json.dumps(gltf()).encode()[:-9]), ("JSON is broken",)),
        "json with a key twice": (glb(repeated), ("'scene'", "twice")),
        "json with NaN": (glb(b'{"asset": NaN}'), ("NaN",)),
        "json with 1e999": (glb(b'{"asset": 1e999}'), ("1e999", "too large")),
        "json with a number of 5000 digits": (glb(b'{"asset": ' + b"9" * 5000 + b"}"), ("4300 digits",)),
        "json 65 deep": (glb(b'{"extras":' * 64 + b"{}" + b"}" * 64), ("nested 65 deep", "64")),
        "json a million deep": (glb(b"[" * 1_000_000), ("nested 1000000 deep",)),
        "json of three million values": (glb(b'{"extras":[' + b"{}," * 3_000_000 + b"{}]}"), ("6000003 commas",)),
        "json of 33 MB": (glb(b'{"extras":[' + b" " * (33 << 20) + b"]}"), ("JSON has", "33554432")),
        "json of one open string": (glb(b'{"' + b'\\"' * 2_000_000), ("JSON is broken",)),
        "no asset": (changed(lambda document: document.pop("asset")), ("asset.version", "'2.0'")),
        "gltf 1.0": (changed(put("asset", "version", value="1.0")), ("asset.version is '1.0'",)),
        "gltf 2.5 needed": (changed(put("asset", "minVersion", value="2.5")), ("minVersion is '2.5'",)),
        "an extension that nobody knows": (
            changed(put("extensionsRequired", value=["ACME_secret"])),
            ("'ACME_secret'", "KHR_draco_mesh_compression"),
        ),
        "required extensions that are no list": (changed(put("extensionsRequired", value="x")), ("list of names",)),
        "a name of two lines": (changed(put("nodes", 0, "name", value="a\nFRAME 1 b.png")), ("line break", "'a?FRAME")),
        "no scene": (changed(lambda document: document.pop("scenes")), ("scene is empty",)),
        "no nodes": (changed(lambda document: document.pop("nodes")), ("scene is empty",)),
        "no meshes": (
            changed(lambda document: (document.pop("meshes"), put("nodes", value=[{}])(document))),
            ("scene is empty",),
        ),
        "a scene of nothing": (changed(put("scenes", value=[{"nodes": []}])), ("scene is empty",)),
        "a node of nothing": (changed(put("nodes", value=[{}])), ("scene is empty",)),
        "lines only": (changed(put("meshes", 0, "primitives", 0, "mode", value=1)), ("scene is empty", "triangles")),
        "points only": (changed(put("meshes", 0, "primitives", 0, "mode", value=0)), ("scene is empty",)),
        "mode 7": (changed(put("meshes", 0, "primitives", 0, "mode", value=7)), ("mode", "7", "0 to 6")),
        "a scene that isn't there": (changed(put("scene", value=1)), ("scene", "0 to 0")),
        "scaled to nothing": (changed(put("nodes", 0, "scale", value=[0, 0, 0])), ("scene is empty",)),
        "a matrix of nothing": (changed(put("nodes", 0, "matrix", value=[0] * 15 + [1])), ("scene is empty",)),
        "a matrix of words": (changed(put("nodes", 0, "matrix", value=["1"] * 16)), ("matrix of node 0", "16 numbers")),
        "a translation to the stars": (changed(put("nodes", 0, "translation", value=[1e30, 0, 0])), ("translation",)),
        "a node that is its own child": (
            changed(put("nodes", value=[{"mesh": 0}, {"children": [1]}])),
            ("cycle",),
        ),
        "a cycle of two nodes": (
            changed(put("nodes", value=[{"mesh": 0}, {"children": [2]}, {"children": [1]}])),
            ("cycle",),
        ),
        "a scene inside a cycle": (
            changed(put("nodes", value=[{"children": [1]}, {"children": [0], "mesh": 0}])),
            ("cycle",),
        ),
        "a node with two parents": (
            changed(put("nodes", value=[{"children": [2]}, {"children": [2]}, {"mesh": 0}])),
            ("two parents",),
        ),
        "a node that is twice a child": (
            changed(put("nodes", value=[{"children": [1, 1]}, {"mesh": 0}])),
            ("one node twice",),
        ),
        "nodes 101 deep": (changed(nested(100)), ("more than 100 deep",)),
        "nodes 50 000 deep": (changed(nested(50_000)), ("more than 100 deep",)),
        "100 001 nodes": (changed(put("nodes", value=[{"mesh": 0}] * 100_001)), ("100001 nodes", "100000")),
        "a child that isn't there": (changed(put("nodes", 0, "children", value=[9])), ("children", "9")),
        "a child of -1": (changed(put("nodes", 0, "children", value=[-1])), ("children", "-1")),
        "a mesh that isn't there": (changed(put("nodes", 0, "mesh", value=5)), ("mesh", "5")),
        "a material that isn't there": (
            changed(put("meshes", 0, "primitives", 0, "material", value=0)),
            ("material", "no materials"),
        ),
        "a texture that isn't there": (
            changed(put("materials", value=[{"pbrMetallicRoughness": {"baseColorTexture": {"index": 3}}}])),
            ("baseColorTexture", "no textures"),
        ),
        "nodes that are words": (changed(put("nodes", value=["a"])), ("nodes", "list of objects")),
        "ten million triangles": (changed(huge), ("10000000 triangles", "5000000")),
        "ten million triangles by instances": (changed(instanced, b"\0" * 6036), ("10000000 triangles",)),
        "forty million vertices": (changed(put("accessors", 0, "count", value=40_000_000)), ("40000000", "15000000")),
        "four corners": (
            changed(
                lambda document: (
                    put("accessors", 1, "count", value=4)(document),
                    put("bufferViews", 1, "byteLength", value=8)(document),
                )
            ),
            ("4 corners", "multiple of 3"),
        ),
        "view past the end of its buffer": (
            changed(put("bufferViews", 1, "byteLength", value=9)),
            ("bufferView 1 ends at byte 45", "past the end of buffer 0"),
        ),
        "view of -4 bytes": (changed(put("bufferViews", 1, "byteLength", value=-4)), ("byteLength", "-4")),
        "view at -1": (changed(put("bufferViews", 1, "byteOffset", value=-1)), ("byteOffset", "-1")),
        "view of a buffer that isn't there": (changed(put("bufferViews", 1, "buffer", value=7)), ("buffer", "7")),
        "buffer of a terabyte": (changed(put("buffers", 0, "byteLength", value=2**40)), ("byteLength", str(2**40))),
        "accessor past the end of its view": (
            changed(put("accessors", 0, "byteOffset", value=4)),
            ("accessor 0 ends at byte 40", "bufferView 0"),
        ),
        "accessor of a view that isn't there": (changed(put("accessors", 0, "bufferView", value=9)), ("bufferView",)),
        "component type 5124": (changed(put("accessors", 0, "componentType", value=5124)), ("componentType", "5124")),
        "component type true": (changed(put("accessors", 0, "componentType", value=True)), ("componentType", "True")),
        "type VEC5": (changed(put("accessors", 0, "type", value="VEC5")), ("type of accessor 0", "'VEC5'")),
        "type a list": (changed(put("accessors", 0, "type", value=[])), ("type of accessor 0",)),
        "misaligned accessor": (changed(put("bufferViews", 1, "byteOffset", value=37)), ("misaligned",)),
        "stride below the element": (
            changed(put("bufferViews", 0, "byteStride", value=8)),
            ("elements of 12 bytes", "byteStride 8"),
        ),
        "stride of 1": (changed(put("bufferViews", 0, "byteStride", value=1)), ("byteStride", "4 to 256")),
        "index 3 of 3 vertices": (glb(gltf(), binary(indices=(0, 1, 3))), ("is 3", "0 to 2")),
        "index 65535": (glb(gltf(), binary(indices=(0, 1, 65535))), ("is 65535",)),
        "float indices": (
            changed(put("meshes", 0, "primitives", 0, "indices", value=0)),
            ("indices", "unsigned integers"),
        ),
        "positions of bytes": (
            changed(put("accessors", 0, "componentType", value=5121)),
            ("POSITION", "VEC3 of floats"),
        ),
        "positions that isn't there": (
            changed(put("meshes", 0, "primitives", 0, "attributes", "POSITION", value=4)),
            ("POSITION",),
        ),
        "attributes of two counts": (
            changed(
                lambda document: (
                    document["accessors"].append({"bufferView": 0, "componentType": 5126, "count": 2, "type": "VEC3"}),
                    put("meshes", 0, "primitives", 0, "attributes", "NORMAL", value=2)(document),
                )
            ),
            ("different counts",),
        ),
        "NaN vertices": (glb(gltf(), binary(nan)), ("vertex 1", "nan")),
        "infinite vertices": (glb(gltf(), binary(infinite)), ("vertex 2", "inf")),
        "a vertex at 1e30": (glb(gltf(), binary(TRIANGLE * 1e30)), ("1e+30",)),
        "all vertices in one point": (glb(gltf(), binary(np.ones((3, 3)))), ("no triangle has an area",)),
        "all vertices on a line": (
            glb(gltf(), binary(np.outer(np.arange(3), [1, 1, 1]))),
            ("no triangle has an area",),
        ),
        "triangles of one corner": (glb(gltf(), binary(indices=(1, 1, 1))), ("no triangle has an area",)),
        "vertices from nowhere": (
            changed(lambda document: document["accessors"][0].pop("bufferView")),
            ("no triangle has an area",),
        ),
        "sparse past its view": (changed(sparse(values={"bufferView": 0, "byteOffset": 16})), ("sparse", "past")),
        "sparse of more than all": (changed(sparse(count=4)), ("sparse", "count", "4")),
        "sparse without values": (changed(sparse(values=None)), ("sparse", "values")),
        "sparse index out of range": (
            changed(sparse(), binary(indices=(1, 7, 0))),
            ("sparse accessor is 7", "0 to 2"),
        ),
        "sparse indices that fall": (changed(sparse(), binary(indices=(2, 1, 0))), ("must rise",)),
        "meshopt that unpacks to another size": (
            changed(
                put(
                    "bufferViews",
                    0,
                    "extensions",
                    value={
                        "EXT_meshopt_compression": {"buffer": 0, "byteLength": 8, "byteStride": 12, "count": 12_000_000}
                    },
                )
            ),
            ("EXT_meshopt_compression", "another size"),
        ),
        "draco of a view that isn't there": (
            changed(
                put("meshes", 0, "primitives", 0, "extensions", value={"KHR_draco_mesh_compression": {"bufferView": 7}})
            ),
            ("bufferView", "7"),
        ),
        "image of 20 000 pixels a side": (with_image(png_header(20_000, 20_000)), ("20000×20000", "8192")),
        "image cut short": (with_image(picture()[:20]), ("image 0", "cut short")),
        "jpeg cut short": (with_image(picture(format="JPEG")[:30]), ("image 0", "cut short")),
        "image that is a gif": (with_image(picture(format="GIF")), ("image 0", "allowed are PNG")),
        "image that is a bmp": (with_image(picture(format="BMP")), ("image 0", "allowed are PNG")),
        "image of two sources": (with_image(picture(), bufferView=0), ("either a URI or a bufferView",)),
        "eleven images of 8192 × 8192": (
            changed(
                put(
                    "images",
                    value=[{"uri": "data:image/png;base64," + base64.b64encode(png_header(8192, 8192)).decode()}] * 11,
                )
            ),
            ("together",),
        ),
        "image of type text": (
            changed(put("images", value=[{"bufferView": 0, "mimeType": "text/html"}])),
            ("'text/html'",),
        ),
    }
    cases |= {
        f"accessor count {name}": (changed(put("accessors", 0, "count", value=value)), ("count of accessor 0",))
        for name, value in counts.items()
    }
    return cases


URIS = {
    "../secret.bin": "..", "a/../../secret.bin": "..", "file:///etc/passwd": "scheme", "FILE:/etc/passwd": "scheme",
    "http://example.com/a.bin": "scheme", "https://example.com/a.bin": "scheme", "//example.com/a.bin": "host",
    "/etc/passwd": "absolute", "C:/a.bin": "drive", "..\\secret.bin": "backslash", "\\\\host\\a.bin": "backslash",
    "%2e%2e/secret.bin": "..", "%2E%2E%2Fsecret.bin": "..", "%252e%252e%252fsecret.bin": "..",
    "%25252e%25252e/secret.bin": "..", "file%3a///etc/passwd": "scheme", "file%253A%252F%252F/etc/passwd": "scheme",
    "http%3A%2F%2Fexample.com": "scheme", "%68ttps:%2f%2fexample.com/a": "scheme", "%2fetc%2fpasswd": "absolute",
    "%2F%2Fexample.com/a.bin": "host", "%252Fetc/passwd": "absolute", "..%5csecret.bin": "backslash",
    "%255c%255chost": "backslash", "a.bin\0.png": "control", "a%00.bin": "control", "a%2500.bin": "control",
    "a%0d%0a.bin": "control", "": "1 to 1024", "a" * 2000: "1 to 1024", "%" + "25" * 20 + "2e": "percent",
    "javascript:alert(1)": "scheme", "ftp://example.com/a": "scheme", "jar:file:///a.zip!/b": "scheme",
    "missing.bin": "isn't in the archive",
    "data:text/html;base64,AAAA": "text/html", "data:application/octet-stream,AAAA": "not base64",
    "data:application/octet-stream;base64,AA*A": "no valid base64", "data:application/octet-stream;base64": "no comma",
    "data:application/octet-stream;base64,AAAA": "3: the file is cut short",
}  # fmt: skip


def _archives() -> dict[str, tuple[bytes, tuple[str, ...]]]:
    whole = gltf_zip()
    cases = {
        f"uri {number}: {uri[:24]!r}": (zipped(("model.gltf", separate(uri)), ("data.bin", binary())), (word,))
        for number, (uri, word) in enumerate(URIS.items())
    }
    names = {
        "../evil.txt": "..",
        "/etc/evil.txt": "absolute",
        "a\\evil.txt": "backslash",
        "C:/evil.txt": "drive",
        "a/../../evil.txt": "..",
        "a//evil.txt": "empty part",
        "./evil.txt": "a dot",
        "x" * 600 + ".txt": "512",
        "a\nb.txt": "control",
    }
    cases |= {f"entry {name[:20]!r}": (gltf_zip((name, b"x")), ("entry", word)) for name, word in names.items()}
    bomb = b"\0" * (60 << 20)
    cases |= {
        "zip cut in half": (whole[: len(whole) // 2], ("cut short",)),
        "zip with something after it": (whole + b"x", ("damaged",)),
        "zip with something before its directory": (
            whole[: whole.index(b"PK\x01\x02")] + b"1234" + whole[whole.index(b"PK\x01\x02") :],
            ("damaged",),
        ),
        "zip without entries": (zipped(), ("must hold one model", "none")),
        "zip bomb of one entry": (gltf_zip(("zeros.bin", bomb)), ("unpacks", "200 times")),
        "zip bomb by the sum": (overstated(), ("unpacks to", "524288000")),
        "zip bomb that lies about its size": (
            zipped(("model.gltf", separate()), ("data.bin", bomb)).replace(
                struct.pack("<I", len(bomb)), struct.pack("<I", 44)
            ),
            ("data.bin", "damaged"),
        ),
        "zip of 2001 entries": (gltf_zip(*((f"{number}.txt", b"") for number in range(1999))), ("2001", "2000")),
        "zip in a zip": (gltf_zip(("inner.zip", zipped())), ("archive itself",)),
        "zip in a zip as a buffer": (
            zipped(("model.gltf", separate()), ("data.bin", zipped(("a", b"x")))),
            ("archive itself",),
        ),
        "symlink": (gltf_zip((symlink("link.bin"), b"/etc/passwd")), ("symlink",)),
        "two entries of one name": (
            gltf_zip(("same1.txt", b"1"), ("same2.txt", b"2")).replace(b"same2.txt", b"same1.txt"),
            ("two entries", "'same1.txt'"),
        ),
        "two entries on the same bytes": (overlapping(), ("overlaps",)),
        "a file that is a folder": (gltf_zip(("data.bin/more.txt", b"x")), ("in another that is a file",)),
        "encrypted zip": (encrypted(whole), ("encrypted",)),
        "zip of two gltf": (gltf_zip(("other.gltf", separate())), ("one model", "'other.gltf'")),
        "zip of a gltf and an obj": (gltf_zip(("other.obj", b"v 0 0 0")), ("one model",)),
        "zip of photos": (zipped(("a.png", picture())), ("one model",)),
        "zip of an fbx that is an stl": (zipped(("a.fbx", stl())), ("'a.fbx' holds STL",)),
        "zip of an fbx with a picture of 20 000 pixels": (
            zipped(("a.fbx", fbx()), ("a.png", png_header(20_000, 20_000))),
            ("20000×20000",),
        ),
        "zip of a gltf and an stl": (gltf_zip(("other.stl", stl())), ("one model", "'other.stl'")),
        "zip of a blend": (zipped(("a.blend", b"BLENDER-v405")), ("Blender file", "scripts")),
        "zip whose gltf names an image of 20 000 pixels": (
            zipped(
                (
                    "model.gltf",
                    json.dumps(
                        gltf() | {"images": [{"uri": "a.png"}], "buffers": [{"byteLength": 44, "uri": "data.bin"}]}
                    ).encode(),
                ),
                ("data.bin", binary()),
                ("a.png", png_header(20_000, 20_000)),
            ),
            ("20000×20000",),
        ),
        "zip packed with bzip2": (whole.replace(b"\x08\x00", b"\x0c\x00"), ("method 12",)),
    }
    return cases


OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


def _meshes() -> dict[str, tuple[bytes, str, tuple[str, ...]]]:
    nan = TRIANGLE.copy()
    nan[2, 1] = np.nan
    long = b"f" + b" 1" * 200_000 + b"\n"
    text_stl = b"solid a\nfacet normal 0 0 1\nouter loop\n" + b"vertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\n"
    whole = fbx()
    return {
        "obj with NaN": (OBJ.replace(b"v 1 0 0", b"v nan 0 0"), "a.obj", ("nan",)),
        "obj with inf": (OBJ.replace(b"v 1 0 0", b"v 1 inf 0"), "a.obj", ("inf",)),
        "obj with a word": (OBJ.replace(b"v 1 0 0", b"v 1 zero 0"), "a.obj", ("word where a number",)),
        "obj with two coordinates": (OBJ.replace(b"v 1 0 0", b"v 1 0"), "a.obj", ("fewer than 3",)),
        "obj index 0": (OBJ.replace(b"f 1", b"f 0"), "a.obj", ("names vertex 0", "1 to 3")),
        "obj index 4": (OBJ.replace(b"f 1", b"f 4"), "a.obj", ("names vertex 4", "1 to 3")),
        "obj index -4": (OBJ.replace(b"f 1", b"f -4"), "a.obj", ("names vertex 0",)),
        "obj index of 30 digits": (OBJ.replace(b"f 1", b"f 1" + b"0" * 29), "a.obj", ("vertex",)),
        "obj without faces": (b"v 0 0 0\nv 1 0 0\n", "a.obj", ("scene is empty",)),
        "obj of one line": (OBJ + long, "a.obj", ("a line has 400001 bytes", "65536")),
        "obj of one joined line": (OBJ + b"f 1 2 \\\n" * 50_000, "a.obj", ("a line has",)),
        "obj in one point": (OBJ.replace(b"1", b"0").replace(b"f 0", b"f 1"), "a.obj", ("no triangle has an area",)),
        "obj of noise": (bytes(range(256)) * 40, "a.obj", ("isn't text",)),
        "obj whose face has no corners": (OBJ.replace(b"f 1 2 3", b"f  "), "a.obj", ("scene is empty",)),
        "obj with a library that climbs": (b"mtllib ../a.mtl\n" + OBJ, "a.obj", ("mtllib", "..")),
        "obj with an absolute library": (b"mtllib /etc/passwd\n" + OBJ, "a.obj", ("mtllib", "absolute")),
        "obj with a library on a drive": (b"mtllib C:\\a.mtl\n" + OBJ, "a.obj", ("mtllib", "drive")),
        "obj whose texture climbs": (
            zipped(("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", b"newmtl a\nmap_Kd -s 1 1 1 ..\\..\\b.png\n")),
            "a.zip",
            ("map_Kd", ".."),
        ),
        "obj whose texture is absolute": (
            zipped(("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", b"newmtl a\n  map_Kd /etc/passwd\n")),
            "a.zip",
            ("map_Kd", "absolute"),
        ),
        "obj whose texture is on the web": (
            zipped(("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", b"newmtl a\nmap_Bump http://example.com/a.png\n")),
            "a.zip",
            ("map_Bump", "scheme"),
        ),
        "obj whose texture is a bomb": (
            zipped(
                ("a.obj", b"mtllib a.mtl\n" + OBJ),
                ("a.mtl", b"newmtl a\nmap_Kd a.png\n"),
                ("a.png", png_header(30_000, 30_000)),
            ),
            "a.zip",
            ("30000×30000",),
        ),
        "obj whose materials are noise": (
            zipped(("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", bytes(256))),
            "a.zip",
            ("MTL isn't text",),
        ),
        "stl with a facet too few": (stl(2), "a.stl", ("2 triangles", "184", "134")),
        "stl with a facet too many": (stl() + stl()[84:], "a.stl", ("1 triangles", "134", "184")),
        "stl of ten million": (stl(TEN_MILLION), "a.stl", ("10000000 triangles", "5000000")),
        "stl of none": (stl(0)[:84], "a.stl", ("scene is empty", "0 triangles")),
        "stl of 20 bytes": (b"\0" * 20, "a.stl", ("cut short",)),
        "stl with NaN": (stl(corners=nan), "a.stl", ("vertex 2", "nan")),
        "stl in one point": (stl(corners=np.ones((3, 3))), "a.stl", ("no triangle has an area",)),
        "text stl without facets": (b"solid a\nendsolid a\n", "a.stl", ("no facets",)),
        "text stl cut short": (text_stl, "a.stl", ("cut short", "endsolid")),
        "text stl cut in a facet": (text_stl[:-13] + b"\nendsolid", "a.stl", ("multiple of 9",)),
        "text stl with NaN": (text_stl.replace(b"vertex 1", b"vertex nan") + b"endsolid", "a.stl", ("nan",)),
        "text stl with words": (text_stl.replace(b"vertex 1", b"vertex x") + b"endsolid", "a.stl", ("word",)),
        "ply without an end": (ply()[:60], "a.ply", ("no end_header",)),
        "ply without a format": (b"ply\nelement vertex 3\nend_header\n", "a.ply", ("no format",)),
        "ply of another format": (ply().replace(b"ascii", b"ebcdic"), "a.ply", ("'ebcdic'",)),
        "ply of ten million faces": (ply(face=TEN_MILLION), "a.ply", ("10000000 triangles", "5000000")),
        "ply of a billion vertices": (ply(vertex=10**9), "a.ply", ("1000000000 vertices", "15000000")),
        "ply of -1 vertices": (ply(vertex=-1), "a.ply", ("element vertex -1",)),
        "ply of 10^30 vertices": (ply(vertex=10**30), "a.ply", ("means nothing",)),
        "ply cut short": (ply(body=b"0 0 0\n1 0 0\n"), "a.ply", ("cut short",)),
        "ply cut in its faces": (ply(body=b"0 0 0\n1 0 0\n0 1 0\n3 0 1"), "a.ply", ("cut short",)),
        "binary ply cut short": (
            ply(body=b"\0" * 30).replace(b"ascii", b"binary_little_endian"),
            "a.ply",
            ("cut short",),
        ),
        "binary ply cut in its faces": (
            ply(body=TRIANGLE.tobytes() + b"\3\0\0").replace(b"ascii", b"binary_little_endian"),
            "a.ply",
            ("cut short",),
        ),
        "binary ply with NaN": (
            ply(body=nan.tobytes() + b"\3" + struct.pack("<3i", 0, 1, 2)).replace(b"ascii", b"binary_little_endian"),
            "a.ply",
            ("nan",),
        ),
        "ply with NaN": (ply(body=b"0 0 0\nnan 0 0\n0 1 0\n3 0 1 2\n"), "a.ply", ("vertex 1", "nan")),
        "ply with a NaN index": (ply(body=b"0 0 0\n1 0 0\n0 1 0\n3 0 1 nan\n"), "a.ply", ("index",)),
        "ply index out of range": (ply(body=b"0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n"), "a.ply", ("is 3", "0 to 2")),
        "ply face of 9999 corners": (ply(body=b"0 0 0\n1 0 0\n0 1 0\n9999 0 1 3\n"), "a.ply", ("9999 corners",)),
        "ply face of -1 corners": (ply(body=b"0 0 0\n1 0 0\n0 1 0\n-1 0 1 3\n"), "a.ply", ("-1 corners",)),
        "ply with words": (ply(body=b"0 0 zero\n"), "a.ply", ("word",)),
        "ply point cloud": (
            ply("element vertex 1\nproperty float x\nproperty float y\nproperty float z\n", b"0 0 0\n"),
            "a.ply",
            ("point cloud",),
        ),
        "ply without z": (
            ply(
                "element vertex 1\nproperty float x\nproperty float y\n"
                "element face 1\nproperty list uchar int vertex_indices\n"
            ),
            "a.ply",
            ("x, y and z",),
        ),
        "ply counted in floats": (ply().replace(b"list uchar", b"list float"), "a.ply", ("float", "integers")),
        "ply of unknown type": (ply().replace(b"float z", b"quad z"), "a.ply", ("quad",)),
        "ply with lists of lists": (ply().replace(b"float x", b"list uchar float x"), "a.ply", ("x",)),
        "fbx of version 6100": (fbx(version=6100), "a.fbx", ("version 6100", "7100")),
        "fbx cut in half": (whole[: len(whole) // 2], "a.fbx", ("cut short",)),
        "fbx without its end": (whole[:-13], "a.fbx", ("cut short",)),
        "fbx of 20 bytes": (whole[:20], "a.fbx", ("cut short",)),
        "fbx without polygons": (whole[:FBX_START] + b"\0" * 13, "a.fbx", ("scene is empty",)),
        "fbx with NaN": (fbx(nan), "a.fbx", ("vertex 2", "nan")),
        "fbx nested 70 deep": (fbx_nested(70), "a.fbx", ("more than 64 deep",)),
        "fbx that unpacks to more than it says": (fbx(said=6), "a.fbx", ("damaged", "Vertices")),
        "fbx that says four billion numbers": (fbx(said=2**32 - 1), "a.fbx", ("unpacks to more", "524288000")),
        "text fbx": (b"; FBX 7.4.0 project file\nFBXHeaderExtension:  {\n", "a.fbx", ("as text", "binary FBX")),
    }


def _packages() -> dict[str, tuple[bytes, tuple[str, ...]]]:
    outside = b'#usda 1.0\ndef Mesh "a" ( references = @%s@ ) {}\n'
    return {
        "usdz with compressed entries": (usdz(("a.usda", USDA * 9), packed=True), ("compressed", "stored")),
        "usdz misaligned": (usdz(("a.usda", USDA), aligned=False), ("begins at byte 36", "64")),
        "usdz encrypted": (encrypted(usdz(("a.usda", USDA))), ("encrypted",)),
        "usdz whose first entry is a picture": (
            usdz(("a.png", picture()), ("a.usda", USDA)),
            ("first entry", "'a.png'"),
        ),
        "usdz without entries": (zipped(), ("first entry", "nothing")),
        "usdz with a program": (usdz(("a.usda", USDA), ("run.exe", b"MZ")), ("'run.exe'", "not allowed")),
        "usdz with a script": (usdz(("a.usda", USDA), ("a.py", b"import os")), ("'a.py'", "allowed are usd")),
        "usdz in a usdz": (usdz(("a.usda", USDA), ("b.usdz", usdz(("a.usda", USDA)))), ("archive itself",)),
        "usdz with an entry that climbs": (usdz(("a.usda", USDA), ("../b.png", picture())), ("..",)),
        "usdz whose layer is noise": (usdz(("a.usdc", b"noise" * 20)), ("no USD layer",)),
        "usdz that names a file": (usdz(("a.usda", outside % b"/etc/passwd")), ("absolute",)),
        "usdz that names a file by scheme": (usdz(("a.usda", outside % b"file:///etc/passwd")), ("scheme",)),
        "usdz that names the web": (usdz(("a.usda", outside % b"https://example.com/a.usd")), ("scheme",)),
        "usdz that climbs": (usdz(("a.usda", outside % b"0/../../b.usd")), ("..",)),
        "usdz of nothing": (usdz(("a.usda", b'#usda 1.0\ndef Xform "a" {}\n')), ("scene is empty",)),
        "usdz with a picture of 20 000 pixels": (
            usdz(("a.usda", USDA), ("a.png", png_header(20_000, 20_000))),
            ("20000×20000",),
        ),
        "usdz cut in half": (usdz(("a.usda", USDA))[:150], ("cut short",)),
    }


def _others() -> dict[str, tuple[bytes, str, tuple[str, ...]]]:
    blend = b"BLENDER17-01v0500" + b"\0" * 200
    zstandard = b"\x28\xb5\x2f\xfd" + b"\0" * 50 + b"\xb1\xea\x92\x8f"
    return {
        "empty": (b"", "a.glb", ("empty", "allowed are GLB")),
        "one byte": (b"g", "a.glb", ("no 3D model",)),
        "blend": (blend, "a.blend", ("Blender file", "scripts", "GLB")),
        "blend as glb": (blend, "a.glb", ("Blender file", "scripts")),
        "blend with gzip": (gzip.compress(blend), "a.blend", ("Blender file",)),
        "blend with gzip as glb": (gzip.compress(blend), "a.glb", ("Blender file",)),
        "blend with zstandard": (zstandard[:20], "a.blend", ("Blender file",)),
        "blend with zstandard as glb": (zstandard, "a.glb", ("Blender file",)),
        "gzip": (gzip.compress(b"x" * 100), "a.glb", ("compressed file",)),
        "jpeg": (picture(format="JPEG"), "a.glb", ("a JPEG",)),
        "png as obj": (picture(), "a.obj", ("a PNG",)),
        "pdf": (b"%PDF-1.7\n" + b"0" * 100, "a.stl", ("a PDF",)),
        "html": (b"<!DOCTYPE html><html><body>404</body></html>", "a.gltf", ("HTML",)),
        "xml": (b"<?xml version='1.0'?><COLLADA/>", "a.dae", ("XML",)),
        "program": (b"\x7fELF" + b"\0" * 400, "a.glb", ("a program",)),
        "heic": (b"\0\0\0\x18ftypheic" + b"\0" * 50, "a.usdz", ("HEIC",)),
        "usda without its package": (USDA, "a.usda", ("USDZ",)),
        "text": (b"this is a chair.glb, believe me", "a.glb", ("no 3D model",)),
        "noise": (bytes(range(1, 256)) * 40, "a.glb", ("no 3D model",)),
        "gltf whose buffer is elsewhere": (separate(), "a.gltf", ("'data.bin'", "zip")),
        "gltf that is a word": (b"{]", "a.gltf", ("JSON is broken",)),
        "a name with nothing in it": (b"\1\2\3", "", ("no 3D model",)),
    }


def _corpus() -> dict[str, Case]:
    cases = {name: Case(data, "model.glb", words) for name, (data, words) in _glbs().items()}
    cases |= {name: Case(data, "model.zip", words) for name, (data, words) in _archives().items()}
    cases |= {name: Case(data, "model.usdz", words) for name, (data, words) in _packages().items()}
    return cases | {name: Case(*case) for name, case in (_meshes() | _others()).items()}


CORPUS = _corpus()
