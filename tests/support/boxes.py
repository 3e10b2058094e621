"""Furniture made of coloured boxes, and photos of it from the rasterizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import trimesh

from orchestrator.domain.images import Image
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.rasterize import NO_TRIANGLE, rasterize_mesh
from tests.support.painted_sphere import look_at

OAK = (0.72, 0.5, 0.3)
BLUE = (0.25, 0.35, 0.6)
BACKGROUND = 0.88
TRIANGLES_PER_BOX = 12
Box = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
"""Lowest corner, highest corner, colour."""
CORNERS = [(x, z) for x in (-1, 1) for z in (-1, 1)]
CHAIR: tuple[Box, ...] = (
    ((-0.23, 0.42, -0.22), (0.23, 0.47, 0.22), BLUE),
    ((-0.23, 0.47, -0.22), (0.23, 0.95, -0.18), OAK),
    *(((x * 0.21 - 0.02, 0.0, z * 0.2 - 0.02), (x * 0.21 + 0.02, 0.42, z * 0.2 + 0.02), OAK) for x, z in CORNERS),
)
TABLE: tuple[Box, ...] = (
    ((-0.7, 0.7, -0.4), (0.7, 0.75, 0.4), OAK),
    *(((x * 0.64 - 0.04, 0.0, z * 0.34 - 0.04), (x * 0.64 + 0.04, 0.7, z * 0.34 + 0.04), OAK) for x, z in CORNERS),
)
CABINET: tuple[Box, ...] = (((-0.5, 0.0, -0.2), (0.5, 0.7, 0.2), OAK), ((-0.4, 0.3, 0.2), (0.4, 0.4, 0.21), BLUE))


def mesh_of(piece: Sequence[Box]) -> tuple[Floats, Triangles]:
    """Return the boxes as one mesh in metres, with +Y up and the front towards +Z."""
    boxes = [trimesh.creation.box(bounds=[low, high]) for low, high, _ in piece]
    mesh = trimesh.util.concatenate(boxes)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)


def camera_at(azimuth_deg: float, elevation_deg: float, piece: Sequence[Box], size: tuple[int, int]) -> Camera:
    """Return a camera with a 50 mm lens that sees the whole piece."""
    vertices, _ = mesh_of(piece)
    centre = (vertices.min(0) + vertices.max(0)) / 2
    radius = float(np.linalg.norm(vertices - centre, axis=1).max())
    focal = 50 / 36 * size[0]
    distance = radius / np.sin(np.arctan(min(size) / 2 / focal)) / 0.85
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    to_camera = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    camera = look_at(to_camera * distance, size=size, focal=focal)
    from_centre = np.eye(4)
    from_centre[:3, 3] = -centre
    return Camera(camera.intrinsics, camera.world_to_camera @ from_centre, size)


def photo_of(piece: Sequence[Box], camera: Camera) -> tuple[Image, Image]:
    """Return a photo [H, W, 3] with flat shading on a light background, and the mask [H, W]."""
    vertices, triangles = mesh_of(piece)
    triangle = rasterize_mesh(camera, vertices, triangles).triangle
    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    shading = 0.7 + 0.3 * normal @ np.array([0.35, 0.8, 0.5])
    box_colors = np.array([color for _, _, color in piece])
    color = np.repeat(box_colors, TRIANGLES_PER_BOX, axis=0) * shading[:, None]
    hit = triangle != NO_TRIANGLE
    photo = np.where(hit[..., None], color[np.maximum(triangle, 0)], BACKGROUND)
    return (np.clip(photo, 0, 1) * 255).astype(np.uint8), np.where(hit, 255, 0).astype(np.uint8)
