"""Reads base GLBs, which ``gltf.normalise`` writes: triangle meshes without node transforms and without compression."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.mesh_files.gltf import split_glb

Json = dict[str, Any]
COMPONENT_TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
UV_SETS = 4  # maximum number in a base GLB


@dataclass(frozen=True)
class Primitive:
    """A mesh primitive of V vertices and T triangles. Metres, +Y up, counter-clockwise seen from outside."""

    name: str
    material: int  # index of the material in the document; -1 if there is none
    positions: NDArray[np.float32]  # [V, 3]
    triangles: NDArray[np.int32]  # [T, 3] indices of vertices
    normals: NDArray[np.float32]  # [V, 3] unit
    uvs: dict[int, NDArray[np.float32]]  # [V, 2] by UV set; (0, 0) is the top left corner of the texture
    colors: NDArray[np.float32] | None  # [V, 4] linear RGBA


@dataclass(frozen=True)
class BaseGlb:
    """The primitives of a base GLB, and its JSON, which describes materials, textures, samplers and images."""

    primitives: tuple[Primitive, ...]
    document: Json
    binary: memoryview

    def image(self, texture: int) -> tuple[bytes, str]:
        """Return the encoded image of a texture and its file extension, ``jpg`` or ``png``."""
        image = self.document["images"][self.document["textures"][texture]["source"]]
        view = self.document["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        data = bytes(self.binary[start : start + view["byteLength"]])
        return data, "jpg" if image["mimeType"] == "image/jpeg" else "png"


def read_base_glb(path: Path) -> BaseGlb:
    """Read a base GLB."""
    text, binary = split_glb(path.read_bytes())
    document: Json = json.loads(bytes(text))
    primitives = tuple(
        _read_primitive(document, binary, node.get("name", "mesh"), primitive)
        for node in document["nodes"]
        if "mesh" in node
        for primitive in document["meshes"][node["mesh"]]["primitives"]
    )
    return BaseGlb(primitives, document, binary)


def _read_primitive(document: Json, binary: memoryview, name: str, primitive: Json) -> Primitive:
    attributes = primitive["attributes"]
    colors = _read_accessor(document, binary, attributes["COLOR_0"]) if "COLOR_0" in attributes else None
    if colors is not None and colors.shape[1] == 3:
        colors = np.column_stack([colors, np.ones(len(colors), np.float32)])
    return Primitive(
        name=name,
        material=primitive.get("material", -1),
        positions=_read_accessor(document, binary, attributes["POSITION"]),
        triangles=_read_accessor(document, binary, primitive["indices"]).astype(np.int32).reshape(-1, 3),
        normals=_read_accessor(document, binary, attributes["NORMAL"]),
        uvs={
            number: _read_accessor(document, binary, attributes[f"TEXCOORD_{number}"])
            for number in range(UV_SETS)
            if f"TEXCOORD_{number}" in attributes
        },
        colors=colors,
    )


def _read_accessor(document: Json, binary: memoryview, number: int) -> NDArray[Any]:
    """Return the elements of an accessor, [count, components]. Normalised integers become float32 in [0, 1]."""
    accessor = document["accessors"][number]
    view = document["bufferViews"][accessor["bufferView"]]
    dtype = np.dtype(COMPONENT_TYPES[accessor["componentType"]])
    components, count = COMPONENTS[accessor["type"]], accessor["count"]
    stride = view.get("byteStride", dtype.itemsize * components)
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    values: NDArray[Any] = np.ndarray((count, components), dtype, binary, start, (stride, dtype.itemsize)).copy()
    if accessor.get("normalized"):  # only colours and UVs, which are unsigned
        return np.asarray(values / (2.0 ** (8 * dtype.itemsize) - 1.0), np.float32)
    return values
