"""A painted unit sphere, and photos of it computed in closed form: exact ground truth without a renderer."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import trimesh

from orchestrator.domain.images import Image
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera

BACKGROUND = np.uint8(128)


def sphere_mesh(subdivisions: int) -> tuple[Floats, Triangles]:
    """Return an icosphere of radius 1."""
    mesh = trimesh.creation.icosphere(subdivisions)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)


def look_at(position: Sequence[float], *, size: tuple[int, int], focal: float) -> Camera:
    """Return a camera at ``position`` that looks at the origin, with +Y up in the photo."""
    forward = -np.asarray(position, np.float64)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation
    world_to_camera[:3, 3] = -rotation @ np.asarray(position, np.float64)
    intrinsics = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])
    return Camera(intrinsics, world_to_camera, size)


def camera_ring(count: int, *, distance: float, size: tuple[int, int], focal: float) -> list[Camera]:
    """Return cameras around the origin that look down slightly. The first one is above +Z."""
    azimuths = 2 * np.pi * np.arange(count) / count
    return [
        look_at((distance * np.sin(azimuth), 0.35 * distance, distance * np.cos(azimuth)), size=size, focal=focal)
        for azimuth in azimuths
    ]


def sphere_texture(seed: int = 1) -> Image:
    """Return a texture [512, 1024, 3] over longitude and latitude with random spots of several sizes."""
    random = np.random.default_rng(seed)
    texture = np.zeros((512, 1024, 3), np.float32)
    for cells in (8, 32, 96):
        grid = random.random((cells // 2, cells, 3)).astype(np.float32)
        texture += cv2.resize(grid, (1024, 512), interpolation=cv2.INTER_CUBIC)
    low, high = np.percentile(texture, [1, 99])
    return np.asarray(np.clip((texture - low) / (high - low), 0, 1) * 255, np.uint8)


def texture_at(points: Floats, texture: Image) -> Image:
    """Return the colours [N, M, 3] at ``points`` [N, M, 3] of the unit sphere, M < 32767."""
    longitude = np.arctan2(points[..., 0], points[..., 2]) / (2 * np.pi) + 0.5
    latitude = np.arccos(np.clip(points[..., 1], -1, 1)) / np.pi
    columns = np.asarray(longitude * (texture.shape[1] - 1), np.float32)
    rows = np.asarray(latitude * (texture.shape[0] - 1), np.float32)
    return np.concatenate(
        [
            np.asarray(cv2.remap(texture, columns[start : start + 8192], rows[start : start + 8192], cv2.INTER_LINEAR))
            for start in range(0, len(points), 8192)
        ]
    ).reshape(points.shape)


def photograph(camera: Camera, texture: Image) -> tuple[Image, Image]:
    """Return a photo [H, W, 3] of the sphere on a grey background, and its mask [H, W], 255 on the sphere."""
    width, height = camera.size
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(camera.intrinsics).T
    rays = rays @ camera.world_to_camera[:3, :3]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    along = rays @ camera.position
    discriminant = along**2 - (camera.position @ camera.position - 1)
    hit = (discriminant > 0) & (along < 0)
    points = camera.position + rays * (-along - np.sqrt(np.maximum(discriminant, 0)))[..., None]
    photo = np.where(hit[..., None], texture_at(points, texture), BACKGROUND)
    return np.asarray(photo, np.uint8), np.asarray(hit * 255, np.uint8)
