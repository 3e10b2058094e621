"""Reconstructs a piece from photos all around it: estimate cameras, compute the surface, texture it from the photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from orchestrator.domain.images import Image
from orchestrator.domain.progress import Progress, subrange
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import MAX_TRIANGLES, TEXTURE_SIZES, Engine, ReconstructedMesh
from orchestrator.errors import ToolFailed
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.mesh import unwrap
from orchestrator.geometry.orientation import focus_point
from orchestrator.geometry.rasterize import rasterize_mesh
from orchestrator.geometry.texturing import bake_from_photos
from orchestrator.imaging.filters import shrink
from orchestrator.stages.reconstruct.camera_poses import Capture, UsablePhotos, estimate_cameras, select_photos
from orchestrator.stages.reconstruct.mesh_output import SavedMesh, load_mesh, save_mesh
from orchestrator.stages.reconstruct.meshroom import reconstruct_with_meshroom
from orchestrator.stages.reconstruct.photogrammetry.dense_surface import DenseSettings, reconstruct_surface, reduced
from orchestrator.stages.reconstruct.task import ReconstructTask

POSES_END = 0.35  # progress when the cameras are known
SURFACE_END = 0.85  # progress when the surface is known; texturing fills the rest
# Minimum overlap of the surface's silhouettes and the masks. Cameras that were placed by wrong matches, as on a plain
# piece, give a surface that fits few masks. Not tuned.
MIN_SILHOUETTE_OVERLAP = 0.5
OVERLAP_PHOTOS = 12  # number of photos in which the overlap is measured
OVERLAP_SIDE_PX = 300  # longer side of these photos


@dataclass(frozen=True)
class QualitySettings:
    """Resolution of the result. The task's options may lower it."""

    dense: DenseSettings
    photo_px: int  # maximum longer side of the photos for texturing; COLMAP's undistorted photos have 2048 px
    max_triangles: int
    texture_size: int


PREVIEW = DenseSettings(piece_px=30_000, voxels=1_500_000, depth_labels=48, neighbours=2)
# With piece_px = 50 000, plain fabric is smoother than with 160 000, and is computed in half the time.
FINAL = DenseSettings(piece_px=50_000, voxels=4_000_000, depth_labels=80, neighbours=4)
QUALITY_SETTINGS = {
    Quality.PREVIEW: QualitySettings(PREVIEW, photo_px=1024, max_triangles=40_000, texture_size=1024),
    Quality.FINAL: QualitySettings(FINAL, photo_px=2048, max_triangles=MAX_TRIANGLES, texture_size=max(TEXTURE_SIZES)),
}


@dataclass(frozen=True)
class _PosedImages:
    """Undistorted images with their masks and cameras, all of the same length."""

    images: Sequence[Image]  # [h, w, 3] uint8 sRGB each
    masks: Sequence[Image]  # [h, w] uint8 each, 255 on the piece
    cameras: Sequence[Camera]


