"""Stand the scene of a GLB on the floor, without touching what is in it: one node more, around all others."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass

import numpy as np
import trimesh

from orchestrator.domain.dimensions import Dimensions
from orchestrator.errors import ToolFailed
from orchestrator.geometry.mesh import place_on_floor

JSON_CHUNK = 0x4E4F534A
"""glTF 2.0, 4.4.3: "JSON"; it is the first chunk."""


@dataclass(frozen=True)
class StandingGlb:
    """The file, and what stands in it."""

    data: bytes
    dimensions: Dimensions
    vertices: int
    triangles: int


def stand_on_floor(data: bytes, dimensions: Dimensions) -> StandingGlb:
    """Scale the scene by the first dimension that is known; its origin comes to the bottom centre.

    Args:
        data: a GLB that ``model_file.check_model`` passed, its geometry not packed.

    Raises:
        ToolFailed: the scene has no triangles.
    """
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb", skip_materials=True)
    meshes = [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh)]
    if scene.bounds is None or not meshes:
        raise ToolFailed("the model has no triangles")
    before = np.asarray(scene.bounds, np.float64)
    after, placed = place_on_floor(before, dimensions)
    scale = float(np.ptp(after, axis=0).max() / np.ptp(before, axis=0).max())
    shift = (after[0] - before[0] * scale).tolist()
    return StandingGlb(
        data=_wrapped(data, scale, shift),
        dimensions=placed,
        vertices=sum(len(mesh.vertices) for mesh in meshes),
        triangles=sum(len(mesh.faces) for mesh in meshes),
    )


def _wrapped(data: bytes, scale: float, shift: list[float]) -> bytes:
    """The GLB with a node of this scale and shift above the roots of its scene."""
    length, kind = struct.unpack_from("<II", data, 12)
    if kind != JSON_CHUNK:
        raise ToolFailed("the model's first chunk is not JSON")
    document = json.loads(data[20 : 20 + length])
    scene = document["scenes"][document.get("scene", 0)]
    nodes = document["nodes"]
    nodes.append({"name": "floor", "scale": [scale] * 3, "translation": shift, "children": scene["nodes"]})
    scene["nodes"] = [len(nodes) - 1]
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    head = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
    return head + struct.pack("<II", len(text), JSON_CHUNK) + text + rest
