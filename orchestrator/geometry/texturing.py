"""The texture of a mesh from the photos that saw it.

Two bands (Baumberg 2002, Blending images for texturing 3D models): the smooth part of the light is the mean of all
photos that see a place, so that no seam shows where the best photo changes; the detail comes from the few best.
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
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.mesh import Triangles, UvMesh
from orchestrator.geometry.rasterize import NOTHING, depth_map, rasterize
from orchestrator.imaging.color import linear_from_srgb, srgb_from_linear
from orchestrator.imaging.sampling import sample

SMOOTH_SIGMA = 0.012
"""Of the photo's longer side: structure coarser than this is blended broadly, finer is taken from the best photos."""
DETAIL_POWER = 8.0
"""Weights are raised to this for the fine band: the best photo wins, two equally good ones share."""
MIN_COSINE = 0.15
"""Steeper than 81° a photo says nothing of a surface."""
DEPTH_SLACK = 0.01
"""Of the piece's diagonal: how far behind the visible surface a texel may lie and still count as seen."""
EDGE_PX = 0.004
"""Of the photo's longer side: this close to the mask's edge the background bleeds in."""
TEXELS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class _Texels:
    """The filled texels of the texture."""

    pixel: NDArray[np.int64]  # [M] flat index
    position: Floats  # [M, 3]
    normal: Floats  # [M, 3]
    vertex: Triangles  # [M] the vertex that is nearest


def bake_from_photos(
    mesh: UvMesh,
    photos: Sequence[Image],
    cameras: Sequence[Camera],
    masks: Sequence[Image],
    size: int,
    progress: Progress = no_progress,
) -> Image:
    """Return the texture [size, size, 3] uint8 sRGB of ``mesh``.

    A photo counts by the angle at which it sees a place and by how finely, where the place lies inside its mask and
    nothing stands before it. Places that no photo saw take the colour of their neighbours on the surface.

    Args:
        photos: [h, w, 3] uint8 sRGB each.
        cameras: one a photo, of the photo's size.
        masks: [h, w] uint8 each, 255 on the piece.
    """
    texels = _texels(mesh, size)
    count = len(texels.pixel)
    smooth, detail = np.zeros((count, 3), np.float32), np.zeros((count, 3), np.float32)
    smooth_weight, detail_weight = np.full(count, 1e-12, np.float32), np.full(count, 1e-12, np.float32)
    seen = np.zeros(count, bool)
    slack = DEPTH_SLACK * float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    sharpest = max(_sharpness(camera, mesh) for camera in cameras)
    for number, (photo, camera, mask) in enumerate(zip(photos, cameras, masks, strict=True)):
        progress(number / len(photos), f"texture from photo {number + 1} of {len(photos)}")
        low, fine = _bands(photo)
        inside = _inside(mask)
        depth = depth_map(camera, mesh.vertices, mesh.triangles).depth
        for start in range(0, count, TEXELS_AT_ONCE):
            some = slice(start, start + TEXELS_AT_ONCE)
            weight, at = _weights(texels.position[some], texels.normal[some], camera, inside, depth, slack)
            weight *= (_sharpness(camera, mesh) / sharpest) ** 2
            strong = weight**DETAIL_POWER
            smooth[some] += weight[:, None] * sample(low, at)
            detail[some] += strong[:, None] * sample(fine, at)
            smooth_weight[some] += weight
            detail_weight[some] += strong
            seen[some] |= weight > 0
    color = smooth / smooth_weight[:, None] + np.where(seen[:, None], detail / detail_weight[:, None], 0.0)
    color = _completed(mesh, texels, color, seen)
    return _padded(srgb_from_linear(np.clip(color, 0.0, 1.0).astype(np.float32)), texels.pixel, size)


def bake_from_points(mesh: UvMesh, points: Floats, colors: Image, size: int) -> Image:
    """Return the texture [size, size, 3] uint8 sRGB of ``mesh``: each place takes the colour of the nearest point.

    Args:
        points: [P, 3] on the surface, as dense as the texels.
        colors: [P, 3] uint8 sRGB.
    """
    texels = _texels(mesh, size)
    _, nearest = cKDTree(points).query(texels.position, workers=-1)
    return _padded(np.asarray(colors[nearest]), texels.pixel, size)


