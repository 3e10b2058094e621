"""Selects usable photos and estimates their cameras, for methods that need several photos."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import cv2

from orchestrator.domain.progress import Progress
from orchestrator.errors import ToolFailed
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.orientation import upright_transform
from orchestrator.stages.reconstruct.task import ReconstructTask
from orchestrator.tools.colmap import MIN_PHOTOS, Poses, read_poses, solve_poses

MIN_MASK_SHARE = 0.002
"""Minimum share of a photo that its mask covers. A smaller mask shows debris instead of a piece. Not tuned."""
MAX_MASK_SHARE = 0.98
"""Maximum share of a photo that its mask covers. A larger mask does not separate the piece from the background."""


@dataclass(frozen=True)
class UsablePhotos:
    """The photos whose masks show a piece."""

    indices: tuple[int, ...]  # into the upload
    notes: tuple[str, ...]  # why each other photo is left out


def select_photos(task: ReconstructTask) -> UsablePhotos:
    """Return the usable photos of the task.

    Raises:
        ToolFailed: fewer than 3 photos are usable.
    """
    indices, notes = [], []
    for number, path in enumerate(task.masks):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        share = 0.0 if mask is None else float((mask > 127).mean())
        if share < MIN_MASK_SHARE:
            notes.append(f"photo {number + 1} is left out: no piece was found in it")
        elif share > MAX_MASK_SHARE:
            notes.append(f"photo {number + 1} is left out: the piece could not be separated from the background")
        else:
            indices.append(number)
    if len(indices) < MIN_PHOTOS <= len(task.photos):
        raise ToolFailed(f"only {len(indices)} of {len(task.photos)} photos show the piece: {'; '.join(notes)}")
    return UsablePhotos(tuple(indices), tuple(notes))


def load_or_solve_poses(task: ReconstructTask, usable: UsablePhotos, progress: Progress) -> Poses:
    """Return the cameras of the usable photos. A repeated call reads them from the folder ``poses`` of the task.

    Raises:
        InvalidInput, ToolFailed, DeadlineExceeded, Canceled: see ``solve_poses``.
    """
    finished, partial = task.folder / "poses", task.folder / "poses.part"
    if not finished.exists():
        shutil.rmtree(partial, ignore_errors=True)  # left by an interrupted run
        solve_poses(
            [task.photos[number] for number in usable.indices],
            [task.masks[number] for number in usable.indices],
            partial,
            color_photos=[task.color_photos[number] for number in usable.indices] if task.color_photos else [],
            ordered=task.options.ordered,
            limits=task.limits,
            progress=progress,
        )
        partial.rename(finished)
    return read_poses(finished)


def upright_cameras(poses: Poses) -> tuple[list[Camera], Floats]:
    """Return the cameras and the triangulated points [P, 3] in a world that is upright on +Y."""
    cameras = [
        Camera(intrinsics, pose, (int(size[0]), int(size[1])))
        for intrinsics, pose, size in zip(poses.intrinsics, poses.world_to_camera, poses.sizes, strict=True)
    ]
    transform = upright_transform(cameras, poses.points)
    points = poses.points @ transform[:3, :3].T + transform[:3, 3]
    return [camera.transformed(transform) for camera in cameras], points
