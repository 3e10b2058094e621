"""Bakes the texture of a mesh from photos with known cameras, or from coloured points.

Photos are blended in two frequency bands (Baumberg 2002, Blending images for texturing 3D models). The low band is the
mean of all photos that show a texel, so that no seam appears where the best photo changes. The high band comes from the
few best photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.mesh import UvMesh
from orchestrator.geometry.mesh_cleanup import triangle_edges
from orchestrator.geometry.rasterize import NO_TRIANGLE, rasterize, rasterize_mesh
from orchestrator.imaging.color import linear_from_srgb, srgb_from_linear
from orchestrator.imaging.filters import sample

BAND_SIGMA = 0.012
"""Standard deviation of the blur that separates the bands, as a share of the photo's longer side. A larger value puts
more structure into the high band, which has sharper detail but visible seams. Not tuned."""
DETAIL_POWER = 8.0
"""Exponent of the weights in the high band. The best photo dominates unless others are as good. Not tuned."""
MIN_COSINE = 0.15
"""Minimum cosine between the surface normal and the line of sight (81°) for a photo to be used. Not tuned."""
OCCLUSION_TOLERANCE = 0.01
"""A texel is visible if it lies at most this far behind the depth map, as a share of the mesh diagonal. Not tuned."""
MASK_MARGIN = 0.004
"""Width of the unused border of a mask, into which background bleeds, as a share of its longer side. Not tuned."""
BATCH_TEXELS = 1 << 20  # texels that are processed together; bounds the memory
MIN_WEIGHT = 1e-12
"""Avoids a division by zero for texels that no photo shows."""


@dataclass(frozen=True)
class _Texels:
    """The M texels that the triangles cover."""

    index: NDArray[np.int64]  # [M] flat index into the texture
    position: Floats  # [M, 3]
    normal: Floats  # [M, 3] unit
    vertex: NDArray[np.int32]  # [M] the nearest vertex of the triangle


def bake_from_photos(
    mesh: UvMesh,
    photos: Sequence[Image],
    cameras: Sequence[Camera],
    masks: Sequence[Image],
    size: int,
    progress: Progress = no_progress,
) -> Image:
    """Return the texture [size, size, 3] uint8 sRGB of ``mesh``.

    A photo contributes to the texels that lie inside its mask and are not occluded. Its weight depends on the viewing
    angle and on its resolution. Texels that no photo shows take the colours of their neighbours on the surface.

    Args:
        photos: [h, w, 3] uint8 sRGB each.
        cameras: the camera of each photo, with the photo's size.
        masks: [h, w] uint8 each, 255 on the piece.
    """
    texels = _covered_texels(mesh, size)
    count = len(texels.index)
    low_sum, high_sum = np.zeros((2, count, 3), np.float32)
    low_weight, high_weight = np.full((2, count), MIN_WEIGHT, np.float32)
    seen = np.zeros(count, bool)
    tolerance = OCCLUSION_TOLERANCE * float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    centre = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    resolutions = [camera.intrinsics[0, 0] / max(np.linalg.norm(centre - camera.position), 1e-9) for camera in cameras]
    for number, (photo, camera, mask) in enumerate(zip(photos, cameras, masks, strict=True)):
        progress(number / len(photos), f"texturing from photo {number + 1} of {len(photos)}")
        photo_linear = linear_from_srgb(photo)
        low = np.asarray(cv2.GaussianBlur(photo_linear, (0, 0), BAND_SIGMA * max(photo.shape[:2])), np.float32)
        high = photo_linear - low
        margin = max(1, round(MASK_MARGIN * max(mask.shape)))
        mask = np.asarray(cv2.erode(mask, np.ones((2 * margin + 1,) * 2, np.uint8), borderValue=[255.0]), np.uint8)
        depth = rasterize_mesh(camera, mesh.vertices, mesh.triangles).depth
        for start in range(0, count, BATCH_TEXELS):
            batch = slice(start, start + BATCH_TEXELS)
            position, normal = texels.position[batch], texels.normal[batch]
            weight, pixels = _angle_weights(position, normal, camera, mask, depth, tolerance)
            weight *= (resolutions[number] / max(resolutions)) ** 2
            detail_weight = weight**DETAIL_POWER
            low_sum[batch] += weight[:, None] * sample(low, pixels)
            high_sum[batch] += detail_weight[:, None] * sample(high, pixels)
            low_weight[batch] += weight
            high_weight[batch] += detail_weight
            seen[batch] |= weight > 0
    color = low_sum / low_weight[:, None] + np.where(seen[:, None], high_sum / high_weight[:, None], 0.0)
    if seen.any() and not seen.all():
        color = _fill_unseen(mesh, texels, color, seen)
    return _fill_gaps(srgb_from_linear(np.clip(color, 0.0, 1.0).astype(np.float32)), texels.index, size)


def bake_from_points(mesh: UvMesh, points: Floats, colors: Image, size: int) -> Image:
    """Return the texture [size, size, 3] uint8 sRGB of ``mesh``. Each texel takes the colour of the nearest point.

    The ``points`` [P, 3] lie on the surface, about as dense as the texels. Their ``colors`` [P, 3] are uint8 sRGB.
    """
    texels = _covered_texels(mesh, size)
    _, nearest = cKDTree(points).query(texels.position, workers=-1)
    return _fill_gaps(colors[nearest], texels.index, size)


def _covered_texels(mesh: UvMesh, size: int) -> _Texels:
    corners = mesh.uv[mesh.triangles] * size
    raster = rasterize(corners, np.ones(corners.shape[:2]), (size, size))
    index = np.flatnonzero(raster.triangle != NO_TRIANGLE)
    vertices = mesh.triangles[raster.triangle.ravel()[index]]
    weights = raster.weights.reshape(-1, 3)[index]
    position, normal = (np.einsum("mk,mkd->md", weights, values[vertices]) for values in (mesh.vertices, mesh.normals))
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return _Texels(index, position, normal, vertices[np.arange(len(index)), weights.argmax(1)])


def _angle_weights(
    position: Floats, normal: Floats, camera: Camera, mask: Image, depth: FloatMap, tolerance: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the squared cosine of the viewing angle [M], 0 where a point is not visible, and the pixels [M, 2]."""
    pixels, distance = camera.project(position)
    column, row = np.floor(np.nan_to_num(pixels, nan=-1.0, posinf=-1.0, neginf=-1.0)).astype(np.int64).T
    width, height = camera.size
    framed = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (distance > 0)
    column, row = np.where(framed, column, 0), np.where(framed, row, 0)
    to_camera = camera.position - position
    cosine = (normal * to_camera).sum(1) / np.maximum(np.linalg.norm(to_camera, axis=1), 1e-12)
    unoccluded = distance < depth[row, column] + tolerance
    visible = framed & (mask[row, column] > 127) & unoccluded & (cosine > MIN_COSINE)
    return np.where(visible, cosine**2, 0.0).astype(np.float32), pixels.astype(np.float32)


