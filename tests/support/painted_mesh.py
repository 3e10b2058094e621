"""Renders the silhouette and a simple picture of a textured mesh without a renderer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from orchestrator.domain.images import Image
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.rasterize import NO_TRIANGLE, rasterize_mesh

UNTEXTURED_GREY = 190.0


@dataclass(frozen=True)
class PaintedMesh:
    """A mesh with an optional texture. Without one it is grey."""

    vertices: Floats
    triangles: Triangles
    uv: Floats | None = None  # V points up, as in trimesh
    texture: Image | None = None


def load_painted_mesh(glb: Path) -> PaintedMesh:
    """Return the meshes of a GLB as one mesh."""
    mesh = trimesh.load(glb, force="mesh", process=False)
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    return PaintedMesh(np.asarray(mesh.vertices), np.asarray(mesh.faces, np.int32), np.asarray(mesh.visual.uv), texture)


def silhouette(camera: Camera, mesh: PaintedMesh) -> NDArray[np.bool_]:
    """Return whether each pixel [H, W] shows the mesh."""
    return np.asarray(rasterize_mesh(camera, mesh.vertices, mesh.triangles).triangle != NO_TRIANGLE)


def intersection_over_union(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / max((first | second).sum(), 1))


def picture(camera: Camera, mesh: PaintedMesh) -> Image:
    """Return a picture [H, W, 3] of the mesh with simple shading on a white background."""
    raster = rasterize_mesh(camera, mesh.vertices, mesh.triangles)
    triangle = np.maximum(raster.triangle, 0)
    corners = mesh.vertices[mesh.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    shading = 0.8 + 0.2 * np.abs(normal @ [0.35, 0.8, 0.5])
    if mesh.uv is None or mesh.texture is None:
        color = np.full((*triangle.shape, 3), UNTEXTURED_GREY)
    else:
        uv = np.einsum("hwk,hwkd->hwd", raster.weights, mesh.uv[mesh.triangles[triangle]])
        last = np.array(mesh.texture.shape[1::-1]) - 1
        column, row = np.moveaxis(np.clip(uv * [1, -1] + [0, 1], 0, 1) * last, -1, 0).astype(int)
        color = mesh.texture[row, column].astype(np.float64)
    hit = raster.triangle != NO_TRIANGLE
    image = np.where(hit[..., None], color * shading[triangle][..., None], 255)
    return np.asarray(np.clip(image, 0, 255), np.uint8)