def _texels(mesh: UvMesh, size: int) -> _Texels:
    corners = mesh.uv[mesh.triangles] * size
    raster = rasterize(corners, np.ones(corners.shape[:2]), (size, size))
    pixel = np.flatnonzero(raster.triangle.ravel() != NOTHING)
    vertices = mesh.triangles[raster.triangle.ravel()[pixel]]
    weights = raster.weights.reshape(-1, 3)[pixel]
    normal = np.einsum("mk,mkd->md", weights, mesh.normals[vertices])
    return _Texels(
        pixel=pixel,
        position=np.einsum("mk,mkd->md", weights, mesh.vertices[vertices]),
        normal=normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12),
        vertex=np.take_along_axis(vertices, weights.argmax(1)[:, None], 1)[:, 0],
    )


def _sharpness(camera: Camera, mesh: UvMesh) -> float:
    """Pixels a unit of length in the middle of the piece."""
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    return float(camera.matrix[0, 0] / max(np.linalg.norm(middle - camera.position), 1e-9))


def _bands(photo: Image) -> tuple[FloatMap, FloatMap]:
    """The photo's coarse and fine part, linear; together they are the photo."""
    linear = linear_from_srgb(photo)
    low = cv2.GaussianBlur(linear, (0, 0), SMOOTH_SIGMA * max(photo.shape[:2]))
    return np.asarray(low), linear - low


def _inside(mask: Image) -> Image:
    """The mask without its edge."""
    radius = max(1, round(EDGE_PX * max(mask.shape)))
    return np.asarray(cv2.erode(mask, np.ones((2 * radius + 1,) * 2, np.uint8), borderValue=[255.0]))


def _weights(
    position: Floats, normal: Floats, camera: Camera, inside: Image, depth: FloatMap, slack: float
) -> tuple[FloatMap, NDArray[np.float32]]:
    """How much the photo counts for each place [M], and where it shows it [M, 2]."""
    pixels, distance = camera.project(position)
    column, row = np.floor(np.nan_to_num(pixels, nan=-1.0, posinf=-1.0, neginf=-1.0)).astype(np.int64).T
    width, height = camera.size
    framed = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (distance > 0)
    column, row = np.where(framed, column, 0), np.where(framed, row, 0)
    toward = camera.position - position
    cosine = (normal * toward).sum(1) / np.maximum(np.linalg.norm(toward, axis=1), 1e-12)
    visible = framed & (inside[row, column] > 127) & (distance < depth[row, column] + slack) & (cosine > MIN_COSINE)
    return np.where(visible, cosine**2, 0.0).astype(np.float32), pixels.astype(np.float32)


def _completed(mesh: UvMesh, texels: _Texels, color: FloatMap, seen: NDArray[np.bool_]) -> FloatMap:
    """Colour the places that no photo saw by spreading the colours of those that one did along the surface."""
    if seen.all() or not seen.any():
        return color
    _, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    place = place.ravel()
    count = int(place.max()) + 1
    at = place[texels.vertex[seen]]
    known = np.bincount(at, minlength=count).astype(np.float64)
    values = np.stack([np.bincount(at, color[seen][:, channel], count) for channel in range(3)], -1)
    values = values / np.maximum(known, 1)[:, None]
    ends = np.concatenate([place[mesh.triangles[:, pair]] for pair in ([0, 1], [1, 2], [2, 0])])
    ends = np.concatenate([ends, ends[:, ::-1]])
    has = known > 0
    while not has.all():
        give = ends[has[ends[:, 0]] & ~has[ends[:, 1]]]
        if not len(give):
            values[~has] = values[has].mean(0)  # a part of its own that nobody saw
            break
        got = np.bincount(give[:, 1], minlength=count)
        for channel in range(3):
            spread = np.bincount(give[:, 1], values[give[:, 0], channel], count)
            values[:, channel] = np.where(got > 0, spread / np.maximum(got, 1), values[:, channel])
        has |= got > 0
    return np.where(seen[:, None], color, values[place[texels.vertex]]).astype(np.float32)


def _padded(color: Image, pixel: NDArray[np.int64], size: int) -> Image:
    """The texture, the gaps between charts filled from the nearest texel: no dark seams when it is made smaller."""
    empty = np.ones(size * size, np.uint8)
    empty[pixel] = 0
    _, labels = cv2.distanceTransformWithLabels(
        empty.reshape(size, size), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = labels.ravel()
    source = np.zeros(int(labels.max()) + 1, np.int64)
    source[labels[pixel]] = np.arange(len(pixel))
    return np.asarray(color[source[labels]]).reshape(size, size, 3)
