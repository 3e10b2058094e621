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
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.mesh import unwrap
from orchestrator.geometry.orientation import focus_point
from orchestrator.geometry.rasterize import rasterize_mesh
from orchestrator.geometry.texturing import bake_from_photos
from orchestrator.stages.reconstruct.camera_poses import (
    UsablePhotos,
    load_or_solve_poses,
    select_photos,
    upright_cameras,
)
from orchestrator.stages.reconstruct.capture_report import capture_report
from orchestrator.stages.reconstruct.mesh_output import SavedMesh, load_mesh, save_mesh
from orchestrator.stages.reconstruct.meshroom import reconstruct_with_meshroom
from orchestrator.stages.reconstruct.photogrammetry.dense_surface import DenseSettings, reconstruct_surface
from orchestrator.stages.reconstruct.task import ReconstructTask
from orchestrator.tools.colmap import MIN_PHOTOS, Poses, unplaced_message

POSES_END = 0.35
SURFACE_END = 0.85
"""Progress at the end of the phases. Texturing fills the rest."""

MIN_SILHOUETTE_OVERLAP = 0.5
"""Minimum overlap of the surface's silhouettes and the masks. Below it, the surface is not what the photos show.

Cameras that were placed by wrong matches, as on a plain piece, give a surface that fits few masks. Not tuned.
"""
OVERLAP_PHOTOS = 12
OVERLAP_SIDE_PX = 300
"""Number and longer side of the photos in which the overlap is measured."""


@dataclass(frozen=True)
class QualitySettings:
    """Resolution of the result. The task's options may lower it."""

    dense: DenseSettings
    photo_px: int  # maximum longer side of the photos for texturing
    max_triangles: int
    texture_size: int


QUALITY_SETTINGS = {
    Quality.PREVIEW: QualitySettings(
        DenseSettings(piece_px=30_000, voxels=1_500_000, depth_labels=48, neighbours=2),
        photo_px=1024,
        max_triangles=40_000,
        texture_size=1024,
    ),
    # piece_px was 160 000 at first. 50 000 give smoother plain fabric in half the time.
    Quality.FINAL: QualitySettings(
        DenseSettings(piece_px=50_000, voxels=4_000_000, depth_labels=80, neighbours=4),
        photo_px=2048,  # the size of COLMAP's undistorted photos
        max_triangles=MAX_TRIANGLES,
        texture_size=max(TEXTURE_SIZES),
    ),
}


@dataclass(frozen=True)
class _PosedImages:
    """Undistorted images with their masks and cameras, all of the same length."""

    images: list[Image]  # [h, w, 3] uint8 sRGB each
    masks: list[Image]  # [h, w] uint8 each, 255 on the piece
    cameras: list[Camera]


def photogrammetry(task: ReconstructTask) -> ReconstructedMesh:
    """Return the textured mesh of the piece that the photos show from all sides.

    Raises:
        InvalidInput: fewer than 3 photos.
        ToolFailed: too few photos could be placed, or the masks contradict each other; the message names the photos
            to take again.
        DeadlineExceeded, Canceled: see ``run_program``.
    """
    if len(task.photos) < MIN_PHOTOS:
        raise InvalidInput(
            "photos",
            f"{len(task.photos)} given; photogrammetry needs at least {MIN_PHOTOS} photos, 30 are recommended",
        )
    task.folder.mkdir(parents=True, exist_ok=True)
    return ENGINES[task.options.engine](task, select_photos(task))


def _reconstruct_with_colmap(task: ReconstructTask, usable: UsablePhotos) -> ReconstructedMesh:
    poses = load_or_solve_poses(task, usable, subrange(task.progress, 0.0, POSES_END))
    if len(poses.placed) < MIN_PHOTOS:
        raise ToolFailed(unplaced_message(poses, usable.indices), tool="colmap")
    cameras, points = upright_cameras(poses)
    report = capture_report(poses, cameras, usable, len(task.photos))
    photos = _load_images(poses.photos, poses, cameras, task.quality)
    focus = focus_point(photos.cameras, points)
    vertices, triangles = _load_or_compute_surface(
        task, photos, focus, poses.depths, subrange(task.progress, POSES_END, SURFACE_END)
    )
    mesh = load_mesh(task.folder)
    if mesh is None:
        color_photos = _load_images(poses.color_photos, poses, cameras, task.quality)
        mesh = _texture(task, color_photos, vertices, triangles, subrange(task.progress, SURFACE_END, 1.0))
    return ReconstructedMesh(
        glb=mesh.glb,
        report=report,
        vertices=mesh.vertices,
        triangles=mesh.triangles,
        dimensions=mesh.dimensions,
        extras=(task.folder / "poses" / "colmap.log",),
    )


ENGINES: dict[Engine, Callable[[ReconstructTask, UsablePhotos], ReconstructedMesh]] = {
    Engine.COLMAP: _reconstruct_with_colmap,
    Engine.MESHROOM: reconstruct_with_meshroom,
}


def _load_or_compute_surface(
    task: ReconstructTask, photos: _PosedImages, focus: Floats, depth_files: Sequence[Path], progress: Progress
) -> tuple[Floats, Triangles]:
    """Return the vertices and triangles of the piece. A repeated call reads them from ``surface.npz``."""
    finished, partial = task.folder / "surface.npz", task.folder / "surface.part.npz"
    if not finished.exists():
        settings = QUALITY_SETTINGS[task.quality]
        vertices, triangles = reconstruct_surface(
            photos.cameras,
            photos.images,
            photos.masks,
            focus,
            min(task.options.max_triangles, settings.max_triangles),
            settings.dense,
            progress,
            measured_depths=[np.load(path) for path in depth_files],
        )
        overlap = silhouette_overlap(photos.cameras, photos.masks, vertices, triangles)
        if overlap < MIN_SILHOUETTE_OVERLAP:
            raise ToolFailed(
                f"the reconstruction does not match the photos: its silhouettes overlap the masks by {overlap:.0%}, at "
                f"least {MIN_SILHOUETTE_OVERLAP:.0%} is required; take more photos, closer together, with the piece "
                "larger in them",
                tool="colmap",
            )
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
        camera, mask = cameras[number], masks[number]
        scale = min(1.0, OVERLAP_SIDE_PX / max(camera.size))
        size = max(1, round(camera.size[0] * scale)), max(1, round(camera.size[1] * scale))
        expected = cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 127
        actual = np.isfinite(rasterize_mesh(camera.resized(*size), vertices, triangles).depth)
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


def _load_images(paths: Sequence[Path], poses: Poses, cameras: Sequence[Camera], quality: Quality) -> _PosedImages:
    """Return the images of the N placed cameras, with at most the quality's resolution.

    Args:
        paths: [N] ``poses.photos`` or ``poses.color_photos``.
        cameras: [N] at the size of the files.
    """
    loaded = _PosedImages([], [], [])
    for path, mask_path, camera in zip(paths, poses.masks, cameras, strict=True):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
        scale = min(1.0, QUALITY_SETTINGS[quality].photo_px / max(camera.size))
        if scale < 1.0:
            size = round(camera.size[0] * scale), round(camera.size[1] * scale)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            mask = np.where(cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 127, 255, 0)
            camera = camera.resized(*size)
        loaded.images.append(np.asarray(image, np.uint8))
        loaded.masks.append(np.asarray(mask, np.uint8))
        loaded.cameras.append(camera)
    return loaded
