"""Moves and scales the scene of a GLB by one added node above all others; the data stays as it is."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

import numpy as np
import trimesh

from orchestrator.domain.dimensions import Dimensions
from orchestrator.errors import ToolFailed
from orchestrator.geometry.mesh import place_on_floor
from orchestrator.mesh_files.glb import join_glb, split_glb


@dataclass(frozen=True)
class PlacedGlb:
    """A GLB that stands on the floor, and its counts."""

    data: bytes
    dimensions: Dimensions
    vertices: int
    triangles: int


def stand_on_floor(data: bytes, dimensions: Dimensions) -> PlacedGlb:
    """Scale the scene by the first known dimension, and move the centre of its bottom to the origin.

    Args:
        data: a GLB that ``check_mesh`` accepted, without compressed geometry.

    Raises:
        ToolFailed: the scene has no triangles.
    """
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb", skip_materials=True)
    meshes = [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh)]
    if scene.bounds is None or not meshes:
        raise ToolFailed("the 3D model has no triangles")
    before = np.asarray(scene.bounds, np.float64)
    after, placed = place_on_floor(before, dimensions)
    scale = float(np.ptp(after, axis=0).max() / np.ptp(before, axis=0).max())
    translation = (after[0] - before[0] * scale).tolist()
    return PlacedGlb(
        data=_with_root(data, scale, translation),
        dimensions=placed,
        vertices=sum(len(mesh.vertices) for mesh in meshes),
        triangles=sum(len(mesh.faces) for mesh in meshes),
    )


def _with_root(data: bytes, scale: float, translation: list[float]) -> bytes:
    """Return the GLB with a node of this scale and translation above the roots of its default scene."""
    text, binary = split_glb(data)
    document = json.loads(bytes(text))
    scene = document["scenes"][document.get("scene", 0)]
    nodes = document["nodes"]
    nodes.append({"name": "floor", "scale": [scale] * 3, "translation": translation, "children": scene["nodes"]})
    scene["nodes"] = [len(nodes) - 1]
    return join_glb(json.dumps(document, separators=(",", ":")).encode(), binary)
