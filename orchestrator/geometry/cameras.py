"""The pinhole camera that the 3D image maths shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A pinhole without distortion, in OpenCV axes: +X right, +Y down, +Z forward.

    Pixels are counted as COLMAP does: the middle of the first pixel is (0.5, 0.5).
    """

    matrix: Floats  # [3, 3] intrinsics, px
    world_to_camera: Floats  # [4, 4] rigid
    size: tuple[int, int]  # width, height, px

    @property
    def position(self) -> Floats:
        """[3] where the camera stands in the world."""
        return np.asarray(-self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3])

    @property
    def forward(self) -> Floats:
        """[3] unit, where it looks, in the world."""
        return np.asarray(self.world_to_camera[2, :3])

    @property
    def up(self) -> Floats:
        """[3] unit, what is up in the photo, in the world."""
        return np.asarray(-self.world_to_camera[1, :3])

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Return the pixels [N, 2] and the depths [N] of ``points`` [N, 3]; behind the camera the depth is <= 0."""
        seen = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        depth = seen[:, 2]
        flat = seen @ self.matrix.T
        return flat[:, :2] / np.where(np.abs(depth) < 1e-12, 1e-12, depth)[:, None], depth

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera of the same photo at another size."""
        scale = np.diag([width / self.size[0], height / self.size[1], 1.0])
        return Camera(scale @ self.matrix, self.world_to_camera, (width, height))

    def moved(self, similarity: Floats) -> Camera:
        """Return the camera after the world was moved by ``similarity`` [4, 4] (rotation, one scale, shift)."""
        scale = float(np.cbrt(np.linalg.det(similarity[:3, :3])))
        moved = self.world_to_camera @ np.linalg.inv(similarity)
        moved[:3] *= scale
        return Camera(self.matrix, moved, self.size)