def photogrammetry(task: ReconstructTask) -> ReconstructedMesh:
    """Return the textured mesh of the piece that the photos show from all sides.

    Raises:
        InvalidInput: the task has fewer than 3 photos.
        ToolFailed: too few photos could be placed, or the masks contradict each other; the message names the photos
            to take again.
        DeadlineExceeded, Canceled: see ``run_program``.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    return ENGINES[task.options.engine](task, select_photos(task))


def _reconstruct_with_colmap(task: ReconstructTask, usable: UsablePhotos) -> ReconstructedMesh:
    capture = estimate_cameras(task, usable, subrange(task.progress, 0.0, POSES_END))
    photos = _load_images(capture.poses.photos, capture, task.quality)
    surface_progress = subrange(task.progress, POSES_END, SURFACE_END)
    vertices, triangles = _load_or_compute_surface(task, photos, capture, surface_progress)
    mesh = load_mesh(task.folder)
    if mesh is None:
        color_photos = _load_images(capture.poses.color_photos, capture, task.quality)
        mesh = _texture(task, color_photos, vertices, triangles, subrange(task.progress, SURFACE_END, 1.0))
    return mesh.with_report(capture.report, extras=(task.folder / "poses" / "colmap.log",))


ENGINES: dict[Engine, Callable[[ReconstructTask, UsablePhotos], ReconstructedMesh]] = {
    Engine.COLMAP: _reconstruct_with_colmap,
    Engine.MESHROOM: reconstruct_with_meshroom,
}


def _load_or_compute_surface(
    task: ReconstructTask, photos: _PosedImages, capture: Capture, progress: Progress
) -> tuple[Floats, Triangles]:
    """Return the vertices and triangles of the piece. A repeated call reads them from ``surface.npz``."""
    finished, partial = task.folder / "surface.npz", task.folder / "surface.part.npz"
    if not finished.exists():
        settings = QUALITY_SETTINGS[task.quality]
        vertices, triangles = reconstruct_surface(
            photos.cameras,
            photos.images,
            photos.masks,
            focus_point(photos.cameras, capture.points),
            min(task.options.max_triangles, settings.max_triangles),
            settings.dense,
            progress,
            measured_depths=[np.load(path) for path in capture.poses.depths],
        )
        overlap = silhouette_overlap(photos.cameras, photos.masks, vertices, triangles)
        if overlap < MIN_SILHOUETTE_OVERLAP:
            values = f"{overlap:.0%}, at least {MIN_SILHOUETTE_OVERLAP:.0%} is required"
            reason = f"the reconstruction does not match the photos: its silhouettes overlap the masks by {values}"
            remedy = "take more photos, closer together, with the piece larger in them"
            raise ToolFailed(f"{reason}; {remedy}", tool="colmap")
        np.savez(partial, vertices=vertices, triangles=triangles)
        partial.rename(finished)
    with np.load(finished) as arrays:
        return arrays["vertices"], arrays["triangles"]


def silhouette_overlap(
    cameras: Sequence[Camera], masks: Sequence[Image], vertices: Floats, triangles: Triangles
) -> float:
    """Return the median intersection over union of the mesh's silhouettes and the masks, over photos all around."""
    overlaps = []
    for number in range(0, len(cameras), max(1, len(cameras) // OVERLAP_PHOTOS)):
        scale = OVERLAP_SIDE_PX / max(cameras[number].size)
        camera, mask = reduced(cameras[number], masks[number], scale)
        expected, actual = mask > 127, np.isfinite(rasterize_mesh(camera, vertices, triangles).depth)
        overlaps.append(float((expected & actual).sum() / max(int((expected | actual).sum()), 1)))
    return float(np.median(overlaps))


def _texture(
    task: ReconstructTask, photos: _PosedImages, vertices: Floats, triangles: Triangles, progress: Progress
) -> SavedMesh:
    progress(0.0, "unwrapping the mesh")
    mesh = unwrap(vertices, triangles)
    size = min(task.options.texture_size, QUALITY_SETTINGS[task.quality].texture_size)
    texture = bake_from_photos(mesh, photos.images, photos.cameras, photos.masks, size, subrange(progress, 0.3, 0.95))
    return save_mesh(task.folder, mesh, texture, task.options.dimensions)


def _load_images(paths: Sequence[Path], capture: Capture, quality: Quality) -> _PosedImages:
    """Return the images of the placed cameras, with at most the quality's resolution.

    Args:
        paths: ``poses.photos`` or ``poses.color_photos``.
    """
    photo_px = QUALITY_SETTINGS[quality].photo_px
    images, masks, cameras = [], [], []
    for path, mask_path, full_camera in zip(paths, capture.poses.masks, capture.cameras, strict=True):
        full_mask = np.asarray(cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE), np.uint8)
        camera, mask = reduced(full_camera, full_mask, photo_px / max(full_camera.size))
        image = np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)
        images.append(shrink(image, photo_px))
        masks.append(mask)
        cameras.append(camera)
    return _PosedImages(images, masks, cameras)
