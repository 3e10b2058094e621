"""Bakes the texture of a symmetric piece from one photo and its mirror images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import cv2
import numpy as np

from orchestrator.domain.images import Image
from orchestrator.domain.progress import Progress
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.mesh import UvMesh
from orchestrator.geometry.rasterize import NO_TRIANGLE, rasterize_mesh
from orchestrator.geometry.texturing import bake_from_photos
from orchestrator.stages.reconstruct.single_image.photo import SinglePhoto

MAX_PHOTO_SIDE_PX = 3000
"""Maximum longer side of the photo for texturing."""
MIN_DIRECT_COSINE = 0.25
"""Minimum cosine between surface normal and line of sight for the photo itself to replace its mirror images. A smaller
value uses the photo at steeper angles, where it is blurred; a larger one shows more mirrored texture. Not tuned."""
OCCLUSION_TOLERANCE = 0.02
"""How far a point may lie behind the visible surface and still count as visible, as a share of the mesh diagonal."""

Reflection = tuple[float, float, float]
"""Factors of x, y and z. -1 reflects the axis."""

LEFT_RIGHT: Reflection = (-1.0, 1.0, 1.0)
FRONT_BACK: Reflection = (1.0, 1.0, -1.0)
HALF_TURN: Reflection = (-1.0, 1.0, -1.0)

SUPERSEDING: dict[Reflection, tuple[Reflection, ...]] = {
    LEFT_RIGHT: (LEFT_RIGHT,),
    FRONT_BACK: (FRONT_BACK, HALF_TURN),
    HALF_TURN: (HALF_TURN, FRONT_BACK, LEFT_RIGHT),
}
"""The mirror images in the order of their use, each with reflections that supersede it. If the photo shows a point and
its image under one of these reflections, the photo or an earlier mirror image shows the surface better and is used."""


def bake_mirrored(
    mesh: UvMesh, photo: SinglePhoto, camera: Camera, size: int, progress: Progress, *, mirror_back: bool
) -> Image:
    """Return the texture [size, size, 3] uint8 sRGB of ``mesh``.

    The photo textures the surfaces that it shows. Its mirror images texture the surfaces that only they show. Other
    surfaces take the colours of their neighbours.

    Args:
        camera: of the photo at any resolution, in the frame of the mesh.
        mirror_back: whether the back of the piece looks like its front.
    """
    photo = photo.reduced(MAX_PHOTO_SIDE_PX)
    camera = camera.resized(photo.mask.shape[1], photo.mask.shape[0])
    shots = [(photo.color_srgb, camera, photo.mask)]
    reflections = list(SUPERSEDING) if mirror_back else [LEFT_RIGHT]
    mirror_masks = _without_superseded(mesh, camera, photo.mask, reflections)
    for reflection, mask in zip(reflections, mirror_masks, strict=True):
        shots.append(_mirrored(photo.color_srgb, camera, mask, reflection))
    images, cameras, masks = zip(*shots, strict=True)
    return bake_from_photos(mesh, images, cameras, masks, size, progress)


def _mirrored(image: Image, camera: Camera, mask: Image, reflection: Reflection) -> tuple[Image, Camera, Image]:
    """Return the image and the mask of the reflected piece, and the camera that takes this image.

    A single reflection flips the image left to right, so that the camera stays right-handed. Two are a rotation.
    """
    world_to_camera = camera.world_to_camera @ np.diag([*reflection, 1.0])
    if np.prod(reflection) > 0:
        return image, Camera(camera.intrinsics, world_to_camera, camera.size), mask
    intrinsics = camera.intrinsics.copy()
    intrinsics[0, 2] = camera.size[0] - intrinsics[0, 2]
    mirrored_camera = Camera(intrinsics, np.diag([-1.0, 1.0, 1.0, 1.0]) @ world_to_camera, camera.size)
    return np.ascontiguousarray(image[:, ::-1]), mirrored_camera, np.ascontiguousarray(mask[:, ::-1])


def _without_superseded(mesh: UvMesh, camera: Camera, mask: Image, reflections: Sequence[Reflection]) -> list[Image]:
    """Return for each reflection the mask [H, W] without the pixels that its ``SUPERSEDING`` reflections texture.

    Such a reflection textures a pixel if it moves the point of the pixel to a place that is visible in the photo.
    """
    half = camera.resized(max(1, camera.size[0] // 2), max(1, camera.size[1] // 2))
    raster = rasterize_mesh(half, mesh.vertices, mesh.triangles)
    rows, columns = np.nonzero(raster.triangle != NO_TRIANGLE)
    corners, weights = mesh.triangles[raster.triangle[rows, columns]], raster.weights[rows, columns]
    points = np.einsum("nk,nkd->nd", weights, mesh.vertices[corners])
    normals = np.einsum("nk,nkd->nd", weights, mesh.normals[corners])
    tolerance = OCCLUSION_TOLERANCE * float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    visible = {}
    for reflection in set(chain.from_iterable(SUPERSEDING[mirrored] for mirrored in reflections)):
        reflected = points * reflection
        to_camera = half.position - reflected
        cosine = (normals * reflection * to_camera).sum(1) / np.maximum(np.linalg.norm(to_camera, axis=1), 1e-12)
        pixels, distance = half.project(reflected)
        column, row = np.clip(pixels.astype(int), 0, np.array(half.size) - 1).T
        visible[reflection] = (cosine > MIN_DIRECT_COSINE) & (distance < raster.depth[row, column] + tolerance)
    masks = []
    for reflection in reflections:
        needed = np.full(raster.triangle.shape, 255, np.uint8)
        for other in SUPERSEDING[reflection]:
            needed[rows[visible[other]], columns[visible[other]]] = 0
        masks.append(np.where(cv2.resize(needed, camera.size, interpolation=cv2.INTER_AREA) > 127, mask, np.uint8(0)))
    return masks
