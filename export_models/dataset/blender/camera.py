"""Blender script: places the camera."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

SENSOR_WIDTH_MM = 36.0
FRAMING_STEPS = 4
"""Iterations of ``frame_outline``."""


def add_camera(camera: dict[str, Any], points: np.ndarray, size: int) -> None:
    """Add the camera and set the size of the image.

    Args:
        camera: see ``scenes.Camera``.
        points: [V, 3] vertices of the piece.
        size: width and height of the image in pixels.
    """
    azimuth, elevation = math.radians(camera["azimuth_deg"]), math.radians(camera["elevation_deg"])
    back = np.array(
        [math.sin(azimuth) * math.cos(elevation), -math.cos(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    right = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    tangent = SENSOR_WIDTH_MM / (2 * camera["lens_mm"])
    if camera["upon"] > 0:
        low, high = points.min(0), points.max(0)
        target = np.array([*(low + high)[:2] / 2, high[2]])
        distance = camera["upon"] * float((high - low)[:2].max()) / (2 * tangent)
    else:
        axes = np.stack([right, np.cross(back, right), back])
        target, distance = frame_outline(points, axes, camera["fill"] * tangent)
    data = bpy.data.cameras.new("camera")
    data.lens, data.sensor_width, data.sensor_fit = camera["lens_mm"], SENSOR_WIDTH_MM, "HORIZONTAL"
    data.shift_x, data.shift_y = camera["shift"]
    data.clip_end = 200.0
    created = bpy.data.objects.new("camera", data)
    roll = Matrix.Rotation(math.radians(camera["roll_deg"]), 3, "Z")
    rotation = Vector(back).to_track_quat("Z", "Y").to_matrix() @ roll
    created.matrix_world = Matrix.Translation(Vector(target + back * distance)) @ rotation.to_4x4()
    bpy.context.collection.objects.link(created)
    scene = bpy.context.scene
    scene.camera = created
    scene.render.resolution_x = scene.render.resolution_y = size


def frame_outline(points: np.ndarray, axes: np.ndarray, tangent: float) -> tuple[np.ndarray, float]:
    """Find the view in which the outline of the piece is centred and fills the given angle.

    Args:
        points: [V, 3] vertices of the piece.
        axes: [3, 3] the camera's right, up and back.
        tangent: tangent of the largest angle between the optical axis and the outline, to each side.

    Returns:
        The point [3] to aim at, and the distance from it.
    """
    target = (points.min(0) + points.max(0)) / 2
    distance = 1.0
    for _ in range(FRAMING_STEPS):  # perspective shifts the centre of the outline whenever the distance changes
        local = (points - target) @ axes.T
        distance = float((np.abs(local[:, :2]).max(1) / tangent + local[:, 2]).max())
        projected = local[:, :2] / (distance - local[:, 2:])
        centre = (projected.min(0) + projected.max(0)) / 2 * distance
        target = target + axes[0] * centre[0] + axes[1] * centre[1]
    return target, distance
