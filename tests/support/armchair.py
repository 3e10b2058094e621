"""A small armchair of textured boxes, and photos of it from the rasterizer.

It has legs, a hollow seat and flat sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image as PillowImage
from scipy.ndimage import map_coordinates

from orchestrator.domain.images import Image
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.rasterize import NO_TRIANGLE, rasterize_mesh
from tests.support.painted_sphere import look_at

HEIGHT_M = 0.9
BOXES = (
    ((0.6, 0.12, 0.55), (0.0, 0.36, 0.0)),  # seat
    ((0.6, 0.5, 0.1), (0.0, 0.65, -0.23)),  # back
    ((0.08, 0.2, 0.45), (-0.26, 0.52, 0.05)),  # arms
    ((0.08, 0.2, 0.45), (0.26, 0.52, 0.05)),
    *(((0.06, 0.3, 0.06), (x, 0.15, z)) for x in (-0.25, 0.25) for z in (-0.22, 0.22)),  # legs
)
"""Size and centre of each box."""


def armchair() -> tuple[Floats, Triangles]:
    """Return the mesh in metres, with +Y up, its bottom centre in the origin and the front towards +Z."""
    boxes = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(centre)) for size, centre in BOXES]
    mesh = trimesh.util.concatenate(boxes)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)


def cameras_around(azimuths_deg: Sequence[float], size: tuple[int, int]) -> list[Camera]:
    """Return cameras that look down on the chair, alternately from two heights. Azimuth 0 is the front."""
    cameras = []
    for number, azimuth in enumerate(np.radians(azimuths_deg)):
        height = 0.9 + 0.25 * (number % 2)
        camera = look_at((2.2 * np.sin(azimuth), height, 2.2 * np.cos(azimuth)), size=size, focal=1.35 * size[0])
        to_chair_centre = np.eye(4)
        to_chair_centre[1, 3] = 0.42
        cameras.append(camera.transformed(to_chair_centre))
    return cameras


def color_at(points: Floats) -> Image:
    """Return the colours [N, 3] of ``points`` [N, 3]: random spots of two sizes in all directions."""
    color = np.zeros((len(points), 3))
    for cells, share in ((16, 0.5), (48, 0.5)):
        noise = _noise(cells)
        coordinates = (points.T / 1.28 + 0.5) * cells
        color += share * np.stack(
            [map_coordinates(noise[..., channel], coordinates, order=1, mode="wrap") for channel in range(3)], -1
        )
    return np.asarray(np.clip((color - 0.5) * 1.7 + 0.5, 0, 1) * 255, np.uint8)


@cache
def _noise(cells: int) -> Floats:
    return np.asarray(np.random.default_rng(cells).random((cells, cells, cells, 3)))


def photograph(camera: Camera) -> tuple[Image, Image]:
    """Return a photo [H, W, 3] of the chair on a grey background with 4 samples per pixel, and its mask [H, W]."""
    width, height = camera.size
    supersampled = camera.resized(2 * width, 2 * height)
    vertices, triangles = armchair()
    raster = rasterize_mesh(supersampled, vertices, triangles)
    hit = raster.triangle != NO_TRIANGLE
    points = np.einsum("mk,mkd->md", raster.weights[hit], vertices[triangles[raster.triangle[hit]]])
    image = np.full((2 * height, 2 * width, 3), 128.0)
    image[hit] = color_at(points)
    photo = image.reshape(height, 2, width, 2, 3).mean((1, 3))
    mask = hit.reshape(height, 2, width, 2).mean((1, 3)) >= 0.5
    return np.asarray(np.round(photo), np.uint8), np.asarray(mask * 255, np.uint8)


def write_photos(azimuths_deg: Sequence[float], size: tuple[int, int], folder: Path) -> tuple[list[Path], list[Path]]:
    """Write photos and masks as PNG files and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    photos, masks = [], []
    for number, camera in enumerate(cameras_around(azimuths_deg, size)):
        for kind, image, paths in zip(("photo", "mask"), photograph(camera), (photos, masks), strict=True):
            paths.append(folder / f"{kind}-{number}.png")
            PillowImage.fromarray(image).save(paths[-1])
    return photos, masks
