"""Version 1 of ``surface_estimation``: estimates normals, roughness, ambient occlusion and depth in closed form.

The normals combine three cues: surfaces turn away from the camera at outlines (inflation, Johnston 2002), lines on
upright faces slant in perspective, and photos of furniture show a floor and a wall from slightly above.

Unless stated otherwise, the constants were chosen on the 14 images of the ``stain_quality`` benchmark. The model card
states the quality on these images and on others. The effect of single constants is not recorded.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.baselines.filtering import (
    content_frame,
    guided_from_grid,
    linear_from_srgb,
    luminance,
    pixel_positions,
    shades_of_grey,
    smooth,
    to_grid,
)
from export_models.baselines.intrinsic_decomposition import LIGHT_COLOR_SHARE, SHADING_GRID, grid_log_shading
from export_models.baselines.segmentation import piece_and_wood

INPUTS = ("image",)
OUTPUTS = ("normal", "roughness", "ambient_occlusion", "depth")

GRID = 128
"""Side of the grid on which the maps are computed."""

OUTLINE_RADIUS = 4
"""Radius of ``smooth`` that rounds off the outline of the piece, in cells."""

# Weights of the cues in the normal, fitted by least squares to the benchmark images and rounded; see the model card.
INFLATION_WEIGHT = 2.4
"""Slope at the outline of the piece."""
SLANT_WEIGHT = 0.55
"""Horizontal tilt where lines slant in perspective."""
TOP_WEIGHT = 0.3
"""Upward tilt where lines run across the image, as they do on a top."""
UPWARD_BIAS = 0.1
"""Upward tilt everywhere."""
TOWARDS_CAMERA = 0.68
"""Z component before normalisation."""

FLOOR_START = 0.55
"""Row, as a share of the height, at which the wall behind the piece starts to turn into floor."""
FLOOR_END = 0.75
"""Row, as a share of the height, at which only floor is left."""
FLOOR_NORMAL = (0.0, 0.94, 0.34)
"""Normal of a floor seen by a camera that looks down by 20°."""

WOOD_ROUGHNESS = 0.5
"""Roughness of varnished or oiled wood."""
OTHER_ROUGHNESS = 0.6
"""Roughness of everything else, between cloth (about 0.9) and paint (about 0.45)."""
HIGHLIGHT_SMOOTHNESS = 0.15
"""Largest decrease of the roughness at a highlight."""
OCCLUSION_SHARE = 0.6
"""Share of a local dip of log shading that is attributed to occlusion. The rest is falloff of the light."""

EDGE_RADIUS = 2
"""Radius of the guided filter that brings the maps to full size, in cells."""
EDGE_EPSILON = 0.01
"""Variance of log luminance below which that filter treats a window as flat."""


class SurfaceEstimation(nn.Module):
    """Estimates normals, roughness, ambient occlusion and depth."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Estimate the surface at each pixel.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            normal [B, 3, H, W] unit, camera space (+X right, +Y up, +Z towards the camera); roughness [B, 1, H, W] in
            [0, 1], 1 is fully rough; ambient_occlusion [B, 1, H, W] in [0, 1], 1 is unoccluded; depth [B, 1, H, W]
            > 0, up to scale.
        """
        linear = linear_from_srgb(image)
        frame = content_frame(image)
        linear_grid = to_grid(linear, SHADING_GRID, frame)
        log_shading = to_grid(grid_log_shading(linear_grid, shades_of_grey(linear_grid, LIGHT_COLOR_SHARE)), GRID)
        guide, guide_grid = _log_luminance(linear), _log_luminance(to_grid(linear, GRID, frame))
        piece, wood = (to_grid(likelihood, GRID, frame) for likelihood in piece_and_wood(image))

        maps = torch.cat(
            [
                _normal(guide_grid, piece),
                _roughness(log_shading, wood),
                _ambient_occlusion(log_shading),
                _depth(piece),
            ],
            dim=1,
        )
        maps = guided_from_grid(maps, guide_grid, guide, frame, EDGE_RADIUS, EDGE_EPSILON)
        normal = torch.cat([maps[:, :2], maps[:, 2:3].clamp_min(0.05)], dim=1)
        normal = normal / torch.sqrt((normal * normal).sum(dim=1, keepdim=True))
        return normal, maps[:, 3:4].clamp(0.05, 1.0), maps[:, 4:5].clamp(0.0, 1.0), maps[:, 5:6].clamp_min(0.05)


def _normal(log_luminance: Tensor, piece: Tensor) -> Tensor:
    """Return [B, 3, GRID, GRID] normals of approximately unit length."""
    outline_right, outline_down = _gradient(smooth(piece, OUTLINE_RADIUS))
    right, down = _gradient(log_luminance)
    xx, yy, xy = smooth(right * right, 3), smooth(down * down, 3), smooth(right * down, 3)
    total = xx + yy + 1e-3
    # Below eye level, a horizontal line rises towards the side to which it recedes; the face with the line is turned to
    # that side. A top is strongly foreshortened: most of its lines, and its front and rear edge, run across the image.
    x = SLANT_WEIGHT * (2.0 * xy / total) - INFLATION_WEIGHT * outline_right
    y = UPWARD_BIAS - TOP_WEIGHT * (xx - yy) / total + INFLATION_WEIGHT * outline_down
    piece_normal = F.normalize(torch.cat([x, y, torch.full_like(x, TOWARDS_CAMERA)], dim=1), dim=1)
    row = pixel_positions(piece)[:, :1]
    floor = ((row - FLOOR_START) / (FLOOR_END - FLOOR_START)).clamp(0.0, 1.0)
    ground = torch.cat([row * 0.0, floor * FLOOR_NORMAL[1], 1.0 - floor + floor * FLOOR_NORMAL[2]], dim=1)
    return piece * piece_normal + (1.0 - piece) * F.normalize(ground, dim=1)


def _roughness(log_shading: Tensor, wood: Tensor) -> Tensor:
    """Return [B, 1, GRID, GRID]: the typical roughness of the material, lower where the shading has a highlight."""
    highlight = (log_shading - smooth(log_shading, 6) - 0.3).clamp(0.0, 1.0)
    return OTHER_ROUGHNESS + (WOOD_ROUGHNESS - OTHER_ROUGHNESS) * wood - HIGHLIGHT_SMOOTHNESS * highlight


def _ambient_occlusion(log_shading: Tensor) -> Tensor:
    """Return [B, 1, GRID, GRID] from dips of the shading at two scales, as in creases and below objects."""
    narrow = (log_shading - smooth(log_shading, 4)).clamp_max(0.0)
    wide = (log_shading - smooth(log_shading, 14)).clamp_max(0.0)
    return torch.exp(OCCLUSION_SHARE * 0.5 * (narrow + wide))


def _depth(piece: Tensor) -> Tensor:
    """Return [B, 1, GRID, GRID]: the depth of a wall, of a floor in front of it, and of the piece on the floor.

    The wall is the upper 35 % of the image, at depth 2. Below it, the depth of the floor falls to 1 at the lower edge.
    The piece has one depth: the mean of the ground that it covers, weighted towards its lowest parts.
    """
    row = pixel_positions(piece)[:, :1]
    ground = 1.0 / (0.5 + 0.5 * ((row - 0.35) / 0.65).clamp_min(0.0))
    weight = (piece + 1e-4) * row**4  # largest for the lowest parts, which touch the floor
    standing = (ground * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True)
    return piece * standing + (1.0 - piece) * ground


def _gradient(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the differences of [B, 1, h, w] over two cells, to the right and downwards."""
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    return padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2], padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]


def _log_luminance(linear: Tensor) -> Tensor:
    return torch.log(luminance(linear) + 0.02)
