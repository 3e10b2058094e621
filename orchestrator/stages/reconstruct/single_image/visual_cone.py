"""The visual cone of a silhouette, which is all voxels that project into it, in the world of ``ViewEstimate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.stages.reconstruct.single_image.camera_estimation import ViewEstimate

BOX_MARGIN = 0.01
"""Margin around the estimated box, as a share of its height, because the box may cut off a pixel of the silhouette."""
MAX_SQUARE_RATIO = 1.25
"""Maximum ratio of width and depth up to which a piece may be square. Its grid is then square too."""
EDGE_SIGMA_PX = 0.8
"""Standard deviation of the filter that removes pixel steps from the edge of the silhouette."""
PADDING_VOXELS = 3
"""Voxels around the box."""
BATCH_VOXELS = 400_000

Voxels: TypeAlias = NDArray[np.bool_]
"""[X, Y, Z] whether each voxel of a grid belongs to a set."""


@dataclass(frozen=True)
class VoxelGrid:
    """Voxel centres: x symmetric about 0, y from below the floor up, z from back to front."""

    x: Floats  # [X]
    y: Floats  # [Y]
    z: Floats  # [Z]
    pitch: float
    box: tuple[float, float]  # width and depth of the piece; its height is 1

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.x), len(self.y), len(self.z)


@dataclass(frozen=True)
class VisualCone:
    """The voxels of a grid, projected into a photo. Coarse pixels are about as large as a voxel, numbered by rows."""

    grid: VoxelGrid
    field: FloatMap  # [X, Y, Z] signed distance to the cone's surface in world units, positive inside
    pixel: NDArray[np.int32]  # [X, Y, Z] index of the coarse pixel that shows the voxel
    depth: FloatMap  # [X, Y, Z] along the optical axis
    silhouette: NDArray[np.bool_]  # [coarse pixels]
    columns: int  # width of the reduced photo

    def pixel_mask(self, pixels: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return a mask [coarse pixels] of the pixels with the given indices."""
        mask = np.zeros(len(self.silhouette), bool)
        mask[pixels] = True
        return mask

    def covered_share(self, field: FloatMap) -> float:
        """Return the share of the silhouette that the voxels with positive ``field`` [X, Y, Z] cover."""
        covered = self.pixel_mask(self.pixel[field > 0]) & self.silhouette
        return float(covered.sum() / max(self.silhouette.sum(), 1))


def grid_for(view: ViewEstimate, cells: int) -> VoxelGrid:
    """Return a grid with ``cells`` voxels along the longest side of the box."""
    width, depth = view.width, view.depth
    if max(width, depth) <= MAX_SQUARE_RATIO * min(width, depth):
        width = depth = max(width, depth)  # quarter-turn symmetry requires a square grid
    pitch = max(width, 1.0, depth) / cells
    half_x, half_z = (int(np.ceil(side / 2 / pitch)) + PADDING_VOXELS for side in (width, depth))
    return VoxelGrid(
        x=(np.arange(2 * half_x) - half_x + 0.5) * pitch,
        y=(np.arange(int(np.ceil(1 / pitch)) + 2 * PADDING_VOXELS) - PADDING_VOXELS + 0.5) * pitch,
        z=(np.arange(2 * half_z) - half_z + 0.5) * pitch,
        pitch=pitch,
        box=(view.width, view.depth),
    )


def visual_cone(grid: VoxelGrid, camera: Camera, mask: Image, progress: Progress = no_progress) -> VisualCone:
    """Return the visual cone of ``mask`` [H, W] uint8, 255 on the piece."""
    distance = _signed_distance(mask)
    field, depth = np.empty((2, *grid.shape), np.float32)
    pixel = np.empty(grid.shape, np.int32)
    focal = float(camera.intrinsics[0, 0])
    pixels_per_unit = focal / float(np.linalg.norm(camera.position - [0, 0.5, 0]))
    scale = min(1.0, 1.0 / (grid.pitch * pixels_per_unit))
    columns, rows = (int(np.ceil(side * scale)) for side in camera.size)
    slices = max(1, BATCH_VOXELS // (len(grid.y) * len(grid.z)))
    for start in range(0, len(grid.x), slices):
        progress(start / len(grid.x), "carving the silhouette")
        batch = slice(start, start + slices)
        centres = np.stack(np.meshgrid(grid.x[batch], grid.y, grid.z, indexing="ij"), -1)
        position, point_depth = camera.project(centres.reshape(-1, 3))
        distance_px = map_coordinates(distance, position.T[::-1] - 0.5, order=1, cval=-1e3)
        field[batch] = (distance_px * point_depth / focal).reshape(centres.shape[:3])
        depth[batch] = point_depth.reshape(centres.shape[:3])
        column, row = np.clip((position * scale).astype(np.int64), 0, [columns - 1, rows - 1]).T
        pixel[batch] = (row * columns + column).reshape(centres.shape[:3])
    silhouette = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA) > 127
    return VisualCone(grid, field, pixel, depth, silhouette.ravel(), columns)


def box_field(grid: VoxelGrid, width: float, depth: float) -> FloatMap:
    """Return the signed distance [X, Y, Z] to the surface of a box of height 1, positive inside."""
    x = width / 2 + BOX_MARGIN - np.abs(grid.x)
    y = np.minimum(grid.y, 1 + BOX_MARGIN - grid.y)
    z = depth / 2 + BOX_MARGIN - np.abs(grid.z)
    return np.asarray(np.minimum(np.minimum(x[:, None, None], y[:, None]), z), np.float32)


def _signed_distance(mask: Image) -> FloatMap:
    """Return the distance [H, W] px to the edge of the silhouette, positive inside. Beyond the photo is outside."""
    padded = np.pad((mask > 127).astype(np.uint8), 1)
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - padded, cv2.DIST_L2, 5)
    distance = np.where(padded > 0, inside - 0.5, 0.5 - outside).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(distance, (0, 0), EDGE_SIGMA_PX)[1:-1, 1:-1])
