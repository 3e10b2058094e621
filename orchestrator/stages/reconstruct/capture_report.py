"""Reports which photos were used, how well they fit together, and which photos to take again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from orchestrator.domain.reconstruct import CaptureReport
from orchestrator.geometry.cameras import Camera
from orchestrator.stages.reconstruct.camera_poses import UsablePhotos
from orchestrator.tools.colmap import Poses, unplaced_message

COVERED_DEG = 20.0
"""How far to each side of its camera a photo shows the piece well, as an angle around the piece. Not tuned."""
MAX_BORDER_SHARE = 0.03
"""Share of the photo's border that the piece may touch. Not tuned."""
MAX_REPROJECTION_ERROR_PX = 1.5
"""Larger mean errors are reported. Sharp photos of a piece that does not move reach 0.3 to 1 px."""


def capture_report(poses: Poses, cameras: Sequence[Camera], usable: UsablePhotos, photos: int) -> CaptureReport:
    """Return the report on a set of photos.

    Args:
        cameras: of the placed photos, in a world that is upright on +Y with the piece on the Y axis.
        usable: the photos that were given to COLMAP.
        photos: number of uploaded photos.
    """
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
    if poses.mean_reprojection_error_px > MAX_REPROJECTION_ERROR_PX:
        advice.append(
            f"the photos fit together only to {poses.mean_reprojection_error_px:.1f} px (good photos: at most "
            f"{MAX_REPROJECTION_ERROR_PX} px); check that they are sharp and that the piece did not move"
        )
    return CaptureReport(
        photos=photos,
        photos_used=placed,
        points=len(poses.points),
        mean_reprojection_error_px=poses.mean_reprojection_error_px,
        coverage_deg=coverage_deg,
        advice=tuple(advice),
    )


def angular_coverage(cameras: Sequence[Camera]) -> tuple[float, list[tuple[float, float]]]:
    """Return how many degrees of the turn around the piece are shown, and the gaps.

    A gap has a start and an end angle. The first camera is at 0°; angles increase to its right.
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
