"""Pinhole cameras as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Cameras:
    """N pinhole cameras in OpenCV axes. The centre of the first pixel is (0.5, 0.5)."""

    intrinsics: Tensor  # [N, 3, 3] px
    world_to_camera: Tensor  # [N, 4, 4]
    sizes: Tensor  # [N, 2] width, height

    def resized(self, sizes: Tensor) -> Cameras:
        """Return the cameras for images of other ``sizes`` [N, 2]."""
        scale = torch.cat([sizes / self.sizes, torch.ones_like(self.intrinsics[:, 0, :1])], -1)
        return Cameras(self.intrinsics * scale[:, :, None], self.world_to_camera, sizes)

    def rays(self, camera: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return origins and unit directions [R, 3] in the world through ``pixels`` [R, 2] of cameras ``camera`` [R].

        Pixels are integer indices; the rays pass through their centres.
        """
        rotation = self.world_to_camera[:, :3, :3].transpose(1, 2)
        origin = -(rotation @ self.world_to_camera[:, :3, 3:])[..., 0]
        pixel_to_world = rotation @ torch.linalg.inv(self.intrinsics)
        homogeneous = torch.cat([pixels + 0.5, torch.ones_like(pixels[:, :1])], -1)
        directions = (pixel_to_world[camera] @ homogeneous[..., None])[..., 0]
        return origin[camera], functional.normalize(directions, dim=-1)

    def pixels_per_unit(self, point: Tensor) -> float:
        """Return the median number of pixels per unit of length at ``point`` [3]."""
        distance = (self.world_to_camera[:, :3, :3] @ point + self.world_to_camera[:, :3, 3]).norm(dim=-1)
        return float((self.intrinsics[:, 0, 0] / distance).median())

    def project(self, camera: int, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pixels [P, 2] and the depths [P] of ``points`` [P, 3] in one camera."""
        in_camera = points @ self.world_to_camera[camera, :3, :3].T + self.world_to_camera[camera, :3, 3]
        homogeneous = in_camera @ self.intrinsics[camera].T
        return homogeneous[:, :2] / homogeneous[:, 2:].clamp_min(1e-9), in_camera[:, 2]
