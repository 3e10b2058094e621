"""Photos with masks and cameras, and the rays through their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from orchestrator.tools.nerf_child.grid import Grid, Rays

MIN_COVERAGE = 0.01  # pixels with less coverage keep the colour of the photo
MAX_RAYS = 3_000_000  # maximum number of training pixels, to limit memory; a random subset is used if there are more
# Training pixels reach beyond the mask by 1 / MASK_MARGIN_DIVISOR of the photo's longer side, to show where the piece
# ends. The divisor was 40 until ``training.MASK_WEIGHT`` was raised. Not measured separately.
MASK_MARGIN_DIVISOR = 16


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
        """Return the origins and unit directions [R, 3], in world axes, of the rays through the centres of pixels.

        Args:
            camera: [R] index of the camera of each pixel.
            pixels: [R, 2] column and row.
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


@dataclass(frozen=True)
class Photos:
    """Photos with masks and cameras. Colours at the edge of the piece contain no background."""

    colors: tuple[Tensor, ...]  # [H, W, 3] float32 sRGB in [0, 1] each
    masks: tuple[Tensor, ...]  # [H, W] float32 each, the share of the pixel that the piece covers
    cameras: Cameras


@dataclass(frozen=True)
class TrainingPixels:
    """R pixels whose rays meet the grid."""

    color: Tensor  # [R, 3] sRGB in [0, 1] of the piece
    coverage: Tensor  # [R] share of the pixel that the piece covers
    rays: Rays


def read_photos(photos: Sequence[str], masks: Sequence[str], cameras: Cameras, max_side_px: int) -> Photos:
    """Read photos and masks, reduced to at most ``max_side_px`` on the longer side."""
    device = cameras.intrinsics.device
    colors, coverages = [], []
    for photo, mask in zip(photos, masks, strict=True):
        with Image.open(photo) as opened:
            color = np.asarray(opened.convert("RGB"), np.float32) / 255
        with Image.open(mask) as opened:
            coverage = np.asarray(opened.convert("L"), np.float32)[..., None] / 255
        # The masked colour and the mask are reduced together. Their quotient is the mean colour of the piece alone.
        stacked = np.concatenate([color * coverage, color, coverage], -1)
        channels = torch.from_numpy(stacked).permute(2, 0, 1)[None]
        factor = max_side_px / max(color.shape[:2])
        if factor < 1:
            size = [max(1, round(side * factor)) for side in color.shape[:2]]
            channels = functional.interpolate(channels, size=size, mode="area")
        small = channels[0].permute(1, 2, 0).to(device)
        masked_color, plain_color, small_coverage = torch.split(small, [3, 3, 1], -1)
        piece_color = masked_color / small_coverage.clamp_min(1e-4)
        colors.append(torch.where(small_coverage > MIN_COVERAGE, piece_color, plain_color))
        coverages.append(small_coverage[..., 0])
    sizes = torch.tensor([mask.shape[::-1] for mask in coverages], dtype=torch.float32, device=device)
    return Photos(tuple(colors), tuple(coverages), cameras.resized(sizes))


def grow_mask(mask: Tensor, radius: int) -> Tensor:
    """Return the maximum of ``mask`` [H, W] in a square of ``radius`` pixels around each pixel."""
    return functional.max_pool2d(mask[None, None], 2 * radius + 1, 1, radius)[0, 0]


def training_pixels(grid: Grid, photos: Photos, seed: int) -> TrainingPixels:
    """Return all pixels on and around the piece whose rays meet the grid, at most MAX_RAYS."""
    regions = [grow_mask(mask, max(2, max(mask.shape) // MASK_MARGIN_DIVISOR)) > 0.01 for mask in photos.masks]
    indices = torch.cat(
        [functional.pad(region.nonzero(), (1, 0), value=camera) for camera, region in enumerate(regions)]
    )
    color = torch.cat([values[region] for values, region in zip(photos.colors, regions, strict=True)])
    coverage = torch.cat([values[region] for values, region in zip(photos.masks, regions, strict=True)])
    if len(indices) > MAX_RAYS:
        subset = torch.randperm(len(indices), generator=torch.Generator().manual_seed(seed))[:MAX_RAYS]
        indices, color, coverage = (values[subset.to(color.device)] for values in (indices, color, coverage))
    camera, row, column = indices.unbind(1)
    origins, directions = photos.cameras.rays(camera, torch.stack([column, row], 1).float())
    rays, hit = grid.rays(origins, directions)
    return TrainingPixels(color[hit], coverage[hit], rays)
