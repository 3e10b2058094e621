"""Version 1 of ``segmentation``: finds the piece of furniture and the wood in closed form.

The piece is what cannot be reached from the border of the image without crossing edges (geodesic saliency, Wei et al.
2012). A second pass corrects this by colour: an area that looks like the reachable ground is ground, wherever it is.
Wood has one of the colours of wood, and either belongs to the piece or has the directional texture of grain.

The constants were chosen on the 14 images of the ``stain_quality`` benchmark. The model card states the quality on
these images and on others. The effect of single constants is not recorded.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.baselines.filtering import (
    box_mean,
    content_frame,
    content_mask,
    guided_from_grid,
    linear_from_srgb,
    luminance,
    pixel_positions,
    shades_of_grey,
    similarity_weights,
    to_grid,
)

INPUTS = ("image",)
OUTPUTS = ("component", "material")

COMPONENTS = (
    "background", "body", "leg", "seat", "back", "arm", "cushion", "top", "door", "drawer", "shelf", "frame",
    "hardware",
)  # fmt: skip
MATERIALS = ("other", "wood", "fabric", "leather", "metal", "glass", "plastic", "painted", "stone")

UNSUPPORTED_LOGIT = -12.0
"""Logit of the classes that this method cannot detect: all but the first two of each output."""
CERTAIN_LOG_ODDS = 5.0
"""Difference of the two logits at likelihood 1, a softmax of 0.993. The logits are linear in the likelihood, so that
rounding errors near 0 and 1 are not magnified."""

FOREGROUND_GRID = 96
"""Side of the grid on which the piece is found."""
KEY_GRID = 48
"""Side of the grid of positions from which similar positions are averaged."""
SWEEPS = 3
"""Number of passes along rows and columns that propagate the border distance."""
CHROMA_WEIGHT = 3.0
"""Weight of chroma relative to brightness in edges. A shadow on the ground changes only brightness; the outline of an
object changes both."""
FREE_DIFFERENCE = 0.01
"""Difference between neighbouring cells that adds no border distance, so that a smooth gradient is not an edge."""
FARTHEST_SHARE = 0.1
"""Share of the image with the largest border distances. Their mean is the unit of the two constants below."""
FOREGROUND_DISTANCE = 0.25
"""Border distance at which a cell is as likely piece as ground."""
FOREGROUND_DISTANCE_SIGMA = 0.08
"""Change of border distance that changes the log odds of the piece by 1."""
BRIGHTNESS_SIGMA = 0.12
"""Difference of sRGB brightness that makes two positions dissimilar."""
CHROMA_SIGMA = 0.03
"""Difference of sRGB chroma that makes two positions dissimilar."""
POSITION_SIGMA = 0.2
"""Distance that makes two positions dissimilar, as a share of the image."""
SIMILARITY_GAIN = 6.0
"""Weight of the mean over similar positions in the log odds of the piece."""
DISTANCE_GAIN = 0.5
"""Weight of the border distance in the log odds of the piece."""
EDGE_RADIUS = 2
"""Radius of the guided filter for the piece, in cells of the foreground grid."""
EDGE_EPSILON = 1e-4
"""Variance of the guide below which that filter treats a window as flat."""

WOOD_GRID = 256
"""Side of the grid on which wood is found."""
WOOD_RADIUS = 3
"""Radius of the guided filter for wood, in cells of the wood grid."""
WOOD_EPSILON = 1e-3
"""Variance of the guide below which that filter treats a window as flat."""
LIGHT_COLOR_SHARE = 0.15
"""Share of the ``shades_of_grey`` estimate that is attributed to the light. It is small because in most images the
wood itself is the reason for a warm average."""

# Range of the colours of wood, from bleached ash to wenge, as log ratios of linear channels.
MIN_RED_BLUE = 0.5
"""Smallest ln(red/blue)."""
MAX_GREEN_BLUE = 1.5
"""Largest ln(green/blue)."""
MIN_RED_GREEN = 0.15
"""Smallest ln(red/green)."""
MAX_RED_GREEN = 2.0
"""Largest ln(red/green)."""
MIN_YELLOW_PER_RED = 0.3
"""Smallest ratio of ln(green/blue) to ln(red/green). Reds below it are lacquer or cloth."""
MAX_WOOD_LUMINANCE = 0.75
"""Luminance of lit maple. Lighter areas are white under a warm light."""

GRAIN_GAIN = 12.0
"""Slope of the decision on grain. A position counts as grained if more than half of the similar positions are, so that
the smooth areas of a grained board count too."""
GRAIN_STRENGTH = 0.02
"""Gradient of log luminance per cell, along one direction, above which texture is grain rather than noise."""


class Segmentation(nn.Module):
    """Classifies each pixel as background or piece, and as wood or other."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Classify each pixel.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32. Black bars around the image count as
                background.

        Returns:
            component [B, 13, H, W] logits over COMPONENTS and material [B, 9, H, W] logits over MATERIALS.
        """
        piece, wood = piece_and_wood(image)
        return _logits(piece, len(COMPONENTS)), _logits(wood, len(MATERIALS))


def piece_and_wood(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the likelihoods [B, 1, H, W] in [0, 1] that a pixel belongs to the piece, and that it is wood."""
    frame, mask = content_frame(image), content_mask(image)
    similarity = similarity_weights(_appearance(image, FOREGROUND_GRID, frame), _appearance(image, KEY_GRID, frame))
    piece = _piece_likelihood(image, mask, frame, similarity) * mask
    return piece, _wood_likelihood(image, piece, frame, similarity) * mask


