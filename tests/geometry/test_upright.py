"""A reconstruction in any pose is stood on its feet, its front before us."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.upright import upright
from tests.support.ball import ring_of

FLOOR = -0.7


def leaning(cameras: list[Camera], degrees: float) -> list[Camera]:
    """The cameras, held as slanted as hands do."""
    random = np.random.default_rng(2)
    rolled = []
    for camera in cameras:
        roll = np.eye(4)
        roll[:3, :3] = Rotation.from_euler("z", random.normal(0, degrees), degrees=True).as_matrix()
        rolled.append(Camera(camera.matrix, roll @ camera.world_to_camera, camera.size))
    return rolled


def scene(floor: bool) -> Floats:
    """Points of a block on a floor at FLOOR; or of the block alone."""
    random = np.random.default_rng(3)
    block = random.uniform([-0.5, FLOOR, -0.4], [0.5, 0.6, 0.4], (3000, 3))
    ground = random.uniform([-3, FLOOR, -3], [3, FLOOR, 3], (2000, 3))
    return np.concatenate([block, ground]) if floor else block


def thrown() -> Floats:
    """A turn and a shift, as structure from motion leaves them."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [130, -40, 75], degrees=True).as_matrix()
    pose[:3, 3] = 1.0, -2.0, 3.0
    return pose


@pytest.mark.parametrize(("floor", "roll_deg", "slack_deg"), [(True, 2.0, 0.3), (False, 0.0, 0.01), (False, 2.0, 1.0)])
def test_any_pose_is_stood_on_the_floor_with_the_first_photo_in_front(
    floor: bool, roll_deg: float, slack_deg: float
) -> None:
    cameras, points, pose = (
        leaning(ring_of(24, distance=4, size=(320, 240), focal=300), roll_deg),
        scene(floor),
        thrown(),
    )
    found = upright([camera.moved(pose) for camera in cameras], points @ pose[:3, :3].T + pose[:3, 3])
    whole = found @ pose
    assert np.allclose(whole[:3, :3] @ whole[:3, :3].T, np.eye(3))
    assert np.linalg.det(whole[:3, :3]) == pytest.approx(1)
    assert np.degrees(np.arccos(min(whole[1, 1], 1.0))) < slack_deg
    assert whole[:3, :3] @ [0, 0, 1] == pytest.approx([0, 0, 1], abs=0.05)
    assert whole[:3, :3] @ [0, FLOOR, 0] + whole[:3, 3] == pytest.approx([0, 0, 0], abs=0.05)


def test_one_side_of_a_piece_is_enough() -> None:
    cameras, pose = ring_of(72, distance=4, size=(320, 240), focal=300)[:3], thrown()
    points = scene(True)
    found = upright([camera.moved(pose) for camera in cameras], points @ pose[:3, :3].T + pose[:3, 3]) @ pose
    assert found[:3, :3] == pytest.approx(np.eye(3), abs=0.03)


def test_without_points_the_cameras_alone_set_it_up() -> None:
    cameras, pose = ring_of(8, distance=4, size=(320, 240), focal=300), thrown()
    found = upright([camera.moved(pose) for camera in cameras], np.zeros((0, 3))) @ pose
    assert found == pytest.approx(np.eye(4), abs=1e-6)