def _fill_unseen(mesh: UvMesh, texels: _Texels, color: FloatMap, seen: NDArray[np.bool_]) -> FloatMap:
    """Return ``color`` [M, 3], with colours spread along the surface to the texels that are not ``seen`` [M]."""
    _, point = np.unique(mesh.vertices, axis=0, return_inverse=True)  # [V] one point on both sides of a seam
    count = int(point.max()) + 1
    values, known = _means(point[texels.vertex[seen]], color[seen], count)
    edges = point[triangle_edges(mesh.triangles)]
    edges = np.concatenate([edges, edges[:, ::-1]])
    while not known.all():
        start, end = edges[known[edges[:, 0]] & ~known[edges[:, 1]]].T
        if not len(start):
            values[~known] = values[known].mean(0)  # these surfaces are not connected to a seen one
            break
        received, reached = _means(end, values[start], count)
        values[reached] = received[reached]
        known |= reached
    return np.where(seen[:, None], color, values[point[texels.vertex]]).astype(np.float32)


def _means(index: NDArray[np.int64], values: Floats | FloatMap, count: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the means [count, 3] of the ``values`` [N, 3] with equal ``index`` [N], and which of them have values."""
    samples = np.bincount(index, minlength=count)
    sums = np.stack([np.bincount(index, channel, count) for channel in values.T], -1)
    return sums / np.maximum(samples, 1)[:, None], samples > 0


def _fill_gaps(color: Image, index: NDArray[np.int64], size: int) -> Image:
    """Fill the gaps between charts from the nearest texel. Otherwise seams become dark when the texture is reduced."""
    empty = np.ones(size * size, np.uint8)
    empty[index] = 0
    empty = empty.reshape(size, size)
    labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    source = np.zeros(int(labels.max()) + 1, np.int64)
    source[labels.ravel()[index]] = np.arange(len(index))
    return np.asarray(color[source[labels]])