def _piece_likelihood(image: Tensor, mask: Tensor, frame: Tensor, similarity: Tensor) -> Tensor:
    """Estimate how likely each pixel belongs to the piece.

    Args:
        image: [B, 3, H, W] sRGB.
        mask: [B, 1, H, W], see ``content_mask``.
        frame: [B, 4], see ``content_frame``.
        similarity: [B, FOREGROUND_GRID², KEY_GRID²] weights of positions by colour and distance; each row sums to 1.

    Returns:
        [B, 1, H, W] in [0, 1].
    """
    image_grid = to_grid(image, FOREGROUND_GRID, frame)
    content = (to_grid(mask, FOREGROUND_GRID, frame) > 0.99).to(image.dtype)
    distance = border_distance(_opponent(image_grid), content)
    count = int(FOREGROUND_GRID * FOREGROUND_GRID * FARTHEST_SHARE)
    scale = distance.flatten(1).topk(count, dim=1).values.mean(dim=1).view(-1, 1, 1, 1) + 1e-3
    log_odds = ((distance / scale).clamp_max(1.0) - FOREGROUND_DISTANCE) / FOREGROUND_DISTANCE_SIGMA

    similar = _mean_of_similar(torch.sigmoid(log_odds), similarity)
    combined = SIMILARITY_GAIN * (2.0 * similar - 1.0) + DISTANCE_GAIN * log_odds.clamp(-4.0, 4.0)
    piece = torch.sigmoid(combined) * content

    direction = _discriminant(image_grid, piece, content)
    guide, guide_grid = (image * direction).sum(1, keepdim=True), (image_grid * direction).sum(1, keepdim=True)
    return guided_from_grid(piece, guide_grid, guide, frame, EDGE_RADIUS, EDGE_EPSILON).clamp(0.0, 1.0)


def border_distance(color: Tensor, content: Tensor) -> Tensor:
    """Return [B, 1, n, n]: smallest sum of colour differences on a path from the border, along rows and columns.

    Args:
        color: [B, C, n, n].
        content: [B, 1, n, n], 0 on bars around the image. Paths across bars cost nothing.
    """
    color = box_mean(color, 1)
    border = 1.0 - F.pad(torch.ones_like(content[:, :, 2:, 2:]), (1, 1, 1, 1)) * content
    row_cost = _cumulative_cost(color, content)
    column_cost = _cumulative_cost(color.transpose(2, 3), content.transpose(2, 3))
    distance = (1.0 - border) * 1e2
    for _ in range(SWEEPS):
        distance = _sweep(distance, row_cost)
        distance = _sweep(distance.transpose(2, 3), column_cost).transpose(2, 3)
    return distance


