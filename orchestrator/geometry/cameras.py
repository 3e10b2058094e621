"""The pinhole camera model that all 3D code shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrator.geometry.arrays import Floats

MIN_DEPTH = 1e-12
"""Avoids a division by zero when a point lies in the plane of the camera."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without lens distortion, in OpenCV axes: +X right, +Y down, +Z forward.

    Pixel coordinates follow COLMAP: the centre of the first pixel is (0.5, 0.5).
    """

    intrinsics: Floats  # [3, 3] px
    world_to_camera: Floats  # [4, 4] rigid
    size: tuple[int, int]  # width, height, px

    @property
    def position(self) -> Floats:
        """[3] the projection centre in the world."""
        return np.asarray(-self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3])

    @property
    def forward(self) -> Floats:
        """[3] the unit viewing direction in the world."""
        return np.asarray(self.world_to_camera[2, :3])

    @property
    def up(self) -> Floats:
        """[3] the unit direction in the world that points up in the photo."""
        return np.asarray(-self.world_to_camera[1, :3])

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Return the pixels [N, 2] and the depths [N] of ``points`` [N, 3]. The depth is <= 0 behind the camera."""
        in_camera = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        depth = in_camera[:, 2]
        homogeneous = in_camera @ self.intrinsics.T
        return homogeneous[:, :2] / np.where(np.abs(depth) < MIN_DEPTH, MIN_DEPTH, depth)[:, None], depth

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera for the same photo at another resolution."""
        scale = np.diag([width / self.size[0], height / self.size[1], 1.0])
        return Camera(scale @ self.intrinsics, self.world_to_camera, (width, height))

    def transformed(self, similarity: Floats) -> Camera:
        """Return the camera after the world was transformed by ``similarity`` [4, 4] (rotation, scale, translation)."""
        scale = float(np.cbrt(np.linalg.det(similarity[:3, :3])))
        world_to_camera = self.world_to_camera @ np.linalg.inv(similarity)
        world_to_camera[:3] *= scale
        return Camera(self.intrinsics, world_to_camera, self.size)
