"""Selects usable photos, estimates their cameras, and reports which photos to take again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from orchestrator.domain.progress import Progress
from orchestrator.domain.reconstruct import MIN_PHOTOS, CaptureReport, Mode
from orchestrator.domain.untrusted_folder import remove_untrusted
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.orientation import upright_transform
from orchestrator.stages.reconstruct.task import ReconstructTask
from orchestrator.tools.colmap import Poses, read_poses, solve_poses, unplaced_message

REQUIRED_PHOTOS = MIN_PHOTOS[Mode.PHOTOGRAMMETRY]
MIN_MASK_SHARE = 0.002  # of a photo; a smaller mask shows debris instead of a piece; not tuned
MAX_MASK_SHARE = 0.98  # of a photo; a larger mask does not separate the piece from the background
COVERED_DEG = 20.0  # a photo shows the piece well up to this angle to each side of its camera; not tuned
MAX_BORDER_SHARE = 0.03  # of the photo's border that the piece may touch; not tuned
MAX_REPROJECTION_ERROR_PX = 1.5  # larger means are reported; sharp photos of a static piece reach 0.3 to 1 px


@dataclass(frozen=True)
class UsablePhotos:
    """The photos whose masks show a piece."""

    indices: tuple[int, ...]  # into the upload
    notes: tuple[str, ...]  # why each other photo is left out


@dataclass(frozen=True)
class Capture:
    """The placed photos and their cameras, in a world that is upright on +Y with the piece on the Y axis."""

    poses: Poses  # in COLMAP's world
    cameras: list[Camera]
    points: Floats  # [P, 3] triangulated points
    report: CaptureReport


def select_photos(task: ReconstructTask) -> UsablePhotos:
    """Return the usable photos of the task.

    Raises:
        InvalidInput: the task has fewer than 3 photos.
        ToolFailed: fewer than 3 photos are usable.
    """
    count = len(task.photos)
    if count < REQUIRED_PHOTOS:
        rule = f"photogrammetry needs at least {REQUIRED_PHOTOS} photos, 30 are recommended"
        raise InvalidInput("photos", f"{count} given; {rule}")
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
    if len(indices) < REQUIRED_PHOTOS:
        raise ToolFailed(f"only {len(indices)} of {count} photos show the piece: {'; '.join(notes)}")
    return UsablePhotos(tuple(indices), tuple(notes))


def estimate_cameras(task: ReconstructTask, usable: UsablePhotos, progress: Progress) -> Capture:
    """Estimate the cameras of the usable photos. A repeated call reads them from the folder ``poses`` of the task.

    Raises:
        ToolFailed: COLMAP failed or placed fewer than 3 photos.
        DeadlineExceeded, Canceled: see ``solve_poses``.
    """
    finished, partial = task.folder / "poses", task.folder / "poses.part"
    if not finished.exists():
        remove_untrusted(partial)  # left by an interrupted run
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
    poses = read_poses(finished)
    if len(poses.placed) < REQUIRED_PHOTOS:
        raise ToolFailed(unplaced_message(poses, usable.indices), tool="colmap")
    cameras, points = upright_cameras(poses)
    return Capture(poses, cameras, points, capture_report(poses, cameras, usable, len(task.photos)))


def upright_cameras(poses: Poses) -> tuple[list[Camera], Floats]:
    """Return the cameras and the triangulated points [P, 3] in a world that is upright on +Y."""
    cameras = [
        Camera(intrinsics, pose, (int(size[0]), int(size[1])))
        for intrinsics, pose, size in zip(poses.intrinsics, poses.world_to_camera, poses.sizes, strict=True)
    ]
    transform = upright_transform(cameras, poses.points)
    points = poses.points @ transform[:3, :3].T + transform[:3, 3]
    return [camera.transformed(transform) for camera in cameras], points


def capture_report(poses: Poses, cameras: Sequence[Camera], usable: UsablePhotos, photo_count: int) -> CaptureReport:
    """Return the report on ``photo_count`` uploaded photos. COLMAP was given the ``usable`` ones."""
    placed = tuple(usable.indices[number] for number in poses.placed)
    coverage_deg, gaps = angular_coverage(cameras)
    advice = list(usable.notes)
    if len(poses.placed) < len(usable.indices):
        advice.append(unplaced_message(poses, usable.indices))
    advice += [
        f"no photo shows the piece from {start:.0f}° to {end:.0f}° (0° is the first photo, angles increase to its "
        "right); take photos of this side too"
        for start, end in gaps
    ]
    cut_off = [number + 1 for number, mask in zip(placed, poses.masks, strict=True) if _touches_border(mask)]
    if cut_off:
        advice.append(f"the piece is cut off at the border of photos {', '.join(map(str, cut_off))}; step back")
    error_px = poses.mean_reprojection_error_px
    if error_px > MAX_REPROJECTION_ERROR_PX:
        advice.append(
            f"the photos fit together only to {error_px:.1f} px (good photos: at most {MAX_REPROJECTION_ERROR_PX} px); "
            "check that they are sharp and that the piece did not move"
        )
    return CaptureReport(photo_count, placed, len(poses.points), error_px, coverage_deg, tuple(advice))


def angular_coverage(cameras: Sequence[Camera]) -> tuple[float, list[tuple[float, float]]]:
    """Return how many degrees of the turn around the piece are shown, and the start and end angle of each gap.

    The first camera is at 0°; angles increase to its right.
    """
    angles = np.degrees([np.arctan2(camera.position[0], camera.position[2]) for camera in cameras])
    angles = np.sort((angles - angles[0]) % 360.0)
    following = np.append(angles[1:], angles[0] + 360.0)
    gaps = [
        (float(a + COVERED_DEG), float(b - COVERED_DEG))
        for a, b in zip(angles, following, strict=True)
        if b - a > 2 * COVERED_DEG
    ]
    return 360.0 - sum(end - start for start, end in gaps), gaps


def _touches_border(path: Path) -> bool:
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127
    border = int(mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum())
    return border > MAX_BORDER_SHARE * 2 * sum(mask.shape)