def _cumulative_cost(color: Tensor, content: Tensor) -> Tensor:
    """Return [B, 1, n, n]: cost of all steps from the left border to each cell of its row."""
    difference = color[:, :, :, 1:] - color[:, :, :, :-1]
    step = (torch.sqrt((difference * difference).sum(1, keepdim=True) + 1e-12) - FREE_DIFFERENCE).clamp_min(0.0)
    step = step * content[:, :, :, 1:] * content[:, :, :, :-1]
    return F.pad(step, (1, 0)).cumsum(3)


def _sweep(distance: Tensor, cost: Tensor) -> Tensor:
    """Lower the distance of each cell to that of the cheapest path along its row, from either side."""
    size = cost.shape[3]
    cell = torch.arange(size, device=cost.device)
    exclude_right = (cell[:, None] < cell[None, :]).to(cost.dtype) * 1e3  # [to, from]: allows only cells to the left
    from_left = ((distance - cost).unsqueeze(3) + exclude_right).amin(4) + cost
    from_right = ((distance + cost).unsqueeze(3) + exclude_right.transpose(0, 1)).amin(4) - cost
    return torch.minimum(from_left, from_right)


def _opponent(srgb: Tensor) -> Tensor:
    """Return [B, 3, h, w]: brightness and two chroma channels scaled by CHROMA_WEIGHT."""
    red, green, blue = srgb.chunk(3, dim=1)
    brightness = 0.3 * red + 0.6 * green + 0.1 * blue
    return torch.cat([brightness, CHROMA_WEIGHT * (red - green), CHROMA_WEIGHT * (0.5 * (red + green) - blue)], dim=1)


def _appearance(image: Tensor, size: int, frame: Tensor) -> Tensor:
    """Return [B, 5, size, size]: colour and position, scaled to a sigma of 1."""
    image_grid = to_grid(image, size, frame)
    brightness, *chroma = _opponent(image_grid).chunk(3, dim=1)
    scaled = [channel / (CHROMA_WEIGHT * CHROMA_SIGMA) for channel in chroma]
    return torch.cat([brightness / BRIGHTNESS_SIGMA, *scaled, pixel_positions(image_grid) / POSITION_SIGMA], dim=1)


def _mean_of_similar(values: Tensor, similarity: Tensor) -> Tensor:
    """Return [B, 1, FOREGROUND_GRID, FOREGROUND_GRID]: mean of [B, 1, h, w] over positions of similar appearance."""
    keys = to_grid(values, KEY_GRID).flatten(2).transpose(1, 2)
    return (similarity @ keys).transpose(1, 2).reshape(-1, 1, FOREGROUND_GRID, FOREGROUND_GRID)


def _discriminant(image: Tensor, piece: Tensor, content: Tensor) -> Tensor:
    """Return the channel weights [B, 3, 1, 1] that best separate piece from ground (Fisher 1936, diagonal)."""
    ground = (1.0 - piece) * content

    def mean(weight: Tensor) -> Tensor:
        return (image * weight).sum((2, 3), keepdim=True) / (weight.sum((2, 3), keepdim=True) + 1.0)

    piece_mean, ground_mean = mean(piece), mean(ground)
    spread = ((image - piece_mean) ** 2 * piece + (image - ground_mean) ** 2 * ground).mean((2, 3), keepdim=True)
    direction = (piece_mean - ground_mean) / (spread + 0.01)
    return direction / (direction.abs().sum(1, keepdim=True) + 1e-4)


