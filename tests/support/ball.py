"""A painted ball and photos of it, made with a few lines of geometry: known truth without a renderer."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import trimesh

from orchestrator.domain.images import Image
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.mesh import Triangles


def ball(subdivisions: int) -> tuple[Floats, Triangles]:
    """A mesh of the unit ball."""
    mesh = trimesh.creation.icosphere(subdivisions)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)


def look_at(position: Sequence[float], *, size: tuple[int, int], focal: float) -> Camera:
    """A camera at ``position`` that looks at the origin, +Y up."""
    forward = -np.asarray(position, np.float64)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation
    world_to_camera[:3, 3] = -rotation @ np.asarray(position, np.float64)
    matrix = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])
    return Camera(matrix, world_to_camera, size)


def ring_of(count: int, *, distance: float, size: tuple[int, int], focal: float) -> list[Camera]:
    """Cameras around the origin, from a little above; the first stands on +Z."""
    angles = 2 * np.pi * np.arange(count) / count
    return [
        look_at((distance * np.sin(turn), 0.35 * distance, distance * np.cos(turn)), size=size, focal=focal)
        for turn in angles
    ]


def paint(seed: int = 1) -> Image:
    """[512, 1024, 3] a map of the ball (longitude, latitude) with spots of many sizes."""
    random = np.random.default_rng(seed)
    picture = np.zeros((512, 1024, 3), np.float32)
    for cells in (8, 32, 96):
        grid = random.random((cells // 2, cells, 3)).astype(np.float32)
        picture += cv2.resize(grid, (1024, 512), interpolation=cv2.INTER_CUBIC)
    low, high = np.percentile(picture, [1, 99])
    return np.asarray(np.clip((picture - low) / (high - low), 0, 1) * 255, np.uint8)


def color_at(points: Floats, painting: Image) -> Image:
    """[N, M, 3] the paint at ``points`` [N, M, 3] of the unit ball; M < 32767."""
    longitude = np.arctan2(points[..., 0], points[..., 2]) / (2 * np.pi) + 0.5
    latitude = np.arccos(np.clip(points[..., 1], -1, 1)) / np.pi
    columns = np.asarray(longitude * (painting.shape[1] - 1), np.float32)
    rows = np.asarray(latitude * (painting.shape[0] - 1), np.float32)
    return np.concatenate(
        [
            np.asarray(cv2.remap(painting, columns[start : start + 8192], rows[start : start + 8192], cv2.INTER_LINEAR))
            for start in range(0, len(points), 8192)
        ]
    ).reshape(points.shape)


def photograph(camera: Camera, painting: Image) -> tuple[Image, Image]:
    """The photo of the painted unit ball before grey, and its mask, 255 on the ball."""
    width, height = camera.size
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(camera.matrix).T
    rays = rays @ camera.world_to_camera[:3, :3]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    along = rays @ camera.position
    inside = along**2 - (camera.position @ camera.position - 1)
    hit = (inside > 0) & (along < 0)
    points = camera.position + rays * (-along - np.sqrt(np.maximum(inside, 0)))[..., None]
    photo = np.where(hit[..., None], color_at(points, painting), np.uint8(128))
    return np.asarray(photo, np.uint8), np.asarray(hit * 255, np.uint8)
