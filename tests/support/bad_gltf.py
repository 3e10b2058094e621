"""GLB files that must be rejected: name → bytes, and words of the error message."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.mesh_bytes import (
    TRIANGLE,
    binary,
    changed_glb,
    encoded_image,
    glb,
    glb_with_image,
    gltf,
    png_header,
    set_value,
)


def nested(depth: int) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["nodes"] = [{"children": [number + 1]} for number in range(depth)] + [{"mesh": 0}]

    return change


def declare_ten_million_triangles(document: dict[str, Any]) -> None:
    """Ten million triangles, by the counts alone: no such buffer is there."""
    document["accessors"] = [
        {"bufferView": 0, "componentType": 5126, "count": 15_000_000, "type": "VEC3"},
    ]
    document["meshes"][0]["primitives"] = [{"attributes": {"POSITION": 0}}] * 2
    document["bufferViews"] = [{"buffer": 0, "byteLength": 180_000_000}]
    document["buffers"] = [{"byteLength": 180_000_000}]


def share_bytes(document: dict[str, Any]) -> None:
    """Seven accessors of 15 million elements that need no bytes."""
    document["accessors"] += [{"componentType": 5126, "count": 15_000_000, "type": "VEC3"}] * 7


def show_mesh_ten_thousand_times(document: dict[str, Any]) -> None:
    """A mesh of 1000 triangles that 10 000 nodes show."""
    document["accessors"][1] |= {"count": 3000}
    document["bufferViews"][1]["byteLength"] = 6000
    document["buffers"][0]["byteLength"] = 6036
    document["nodes"] = [{"mesh": 0}] * 10_000
    document["scenes"][0]["nodes"] = list(range(10_000))


def sparse(**more: Any) -> Callable[[dict[str, Any]], None]:
    value = {
        "count": 2,
        "indices": {"bufferView": 1, "componentType": 5123},
        "values": {"bufferView": 0},
        **more,
    }
    return set_value("accessors", 0, "sparse", value=value)


def with_extension(name: str, *path: str | int, value: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Add an extension to the object at ``path``, and declare it."""

    def change(document: dict[str, Any]) -> None:
        set_value(*path, "extensions", value={name: value})(document)
        document["extensionsUsed"] = document["extensionsRequired"] = [name]

    return change


