"""Silhouette coverage distinguishes correct from wrong camera poses."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.tools.colmap_child.silhouette_consistency import inconsistent_photos, silhouette_coverage
from tests.support.armchair import cameras_around, photograph

SIZE = (200, 160)
CAMERAS = cameras_around([360 * number / 12 for number in range(12)], SIZE)
INTRINSICS = [camera.intrinsics for camera in CAMERAS]
POSES = [camera.world_to_camera for camera in CAMERAS]
MASKS = [photograph(camera)[1] for camera in CAMERAS]


def rotated_pose(camera: Camera, angle_deg: float) -> Floats:
    """Return the pose of the camera after a rotation around the Y axis."""
    rotation = np.eye(4)
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    rotation[:3, :3] = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]
    return camera.world_to_camera @ rotation


def coverage_with_errors(errors_deg: Floats) -> Floats:
    poses = [rotated_pose(camera, error) for camera, error in zip(CAMERAS, errors_deg, strict=True)]
    return silhouette_coverage(INTRINSICS, poses, MASKS)


def test_coverage_falls_with_the_pose_error() -> None:
    errors = np.random.default_rng(3).normal(size=12)
    correct, small_error, large_error = (coverage_with_errors(sigma * errors).mean() for sigma in (0.0, 4.0, 12.0))
    assert correct > 0.99
    assert correct > small_error > large_error
    assert large_error < 0.9


def test_coverage_does_not_depend_on_the_origin_of_the_world() -> None:
    translation = np.eye(4)
    translation[:3, 3] = 5.0, -3.0, 8.0
    poses = [pose @ np.linalg.inv(translation) for pose in POSES]
    assert silhouette_coverage(INTRINSICS, poses, MASKS) == pytest.approx(coverage_with_errors(np.zeros(12)), abs=0.02)


def test_a_single_wrong_pose_is_found() -> None:
    errors = np.zeros(12)
    errors[7] = 15.0
    assert inconsistent_photos(list(coverage_with_errors(errors))) == [7]
    assert inconsistent_photos(list(coverage_with_errors(np.zeros(12)))) == []


def test_no_photo_is_rejected_if_many_disagree() -> None:
    assert inconsistent_photos([1.0] * 7 + [0.8] * 5) == []


def test_an_empty_mask_gives_no_coverage() -> None:
    masks = [*MASKS[:-1], np.zeros_like(MASKS[-1])]
    assert silhouette_coverage(INTRINSICS, POSES, masks).max() == 0
