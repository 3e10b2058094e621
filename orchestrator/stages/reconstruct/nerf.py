"""Make a model of a piece as a radiance field with a learned surface, on cameras that COLMAP placed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pictures
from scipy.ndimage import label
from skimage.measure import marching_cubes

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.images import Image
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import CaptureReport, ReconstructedMesh, ReconstructOptions
from orchestrator.errors import ToolFailed
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.mesh import Triangles, clean_mesh, place_on_floor, simplify, smooth, unwrap, write_glb
from orchestrator.geometry.texturing import bake_from_photos
from orchestrator.stages.reconstruct.capture import placed_photos, report_of, usable_photos
from orchestrator.stages.reconstruct.photogrammetry.photogrammetry import upright_cameras
from orchestrator.tools.colmap import MIN_PHOTOS, not_placed
from orchestrator.tools.ffmpeg import mp4, run_ffmpeg
from orchestrator.tools.nerf import Surface, Training, Views, render_field, train_field

CAMERAS, LEARNED, MODELED = 0.15, 0.8, 0.9
"""Where in the whole the parts end: placing the cameras, learning, the mesh and its texture; then the fly-around."""
FRAME = "frame-%03d.png"
FLY_SECONDS, FLY_ELEVATION_DEG, FLY_LENS, FLY_ROOM = 6.0, 20.0, 1.6, 1.06
"""A turn's length; how far the camera looks down; focal length in widths; air around the bounding sphere."""
SMOOTHING = 2
"""Rounds of smoothing: the steps of the voxels."""


@dataclass(frozen=True)
class Effort:
    """What a quality costs."""

    training: Training
    triangles: int
    texture_size: int
    frames: int
    frame_px: int


EFFORT = {
    Quality.PREVIEW: Effort(Training(seconds=60.0, steps=1_500, voxels=112, photo_px=224), 20_000, 1024, 24, 240),
    Quality.FINAL: Effort(Training(), 100_000, 4096, 48, 400),
}


@dataclass(frozen=True)
class Capture:
    """The photos that could be placed, in a world that stands on +Y. N of them."""

    photos: tuple[Path, ...]  # without lens distortion
    masks: tuple[Path, ...]
    cameras: tuple[Camera, ...]
    report: CaptureReport

    @property
    def views(self) -> Views:
        return views_of(self.cameras)


