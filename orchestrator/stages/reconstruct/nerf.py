"""Reconstructs a piece as a radiance field with a learned surface, from cameras that COLMAP estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from scipy.ndimage import label
from skimage.measure import marching_cubes

from orchestrator.domain.images import Image
from orchestrator.domain.progress import Progress, subrange
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import ReconstructedMesh
from orchestrator.errors import ToolFailed
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.mesh import unwrap
from orchestrator.geometry.mesh_cleanup import clean_mesh, simplify, smooth
from orchestrator.geometry.texturing import bake_from_photos
from orchestrator.stages.reconstruct.camera_poses import Capture, estimate_cameras, select_photos
from orchestrator.stages.reconstruct.mesh_output import SavedMesh, load_mesh, save_mesh
from orchestrator.stages.reconstruct.task import ReconstructTask
from orchestrator.tools.ffmpeg import mp4, run_ffmpeg
from orchestrator.tools.nerf import Surface, Training, Views, render_field, train_field

# Progress at the end of each phase. Encoding the video fills the rest.
CAMERAS_END = 0.15
TRAINING_END = 0.8
MESH_END = 0.9
FRAMES_END = 0.98
FRAME_NAME = "frame-%03d.png"
ORBIT_SECONDS = 6.0
ORBIT_ELEVATION_DEG = 20.0  # how far the camera of the fly-around video looks down
ORBIT_FOCAL_LENGTH = 1.6  # in widths of the frame
ORBIT_MARGIN = 1.06  # camera distance relative to the one at which the bounding sphere fills the frame
SMOOTHING_ROUNDS = 2  # they remove the steps of the voxels; not tuned
OUTSIDE_DISTANCE = 3.0  # signed distance outside the volume, in voxels; closes surfaces that reach its border


@dataclass(frozen=True)
class QualitySettings:
    """Resolution and duration. The task's options may lower the resolution of the mesh and the texture."""

    training: Training
    max_triangles: int
    texture_size: int
    frames: int  # of the fly-around video
    frame_px: int


PREVIEW_TRAINING = Training(seconds=60.0, steps=1_500, voxels=112, photo_px=224)
QUALITY_SETTINGS = {
    Quality.PREVIEW: QualitySettings(PREVIEW_TRAINING, 20_000, texture_size=1024, frames=24, frame_px=240),
    Quality.FINAL: QualitySettings(Training(), 100_000, texture_size=4096, frames=48, frame_px=400),
}


