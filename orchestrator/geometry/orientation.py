"""Orients a reconstruction: structure from motion determines neither the up direction, the front nor the floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera

ROLL_ROUNDS = 8
"""Iterations of the reweighted least-squares fit of the up direction. Not tuned."""
ROLL_SCALE = 0.05
"""Sine of the camera roll (3°) at which a photo's weight has fallen to one half. People hold cameras level within a few
degrees. Not tuned."""
MIN_DIRECTION_SPREAD = 0.02
"""Minimum mean square of the cameras' unit directions along their second principal axis. Two cameras reach it if their
directions differ by 16°, many evenly spaced cameras if they cover 28°. Below it, all photos are from one side, which
leaves one axis undetermined. Not tuned."""
FLOOR_TILT_DEG = 12.0
"""Maximum angle between the floor's normal and the cameras' estimate of up. Not tuned."""
ONE_SIDE_FLOOR_TILT_DEG = 40.0
"""The same limit for photos from one side, which do not determine the pitch of the cameras. Not tuned."""
FLOOR_THICKNESS = 0.008
"""Maximum distance of a floor point from the plane, as a share of the median camera distance. Not tuned."""
MIN_FLOOR_SHARE = 0.1
"""Minimum share of the points that lie in a plane for it to be the floor. Not tuned."""
MAX_BELOW_FLOOR_SHARE = 0.02
"""Maximum share of the points below a plane for it to be the floor. Not tuned."""
MIN_FLOOR_POINTS = 30  # with fewer points, no floor is searched; not tuned
FLOOR_TRIALS = 300
"""Random planes tried by RANSAC. Not tuned."""
LOWEST_PERCENTILE = 0.5
"""Without a floor, this percentile of the points' heights becomes y = 0, so that a few outliers do not lower it."""


def upright_transform(cameras: Sequence[Camera], points: Floats) -> Floats:
    """Return the rigid transform [4, 4] to a world that is upright on +Y. The scale does not change.

    - Up is perpendicular to the right axes of all photos, because people hold cameras level.
    - A plane that contains many points, with hardly any points below it, is the floor. The floor defines y = 0 and
      corrects the up direction. Without a floor, the lowest points define y = 0.
    - The first photo shows the front: its camera is above the +Z axis.
    - The Y axis passes through the point that the cameras look at.

    Args:
        cameras: at least one.
        points: [P, 3] of the piece and the surface that it stands on; P may be 0.
    """
    up, tilt_deg = _up_direction(cameras)
    focus = focus_point(cameras, points)
    distances = [np.linalg.norm(camera.position - focus) for camera in cameras]
    floor = _find_floor(points, up, tilt_deg, FLOOR_THICKNESS * float(np.median(distances)))
    if floor:
        up, height = floor
    else:
        height = float(np.percentile(points @ up, LOWEST_PERCENTILE)) if len(points) else float(focus @ up)
    front = _front_direction(cameras[0], focus, up)
    transform = np.eye(4)
    transform[:3, :3] = np.stack([np.cross(up, front), up, front])
    origin = focus + (height - focus @ up) * up
    transform[:3, 3] = -transform[:3, :3] @ origin
    return transform


def focus_point(cameras: Sequence[Camera], points: Floats) -> Floats:
    """Return the point [3] nearest to all lines of sight.

    If the lines are almost parallel, it is the median of ``points`` [P, 3], or without points a point in front of the
    first camera.
    """
    projectors = [np.eye(3) - np.outer(camera.forward, camera.forward) for camera in cameras]
    normal_matrix = np.sum(projectors, 0)
    right_side = np.sum([projector @ camera.position for projector, camera in zip(projectors, cameras, strict=True)], 0)
    if np.linalg.eigvalsh(normal_matrix)[0] > MIN_DIRECTION_SPREAD * len(cameras):
        return np.asarray(np.linalg.solve(normal_matrix, right_side))
    if len(points):
        return np.asarray(np.median(points, axis=0))
    return cameras[0].position + cameras[0].forward


def _front_direction(camera: Camera, focus: Floats, up: Floats) -> Floats:
    """Return the horizontal unit direction [3] from ``focus`` to the camera."""
    towards_camera = camera.position - focus
    front = towards_camera - (towards_camera @ up) * up
    if np.linalg.norm(front) < 1e-6 * np.linalg.norm(towards_camera):
        # The camera looks straight down: the bottom of its photo shows the front.
        front = (camera.up @ up) * up - camera.up
    return np.asarray(front / np.linalg.norm(front))


def _up_direction(cameras: Sequence[Camera]) -> tuple[Floats, float]:
    """Return the unit up direction [3] and its possible error in degrees. Rolled photos get small weights."""
    right = np.stack([camera.world_to_camera[0, :3] for camera in cameras])
    mean_up = np.mean([camera.up for camera in cameras], 0)
    mean_up = mean_up / max(float(np.linalg.norm(mean_up)), 1e-12)
    weight = np.ones(len(right))
    for _ in range(ROLL_ROUNDS):
        spread, direction = np.linalg.eigh((right * weight[:, None]).T @ right / weight.sum())
        if spread[1] < MIN_DIRECTION_SPREAD:
            # All photos are from one side: every direction perpendicular to their common right axis fits.
            common_right = direction[:, 2]
            up = mean_up - (mean_up @ common_right) * common_right
            tilt_deg = ONE_SIDE_FLOOR_TILT_DEG
        else:
            up = direction[:, 0] * (1.0 if direction[:, 0] @ mean_up >= 0 else -1.0)
            tilt_deg = FLOOR_TILT_DEG
        weight = 1.0 / (1.0 + (right @ up / ROLL_SCALE) ** 2)
    return np.asarray(up / np.linalg.norm(up)), tilt_deg


def _find_floor(points: Floats, up: Floats, tilt_deg: float, thickness: float) -> tuple[Floats, float] | None:
    """Return the unit normal [3] of the floor and its height along the normal (RANSAC, Fischler & Bolles 1981)."""
    if len(points) < MIN_FLOOR_POINTS:
        return None
    random = np.random.default_rng(1)
    best: NDArray[np.bool_] | None = None
    for _ in range(FLOOR_TRIALS):
        a, b, c = points[random.choice(len(points), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        cosine = float(normal @ up) / max(float(np.linalg.norm(normal)), 1e-30)
        if abs(cosine) < np.cos(np.radians(tilt_deg)):
            continue
        height = (points - a) @ (normal / np.linalg.norm(normal) * np.sign(cosine))
        inlier = np.abs(height) < thickness
        is_lowest = (height < -thickness).mean() <= MAX_BELOW_FLOOR_SHARE
        if is_lowest and (best is None or inlier.sum() > best.sum()):
            best = inlier
    if best is None or best.mean() < MIN_FLOOR_SHARE:
        return None
    inliers = points[best]
    centre = inliers.mean(0)
    normal = np.linalg.svd(inliers - centre, full_matrices=False).Vh[2]  # the direction of the least spread
    normal = np.asarray(normal if normal @ up >= 0 else -normal)
    return normal, float(centre @ normal)