def _wood_likelihood(image: Tensor, piece: Tensor, frame: Tensor, similarity: Tensor) -> Tensor:
    """Estimate how likely each pixel is wood.

    Args:
        image, frame, similarity: as in ``_piece_likelihood``.
        piece: [B, 1, H, W], the result of ``_piece_likelihood``.

    Returns:
        [B, 1, H, W] in [0, 1].
    """
    linear = linear_from_srgb(image)
    linear_grid = to_grid(linear, WOOD_GRID, frame)
    light_color = shades_of_grey(linear_grid, LIGHT_COLOR_SHARE)
    color = torch.sigmoid(_wood_color_logit(linear_grid / light_color).clamp(-4.0, 4.0))
    strength = grain_strength(torch.log(luminance(linear_grid) + 0.01))
    grain = torch.sigmoid(5.0 * torch.log(strength / GRAIN_STRENGTH + 1e-3))
    grain = to_grid(torch.sigmoid(GRAIN_GAIN * (_mean_of_similar(grain, similarity) - 0.5)), WOOD_GRID)
    guide, guide_grid = _warmth(linear / light_color), _warmth(linear_grid / light_color)
    color_and_grained = torch.cat([color, color * grain], dim=1)
    fitted = guided_from_grid(color_and_grained, guide_grid, guide, frame, WOOD_RADIUS, WOOD_EPSILON).clamp(0.0, 1.0)
    return torch.maximum(fitted[:, :1] * piece, fitted[:, 1:])


def _wood_color_logit(linear: Tensor) -> Tensor:
    """Return [B, 1, h, w]: scaled distance to the nearest limit of the colours of wood, positive inside."""
    red, green, blue = torch.log(linear + 0.01).chunk(3, dim=1)
    red_green, green_blue = red - green, green - blue
    margin = torch.minimum((red - blue - MIN_RED_BLUE) / 0.08, (MAX_GREEN_BLUE - green_blue) / 0.1)
    margin = torch.minimum(margin, torch.minimum(red_green - MIN_RED_GREEN, MAX_RED_GREEN - red_green) / 0.05)
    margin = torch.minimum(margin, (math.log(MAX_WOOD_LUMINANCE) - torch.log(luminance(linear) + 0.01)) / 0.05)
    return torch.minimum(margin, (green_blue - MIN_YELLOW_PER_RED * red_green) / 0.05)


def _warmth(linear: Tensor) -> Tensor:
    """Return [B, 1, h, w]: half of ln(red/blue), which separates wood from most of its surroundings."""
    red, _, blue = torch.log(linear + 0.02).chunk(3, dim=1)
    return 0.5 * (red - blue)


def grain_strength(log_luminance: Tensor, radius: int = 2, reach: int = 3) -> Tensor:
    """Return [B, 1, h, w]: strength of texture with one direction, by the structure tensor (Bigün and Granlund 1987).

    Gradients are limited to 0.25. A morphological opening removes single edges thinner than ``2 reach + 1`` cells,
    because texture has structure throughout an area.
    """
    padded = F.pad(log_luminance, (1, 1, 1, 1), mode="replicate")
    across = 0.5 * (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2])
    down = 0.5 * (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1])
    limit = (0.25 / torch.sqrt(across * across + down * down + 1e-8)).clamp_max(1.0)
    across, down = across * limit, down * limit
    across, down = across - box_mean(across, radius), down - box_mean(down, radius)
    xx, yy, xy = box_mean(across * across, radius), box_mean(down * down, radius), box_mean(across * down, radius)
    anisotropy = torch.sqrt((xx - yy) ** 2 + 4.0 * xy * xy + 1e-12)
    size = 2 * reach + 1
    opened = F.max_pool2d(-F.max_pool2d(-anisotropy, size, 1, reach), size, 1, reach)
    return torch.sqrt(box_mean(opened, reach))


def _logits(likelihood: Tensor, classes: int) -> Tensor:
    """Return logits [B, classes, H, W]: the second class has ``likelihood`` [B, 1, H, W], the first has the rest."""
    half = CERTAIN_LOG_ODDS * (likelihood - 0.5)
    unsupported = torch.full_like(half, UNSUPPORTED_LOGIT)
    return torch.cat([-half, half, unsupported.expand(-1, classes - 2, -1, -1)], dim=1)
