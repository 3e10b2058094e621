"""Furniture made of boxes, and photos of it: known truth without a renderer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import trimesh

from orchestrator.domain.images import Image
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.mesh import Triangles
from orchestrator.geometry.rasterize import NOTHING, depth_map
from tests.support.ball import look_at

OAK, BLUE = (0.72, 0.5, 0.3), (0.25, 0.35, 0.6)
Box = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
"""Low corner, high corner, colour."""
LEGS = [(x, z) for x in (-1, 1) for z in (-1, 1)]
CHAIR: tuple[Box, ...] = (
    ((-0.23, 0.42, -0.22), (0.23, 0.47, 0.22), BLUE),
    ((-0.23, 0.47, -0.22), (0.23, 0.95, -0.18), OAK),
    *(((x * 0.21 - 0.02, 0.0, z * 0.2 - 0.02), (x * 0.21 + 0.02, 0.42, z * 0.2 + 0.02), OAK) for x, z in LEGS),
)
TABLE: tuple[Box, ...] = (
    ((-0.7, 0.7, -0.4), (0.7, 0.75, 0.4), OAK),
    *(((x * 0.64 - 0.04, 0.0, z * 0.34 - 0.04), (x * 0.64 + 0.04, 0.7, z * 0.34 + 0.04), OAK) for x, z in LEGS),
)
CABINET: tuple[Box, ...] = (((-0.5, 0.0, -0.2), (0.5, 0.7, 0.2), OAK), ((-0.4, 0.3, 0.2), (0.4, 0.4, 0.21), BLUE))


def mesh_of(piece: Sequence[Box]) -> tuple[Floats, Triangles]:
    """The boxes as one mesh, in metres, +Y up, the front towards +Z."""
    boxes = [trimesh.creation.box(bounds=[low, high]) for low, high, _ in piece]
    whole = trimesh.util.concatenate(boxes)
    return np.asarray(whole.vertices, np.float64), np.asarray(whole.faces, np.int32)


def camera_at(azimuth_deg: float, elevation_deg: float, piece: Sequence[Box], size: tuple[int, int]) -> Camera:
    """A camera with a 50 mm lens that sees the whole piece."""
    vertices, _ = mesh_of(piece)
    middle = (vertices.min(0) + vertices.max(0)) / 2
    radius = float(np.linalg.norm(vertices - middle, axis=1).max())
    focal = 50 / 36 * size[0]
    distance = radius / np.sin(np.arctan(min(size) / 2 / focal)) / 0.85
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    back = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    camera = look_at(back * distance, size=size, focal=focal)
    shift = np.eye(4)
    shift[:3, 3] = -middle
    return Camera(camera.matrix, camera.world_to_camera @ shift, size)


def photo_of(piece: Sequence[Box], camera: Camera) -> tuple[Image, Image]:
    """The photo [H, W, 3] before a light wall, and the mask [H, W]; each side has its own shade."""
    vertices, triangles = mesh_of(piece)
    seen = depth_map(camera, vertices, triangles).triangle
    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    light = 0.7 + 0.3 * normal @ np.array([0.35, 0.8, 0.5])
    color = np.repeat(np.array([paint for _, _, paint in piece]), 12, axis=0) * light[:, None]
    photo = np.where((seen != NOTHING)[..., None], color[np.maximum(seen, 0)], 0.88)
    return (np.clip(photo, 0, 1) * 255).astype(np.uint8), np.where(seen != NOTHING, 255, 0).astype(np.uint8)
