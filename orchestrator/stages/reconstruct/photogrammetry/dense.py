"""The shape of a piece from photos with known cameras: hull of the masks, depth of each photo, one surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.hull import find_piece, grid_of, hull_surface_points, measure_hull, outline
from orchestrator.geometry.mesh import Triangles, clean_mesh, flatten, simplify, smooth
from orchestrator.stages.reconstruct.photogrammetry.fusion import fuse, surface
from orchestrator.stages.reconstruct.photogrammetry.stereo import View, consistent, depth_maps, neighbours

FLOOR_PERCENT = 5.0
HULL_POINTS = 5000
MIN_PART = 0.05
"""Of the piece's diagonal: what hangs free and is smaller is an error of masks or depths."""
SMOOTHING_ROUNDS, FLATTENING_ROUNDS = 4, 40


@dataclass(frozen=True)
class Effort:
    """How finely to work."""

    piece_px: int  # photos are made smaller until the piece's box has this many pixels, in the median
    voxels: int  # of the box around the piece
    labels: int  # depths told apart in a photo
    partners: int  # photos that each is compared with


def shape_of(
    cameras: Sequence[Camera],
    photos: Sequence[Image],
    masks: Sequence[Image],
    middle: Floats,
    max_triangles: int,
    effort: Effort,
    progress: Progress = no_progress,
    *,
    measured: Sequence[FloatMap] = (),
) -> tuple[Floats, Triangles]:
    """Return the vertices and triangles of the piece, in the cameras' world.

    Args:
        cameras: world upright on +Y, any scale.
        photos: [h, w, 3] uint8 sRGB each.
        masks: [h, w] uint8 each, 255 on the piece.
        middle: [3] what the cameras look at.
        measured: [h, w] the depth of each photo along the line of sight, 0 where unknown, where COLMAP measured it on
            a GPU; none lets our own stereo do it.

    Raises:
        ToolFailed: the masks do not fit together.
    """
    views = _views(cameras, photos, masks, effort.piece_px)
    outlines = [outline(view.camera, view.mask) for view in views]
    low, high = find_piece(outlines, middle, subrange(progress, 0.0, 0.05))
    finest = float(
        np.median([np.linalg.norm(view.camera.position - middle) / view.camera.matrix[0, 0] for view in views])
    )
    grid = grid_of(low, high, max(finest, float(np.cbrt(np.prod(high - low) / effort.voxels))))
    chosen, hull = measure_hull(outlines, grid, subrange(progress, 0.05, 0.2))
    around = hull_surface_points(grid, chosen, hull, HULL_POINTS)
    partners = neighbours([view.camera for view in views], middle, effort.partners)
    if measured:
        depths = [_fitted(depth, view) for depth, view in zip(measured, views, strict=True)]
    else:
        depths = depth_maps(views, partners, around, effort.labels, subrange(progress, 0.2, 0.8))
    depths = consistent(views, depths, partners, 2 * grid.step)
    floor = _floor(views, depths)
    if floor is not None:
        hull = np.maximum(hull, (floor - grid.places(chosen)[:, 1]).astype(np.float32))
    field = fuse([view.camera for view in views], depths, grid, chosen, hull, subrange(progress, 0.8, 0.95))
    progress(0.95, "drawing the surface")
    vertices, triangles = clean_mesh(*surface(grid, chosen, field), min_part=MIN_PART)
    vertices, triangles = simplify(smooth(vertices, triangles, SMOOTHING_ROUNDS), triangles, max_triangles)
    vertices, triangles = clean_mesh(vertices, triangles, min_part=MIN_PART)
    return flatten(vertices, triangles, FLATTENING_ROUNDS), triangles


def _views(cameras: Sequence[Camera], photos: Sequence[Image], masks: Sequence[Image], piece_px: int) -> list[View]:
    area = float(np.median([box[2] * box[3] for box in map(cv2.boundingRect, masks)]))
    scale = min(1.0, float(np.sqrt(piece_px / max(area, 1.0))))
    views = []
    for camera, photo, mask in zip(cameras, photos, masks, strict=True):
        size = max(1, round(camera.size[0] * scale)), max(1, round(camera.size[1] * scale))
        small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        grey = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        views.append(
            View(camera.resized(*size), grey.astype(np.float32), np.where(small > 127, 255, 0).astype(np.uint8))
        )
    return views


def _fitted(depth: FloatMap, view: View) -> FloatMap:
    """The depth at the view's size, NaN beside the piece and where unknown."""
    small = cv2.resize(depth, view.camera.size, interpolation=cv2.INTER_NEAREST)
    return np.where((small > 0) & (view.mask > 127), small, np.nan).astype(np.float32)


def _floor(views: Sequence[View], depths: Sequence[FloatMap]) -> float | None:
    """The height on which the piece stands: of the lowest pixels of its outlines, the low ones. None if unknown.

    Photos look down: they never see the underside, and the hull goes on below it.
    """
    heights = []
    for view, depth in zip(views, depths, strict=True):
        known = np.isfinite(depth)
        columns = np.flatnonzero(known.any(0))
        rows = known.shape[0] - 1 - known[::-1, columns].argmax(0)
        if not len(columns):
            continue
        pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], -1)
        rays = pixels @ np.linalg.inv(view.camera.matrix).T @ view.camera.world_to_camera[:3, :3]
        heights.append(view.camera.position[1] + rays[:, 1] * depth[rows, columns])
    return float(np.percentile(np.concatenate(heights), FLOOR_PERCENT)) if heights else None
