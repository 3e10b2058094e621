"""Reads the base GLBs of ``gltf.normalise``: one scene of triangle meshes without transforms or compression."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.mesh_files.glb import split_glb

Json = dict[str, Any]
TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclass(frozen=True)
class Part:
    """One primitive: V vertices, T triangles, +Y up, metres, counter-clockwise seen from outside."""

    name: str
    material: int  # index into the materials; -1 for none
    positions: NDArray[np.float32]  # [V, 3]
    triangles: NDArray[np.int32]  # [T, 3]
    normals: NDArray[np.float32]  # [V, 3] unit
    uvs: dict[int, NDArray[np.float32]]  # by set, [V, 2]; (0, 0) is the top left corner
    colors: NDArray[np.float32] | None  # [V, 4] linear RGBA


@dataclass(frozen=True)
class BaseModel:
    """The parts, and materials, textures, samplers and images as glTF describes them."""

    parts: tuple[Part, ...]
    document: Json
    buffer: memoryview

    def picture(self, texture: int) -> tuple[bytes, str]:
        """Return the encoded picture of a texture and its suffix, ``jpg`` or ``png``."""
        image = self.document["images"][self.document["textures"][texture]["source"]]
        view = self.document["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        data = bytes(self.buffer[start : start + view["byteLength"]])
        return data, "jpg" if image["mimeType"] == "image/jpeg" else "png"


def read_base(path: Path) -> BaseModel:
    """Read a base GLB."""
    text, buffer = split_glb(path.read_bytes())
    document: Json = json.loads(bytes(text))
    parts = []
    for node in document["nodes"]:
        if "mesh" not in node:
            continue
        for primitive in document["meshes"][node["mesh"]]["primitives"]:
            parts.append(_part(document, buffer, node.get("name", "part"), primitive))
    return BaseModel(tuple(parts), document, buffer)


def _part(document: Json, buffer: memoryview, name: str, primitive: Json) -> Part:
    attributes = primitive["attributes"]
    positions = _array(document, buffer, attributes["POSITION"])
    colors = _array(document, buffer, attributes["COLOR_0"]) if "COLOR_0" in attributes else None
    if colors is not None and colors.shape[1] == 3:
        colors = np.column_stack([colors, np.ones(len(colors), np.float32)])
    uvs = {number: f"TEXCOORD_{number}" for number in range(4)}
    indices = _array(document, buffer, primitive["indices"])
    return Part(
        name=name,
        material=primitive.get("material", -1),
        positions=positions,
        triangles=indices.astype(np.int32).reshape(-1, 3),
        normals=_array(document, buffer, attributes["NORMAL"]),
        uvs={number: _array(document, buffer, attributes[key]) for number, key in uvs.items() if key in attributes},
        colors=colors,
    )


def _array(document: Json, buffer: memoryview, number: int) -> NDArray[Any]:
    accessor = document["accessors"][number]
    view = document["bufferViews"][accessor["bufferView"]]
    kind, width, count = np.dtype(TYPES[accessor["componentType"]]), WIDTHS[accessor["type"]], accessor["count"]
    stride = view.get("byteStride", kind.itemsize * width)
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    shape, strides = (count, width), (stride, kind.itemsize)
    raw: NDArray[Any] = np.ndarray(shape, kind, buffer, start, strides).copy()
    if accessor.get("normalized"):
        return np.asarray(raw / (2.0 ** (8 * kind.itemsize) - 1.0), np.float32)  # colours and UVs have no sign
    return raw
