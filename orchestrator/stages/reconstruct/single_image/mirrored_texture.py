"""Bakes the texture of a symmetric piece from one photo and its mirror images."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.mesh import UvMesh
from orchestrator.geometry.rasterize import NO_TRIANGLE, rasterize_mesh
from orchestrator.geometry.texturing import bake_from_photos
from orchestrator.stages.reconstruct.single_image.photo import SinglePhoto

MAX_PHOTO_SIDE_PX = 3000
"""Maximum longer side of the photo for texturing."""
MIN_DIRECT_COSINE = 0.25
"""Minimum cosine between surface normal and line of sight for the photo itself to replace its mirror images.

A smaller value uses the photo at steeper angles, where it is blurred; a larger one shows more mirrored texture. Not
tuned.
"""
OCCLUSION_TOLERANCE = 0.02
"""How far a point may lie behind the visible surface and still count as visible, as a share of the mesh diagonal."""

Reflection = tuple[float, float, float]
"""Factors of x, y and z. -1 reflects the axis."""

LEFT_RIGHT: Reflection = (-1.0, 1.0, 1.0)
FRONT_BACK: Reflection = (1.0, 1.0, -1.0)
HALF_TURN: Reflection = (-1.0, 1.0, -1.0)


@dataclass(frozen=True)
class _MirrorImage:
    """A mirror image of the photo, which shows the piece under ``reflection``.

    It is not used for points that the photo or an earlier mirror image shows better. These are the points whose image
    under any of the ``superseding`` reflections is visible in the photo.
    """

    reflection: Reflection
    superseding: tuple[Reflection, ...]


LEFT_RIGHT_IMAGE = _MirrorImage(LEFT_RIGHT, superseding=(LEFT_RIGHT,))
BACK_IMAGES = (
    _MirrorImage(FRONT_BACK, superseding=(FRONT_BACK, HALF_TURN)),
    _MirrorImage(HALF_TURN, superseding=(HALF_TURN, FRONT_BACK, LEFT_RIGHT)),
)


def bake_mirrored(
    mesh: UvMesh,
    photo: SinglePhoto,
    camera: Camera,
    size: int,
    *,
    mirror_back: bool,
    progress: Progress = no_progress,
) -> Image:
    """Return the texture [size, size, 3] uint8 sRGB of ``mesh``.

    The photo textures what it shows, and its mirror images what they show beyond that. Other surfaces take the colours
    of their neighbours.

    Args:
        camera: of the photo at any resolution, in the frame of the mesh.
        mirror_back: whether the back of the piece looks like its front.
    """
    height, width = photo.mask.shape
    scale = min(1.0, MAX_PHOTO_SIDE_PX / max(height, width))
    frame = (round(width * scale), round(height * scale))
    image, mask = _resize(photo.color_srgb, frame), _resize(photo.mask, frame)
    camera = camera.resized(*frame)
    images, cameras, masks = [image], [camera], [mask]
    for mirror in (LEFT_RIGHT_IMAGE, *BACK_IMAGES) if mirror_back else (LEFT_RIGHT_IMAGE,):
        visible = _without_superseded(mesh, camera, mask, mirror.superseding)
        flipped = _is_reflection(mirror.reflection)
        images.append(np.ascontiguousarray(image[:, ::-1]) if flipped else image)
        masks.append(np.ascontiguousarray(visible[:, ::-1]) if flipped else visible)
        cameras.append(_mirrored_camera(camera, mirror.reflection))
    return bake_from_photos(mesh, images, cameras, masks, size, progress)


def _is_reflection(reflection: Reflection) -> bool:
    """Return whether the image is flipped. Two reflections are a rotation, which does not flip the image."""
    return reflection[0] * reflection[2] < 0


def _mirrored_camera(camera: Camera, reflection: Reflection) -> Camera:
    """Return the camera that sees the reflected piece as ``camera`` sees the piece.

    For a single reflection, the image must be flipped left to right, which makes the camera right-handed again.
    """
    transform = np.diag([*reflection, 1.0])
    if not _is_reflection(reflection):
        return Camera(camera.intrinsics, camera.world_to_camera @ transform, camera.size)
    intrinsics = camera.intrinsics.copy()
    intrinsics[0, 2] = camera.size[0] - intrinsics[0, 2]
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    return Camera(intrinsics, flip @ camera.world_to_camera @ transform, camera.size)


def _without_superseded(mesh: UvMesh, camera: Camera, mask: Image, reflections: tuple[Reflection, ...]) -> Image:
    """Return the mask [H, W] without the pixels that a mirror image must not use.

    These are the pixels whose surface point, reflected by any of ``reflections``, is visible in the photo.
    """
    half = camera.resized(max(1, camera.size[0] // 2), max(1, camera.size[1] // 2))
    raster = rasterize_mesh(half, mesh.vertices, mesh.triangles)
    rows, columns = np.nonzero(raster.triangle != NO_TRIANGLE)
    corners = mesh.triangles[raster.triangle[rows, columns]]
    weights = raster.weights[rows, columns]
    points = np.einsum("nk,nkd->nd", weights, mesh.vertices[corners])
    normals = np.einsum("nk,nkd->nd", weights, mesh.normals[corners])
    tolerance = OCCLUSION_TOLERANCE * float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    needed = np.full(raster.triangle.shape, 255, np.uint8)
    for reflection in reflections:
        seen = _is_visible(points * reflection, normals * reflection, half, raster.depth, tolerance)
        needed[rows[seen], columns[seen]] = 0
    return np.asarray(np.where(_resize(needed, camera.size) > 127, mask, 0), np.uint8)


def _is_visible(
    points: Floats, normals: Floats, camera: Camera, depth: FloatMap, tolerance: float
) -> NDArray[np.bool_]:
    """Return whether ``points`` [N, 3] are in the photo, not occluded and seen at a good angle."""
    to_camera = camera.position - points
    cosine = (normals * to_camera).sum(1) / np.maximum(np.linalg.norm(to_camera, axis=1), 1e-12)
    pixels, distance = camera.project(points)
    column, row = np.clip(pixels.astype(int), 0, np.array(camera.size) - 1).T
    return np.asarray((cosine > MIN_DIRECT_COSINE) & (distance < depth[row, column] + tolerance))


def _resize(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
