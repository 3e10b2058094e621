"""A reconstruction in any pose becomes upright, with the first photo in front."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.orientation import upright_transform
from tests.support.painted_sphere import camera_ring

FLOOR_Y = -0.7


def ring(count: int) -> list[Camera]:
    return camera_ring(count, distance=4, size=(320, 240), focal=300)


def rolled(cameras: list[Camera], sigma_deg: float) -> list[Camera]:
    """Return the cameras with random roll, as if they were held by hand."""
    random = np.random.default_rng(2)
    result = []
    for camera in cameras:
        roll = np.eye(4)
        roll[:3, :3] = Rotation.from_euler("z", random.normal(0, sigma_deg), degrees=True).as_matrix()
        result.append(Camera(camera.intrinsics, roll @ camera.world_to_camera, camera.size))
    return result


def block_points(*, with_floor: bool) -> Floats:
    """Return points of a block, optionally with the floor that it stands on at FLOOR_Y."""
    random = np.random.default_rng(3)
    block = random.uniform([-0.5, FLOOR_Y, -0.4], [0.5, 0.6, 0.4], (3000, 3))
    floor = random.uniform([-3, FLOOR_Y, -3], [3, FLOOR_Y, 3], (2000, 3))
    return np.concatenate([block, floor]) if with_floor else block


def arbitrary_pose() -> Floats:
    """Return a rigid transform [4, 4], as structure from motion leaves it undetermined."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [130, -40, 75], degrees=True).as_matrix()
    pose[:3, 3] = 1.0, -2.0, 3.0
    return pose


def round_trip(cameras: list[Camera], points: Floats) -> Floats:
    """Move the scene to an arbitrary pose and return the transform [4, 4] that remains after it was made upright."""
    pose = arbitrary_pose()
    moved_points = points @ pose[:3, :3].T + pose[:3, 3]
    return upright_transform([camera.transformed(pose) for camera in cameras], moved_points) @ pose


@pytest.mark.parametrize(
    ("with_floor", "roll_deg", "tolerance_deg"), [(True, 2.0, 0.3), (False, 0.0, 0.01), (False, 2.0, 1.0)]
)
def test_any_pose_becomes_upright_with_the_first_photo_in_front(
    with_floor: bool, roll_deg: float, tolerance_deg: float
) -> None:
    remaining = round_trip(rolled(ring(24), roll_deg), block_points(with_floor=with_floor))
    rotation = remaining[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert np.degrees(np.arccos(min(remaining[1, 1], 1.0))) < tolerance_deg
    assert rotation @ [0, 0, 1] == pytest.approx([0, 0, 1], abs=0.05)
    assert rotation @ [0, FLOOR_Y, 0] + remaining[:3, 3] == pytest.approx([0, 0, 0], abs=0.05)


def test_photos_from_one_side_are_sufficient() -> None:
    remaining = round_trip(ring(72)[:3], block_points(with_floor=True))
    assert remaining[:3, :3] == pytest.approx(np.eye(3), abs=0.03)


def test_the_cameras_alone_are_sufficient() -> None:
    assert round_trip(ring(8), np.zeros((0, 3))) == pytest.approx(np.eye(4), abs=1e-6)
