"""Says how well a set of photos could be put together, in words that help to shoot again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from orchestrator.domain.limits import Limits
from orchestrator.domain.progress import Progress
from orchestrator.domain.reconstruct import CaptureReport, ReconstructOptions
from orchestrator.geometry.cameras import Camera
from orchestrator.tools.colmap import Poses, not_placed, read_poses, solve_poses

MIN_SHARE, MAX_SHARE = 0.002, 0.98
"""Of a photo that its mask covers: less is a crumb, more is a mask of everything."""
COVERED_DEG = 20.0
"""To each side of a photo, the turn of the piece that it shows well."""
CUT_SHARE = 0.03
"""Of the photo's border that the piece may touch."""
BLURRED_PX = 1.5
"""Sharp photos of a piece that stands still come out at 0.3 to 1 px."""


def usable_photos(masks: Sequence[Path]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The photos whose masks show a piece, and what is wrong with the others, as people count."""
    used, notes = [], []
    for number, file in enumerate(masks):
        mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        share = 0.0 if mask is None else float((mask > 127).mean())
        if share < MIN_SHARE:
            notes.append(f"no piece was found in photo {number + 1}: it was left out")
        elif share > MAX_SHARE:
            notes.append(f"the piece could not be told from its surroundings in photo {number + 1}: it was left out")
        else:
            used.append(number)
    return tuple(used), tuple(notes)


def placed_photos(
    photos: Sequence[Path],
    masks: Sequence[Path],
    looks: Sequence[Path],
    used: Sequence[int],
    options: ReconstructOptions,
    folder: Path,
    limits: Limits,
    progress: Progress,
) -> Poses:
    """Let COLMAP place the photos ``used``; ``folder/poses`` keeps the places, so that a second call only reads them.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: as ``solve_poses``.
    """
    done, scratch = folder / "poses", folder / "poses.part"
    if not done.exists():
        shutil.rmtree(scratch, ignore_errors=True)  # what a crash left there
        solve_poses(
            [photos[number] for number in used],
            [masks[number] for number in used],
            scratch,
            looks=[looks[number] for number in used] if looks else [],
            ordered=options.ordered,
            limits=limits,
            progress=progress,
        )
        scratch.rename(done)
    return read_poses(done)


def report_of(
    poses: Poses, cameras: Sequence[Camera], used: Sequence[int], photos: int, notes: Sequence[str]
) -> CaptureReport:
    """Report on the placed photos.

    Args:
        cameras: of the placed photos, upright on +Y, looking at the Y axis.
        used: for each photo given to COLMAP its index in the upload.
        photos: how many were uploaded.
        notes: what is known already.
    """
    placed = tuple(used[number] for number in poses.placed)
    covered, gaps = coverage(cameras)
    advice = list(notes)
    if len(poses.placed) < len(used):
        advice.append(not_placed(poses, used))
    for start, end in gaps:
        advice.append(
            f"no photo shows the piece from {start:.0f}° to {end:.0f}° of its turn (the first photo is at 0°, "
            "counted to the right): shoot that side too"
        )
    cut = [used[number] + 1 for number, file in zip(poses.placed, poses.masks, strict=True) if _cut_off(file)]
    if cut:
        advice.append(f"the piece is cut off at the edge of photos {', '.join(map(str, cut))}: step back")
    if poses.mean_reprojection_error_px > BLURRED_PX:
        advice.append(
            f"the photos fit together only to {poses.mean_reprojection_error_px:.1f} px: "
            "are they sharp, and did the piece stand still?"
        )
    return CaptureReport(
        photos=photos,
        photos_used=placed,
        points=len(poses.points),
        mean_reprojection_error_px=poses.mean_reprojection_error_px,
        coverage_deg=covered,
        advice=tuple(advice),
    )


def coverage(cameras: Sequence[Camera]) -> tuple[float, list[tuple[float, float]]]:
    """The degrees of the turn that are shown, and the gaps: from and to, the first camera at 0, to the right."""
    turns = np.degrees([np.arctan2(camera.position[0], camera.position[2]) for camera in cameras])
    turns = np.sort((turns - turns[0]) % 360.0)
    following = np.append(turns[1:], turns[0] + 360.0)
    gaps = [
        (float(a + COVERED_DEG), float(b - COVERED_DEG))
        for a, b in zip(turns, following, strict=True)
        if b - a > 2 * COVERED_DEG
    ]
    return 360.0 - sum(end - start for start, end in gaps), gaps


def _cut_off(file: Path) -> bool:
    mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) > 127
    border = int(mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum())
    return border > CUT_SHARE * 2 * sum(mask.shape)
