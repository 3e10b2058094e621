"""Textured triangle meshes in glTF's frame (right-handed, +Y up, metres): unwrapping, placement and GLB files."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import trimesh
import xatlas
from PIL import Image as PillowImage

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.images import Image
from orchestrator.geometry.arrays import Floats, Triangles

DEFAULT_ROUGHNESS = 0.7
"""Mean roughness of furniture: varnished wood has 0.4, fabric 0.9. Not tuned."""
CHART_PADDING_PX = 4
"""Gap between charts at PACKING_RESOLUTION_PX, so that texture filtering does not mix charts."""
PACKING_RESOLUTION_PX = 1024
"""Resolution at which xatlas packs the charts. The texture may have any size."""
NORMAL_DEVIATION_WEIGHT = 4.0
"""Weight of xatlas's normal deviation (its default is 2). A larger weight gives flatter but more charts. Flat charts
blur less when photos are projected onto them. Not tuned."""
JPEG_QUALITY = 92  # not tuned


@dataclass(frozen=True)
class UvMesh:
    """A mesh with texture coordinates. Vertices are duplicated along texture seams."""

    vertices: Floats  # [V, 3]
    triangles: Triangles  # [T, 3]
    uv: Floats  # [V, 2] in [0, 1]; (0, 0) is the top left corner of the texture, as in glTF
    normals: Floats  # [V, 3] unit, smooth across seams

    def with_vertices(self, vertices: Floats) -> UvMesh:
        """Return the mesh with transformed ``vertices`` [V, 3] and new normals."""
        return replace(self, vertices=vertices, normals=vertex_normals(vertices, self.triangles))


def unwrap(vertices: Floats, triangles: Triangles) -> UvMesh:
    """Cut the mesh into charts and pack them into the unit square (xatlas)."""
    normals = vertex_normals(vertices, triangles)
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices.astype(np.float32), triangles.astype(np.uint32), normals.astype(np.float32))
    chart_options, pack_options = xatlas.ChartOptions(), xatlas.PackOptions()
    chart_options.normal_deviation_weight = NORMAL_DEVIATION_WEIGHT
    pack_options.padding = CHART_PADDING_PX
    pack_options.resolution = PACKING_RESOLUTION_PX
    atlas.generate(chart_options, pack_options)
    source, faces, uv = atlas[0]
    return UvMesh(vertices[source], np.asarray(faces, np.int32), np.asarray(uv, np.float64), normals[source])


def place_on_floor(vertices: Floats, dimensions: Dimensions) -> tuple[Floats, Dimensions]:
    """Scale to the first known dimension and move the bottom centre of the bounding box to the origin.

    Returns the new vertices and the size of their bounding box, in metres if a dimension is known.
    """
    low, high = vertices.min(0), vertices.max(0)
    extent = high - low
    target = (dimensions.width_m, dimensions.height_m, dimensions.depth_m)
    scale = next((size / extent[axis] for axis, size in enumerate(target) if size > 0 and extent[axis] > 0), 1.0)
    bottom_centre = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    width, height, depth = (float(side) for side in extent * scale)
    return (vertices - bottom_centre) * scale, Dimensions(width, height, depth)


def write_glb(path: Path, mesh: UvMesh, albedo_srgb: Image, roughness: Image | None = None) -> None:
    """Write the mesh with an opaque, non-metallic material.

    Args:
        albedo_srgb: [H, W, 3] uint8 sRGB texture.
        roughness: [H, W] uint8, 255 is fully rough; None gives the whole mesh DEFAULT_ROUGHNESS.
    """
    material = trimesh.visual.material.PBRMaterial(
        name="piece", baseColorTexture=_to_jpeg(albedo_srgb), metallicFactor=0.0, roughnessFactor=DEFAULT_ROUGHNESS
    )
    if roughness is not None:
        material.metallicFactor = material.roughnessFactor = 1.0
        # glTF reads the roughness from the green channel and the metalness from the blue one.
        material.metallicRoughnessTexture = PillowImage.fromarray(roughness[..., None] * np.array([0, 1, 0], np.uint8))
    uv_from_bottom = mesh.uv * [1, -1] + [0, 1]  # trimesh's V axis points up
    visual = trimesh.visual.TextureVisuals(uv=uv_from_bottom, material=material)
    geometry = trimesh.Trimesh(mesh.vertices, mesh.triangles, vertex_normals=mesh.normals, visual=visual, process=False)
    scene = trimesh.Scene()
    scene.add_geometry(geometry, geom_name="piece", node_name="piece")
    path.write_bytes(scene.export(file_type="glb", include_normals=True))


def vertex_normals(vertices: Floats, triangles: Triangles) -> Floats:
    """Return area-weighted unit normals [V, 3]. Vertices at the same position get the same normal."""
    corners = vertices[triangles]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    _, position = np.unique(vertices, axis=0, return_inverse=True)
    index = position[triangles].ravel()  # of each corner's position
    sums = np.stack([np.bincount(index, np.repeat(axis, 3), position.max() + 1) for axis in face_normals.T], -1)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(np.where(length > 0, sums / np.maximum(length, 1e-30), [0.0, 1.0, 0.0])[position])


def _to_jpeg(image: Image) -> PillowImage.Image:
    """Return the image as JPEG, which is sufficient for a base colour and has a tenth of the size of PNG."""
    encoded = io.BytesIO()
    PillowImage.fromarray(image).save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return PillowImage.open(encoded)
