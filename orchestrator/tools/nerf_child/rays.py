"""The pixels from which a field is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from orchestrator.tools.nerf_child.field import RAY_STEPS
from orchestrator.tools.nerf_child.grid import Grid
from orchestrator.tools.nerf_child.photos import Photos

MAX_RAYS = 3_000_000
"""Maximum number of rays whose steps are kept in memory. If there are more, a random subset is used."""
MASK_MARGIN = 16
"""The pixels around the mask up to a 16th of the photo's longer side are used too.

They teach the field where the piece ends. Widened from a 40th together with the increase of ``training.MASK_WEIGHT``;
not measured separately.
"""


@dataclass(frozen=True)
class Rays:
    """R pixels whose rays meet the grid."""

    color: Tensor  # [R, 3] sRGB in [0, 1] of the piece
    coverage: Tensor  # [R] share of the pixel that the piece covers
    origins: Tensor  # [R, 3] grid coordinates
    directions: Tensor  # [R, 3] unit
    entry: Tensor  # [R] from ``Grid.first_steps``
    steps: Tensor  # [R, RAY_STEPS] from ``Grid.first_steps``


def make_rays(grid: Grid, photos: Photos, seed: int) -> Rays:
    """Return the rays of all pixels on and around the piece that meet the grid."""
    device = grid.low.device
    cameras, pixels, colors, coverages = [], [], [], []
    for number, mask in enumerate(photos.masks):
        radius = max(2, max(mask.shape) // MASK_MARGIN)
        near_piece = functional.max_pool2d(mask[None, None], 2 * radius + 1, 1, radius)[0, 0] > 0.01
        positions = near_piece.nonzero()
        cameras.append(torch.full((len(positions),), number, device=device))
        pixels.append(positions.flip(1).float())
        colors.append(photos.colors[number][near_piece])
        coverages.append(mask[near_piece])
    camera, pixel = torch.cat(cameras), torch.cat(pixels)
    color, coverage = torch.cat(colors), torch.cat(coverages)
    if len(camera) > MAX_RAYS:
        generator = torch.Generator().manual_seed(seed)
        subset = torch.randperm(len(camera), generator=generator)[:MAX_RAYS].to(device)
        camera, pixel, color, coverage = camera[subset], pixel[subset], color[subset], coverage[subset]
    origins, directions = photos.cameras.rays(camera, pixel)
    origins = grid.to_grid(origins)
    entry, steps = grid.first_steps(origins, directions, RAY_STEPS)
    hit = steps[:, 0] >= 0
    return Rays(color[hit], coverage[hit], origins[hit], directions[hit], entry[hit], steps[hit])
