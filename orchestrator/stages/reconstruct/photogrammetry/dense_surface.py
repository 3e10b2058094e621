"""Computes the surface of a piece from photos with known cameras.

The visual hull of the masks bounds the piece, and stereo computes a depth map for each photo. Both are fused into one
surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.mesh_cleanup import clean_mesh, flatten, simplify, smooth
from orchestrator.geometry.visual_hull import find_bounds, grid_over, hull_surface_points, measure_hull, silhouette_of
from orchestrator.stages.reconstruct.photogrammetry.depth_fusion import extract_surface, fuse_depths
from orchestrator.stages.reconstruct.photogrammetry.depth_maps import consistent_depths, depth_maps, select_neighbours
from orchestrator.stages.reconstruct.photogrammetry.plane_sweep import StereoView, pixel_rays

FLOOR_PERCENTILE = 5.0  # percentile of the heights of the lowest visible points that becomes the floor; not tuned
HULL_POINTS = 5000  # number of points on the hull that bound the depth search
MIN_COMPONENT = 0.05  # disconnected parts below this share of the piece's diagonal are errors; not tuned
SMOOTHING_ROUNDS = 4  # rounds of smoothing, which removes the steps of the voxels; not tuned
FLATTENING_ROUNDS = 40  # raised from 20 to make plain surfaces flatter; not measured separately
DEPTH_TOLERANCE_VOXELS = 2  # how far the depths of two photos may differ and still confirm each other; not tuned


@dataclass(frozen=True)
class DenseSettings:
    """Resolution of the dense reconstruction."""

    piece_px: int  # photos are reduced until the piece's bounding box has this many pixels (median over the photos)
    voxels: int  # in the box around the piece
    depth_labels: int  # maximum number of depths that stereo distinguishes in a photo
    neighbours: int  # number of photos that each photo is compared with


def reconstruct_surface(
    cameras: Sequence[Camera],
    photos: Sequence[Image],
    masks: Sequence[Image],
    focus: Floats,
    max_triangles: int,
    settings: DenseSettings,
    progress: Progress = no_progress,
    *,
    measured_depths: Sequence[FloatMap] = (),
) -> tuple[Floats, Triangles]:
    """Return the vertices and triangles of the piece in the world of the cameras.

    Args:
        cameras: in a world that is upright on +Y, at any scale.
        photos: [h, w, 3] uint8 sRGB each.
        masks: [h, w] uint8 each, 255 on the piece.
        focus: [3] the point that the cameras look at.
        measured_depths: [h, w] float32 each, depth along the optical axis from COLMAP's GPU stereo, 0 where unknown.
            If empty, the depths are computed here.

    Raises:
        ToolFailed: the masks contradict each other.
    """
    views = _stereo_views(cameras, photos, masks, settings.piece_px)
    silhouettes = [silhouette_of(view.camera, view.mask) for view in views]
    low, high = find_bounds(silhouettes, focus, subrange(progress, 0.0, 0.05))
    pixel_sizes = [np.linalg.norm(view.camera.position - focus) / view.camera.intrinsics[0, 0] for view in views]
    voxel = float(np.cbrt(np.prod(high - low) / settings.voxels))
    grid = grid_over(low, high, max(float(np.median(pixel_sizes)), voxel))
    indices, hull = measure_hull(silhouettes, grid, subrange(progress, 0.05, 0.2))
    neighbours = select_neighbours([view.camera for view in views], focus, settings.neighbours)
    if measured_depths:
        depths = [_masked_depth(depth, view) for depth, view in zip(measured_depths, views, strict=True)]
    else:
        hull_points = hull_surface_points(grid, indices, hull, HULL_POINTS)
        depths = depth_maps(views, neighbours, hull_points, settings.depth_labels, subrange(progress, 0.2, 0.8))
    depths = consistent_depths(views, depths, neighbours, DEPTH_TOLERANCE_VOXELS * grid.step)
    floor = _floor_height(views, depths)
    if floor is not None:  # everything below the floor is outside
        hull = np.maximum(hull, (floor - grid.points(indices)[:, 1]).astype(np.float32))
    distance = fuse_depths([view.camera for view in views], depths, grid, indices, hull, subrange(progress, 0.8, 0.95))
    progress(0.95, "extracting the surface")
    vertices, triangles = clean_mesh(*extract_surface(grid, indices, distance), min_component=MIN_COMPONENT)
    vertices, triangles = simplify(smooth(vertices, triangles, SMOOTHING_ROUNDS), triangles, max_triangles)
    vertices, triangles = clean_mesh(vertices, triangles, min_component=MIN_COMPONENT)
    return flatten(vertices, triangles, FLATTENING_ROUNDS), triangles


def _stereo_views(
    cameras: Sequence[Camera], photos: Sequence[Image], masks: Sequence[Image], piece_px: int
) -> list[StereoView]:
    median_area = float(np.median([width * height for _, _, width, height in map(cv2.boundingRect, masks)]))
    scale = float(np.sqrt(piece_px / max(median_area, 1.0)))
    views = []
    for full_camera, photo, full_mask in zip(cameras, photos, masks, strict=True):
        camera, mask = reduced(full_camera, full_mask, scale)
        grey = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), camera.size, interpolation=cv2.INTER_AREA)
        views.append(StereoView(camera, grey.astype(np.float32), mask))
    return views


def reduced(camera: Camera, mask: Image, scale: float) -> tuple[Camera, Image]:
    """Return the camera and its binary mask at ``scale`` of their size, but not larger than they are."""
    width, height = (max(1, round(side * min(1.0, scale))) for side in camera.size)
    small_mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    return camera.resized(width, height), np.where(small_mask > 127, 255, 0).astype(np.uint8)


def _masked_depth(depth: FloatMap, view: StereoView) -> FloatMap:
    """Return the depth at the size of the view, NaN outside the piece and where unknown."""
    small = cv2.resize(depth, view.camera.size, interpolation=cv2.INTER_NEAREST)
    return np.where((small > 0) & (view.mask > 127), small, np.nan).astype(np.float32)


def _floor_height(views: Sequence[StereoView], depths: Sequence[FloatMap]) -> float | None:
    """Return the height at which the piece stands, or None if no depth is known.

    Photos from above never see the underside, and the visual hull extends below it. The floor is a low percentile of
    the heights of the lowest pixel in each column of each depth map.
    """
    heights = []
    for view, depth in zip(views, depths, strict=True):
        known = np.isfinite(depth)
        columns = np.flatnonzero(known.any(0))
        rows = known.shape[0] - 1 - known[::-1, columns].argmax(0)
        if not len(columns):
            continue
        rays = pixel_rays(view.camera, columns, rows) @ view.camera.world_to_camera[:3, :3]
        heights.append(view.camera.position[1] + rays[:, 1] * depth[rows, columns])
    return float(np.percentile(np.concatenate(heights), FLOOR_PERCENTILE)) if heights else None