def nerf(task: ReconstructTask) -> ReconstructedMesh:
    """Return the textured mesh of a trained radiance field, with a fly-around video. 40 photos are recommended.

    Raises:
        InvalidInput: the task has fewer than 3 photos.
        ToolFailed: COLMAP, PyTorch or ffmpeg is missing or failed, or the photos do not fit together.
        DeadlineExceeded, Canceled: see ``run_program``.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    settings = QUALITY_SETTINGS[task.quality]
    capture = estimate_cameras(task, select_photos(task), subrange(task.progress, 0.0, CAMERAS_END))
    field_folder = task.folder / "field"
    photos, masks, views = capture.poses.color_photos, capture.poses.masks, views_of(capture.cameras)
    progress = subrange(task.progress, CAMERAS_END, TRAINING_END)
    surface = train_field(photos, masks, views, settings.training, field_folder, limits=task.limits, progress=progress)
    mesh_progress = subrange(task.progress, TRAINING_END, MESH_END)
    mesh = load_mesh(task.folder) or _make_mesh(task, surface, capture, settings, mesh_progress)
    frames = _render_orbit(task, surface, field_folder, settings, subrange(task.progress, MESH_END, FRAMES_END))
    video = field_folder / "fly_around.mp4"
    arguments = mp4(FRAME_NAME, settings.frames / ORBIT_SECONDS, (settings.frame_px, settings.frame_px))
    run_ffmpeg(arguments, video, limits=task.limits, progress=subrange(task.progress, FRAMES_END, 1.0))
    preview = task.folder / "preview.png"
    _composite_over_white(frames[0]).save(preview)
    extras = (video, task.folder / "poses" / "colmap.log", field_folder / "nerf.log")
    return mesh.with_report(capture.report, preview=preview, extras=extras)


def surface_mesh(surface: Surface, max_triangles: int) -> tuple[Floats, Triangles]:
    """Return the surface as triangles, with enclosed cavities filled and the steps of the voxels smoothed.

    Raises:
        ToolFailed: the surface is empty.
    """
    # A cavity is space outside the surface that is not connected to the border of the volume.
    components, _ = label(np.pad(surface.distance > 0, 1, constant_values=True))
    cavity = (surface.distance > 0) & (components[1:-1, 1:-1, 1:-1] != components[0, 0, 0])
    distance = np.where(cavity, -1.0, surface.distance)
    if not (distance < 0).any():
        raise ToolFailed("the trained field contains no surface; check that the masks show the piece", tool="nerf")
    padded = np.pad(distance, 1, constant_values=OUTSIDE_DISTANCE)
    indices, faces, _, _ = marching_cubes(padded, 0.0, gradient_direction="descent")  # Lewiner et al. 2003
    vertices = surface.low + (indices.astype(np.float64) - 1.0) * surface.voxel
    vertices, triangles = clean_mesh(vertices, faces.astype(np.int32))
    vertices = smooth(vertices, triangles, SMOOTHING_ROUNDS)
    return simplify(vertices, triangles, max_triangles)


def _make_mesh(
    task: ReconstructTask, surface: Surface, capture: Capture, settings: QualitySettings, progress: Progress
) -> SavedMesh:
    progress(0.0, "extracting the mesh")
    vertices, triangles = surface_mesh(surface, min(settings.max_triangles, task.options.max_triangles))
    progress(0.2, "unwrapping the mesh")
    mesh = unwrap(vertices, triangles)
    photos = [_read(path) for path in capture.poses.color_photos]
    masks = [_read(path) for path in capture.poses.masks]
    size = min(settings.texture_size, task.options.texture_size)
    texture = bake_from_photos(mesh, photos, capture.cameras, masks, size, subrange(progress, 0.5, 1.0))
    return save_mesh(task.folder, mesh, texture, task.options.dimensions)


def _render_orbit(
    task: ReconstructTask, surface: Surface, field_folder: Path, settings: QualitySettings, progress: Progress
) -> tuple[Path, ...]:
    """Render the field in ``field_folder`` from a ring of cameras around the piece, to files FRAME_NAME there."""
    inside = np.argwhere(surface.distance < 0)
    low, high = surface.low + inside.min(0) * surface.voxel, surface.low + inside.max(0) * surface.voxel
    radius = float(np.linalg.norm(high - low)) / 2
    cameras = orbit_cameras((low + high) / 2, radius, settings.frames, settings.frame_px)
    names = [FRAME_NAME % number for number in range(settings.frames)]
    return render_field(views_of(cameras), field_folder, names, limits=task.limits, progress=progress)


def orbit_cameras(centre: Floats, radius: float, count: int, side_px: int) -> list[Camera]:
    """Return cameras on a ring, the first on the side of +Z, whose square frames contain a sphere."""
    focal_px, middle_px = ORBIT_FOCAL_LENGTH * side_px, side_px / 2
    intrinsics = np.array([[focal_px, 0.0, middle_px], [0.0, focal_px, middle_px], [0.0, 0.0, 1.0]])
    distance = ORBIT_MARGIN * radius / np.sin(np.arctan(0.5 / ORBIT_FOCAL_LENGTH))
    elevation = np.radians(ORBIT_ELEVATION_DEG)
    cameras = []
    for azimuth in 2 * np.pi * np.arange(count) / count:
        horizontal = np.cos(elevation)
        to_camera = np.array([np.sin(azimuth) * horizontal, np.sin(elevation), np.cos(azimuth) * horizontal])
        right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3] = np.stack([right, np.cross(-to_camera, right), -to_camera])
        world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ (centre + distance * to_camera)
        cameras.append(Camera(intrinsics, world_to_camera, (side_px, side_px)))
    return cameras


def views_of(cameras: Sequence[Camera]) -> Views:
    """Return the cameras as arrays."""
    return Views(
        np.stack([camera.intrinsics for camera in cameras]),
        np.stack([camera.world_to_camera for camera in cameras]),
        np.array([camera.size for camera in cameras], np.int64),
    )


def _composite_over_white(path: Path) -> PillowImage.Image:
    image = PillowImage.fromarray(_read(path))  # RGBA
    white = PillowImage.new("RGBA", image.size, "white")
    return PillowImage.alpha_composite(white, image).convert("RGB")


def _read(path: Path) -> Image:
    with PillowImage.open(path) as opened:
        return np.asarray(opened)
