"""Version 1 of ``surface_estimation``: shape, roughness, occlusion and depth of what a picture shows.

Cues of shape: outlines turn away from the camera (inflation, Johnston 2002), lines on upright faces slant with
perspective, and photos of furniture look down a little at a floor before a wall.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.baselines.filtering import (
    guided_from_grid,
    linear_from_srgb,
    luminance,
    picture_frame,
    places,
    shades_of_grey,
    smooth,
    to_grid,
)
from export_models.baselines.intrinsic_decomposition import GRID as LIGHT_GRID
from export_models.baselines.intrinsic_decomposition import LIGHT_COLOR_SHARE, grid_light
from export_models.baselines.segmentation import piece_and_wood

INPUTS = ("image",)
OUTPUTS = ("normal", "roughness", "ambient_occlusion", "depth")

GRID = 128
OUTLINE = 4
"""Reach of the roundness of outlines, in grid cells: three box means of 2 × 4 + 1."""
ROUND, SLANT, LYING, UP, TOWARDS = 2.4, 0.55, 0.3, 0.1, 0.68
"""Weights of the cues of shape, by least squares on half of the benchmark's pictures, rounded; see the card."""
FLOOR_FROM, FLOOR_TO = 0.55, 0.75
"""Rows, as shares of the height, between which wall turns into floor where no piece stands."""
FLOOR = (0.0, 0.94, 0.34)
"""Normal of a floor that the camera looks down at by 20°."""
WOOD_ROUGHNESS, OTHER_ROUGHNESS, SHINE = 0.5, 0.6, 0.15
"""Varnished or oiled wood is near 0.5, cloth near 0.9 and paint near 0.45; polished spots are smoother by SHINE."""
OCCLUSION = 0.6
"""Share of a dip in log light that is taken to be occlusion, the rest being light that falls off."""
EDGE_RADIUS, EDGE_EPSILON = 2, 0.01


class SurfaceEstimation(nn.Module):
    """Normals, roughness, ambient occlusion and depth."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Estimate the surface.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            normal [B, 3, H, W] unit, camera space (+X right, +Y up, +Z to the camera); roughness and
            ambient_occlusion [B, 1, H, W] in [0, 1], 1 is rough and open; depth [B, 1, H, W] > 0, up to scale.
        """
        linear = linear_from_srgb(image)
        frame = picture_frame(image)
        small = to_grid(linear, LIGHT_GRID, frame)
        log_light = to_grid(grid_light(small, shades_of_grey(small, LIGHT_COLOR_SHARE)), GRID)
        brightness, brightness_small = _log_luminance(linear), _log_luminance(to_grid(linear, GRID, frame))
        piece, wood = (to_grid(found, GRID, frame) for found in piece_and_wood(image))

        maps = torch.cat(
            [
                _normal(brightness_small, piece),
                _roughness(log_light, wood),
                _ambient_occlusion(log_light),
                _depth(piece),
            ],
            dim=1,
        )
        full = guided_from_grid(maps, brightness_small, brightness, frame, EDGE_RADIUS, EDGE_EPSILON)
        normal = torch.cat([full[:, :2], full[:, 2:3].clamp_min(0.05)], dim=1)
        normal = normal / torch.sqrt((normal * normal).sum(dim=1, keepdim=True))
        return normal, full[:, 3:4].clamp(0.05, 1.0), full[:, 4:5].clamp(0.0, 1.0), full[:, 5:6].clamp_min(0.05)


def _normal(brightness: Tensor, piece: Tensor) -> Tensor:
    """[B, 3, GRID, GRID], about unit."""
    outline_right, outline_down = _differences(smooth(piece, OUTLINE))
    right, down = _differences(brightness)
    xx, yy, xy = smooth(right * right, 3), smooth(down * down, 3), smooth(right * down, 3)
    total = xx + yy + 1e-3
    # Below the eye's level, horizontal lines rise to the side to which they recede, which their face looks to.
    # A top is seen so flat that most lines on it, and both its edges, lie across the picture.
    x = SLANT * (2.0 * xy / total) - ROUND * outline_right
    y = UP - LYING * (xx - yy) / total + ROUND * outline_down
    shape = F.normalize(torch.cat([x, y, torch.full_like(x, TOWARDS)], dim=1), dim=1)
    row = places(piece)[:, :1]
    floor = ((row - FLOOR_FROM) / (FLOOR_TO - FLOOR_FROM)).clamp(0.0, 1.0)
    ground = torch.cat([row * 0.0, floor * FLOOR[1], 1.0 - floor + floor * FLOOR[2]], dim=1)
    return piece * shape + (1.0 - piece) * F.normalize(ground, dim=1)


def _roughness(log_light: Tensor, wood: Tensor) -> Tensor:
    """[B, 1, GRID, GRID]: the material's usual roughness, lowered where light peaks as it does on polish."""
    peak = (log_light - smooth(log_light, 6) - 0.3).clamp(0.0, 1.0)
    return OTHER_ROUGHNESS + (WOOD_ROUGHNESS - OTHER_ROUGHNESS) * wood - SHINE * peak


def _ambient_occlusion(log_light: Tensor) -> Tensor:
    """[B, 1, GRID, GRID]: dips of the light below its surroundings at two scales, as in creases and under things."""
    near = (log_light - smooth(log_light, 4)).clamp_max(0.0)
    wide = (log_light - smooth(log_light, 14)).clamp_max(0.0)
    return torch.exp(OCCLUSION * 0.5 * (near + wide))


def _depth(piece: Tensor) -> Tensor:
    """[B, 1, GRID, GRID]: a floor that comes nearer down to the lower border, a wall, and the piece before it."""
    row = places(piece)[:, :1]
    ground = 1.0 / (0.5 + 0.5 * ((row - 0.35) / 0.65).clamp_min(0.0))
    weight = (piece + 1e-4) * row**4  # it stands where its lower parts are
    standing = (ground * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True)
    return piece * standing + (1.0 - piece) * ground


def _differences(values: Tensor) -> tuple[Tensor, Tensor]:
    """Rise of [B, 1, h, w] over two cells, to the right and down."""
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    return padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2], padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]


def _log_luminance(linear: Tensor) -> Tensor:
    return torch.log(luminance(linear) + 0.02)
