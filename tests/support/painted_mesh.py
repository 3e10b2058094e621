"""Look at a textured mesh without a renderer: its silhouette, and a picture of it under a plain light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from orchestrator.domain.images import Image
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.mesh import Triangles
from orchestrator.geometry.rasterize import NOTHING, depth_map


@dataclass(frozen=True)
class Painted:
    """A mesh that can be shown, grey where it has no texture."""

    vertices: Floats
    triangles: Triangles
    uv: Floats | None = None  # from the bottom, as trimesh counts
    texture: Image | None = None


def model_of(glb: Path) -> Painted:
    """The one mesh of a GLB."""
    mesh = trimesh.load(glb, force="mesh", process=False)
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    return Painted(np.asarray(mesh.vertices), np.asarray(mesh.faces, np.int32), np.asarray(mesh.visual.uv), texture)


def silhouette(camera: Camera, mesh: Painted) -> NDArray[np.bool_]:
    return np.asarray(depth_map(camera, mesh.vertices, mesh.triangles).triangle != NOTHING)


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((first & second).sum() / max((first | second).sum(), 1))


def picture(camera: Camera, mesh: Painted) -> Image:
    """The mesh before white."""
    seen = depth_map(camera, mesh.vertices, mesh.triangles)
    number = np.maximum(seen.triangle, 0)
    corners = mesh.vertices[mesh.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    light = 0.8 + 0.2 * np.abs(normal @ [0.35, 0.8, 0.5])
    if mesh.uv is None or mesh.texture is None:
        color = np.full((*number.shape, 3), 190.0)
    else:
        at = np.einsum("hwk,hwkd->hwd", seen.weights, mesh.uv[mesh.triangles[number]])
        side = np.array(mesh.texture.shape[1::-1])
        column, row = np.moveaxis(np.clip(at * [1, -1] + [0, 1], 0, 1) * (side - 1), -1, 0).astype(int)
        color = mesh.texture[row, column].astype(np.float64)
    shown = np.where((seen.triangle != NOTHING)[..., None], color * light[number][..., None], 255)
    return np.asarray(np.clip(shown, 0, 255), np.uint8)