def bad_glbs() -> dict[str, tuple[bytes, tuple[str, ...]]]:
    whole = glb(gltf())
    nan, infinite = TRIANGLE.copy(), TRIANGLE.copy()
    nan[1, 0], infinite[2, 2] = np.nan, np.inf
    json_end = 20 + struct.unpack_from("<I", whole, 12)[0]
    repeated = json.dumps(gltf()).encode().replace(b'{"asset"', b'{"scene": 0, "asset"', 1)
    counts = {
        "of -1": -1,
        "of 0": 0,
        "a float": 3.0,
        "a declare_ten_million_triangles float": 1e300,
        "a word": "3",
        "true": True,
        "null": None,
        "a declare_ten_million_triangles integer": 10**30,
        "2 to the 32": 2**32,
    }
    cases: dict[str, tuple[bytes, tuple[str, ...]]] = {
        "glb cut in half": (whole[: len(whole) // 2], ("cut short", "bytes")),
        "glb cut by a byte": (whole[:-1], ("cut short", str(len(whole)))),
        "glb of four bytes": (b"glTF", ("cut short",)),
        "glb with something after it": (whole + b"PK", ("followed by",)),
        "glb with the wrong magic": (b"glTf" + whole[4:], ("no 3D model", "allowed are GLB")),
        "glb of version 1": (glb(gltf(), version=1), ("GLB version value 1",)),
        "glb with a chunk past the end": (
            whole[:12] + b"\xff\xff\xff\x7f" + whole[16:],
            ("JSON is broken", "position 502"),
        ),
        "glb with three bytes for a chunk": (
            whole[:8] + struct.pack("<I", len(whole) + 3) + whole[12:] + b"abc",
            ("end of chunk header",),
        ),
        "glb without json": (
            b"glTF" + struct.pack("<II", 2, 12 + len(whole) - json_end) + whole[json_end:],
            ("JSON is broken",),
        ),
        "glb of a thousand chunks": (
            b"glTF" + struct.pack("<II", 2, 12 + 8 * 1000) + b"\0\0\0\0JSON" * 1000,
            ("JSON is broken",),
        ),
        "glb without its binary chunk": (
            b"glTF" + struct.pack("<II", 2, json_end) + whole[12:json_end],
            (
                "/buffers/0",
                "unresolved GLB binary chunk",
            ),
        ),
        "buffer longer than the binary chunk": (
            changed_glb(set_value("buffers", 0, "byteLength", value=4000)),
            (
                "(44)",
                "(4000)",
                "BUFFER_BYTE_LENGTH_MISMATCH",
            ),
        ),
        "json that is no utf-8": (glb(b'{"asset": "\xff\xfe"}'), ("'utf-8' codec can't decode",)),
        "json that is a list": (glb(b"[]"), ("list", "must be an object")),
        "json that is nothing": (glb(b""), ("JSON is broken",)),
        "json cut short": (glb(json.dumps(gltf()).encode()[:-9]), ("JSON is broken",)),
        "json with a key twice": (glb(repeated), ("'scene'", "twice")),
        "json with NaN": (glb(b'{"asset": NaN}'), ("NaN",)),
        "json with 1e999": (glb(b'{"asset": 1e999}'), ("/asset", "Infinity")),
        "json with a number of 5000 digits": (glb(b'{"asset": ' + b"9" * 5000 + b"}"), ("4300 digits",)),
        "json 65 deep": (glb(b'{"extras":' * 64 + b"{}" + b"}" * 64), ("'asset' must be defined",)),
        "json a million deep": (glb(b"[" * 1_000_000), ("maximum recursion depth",)),
        "json of three million values": (glb(b'{"extras":[' + b"{}," * 3_000_000 + b"{}]}"), ("6000003 commas",)),
        "json of 33 MB": (glb(b'{"extras":[' + b" " * (33 << 20) + b"]}"), ("'asset' must be defined",)),
        "json of one open string": (glb(b'{"' + b'\\"' * 2_000_000), ("JSON is broken",)),
        "no asset": (changed_glb(lambda document: document.pop("asset")), ("'asset' must be defined",)),
        "gltf 1.0": (
            changed_glb(set_value("asset", "version", value="1.0")),
            (
                "/asset/version",
                "major asset version: 1",
            ),
        ),
        "gltf 2.5 needed": (
            changed_glb(set_value("asset", "minVersion", value="2.5")),
            (
                "minVersion '2.5'",
                "version '2.0'",
            ),
        ),
        "an extension that nobody knows": (
            changed_glb(set_value("extensionsRequired", value=["ACME_secret"])),
            (
                '"ACME_secret"',
                "required extension",
            ),
        ),
        "required extensions that are no list": (
            changed_glb(set_value("extensionsRequired", value="x")),
            (
                "/extensionsRequired",
                "'array'",
            ),
        ),
        "a name of two lines": (
            changed_glb(set_value("nodes", 0, "name", value="a\nFRAME 1 b.png")),
            ("line break", "'a?FRAME"),
        ),
        "no scene": (
            changed_glb(lambda document: document.pop("scenes")),
            (
                "/scene",
                "Unresolved reference: 0",
            ),
        ),
        "no nodes": (
            changed_glb(lambda document: document.pop("nodes")),
            (
                "/scenes/0/nodes/0",
                "Unresolved reference: 0",
            ),
        ),
        "no meshes": (
            changed_glb(lambda document: (document.pop("meshes"), set_value("nodes", value=[{}])(document))),
            ("scene is empty",),
        ),
        "a scene of nothing": (changed_glb(set_value("scenes", value=[{"nodes": []}])), ("scene is empty",)),
        "a node of nothing": (changed_glb(set_value("nodes", value=[{}])), ("scene is empty",)),
        "lines only": (
            changed_glb(set_value("meshes", 0, "primitives", 0, "mode", value=1)),
            ("scene is empty", "triangles"),
        ),
        "points only": (changed_glb(set_value("meshes", 0, "primitives", 0, "mode", value=0)), ("scene is empty",)),
        "mode 7": (
            changed_glb(set_value("meshes", 0, "primitives", 0, "mode", value=7)),
            (
                "mode",
                "Value 7 is out of range",
            ),
        ),
        "a scene that isn't there": (
            changed_glb(set_value("scene", value=1)),
            (
                "/scene",
                "Unresolved reference: 1",
            ),
        ),
        "scaled to nothing": (
            changed_glb(set_value("nodes", 0, "scale", value=[0, 0, 0])),
            ("no triangle has an area",),
        ),
        "a matrix of nothing": (changed_glb(set_value("nodes", 0, "matrix", value=[0] * 15 + [1])), ("matrix",)),
        "a matrix of words": (
            changed_glb(set_value("nodes", 0, "matrix", value=["1"] * 16)),
            (
                "/nodes/0/matrix",
                "'1' is not a 'number'",
            ),
        ),
        "a translation to the stars": (
            changed_glb(set_value("nodes", 0, "translation", value=[1e30, 0, 0])),
            ("translation",),
        ),
        "a node that is its own child": (
            changed_glb(set_value("nodes", value=[{"mesh": 0}, {"children": [1]}])),
            (
                "/nodes/1",
                "node loop",
            ),
        ),
        "a cycle of two nodes": (
            changed_glb(set_value("nodes", value=[{"mesh": 0}, {"children": [2]}, {"children": [1]}])),
            (
                "/nodes/1",
                "node loop",
            ),
        ),
        "a scene inside a cycle": (
            changed_glb(set_value("nodes", value=[{"children": [1]}, {"children": [0], "mesh": 0}])),
            ("Node 0 is not a root node",),
        ),
        "a node with two parents": (
            changed_glb(set_value("nodes", value=[{"children": [2]}, {"children": [2]}, {"mesh": 0}])),
            ("overrides parent of node 2",),
        ),
        "a node that is twice a child": (
            changed_glb(set_value("nodes", value=[{"children": [1, 1]}, {"mesh": 0}])),
            (
                "/nodes/0/children/1",
                "Duplicate element",
            ),
        ),
        "a material whose name is a number": (
            changed_glb(set_value("materials", value=[{"name": 5}])),
            ("the name 5 is not a string",),
        ),
        "nodes 101 deep": (changed_glb(nested(100)), ("more than 100 deep",)),
        "nodes 50 000 deep": (changed_glb(nested(50_000)), ("validator crashed", "Stack Overflow")),
        "100 001 nodes": (changed_glb(set_value("nodes", value=[{"mesh": 0}] * 100_001)), ("100001 nodes", "100000")),
        "a child that isn't there": (changed_glb(set_value("nodes", 0, "children", value=[9])), ("children", "9")),
        "a child of -1": (
            changed_glb(set_value("nodes", 0, "children", value=[-1])),
            (
                "children",
                "non-negative integer",
            ),
        ),
        "a mesh that isn't there": (changed_glb(set_value("nodes", 0, "mesh", value=5)), ("mesh", "5")),
        "a material that isn't there": (
            changed_glb(set_value("meshes", 0, "primitives", 0, "material", value=0)),
            (
                "material",
                "Unresolved reference: 0",
            ),
        ),
        "a texture that isn't there": (
            changed_glb(set_value("materials", value=[{"pbrMetallicRoughness": {"baseColorTexture": {"index": 3}}}])),
            (
                "baseColorTexture",
                "Unresolved reference: 3",
            ),
        ),
        "nodes that are words": (
            changed_glb(set_value("nodes", value=["a"])),
            (
                "/nodes/0",
                "'a' is not a 'object'",
            ),
        ),
        "ten million triangles": (
            changed_glb(declare_ten_million_triangles),
            ("(180000000)", "BUFFER_BYTE_LENGTH_MISMATCH"),
        ),
        "ten million triangles by instances": (
            changed_glb(show_mesh_ten_thousand_times, b"\0" * 6036),
            ("10000000 triangles",),
        ),
        "a hundred million elements": (changed_glb(share_bytes), ("105000006 elements", "100000000")),
        "forty million vertices": (
            changed_glb(set_value("accessors", 0, "count", value=40_000_000)),
            ("40000000", "15000000"),
        ),
        "four corners": (
            changed_glb(
                lambda document: (
                    set_value("accessors", 1, "count", value=4)(document),
                    set_value("bufferViews", 1, "byteLength", value=8)(document),
                )
            ),
            ("4 corners", "multiple of 3"),
        ),
        "view past the end of its buffer": (
            changed_glb(set_value("bufferViews", 1, "byteLength", value=9)),
            (
                "/bufferViews/1",
                "does not fit buffer (0)",
                "(44)",
            ),
        ),
        "view of -4 bytes": (changed_glb(set_value("bufferViews", 1, "byteLength", value=-4)), ("byteLength", "-4")),
        "view at -1": (changed_glb(set_value("bufferViews", 1, "byteOffset", value=-1)), ("byteOffset", "-1")),
        "view of a buffer that isn't there": (
            changed_glb(set_value("bufferViews", 1, "buffer", value=7)),
            ("buffer", "7"),
        ),
        "buffer of a terabyte": (
            changed_glb(set_value("buffers", 0, "byteLength", value=2**40)),
            (
                "byte length",
                "1099511627776",
            ),
        ),
        "accessor past the end of its view": (
            changed_glb(set_value("accessors", 0, "byteOffset", value=4)),
            (
                "/accessors/0",
                "offset: 4",
                "does not fit",
                "length 36",
            ),
        ),
        "accessor of a view that isn't there": (
            changed_glb(set_value("accessors", 0, "bufferView", value=9)),
            ("bufferView",),
        ),
        "component type 5124": (
            changed_glb(set_value("accessors", 0, "componentType", value=5124)),
            ("componentType", "5124"),
        ),
        "component type true": (
            changed_glb(set_value("accessors", 0, "componentType", value=True)),
            (
                "componentType",
                "true is not a 'integer'",
            ),
        ),
        "type VEC5": (
            changed_glb(set_value("accessors", 0, "type", value="VEC5")),
            (
                "/accessors/0/type",
                "'VEC5'",
            ),
        ),
        "type a list": (changed_glb(set_value("accessors", 0, "type", value=[])), ("/accessors/0/type",)),
        "misaligned accessor": (
            changed_glb(set_value("bufferViews", 1, "byteOffset", value=37)),
            (
                "byteOffset 37",
                "multiple",
                "2",
            ),
        ),
        "stride below the element": (
            changed_glb(set_value("bufferViews", 0, "byteStride", value=8)),
            (
                "length 12",
                "byteStride value 8",
            ),
        ),
        "stride of 1": (
            changed_glb(set_value("bufferViews", 0, "byteStride", value=1)),
            (
                "byteStride",
                "Value 1 is out of range",
            ),
        ),
        "index 3 of 3 vertices": (
            glb(gltf(), binary(indices=(0, 1, 3))),
            (
                "value 3",
                "maximum vertex index available (2)",
            ),
        ),
        "index 65535": (glb(gltf(), binary(indices=(0, 1, 65535))), ("value 65535",)),
        "float indices": (
            changed_glb(set_value("meshes", 0, "primitives", 0, "indices", value=0)),
            (
                "indices",
                "UNSIGNED_SHORT",
            ),
        ),
        "positions of bytes": (
            changed_glb(set_value("accessors", 0, "componentType", value=5121)),
            (
                "POSITION",
                "{VEC3, FLOAT}",
            ),
        ),
        "positions that isn't there": (
            changed_glb(set_value("meshes", 0, "primitives", 0, "attributes", "POSITION", value=4)),
            ("POSITION",),
        ),
        "attributes of two counts": (
            changed_glb(
                lambda document: (
                    document["accessors"].append({"bufferView": 0, "componentType": 5126, "count": 2, "type": "VEC3"}),
                    set_value("meshes", 0, "primitives", 0, "attributes", "NORMAL", value=2)(document),
                )
            ),
            (
                "/attributes/NORMAL",
                "same count",
            ),
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
            changed_glb(lambda document: document["accessors"][0].pop("bufferView")),
            ("no triangle has an area",),
        ),
        "sparse past its view": (
            changed_glb(sparse(values={"bufferView": 0, "byteOffset": 16})),
            (
                "sparse",
                "does not fit",
            ),
        ),
        "sparse of more than all": (changed_glb(sparse(count=4)), ("sparse", "count", "4")),
        "sparse without values": (changed_glb(sparse(values=None)), ("sparse", "values")),
        "sparse index out of range": (
            changed_glb(sparse(), binary(indices=(1, 7, 0))),
            (
                "sparse indices",
                "7 >= 3",
            ),
        ),
        "sparse indices that fall": (
            changed_glb(sparse(), binary(indices=(2, 1, 0))),
            ("less than or equal to previous: 1 <= 2",),
        ),
        "meshopt that unpacks to another size": (
            changed_glb(
                with_extension(
                    "EXT_meshopt_compression",
                    "bufferViews",
                    0,
                    value={"buffer": 0, "byteLength": 8, "byteStride": 12, "count": 12_000_000, "mode": "ATTRIBUTES"},
                )
            ),
            ("Malformed buffer data",),
        ),
        "draco of a view that isn't there": (
            changed_glb(
                with_extension(
                    "KHR_draco_mesh_compression",
                    "meshes",
                    0,
                    "primitives",
                    0,
                    value={"bufferView": 7, "attributes": {}},
                )
            ),
            ("not a readable glTF",),
        ),
        "geometry that is not draco": (
            changed_glb(
                with_extension(
                    "KHR_draco_mesh_compression",
                    "meshes",
                    0,
                    "primitives",
                    0,
                    value={"bufferView": 0, "attributes": {"POSITION": 0}},
                )
            ),
            (
                "KHR_draco_mesh_compression",
                "Unknown geometry type",
            ),
        ),
        "image of 20 000 pixels a side": (glb_with_image(png_header(20_000, 20_000)), ("20000×20000", "8192")),
        "image cut short": (
            glb_with_image(encoded_image()[:20]),
            (
                "/images/0",
                "end of image stream",
            ),
        ),
        "jpeg cut short": (glb_with_image(encoded_image(format="JPEG")[:30]), ("image 0", "cut short")),
        "image that is a gif": (glb_with_image(encoded_image(format="GIF")), ("image 0", "allowed are PNG")),
        "image that is a bmp": (glb_with_image(encoded_image(format="BMP")), ("image 0", "allowed are PNG")),
        "image of two sources": (
            glb_with_image(encoded_image(), bufferView=0),
            ("Exactly one of ('bufferView', 'uri')",),
        ),
        "eleven images of 8192 × 8192": (
            changed_glb(
                set_value(
                    "images",
                    value=[{"uri": "data:image/png;base64," + base64.b64encode(png_header(8192, 8192)).decode()}] * 11,
                )
            ),
            ("together",),
        ),
        "image of type text": (
            changed_glb(set_value("images", value=[{"bufferView": 0, "mimeType": "text/html"}])),
            (
                "image 0",
                "allowed are PNG",
            ),
        ),
    }
    cases |= {
        f"accessor count {name}": (
            changed_glb(set_value("accessors", 0, "count", value=value)),
            ("count of accessor 0",),
        )
        for name, value in counts.items()
    }
    return cases
