"""A small armchair of spotted boxes and photos of it: legs, a hollow seat and flat sides, without a renderer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image as Pictures
from scipy.ndimage import map_coordinates

from orchestrator.domain.images import Image
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.mesh import Triangles
from orchestrator.geometry.rasterize import NOTHING, depth_map
from tests.support.ball import look_at

HEIGHT_M = 0.9
BOXES = (
    ((0.6, 0.12, 0.55), (0.0, 0.36, 0.0)),  # seat
    ((0.6, 0.5, 0.1), (0.0, 0.65, -0.23)),  # back
    ((0.08, 0.2, 0.45), (-0.26, 0.52, 0.05)),  # arms
    ((0.08, 0.2, 0.45), (0.26, 0.52, 0.05)),
    *(((0.06, 0.3, 0.06), (x, 0.15, z)) for x in (-0.25, 0.25) for z in (-0.22, 0.22)),  # legs
)


def armchair() -> tuple[Floats, Triangles]:
    """Metres, +Y up, the foot in the origin, the front to +Z."""
    boxes = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(at)) for size, at in BOXES]
    mesh = trimesh.util.concatenate(boxes)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)


def cameras_around(turns_deg: Sequence[float], size: tuple[int, int]) -> list[Camera]:
    """Cameras that look at the middle of the chair from a little above, in turn lower and higher; 0° is the front."""
    cameras = []
    for number, turn in enumerate(np.radians(turns_deg)):
        height = 0.9 + 0.25 * (number % 2)
        camera = look_at((2.2 * np.sin(turn), height, 2.2 * np.cos(turn)), size=size, focal=1.35 * size[0])
        lift = np.eye(4)
        lift[1, 3] = 0.42
        cameras.append(camera.moved(lift))
    return cameras


def paint_at(points: Floats) -> Image:
    """[N, 3] the colour of places in the world: spots of several sizes in all directions."""
    color = np.zeros((len(points), 3))
    for cells, share in ((16, 0.5), (48, 0.5)):
        noise = _noise(cells)
        at = (points.T / 1.28 + 0.5) * cells
        color += share * np.stack(
            [map_coordinates(noise[..., channel], at, order=1, mode="wrap") for channel in range(3)], -1
        )
    return np.asarray(np.clip((color - 0.5) * 1.7 + 0.5, 0, 1) * 255, np.uint8)


@cache
def _noise(cells: int) -> Floats:
    return np.asarray(np.random.default_rng(cells).random((cells, cells, cells, 3)))


def photograph(camera: Camera) -> tuple[Image, Image]:
    """The photo of the chair before grey, each pixel the mean of four, and its mask."""
    width, height = camera.size
    fine = camera.resized(2 * width, 2 * height)
    vertices, triangles = armchair()
    raster = depth_map(fine, vertices, triangles)
    hit = raster.triangle != NOTHING
    places = np.einsum("mk,mkd->md", raster.weights[hit], vertices[triangles[raster.triangle[hit]]])
    picture = np.full((2 * height, 2 * width, 3), 128.0)
    picture[hit] = paint_at(places)
    small = picture.reshape(height, 2, width, 2, 3).mean((1, 3))
    mask = hit.reshape(height, 2, width, 2).mean((1, 3)) >= 0.5
    return np.asarray(np.round(small), np.uint8), np.asarray(mask * 255, np.uint8)


def write_photos(turns_deg: Sequence[float], size: tuple[int, int], folder: Path) -> tuple[list[Path], list[Path]]:
    """Photos and masks as files."""
    folder.mkdir(parents=True, exist_ok=True)
    photos, masks = [], []
    for number, camera in enumerate(cameras_around(turns_deg, size)):
        for kind, picture, files in zip(("photo", "mask"), photograph(camera), (photos, masks), strict=True):
            files.append(folder / f"{kind}-{number}.png")
            Pictures.fromarray(picture).save(files[-1])
    return photos, masks
