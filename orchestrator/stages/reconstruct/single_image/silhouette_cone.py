"""A photo's silhouette as a cone through a grid of voxels, and the box that bounds it.

World frame: that of ``single_view.View``.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.stages.reconstruct.single_image.single_view import View

ROOM = 0.01
"""The box is enlarged by this share of its height: a silhouette is cut by a pixel more easily than by the box."""
SQUARE = 1.25
"""Sides whose lengths differ by less may be meant to be the same."""
EDGE_SIGMA_PX = 0.8
"""Takes the pixels' steps off the silhouette's edge."""


@dataclass(frozen=True)
class Grid:
    """Middles of voxels: x symmetric about 0, y from below the floor up, z from back to front."""

    x: Floats
    y: Floats
    z: Floats
    pitch: float
    box: tuple[float, float]  # width and depth

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.x), len(self.y), len(self.z)

    def slab(self, start: int, stop: int) -> Floats:
        """[n, 3] the middles of the slices ``start`` to ``stop`` along x."""
        middles = np.meshgrid(self.x[start:stop], self.y, self.z, indexing="ij")
        return np.asarray(np.stack(middles, -1).reshape(-1, 3), np.float64)


@dataclass(frozen=True)
class Cone:
    """The voxels as the photo shows them. All [X, Y, Z] but the last."""

    field: FloatMap  # how deep inside the silhouette's cone, in the world's unit
    pixel: NDArray[np.int32]  # number of the pixel that shows it, in a coarse photo of one pixel a voxel
    depth: FloatMap  # distance along the camera's axis
    silhouette: NDArray[np.bool_]  # [pixels] of the coarse photo
    columns: int  # of the coarse photo


def grid_of(view: View, cells: int) -> Grid:
    width, depth = view.width, view.depth
    if max(width, depth) <= SQUARE * min(width, depth):  # may have quarter turns, which need a square grid
        width = depth = max(width, depth)
    pitch = max(width, 1.0, depth) / cells
    half_x, half_z = (int(np.ceil(side / 2 / pitch)) + 3 for side in (width, depth))
    return Grid(
        x=(np.arange(2 * half_x) - half_x + 0.5) * pitch,
        y=(np.arange(int(np.ceil(1 / pitch)) + 6) - 2.5) * pitch,
        z=(np.arange(2 * half_z) - half_z + 0.5) * pitch,
        pitch=pitch,
        box=(view.width, view.depth),
    )


def carve(grid: Grid, camera: Camera, mask: Image, progress: Progress) -> Cone:
    distance = _signed_distance(mask)
    field, depth = np.empty(grid.shape, np.float32), np.empty(grid.shape, np.float32)
    pixel = np.empty(grid.shape, np.int32)
    focal = float(camera.matrix[0, 0])
    nearness = focal / float(np.linalg.norm(camera.position - [0, 0.5, 0]))  # px a unit
    coarse = min(1.0, 1.0 / (grid.pitch * nearness))
    columns, rows = (int(np.ceil(side * coarse)) for side in camera.size)
    step = max(1, 400_000 // (len(grid.y) * len(grid.z)))
    for start in range(0, len(grid.x), step):
        progress(0.6 * start / len(grid.x), "carving the silhouette")
        points = grid.slab(start, start + step)
        at, far = camera.project(points)
        deep = map_coordinates(distance, at.T[::-1] - 0.5, order=1, cval=-1e3)
        shape = (-1, len(grid.y), len(grid.z))
        some = slice(start, start + step)
        field[some] = (deep * far / focal).reshape(shape)
        depth[some] = far.reshape(shape)
        where = np.clip((at * coarse).astype(np.int64), 0, [columns - 1, rows - 1])
        pixel[some] = (where[:, 1] * columns + where[:, 0]).reshape(shape)
    small = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA) > 127
    return Cone(field, pixel, depth, small.ravel(), columns)


def _signed_distance(mask: Image) -> FloatMap:
    """[H, W] px to the silhouette's edge, positive inside; beyond the photo it is outside."""
    padded = np.pad((mask > 127).astype(np.uint8), 1)
    within = cv2.distanceTransform(padded, cv2.DIST_L2, 5)
    beyond = cv2.distanceTransform(1 - padded, cv2.DIST_L2, 5)
    distance = np.where(padded > 0, within - 0.5, 0.5 - beyond).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(distance, (0, 0), EDGE_SIGMA_PX)[1:-1, 1:-1])


def box_field(grid: Grid, width: float, depth: float) -> FloatMap:
    """How deep inside the box each voxel lies."""
    x = width / 2 + ROOM - np.abs(grid.x)
    y = np.minimum(grid.y, 1 + ROOM - grid.y)
    z = depth / 2 + ROOM - np.abs(grid.z)
    deep = np.minimum(np.minimum(x[:, None, None], y[None, :, None]), z[None, None, :])
    return np.asarray(deep, np.float32)


def coverage_of(cone: Cone, field: FloatMap) -> float:
    covered = np.zeros(len(cone.silhouette), bool)
    covered[cone.pixel[field > 0]] = True
    return float((covered & cone.silhouette).sum() / max(cone.silhouette.sum(), 1))
