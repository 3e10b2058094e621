"""Stands a reconstruction upright: structure from motion knows neither up, nor front, nor floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.geometry.cameras import Camera, Floats

ROLL_ROUNDS = 8
ROLL_SLACK = 0.05
"""Sine of 3°: how level a hand holds a camera; photos that lean much more count little."""
MIN_TURN = 0.02
"""Least mean square of the second direction of the cameras' right sides: about 15° of walk around the piece."""
FLOOR_TILT_DEG, BLIND_TILT_DEG = 12.0, 40.0
"""The floor's normal is within this of what the cameras say is up; photos from one side leave open how far they look
down."""
FLOOR_THICKNESS = 0.008
"""Of the cameras' median distance: points this close to a plane lie in it."""
MIN_FLOOR_SHARE, MAX_BELOW_SHARE = 0.1, 0.02
"""A plane is the floor if this share of the points lies in it, and hardly any lie deeper."""
FLOOR_TRIES = 300
LOWEST_PERCENT = 0.5


def upright(cameras: Sequence[Camera], points: Floats) -> Floats:
    """Return the rigid transform [4, 4] that stands the world on +Y: no scale, only a turn and a shift.

    Up is the direction across which no camera rolls: people hold a camera level, so that up is square to the right
    side of every photo. Where many points lie in one plane with hardly any below, that plane is the floor and sets
    up and y = 0; else the lowest points do. The first photo shows the front: its camera stands above the +Z axis. The
    Y axis runs through the place that the cameras look at.

    Args:
        cameras: at least one, the first photo's first.
        points: [P, 3] of the piece and what it stands on, perhaps none.
    """
    up, tilt_deg = _up(cameras)
    middle = looked_at(cameras, points)
    thickness = FLOOR_THICKNESS * float(np.median([_away(camera, middle) for camera in cameras]))
    floor = _floor(points, up, tilt_deg, thickness)
    if floor is not None:
        up, height = floor
    else:
        height = float(np.percentile(points @ up, LOWEST_PERCENT)) if len(points) else float(middle @ up)
    front = cameras[0].position - middle
    front = front - (front @ up) * up
    if np.linalg.norm(front) < 1e-6 * _away(cameras[0], middle):  # it looks straight down: its lower side is the front
        front = -cameras[0].up
        front = front - (front @ up) * up
    front = front / np.linalg.norm(front)
    transform = np.eye(4)
    transform[:3, :3] = np.stack([np.cross(up, front), up, front])
    foot = middle + (height - middle @ up) * up
    transform[:3, 3] = -transform[:3, :3] @ foot
    return transform


def looked_at(cameras: Sequence[Camera], points: Floats) -> Floats:
    """[3] the place that is nearest to the lines of sight; one camera, or parallel ones, look at their points."""
    total, right = np.zeros((3, 3)), np.zeros(3)
    for camera in cameras:
        across = np.eye(3) - np.outer(camera.forward, camera.forward)
        total += across
        right += across @ camera.position
    if np.linalg.eigvalsh(total)[0] > MIN_TURN * len(cameras):
        return np.asarray(np.linalg.solve(total, right))
    if len(points):
        return np.asarray(np.median(points, axis=0))
    return cameras[0].position + cameras[0].forward


def _up(cameras: Sequence[Camera]) -> tuple[Floats, float]:
    """[3] the direction square to the photos' right sides, leaning ones outvoted; and how wrong it may be, degrees."""
    right = np.stack([camera.world_to_camera[0, :3] for camera in cameras])
    seen = np.mean([camera.up for camera in cameras], 0)
    seen = seen / max(float(np.linalg.norm(seen)), 1e-12)
    weight = np.ones(len(right))
    up = seen
    tilt_deg = FLOOR_TILT_DEG
    for _ in range(ROLL_ROUNDS):
        spread = (right * weight[:, None]).T @ right / weight.sum()
        size, direction = np.linalg.eigh(spread)
        if size[1] < MIN_TURN:  # all from one side: any up square to the one right side would do
            side = direction[:, 2]
            up, tilt_deg = seen - (seen @ side) * side, BLIND_TILT_DEG
        else:
            up, tilt_deg = direction[:, 0] * (1.0 if direction[:, 0] @ seen >= 0 else -1.0), FLOOR_TILT_DEG
        weight = 1.0 / (1.0 + (right @ up / ROLL_SLACK) ** 2)
    return np.asarray(up / np.linalg.norm(up)), tilt_deg


def _away(camera: Camera, place: Floats) -> float:
    return float(np.linalg.norm(camera.position - place))


def _floor(points: Floats, up: Floats, tilt_deg: float, thickness: float) -> tuple[Floats, float] | None:
    """The unit normal of the floor and its height along it, by random planes through three points (RANSAC)."""
    if len(points) < 30:
        return None
    random = np.random.default_rng(1)
    best: NDArray[np.bool_] | None = None
    for _ in range(FLOOR_TRIES):
        a, b, c = points[random.choice(len(points), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        steepness = float(normal @ up) / max(float(np.linalg.norm(normal)), 1e-30)
        if abs(steepness) < np.cos(np.radians(tilt_deg)):
            continue
        above = (points - a) @ (normal / np.linalg.norm(normal) * np.sign(steepness))
        within = np.abs(above) < thickness
        if (above < -thickness).mean() <= MAX_BELOW_SHARE and (best is None or within.sum() > best.sum()):
            best = within
    if best is None or best.mean() < MIN_FLOOR_SHARE:
        return None
    inside = points[best]
    centre = inside.mean(0)
    normal = np.linalg.svd(inside - centre, full_matrices=False)[2][2]
    normal = normal * (1.0 if normal @ up >= 0 else -1.0)
    return np.asarray(normal), float(centre @ normal)
