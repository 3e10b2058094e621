"""How well placed cameras agree with the masks, on a chair that is known."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.tools.colmap_child.outlines import covered, misplaced
from tests.support.armchair import cameras_around, photograph

SIZE = (200, 160)
CAMERAS = cameras_around([360 * number / 12 for number in range(12)], SIZE)
MASKS = [photograph(camera)[1] for camera in CAMERAS]


def turned(camera: Camera, degrees: float) -> Floats:
    """The pose of a camera that walked ``degrees`` further around the Y axis."""
    turn = np.eye(4)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[:3, :3] = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]
    return camera.world_to_camera @ turn


def shares(degrees: Floats) -> Floats:
    poses = [turned(camera, turn) for camera, turn in zip(CAMERAS, degrees, strict=True)]
    return covered([camera.matrix for camera in CAMERAS], poses, MASKS)


def test_right_cameras_fill_the_masks_and_wrong_ones_do_not() -> None:
    some = np.random.default_rng(3).normal(size=12)
    right, near, far = (shares(spread * some).mean() for spread in (0.0, 4.0, 12.0))
    assert right > 0.99
    assert right > near > far
    assert far < 0.9


def test_the_scale_and_the_place_of_the_world_do_not_matter() -> None:
    poses = [camera.world_to_camera @ np.linalg.inv(shift()) for camera in CAMERAS]
    assert covered([camera.matrix for camera in CAMERAS], poses, MASKS) == pytest.approx(shares(np.zeros(12)), abs=0.02)


def shift() -> Floats:
    moved = np.eye(4)
    moved[:3, 3] = 5.0, -3.0, 8.0
    return moved


def test_one_misplaced_camera_is_named() -> None:
    wrong = np.zeros(12)
    wrong[7] = 15.0
    assert misplaced(list(shares(wrong))) == [7]
    assert misplaced(list(shares(np.zeros(12)))) == []


def test_where_many_disagree_none_is_named() -> None:
    assert misplaced([1.0] * 7 + [0.8] * 5) == []


def test_an_empty_mask_agrees_with_nothing() -> None:
    masks = [*MASKS[:-1], np.zeros_like(MASKS[-1])]
    found = covered([camera.matrix for camera in CAMERAS], [camera.world_to_camera for camera in CAMERAS], masks)
    assert found.max() == 0
