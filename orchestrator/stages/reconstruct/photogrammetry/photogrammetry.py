"""Make a 3D model from photos all around a piece: place the cameras, find the surface, texture it from the photos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.images import Image
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import CaptureReport, Engine, ReconstructedMesh, ReconstructOptions
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.mesh import Triangles, place_on_floor, unwrap, write_glb
from orchestrator.geometry.rasterize import depth_map
from orchestrator.geometry.texturing import bake_from_photos
from orchestrator.geometry.upright import looked_at, upright
from orchestrator.stages.reconstruct.capture import placed_photos, report_of, usable_photos
from orchestrator.stages.reconstruct.meshroom import meshroom_model
from orchestrator.stages.reconstruct.photogrammetry.dense import Effort, shape_of
from orchestrator.tools.colmap import MIN_PHOTOS, Poses, not_placed

EFFORT = {
    Quality.PREVIEW: Effort(piece_px=30_000, voxels=1_500_000, labels=48, partners=2),
    Quality.FINAL: Effort(piece_px=50_000, voxels=4_000_000, labels=80, partners=4),
}
PREVIEW_TRIANGLES, PREVIEW_TEXTURE = 40_000, 1024
PREVIEW_PHOTO_PX = 1024
MIN_OVERLAP, OVERLAP_PHOTOS, OVERLAP_SIDE_PX = 0.5, 12, 300
"""A model whose outlines share less than half with the masks shows another shape than the photos do."""


def photogrammetry(
    photos: Sequence[Path],
    masks: Sequence[Path],
    options: ReconstructOptions,
    quality: Quality,
    folder: Path,
    *,
    looks: Sequence[Path] = (),
    meshroom: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> ReconstructedMesh:
    """Return the textured model of the piece that ``photos`` show from all sides.

    Args:
        photos: any format that Pillow reads.
        masks: 8-bit grey, of the photos' sizes, 255 on the piece.
        looks: pictures of the photos' sizes that give the colours in their place, such as stained ones; or none.
        folder: the job's own; each finished phase stays there whole, and a second call goes on after it.
        meshroom: the ``meshroom_batch`` program, for the engine of that name.

    Raises:
        InvalidInput: fewer than 3 photos.
        ToolFailed: too few photos could be placed, or the masks do not fit together; says what to shoot again.
        DeadlineExceeded, Canceled: as ``run_program``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    used, notes = usable_photos(masks)
    if len(photos) < MIN_PHOTOS:
        raise InvalidInput("photos", f"{len(photos)} given; photogrammetry needs at least {MIN_PHOTOS}, better 30")
    if len(used) < MIN_PHOTOS:
        raise ToolFailed(f"only {len(used)} of {len(photos)} photos show the piece: {'; '.join(notes)}")
    if options.engine is Engine.MESHROOM:
        return meshroom_model(
            photos,
            masks,
            used,
            notes,
            options,
            quality,
            folder,
            executable=meshroom,
            limits=limits,
            progress=progress,
        )
    poses = placed_photos(photos, masks, looks, used, options, folder, limits, subrange(progress, 0.0, 0.35))
    cameras, points = upright_cameras(poses)
    report = report_of(poses, cameras, used, len(photos), notes)
    if len(poses.placed) < MIN_PHOTOS:
        raise ToolFailed(not_placed(poses, used), tool="colmap")
    pictures, pieces, fitting = _pictures(poses.photos, poses, cameras, quality)
    vertices, triangles = _surface(
        fitting, pictures, pieces, points, poses.depths, options, quality, folder, subrange(progress, 0.35, 0.85)
    )
    pictures, _, _ = _pictures(poses.looks, poses, cameras, quality)
    return _textured(
        fitting, pictures, pieces, vertices, triangles, options, quality, report, folder, subrange(progress, 0.85, 1.0)
    )


def upright_cameras(poses: Poses) -> tuple[list[Camera], Floats]:
    """The cameras and sparse points [P, 3], the world turned so that the piece stands on +Y."""
    cameras = [
        Camera(matrix, pose, (int(size[0]), int(size[1])))
        for matrix, pose, size in zip(poses.matrices, poses.world_to_camera, poses.sizes, strict=True)
    ]
    turn = upright(cameras, poses.points)
    return [camera.moved(turn) for camera in cameras], poses.points @ turn[:3, :3].T + turn[:3, 3]


