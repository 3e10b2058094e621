"""Places the scene of a GLB on the floor by adding a root node. The rest of the file stays unchanged."""

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
    """A GLB file and the size of its scene."""

    data: bytes
    dimensions: Dimensions
    vertices: int
    triangles: int


def place_glb_on_floor(data: bytes, dimensions: Dimensions) -> PlacedGlb:
    """Scale the scene to the first known dimension and move its bottom centre to the origin.

    Args:
        data: a GLB without compressed geometry that ``mesh_files.check`` accepted.

    Raises:
        ToolFailed: the scene has no triangles.
    """
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb", skip_materials=True)
    meshes = [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh)]
    if scene.bounds is None or not meshes:
        raise ToolFailed("the GLB file has no triangles")
    bounds = np.asarray(scene.bounds, np.float64)
    placed_bounds, size = place_on_floor(bounds, dimensions)
    scale = float(np.ptp(placed_bounds, axis=0).max() / np.ptp(bounds, axis=0).max())
    translation = (placed_bounds[0] - bounds[0] * scale).tolist()
    return PlacedGlb(
        data=_with_root_node(data, scale, translation),
        dimensions=size,
        vertices=sum(len(mesh.vertices) for mesh in meshes),
        triangles=sum(len(mesh.faces) for mesh in meshes),
    )


def _with_root_node(data: bytes, scale: float, translation: list[float]) -> bytes:
    """Return the GLB with a node above the root nodes of its scene."""
    json_chunk, binary = split_glb(data)
    document = json.loads(bytes(json_chunk))
    scene = document["scenes"][document.get("scene", 0)]
    nodes = document["nodes"]
    nodes.append({"name": "floor", "scale": [scale] * 3, "translation": translation, "children": scene["nodes"]})
    scene["nodes"] = [len(nodes) - 1]
    return join_glb(json.dumps(document, separators=(",", ":")).encode(), binary)