def nerf(
    photos: Sequence[Path],
    masks: Sequence[Path],
    options: ReconstructOptions,
    quality: Quality,
    folder: Path,
    *,
    looks: Sequence[Path] = (),
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> ReconstructedMesh:
    """Make the model in ``folder``; after a crash, the same call goes on at the part that was running.

    Args:
        photos: any format that Pillow reads; 40 or more from all around are best.
        masks: 8-bit grey of the photos' sizes, 255 on the piece.
        looks: pictures of the photos' sizes that give the colours in their place, such as stained ones; or none.

    Raises:
        InvalidInput: fewer than 3 photos.
        ToolFailed: COLMAP, PyTorch or ffmpeg is missing or failed, or the photos can't be put together.
        DeadlineExceeded, Canceled: as in ``tools.program.run_program``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    effort = EFFORT[quality]
    capture = place_cameras(photos, masks, looks, options, folder, limits, subrange(progress, 0.0, CAMERAS))
    field = folder / "field"
    learning = subrange(progress, CAMERAS, LEARNED)
    surface = train_field(
        capture.photos, capture.masks, capture.views, effort.training, field, limits=limits, progress=learning
    )
    model = make_model(surface, capture, options, effort, folder, subrange(progress, LEARNED, MODELED))
    frames = render_flight(surface, effort, field, limits, subrange(progress, MODELED, 0.98))
    video = field / "fly_around.mp4"
    size = (effort.frame_px, effort.frame_px)
    run_ffmpeg(
        mp4(FRAME, effort.frames / FLY_SECONDS, size), video, limits=limits, progress=subrange(progress, 0.98, 1.0)
    )
    preview = folder / "preview.png"
    on_white(frames[0]).save(preview)
    return ReconstructedMesh(
        glb=folder / "model.glb",
        report=capture.report,
        vertices=model["vertices"],
        triangles=model["triangles"],
        dimensions=Dimensions(*model["dimensions"]),
        preview=preview,
        extras=(video, folder / "poses" / "colmap.log", field / "nerf.log"),
    )


def place_cameras(
    photos: Sequence[Path],
    masks: Sequence[Path],
    looks: Sequence[Path],
    options: ReconstructOptions,
    folder: Path,
    limits: Limits,
    progress: Progress,
) -> Capture:
    """Let COLMAP place the photos that show a piece, and stand the world upright; ``folder/poses`` keeps the places."""
    used, notes = usable_photos(masks)
    if len(used) < MIN_PHOTOS <= len(photos):
        raise ToolFailed(f"only {len(used)} of {len(photos)} photos show the piece: {'; '.join(notes)}")
    poses = placed_photos(photos, masks, looks, used, options, folder, limits, progress)
    if len(poses.placed) < MIN_PHOTOS:
        raise ToolFailed(not_placed(poses, used), tool="colmap")
    cameras, _ = upright_cameras(poses)
    return Capture(poses.looks, poses.masks, tuple(cameras), report_of(poses, cameras, used, len(photos), notes))


def surface_mesh(surface: Surface, max_triangles: int) -> tuple[Floats, Triangles]:
    """Return the surface as triangles: hollows that nothing sees into are filled, voxel steps smoothed.

    Raises:
        ToolFailed: there is no surface.
    """
    outside, _ = label(np.pad(surface.distance > 0, 1, constant_values=True))
    hidden = (surface.distance > 0) & (outside[1:-1, 1:-1, 1:-1] != outside[0, 0, 0])
    solid = np.where(hidden, -1.0, surface.distance)
    if not (solid < 0).any():
        raise ToolFailed("the field has no surface: are the masks right?", tool="nerf")
    # Marching cubes (Lewiner et al. 2003); one layer of air closes what touches the box.
    closed = np.pad(solid, 1, constant_values=3.0)
    places, faces, _, _ = marching_cubes(closed, 0.0, gradient_direction="descent")  # type: ignore[no-untyped-call]
    vertices = surface.low + (places.astype(np.float64) - 1.0) * surface.voxel
    vertices, triangles = clean_mesh(vertices, faces.astype(np.int32))
    vertices = smooth(vertices, triangles, SMOOTHING)
    return simplify(vertices, triangles, max_triangles)


def make_model(
    surface: Surface, capture: Capture, options: ReconstructOptions, effort: Effort, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Write ``model.glb`` and return its facts; they are kept in ``model.json``."""
    kept = folder / "model.json"
    if not kept.exists():
        progress(0.0, "making the mesh")
        vertices, triangles = surface_mesh(surface, min(effort.triangles, options.max_triangles))
        progress(0.2, "unwrapping the mesh")
        mesh = unwrap(vertices, triangles)
        size = min(effort.texture_size, options.texture_size)
        pictures, masks = [_read(path) for path in capture.photos], [_read(path) for path in capture.masks]
        texture = bake_from_photos(mesh, pictures, capture.cameras, masks, size, subrange(progress, 0.5, 1.0))
        placed, dimensions = place_on_floor(mesh.vertices, options.dimensions)
        write_glb(folder / "model.half.glb", mesh.moved(placed), texture)
        (folder / "model.half.glb").replace(folder / "model.glb")
        lengths = (dimensions.width_m, dimensions.height_m, dimensions.depth_m)
        _write_whole(kept, {"vertices": len(placed), "triangles": len(mesh.triangles), "dimensions": lengths})
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def render_flight(
    surface: Surface, effort: Effort, field: Path, limits: Limits, progress: Progress
) -> tuple[Path, ...]:
    """Render the field from a ring of cameras around it; the frames are FRAME in ``field``."""
    inside = np.argwhere(surface.distance < 0)
    low, high = surface.low + inside.min(0) * surface.voxel, surface.low + inside.max(0) * surface.voxel
    cameras = flight((low + high) / 2, float(np.linalg.norm(high - low)) / 2, effort.frames, effort.frame_px)
    names = [FRAME % number for number in range(effort.frames)]
    return render_field(views_of(cameras), field, names, limits=limits, progress=progress)


def flight(middle: Floats, radius: float, count: int, side_px: int) -> list[Camera]:
    """Cameras on a ring, the first before +Z, that have the sphere whole in their square frame."""
    matrix = np.array([[FLY_LENS, 0.0, 0.5], [0.0, FLY_LENS, 0.5], [0.0, 0.0, 1.0 / side_px]]) * float(side_px)
    distance = FLY_ROOM * radius / np.sin(np.arctan(0.5 / FLY_LENS))
    down = np.radians(FLY_ELEVATION_DEG)
    cameras = []
    for turn in 2 * np.pi * np.arange(count) / count:
        away = np.array([np.sin(turn) * np.cos(down), np.sin(down), np.cos(turn) * np.cos(down)])
        right = np.array([np.cos(turn), 0.0, -np.sin(turn)])
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3] = np.stack([right, np.cross(-away, right), -away])
        world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ (middle + distance * away)
        cameras.append(Camera(matrix, world_to_camera, (side_px, side_px)))
    return cameras


def views_of(cameras: Sequence[Camera]) -> Views:
    return Views(
        np.stack([camera.matrix for camera in cameras]),
        np.stack([camera.world_to_camera for camera in cameras]),
        np.array([camera.size for camera in cameras], np.int64),
    )


def on_white(picture: Path) -> Pictures.Image:
    """The picture with alpha before white."""
    with Pictures.open(picture) as opened:
        clear = opened.convert("RGBA")
    white = Pictures.new("RGBA", clear.size, "white")
    return Pictures.alpha_composite(white, clear).convert("RGB")


def _read(path: Path) -> Image:
    with Pictures.open(path) as opened:
        return np.asarray(opened)


def _write_whole(path: Path, found: object) -> None:
    half = path.with_suffix(".half")
    half.write_text(json.dumps(found), encoding="utf-8")
    half.replace(path)