def _surface(
    cameras: Sequence[Camera],
    photos: Sequence[Image],
    masks: Sequence[Image],
    points: Floats,
    depths: Sequence[Path],
    options: ReconstructOptions,
    quality: Quality,
    folder: Path,
    progress: Progress,
) -> tuple[Floats, Triangles]:
    done = folder / "surface.npz"
    if not done.exists():
        most = min(options.max_triangles, PREVIEW_TRIANGLES) if quality is Quality.PREVIEW else options.max_triangles
        vertices, triangles = shape_of(
            cameras,
            photos,
            masks,
            looked_at(cameras, points),
            most,
            EFFORT[quality],
            progress,
            measured=[np.load(file) for file in depths],
        )
        overlap = outline_overlap(cameras, masks, vertices, triangles)
        if overlap < MIN_OVERLAP:
            raise ToolFailed(
                f"the photos could not be put together: the model covers {overlap:.0%} of the outlines, at least "
                f"{MIN_OVERLAP:.0%} is needed; take more photos, closer together, with the piece larger in them",
                tool="colmap",
            )
        scratch = folder / "surface.part.npz"
        np.savez(scratch, vertices=vertices, triangles=triangles)
        scratch.rename(done)
    with np.load(done) as found:
        return found["vertices"], found["triangles"]


def outline_overlap(cameras: Sequence[Camera], masks: Sequence[Image], vertices: Floats, triangles: Triangles) -> float:
    """Intersection over union of the model's outlines and the masks, in the median of some photos all around.

    Cameras that are placed wrongly, as wrong matches on a plain piece do, give a shape that fits few of the masks.
    """
    found = []
    for number in range(0, len(cameras), max(1, len(cameras) // OVERLAP_PHOTOS)):
        camera, mask = cameras[number], masks[number]
        scale = min(1.0, OVERLAP_SIDE_PX / max(camera.size))
        size = max(1, round(camera.size[0] * scale)), max(1, round(camera.size[1] * scale))
        piece = cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 127
        ours = np.isfinite(depth_map(camera.resized(*size), vertices, triangles).depth)
        found.append(float((piece & ours).sum() / max(int((piece | ours).sum()), 1)))
    return float(np.median(found))


def _textured(
    cameras: Sequence[Camera],
    photos: Sequence[Image],
    masks: Sequence[Image],
    vertices: Floats,
    triangles: Triangles,
    options: ReconstructOptions,
    quality: Quality,
    report: CaptureReport,
    folder: Path,
    progress: Progress,
) -> ReconstructedMesh:
    glb, facts_file = folder / "model.glb", folder / "model.json"
    if not facts_file.exists():
        progress(0.0, "unwrapping the surface")
        mesh = unwrap(vertices, triangles)
        size = min(options.texture_size, PREVIEW_TEXTURE) if quality is Quality.PREVIEW else options.texture_size
        texture = bake_from_photos(mesh, photos, cameras, masks, size, subrange(progress, 0.3, 0.95))
        placed, dimensions = place_on_floor(mesh.vertices, options.dimensions)
        scratch = folder / "model.part.glb"
        write_glb(scratch, mesh.moved(placed), texture)
        scratch.rename(glb)
        facts = {"vertices": len(placed), "triangles": len(mesh.triangles), "dimensions": asdict(dimensions)}
        part = folder / "model.part.json"
        part.write_text(json.dumps(facts), encoding="utf-8")
        part.rename(facts_file)
    facts = json.loads(facts_file.read_text(encoding="utf-8"))
    return ReconstructedMesh(
        glb=glb,
        report=report,
        vertices=facts["vertices"],
        triangles=facts["triangles"],
        dimensions=Dimensions(**facts["dimensions"]),
        extras=(folder / "poses" / "colmap.log",),
    )


def _pictures(
    files: Sequence[Path], poses: Poses, cameras: Sequence[Camera], quality: Quality
) -> tuple[list[Image], list[Image], list[Camera]]:
    """The pictures in ``files``, their masks and cameras; smaller for PREVIEW."""
    photos, masks, fitting = [], [], []
    for photo_file, mask_file, camera in zip(files, poses.masks, cameras, strict=True):
        photo = cv2.cvtColor(cv2.imread(str(photo_file)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(mask_file), cv2.IMREAD_GRAYSCALE)
        scale = min(1.0, PREVIEW_PHOTO_PX / max(camera.size)) if quality is Quality.PREVIEW else 1.0
        if scale < 1.0:
            size = round(camera.size[0] * scale), round(camera.size[1] * scale)
            photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
            mask = np.where(cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 127, 255, 0).astype(np.uint8)
            camera = camera.resized(*size)
        photos.append(np.asarray(photo, np.uint8))
        masks.append(np.asarray(mask, np.uint8))
        fitting.append(camera)
    return photos, masks, fitting
