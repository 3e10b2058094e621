"""Version 1 of ``segmentation``: which pixels are the piece of furniture, and which are wood.

The piece is what cannot be reached from the picture's border without crossing edges (geodesic saliency, Wei et al.
2012), corrected by colour: what looks like reachable ground is ground, wherever it is. Wood is what has a wood's
colour, and either belongs to the piece or is streaked as grain is.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.baselines.filtering import (
    box_mean,
    guided_from_grid,
    likeness,
    linear_from_srgb,
    luminance,
    picture_frame,
    picture_mask,
    places,
    shades_of_grey,
    to_grid,
)

INPUTS = ("image",)
OUTPUTS = ("component", "material")

COMPONENTS = (
    "background", "body", "leg", "seat", "back", "arm", "cushion", "top", "door", "drawer", "shelf", "frame",
    "hardware",
)  # fmt: skip
MATERIALS = ("other", "wood", "fabric", "leather", "metal", "glass", "plastic", "painted", "stone")
NEVER = -12.0
"""Logit of the classes that a formula cannot tell from the first two."""
SURE = 5.0
"""Logit of what is certain. Logits are linear in likelihood, so that rounding is not magnified near 0 and 1."""

GRID, KEY = 96, 48
SWEEPS = 3
CHROMA = 3.0
"""Weight of chroma beside brightness: shadows on the ground change brightness, things change both."""
FREE_STEP = 0.01
"""A difference between neighbours that costs nothing, so that a smooth fall of light is not an edge."""
FAR_SHARE, FAR_HALF, FAR_SLOPE = 0.1, 0.25, 0.08
"""The farthest tenth of the picture sets the scale; from a quarter of its mean distance on, it is the piece."""
BRIGHTNESS_STEP, CHROMA_STEP, PLACE_STEP = 0.12, 0.03, 0.2
"""Differences of sRGB brightness, of sRGB chroma and of place (share of the picture) that tell colours apart."""
LOOK_GAIN, DISTANCE_GAIN = 6.0, 0.5
EDGE_RADIUS, EDGE_EPSILON = 2, 1e-4

WOOD_GRID = 256
WOOD_RADIUS, WOOD_EPSILON = 3, 1e-3
LIGHT_COLOR_SHARE = 0.15
"""The light's colour is hardly believed here: wood itself is what makes most pictures warm."""
LEAST_WARMTH, MOST_YELLOW, LEAST_RED, MOST_RED, RED_TO_YELLOW = 0.5, 1.5, 0.15, 2.0, 0.3
"""Bounds of wood in log ratios of linear light: ln(red/blue), ln(green/blue), ln(red/green) from and to, and the least
ln(green/blue) for each unit of ln(red/green), below which red is lacquer or cloth. From bleached ash to wenge."""
LIGHTEST = 0.75
"""Luminance of lit maple; what is lighter is white under a warm light."""
GRAIN_GAIN = 12.0
"""A place is wood when about half of what looks like it is streaked, be the place itself smooth or not."""
STREAKED = 0.02
"""Gradient of log luminance, per cell, along one direction, that is grain and not noise."""


class Segmentation(nn.Module):
    """Foreground and wood."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Classify each pixel.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32. Black bars around the picture
                count as background.

        Returns:
            component [B, 13, H, W] logits over COMPONENTS and material [B, 9, H, W] logits over MATERIALS.
        """
        piece, wood = piece_and_wood(image)
        return _logits(piece, len(COMPONENTS)), _logits(wood, len(MATERIALS))


def piece_and_wood(image: Tensor) -> tuple[Tensor, Tensor]:
    """How likely each pixel is the piece, and how likely it is wood: [B, 1, H, W] in [0, 1] each."""
    frame, mask = picture_frame(image), picture_mask(image)
    looks_like = likeness(_look(image, GRID, frame), _look(image, KEY, frame))
    piece = _foreground(image, mask, frame, looks_like) * mask
    return piece, _wood(image, piece, frame, looks_like) * mask


def _foreground(image: Tensor, mask: Tensor, frame: Tensor, looks_like: Tensor) -> Tensor:
    """How likely a pixel is the piece.

    Args:
        image: [B, 3, H, W] sRGB.
        mask: [B, 1, H, W], 1 on the picture, 0 on black bars around it.
        frame: [B, 4], see ``picture_frame``.
        looks_like: [B, GRID², KEY²], how alike places are in colour and place; each row sums to 1.

    Returns:
        [B, 1, H, W] in [0, 1].
    """
    small = to_grid(image, GRID, frame)
    inside = (to_grid(mask, GRID, frame) > 0.99).to(image.dtype)
    distance = border_distance(_opponent(small), inside)
    count = int(GRID * GRID * FAR_SHARE)
    scale = distance.flatten(1).topk(count, dim=1).values.mean(dim=1).view(-1, 1, 1, 1) + 1e-3
    far = ((distance / scale).clamp_max(1.0) - FAR_HALF) / FAR_SLOPE

    looks = _among_alike(torch.sigmoid(far), looks_like)
    piece = torch.sigmoid(LOOK_GAIN * (2.0 * looks - 1.0) + DISTANCE_GAIN * far.clamp(-4.0, 4.0)) * inside

    direction = _telling_direction(small, piece, inside)
    guide, guide_small = (image * direction).sum(1, keepdim=True), (small * direction).sum(1, keepdim=True)
    return guided_from_grid(piece, guide_small, guide, frame, EDGE_RADIUS, EDGE_EPSILON).clamp(0.0, 1.0)


def border_distance(color: Tensor, inside: Tensor) -> Tensor:
    """Least sum of edges on the way from the picture's border, along rows and columns.

    Args:
        color: [B, C, n, n].
        inside: [B, 1, n, n]: 0 on bars around the picture, where the way costs nothing.
    """
    color = box_mean(color, 1)
    border = 1.0 - F.pad(torch.ones_like(inside[:, :, 2:, 2:]), (1, 1, 1, 1)) * inside
    across = _edges(color, inside)
    down = _edges(color.transpose(2, 3), inside.transpose(2, 3))
    distance = (1.0 - border) * 1e2
    for _ in range(SWEEPS):
        distance = _sweep(distance, across)
        distance = _sweep(distance.transpose(2, 3), down).transpose(2, 3)
    return distance


def _edges(color: Tensor, inside: Tensor) -> Tensor:
    """[B, 1, n, n]: cost of all steps from the left border to each cell of its row."""
    difference = color[:, :, :, 1:] - color[:, :, :, :-1]
    step = (torch.sqrt((difference * difference).sum(1, keepdim=True) + 1e-12) - FREE_STEP).clamp_min(0.0)
    step = step * inside[:, :, :, 1:] * inside[:, :, :, :-1]
    return F.pad(step, (1, 0)).cumsum(3)


def _sweep(distance: Tensor, cost: Tensor) -> Tensor:
    """Lower each cell's distance by the best way along its row, from either side."""
    size = cost.shape[3]
    cell = torch.arange(size, device=cost.device)
    behind = (cell[:, None] < cell[None, :]).to(cost.dtype) * 1e3  # [to, from]: only cells to the left
    from_left = ((distance - cost).unsqueeze(3) + behind).amin(4) + cost
    from_right = ((distance + cost).unsqueeze(3) + behind.transpose(0, 1)).amin(4) - cost
    return torch.minimum(from_left, from_right)


def _opponent(srgb: Tensor) -> Tensor:
    """[B, 3, h, w]: brightness, and chroma weighted by CHROMA."""
    red, green, blue = srgb.chunk(3, dim=1)
    brightness = 0.3 * red + 0.6 * green + 0.1 * blue
    return torch.cat([brightness, CHROMA * (red - green), CHROMA * (0.5 * (red + green) - blue)], dim=1)


def _look(image: Tensor, size: int, frame: Tensor) -> Tensor:
    """[B, 5, size, size]: colour and place, scaled so that a difference of 1 matters."""
    small = to_grid(image, size, frame)
    brightness, *chroma = _opponent(small).chunk(3, dim=1)
    scaled = [plane / (CHROMA * CHROMA_STEP) for plane in chroma]
    return torch.cat([brightness / BRIGHTNESS_STEP, *scaled, places(small) / PLACE_STEP], dim=1)


def _among_alike(values: Tensor, looks_like: Tensor) -> Tensor:
    """[B, 1, GRID, GRID]: mean of [B, 1, h, w] over places that look alike."""
    keys = to_grid(values, KEY).flatten(2).transpose(1, 2)
    return (looks_like @ keys).transpose(1, 2).reshape(-1, 1, GRID, GRID)


def _telling_direction(small: Tensor, piece: Tensor, inside: Tensor) -> Tensor:
    """[B, 3, 1, 1]: weights of the channels whose sum tells piece from ground best (Fisher 1936, diagonal)."""
    ground = (1.0 - piece) * inside

    def mean(weight: Tensor) -> Tensor:
        return (small * weight).sum((2, 3), keepdim=True) / (weight.sum((2, 3), keepdim=True) + 1.0)

    piece_mean, ground_mean = mean(piece), mean(ground)
    spread = ((small - piece_mean) ** 2 * piece + (small - ground_mean) ** 2 * ground).mean((2, 3), keepdim=True)
    direction = (piece_mean - ground_mean) / (spread + 0.01)
    return direction / (direction.abs().sum(1, keepdim=True) + 1e-4)


def _wood(image: Tensor, piece: Tensor, frame: Tensor, looks_like: Tensor) -> Tensor:
    """[B, 1, H, W] in [0, 1]: how likely a pixel is wood. Arguments as in ``_foreground``; ``piece`` is its result."""
    linear = linear_from_srgb(image)
    small = to_grid(linear, WOOD_GRID, frame)
    light_color = shades_of_grey(small, LIGHT_COLOR_SHARE)
    color = torch.sigmoid(_wood_color(small / light_color).clamp(-4.0, 4.0))
    grain = torch.sigmoid(5.0 * torch.log(streaks(torch.log(luminance(small) + 0.01)) / STREAKED + 1e-3))
    grain = to_grid(torch.sigmoid(GRAIN_GAIN * (_among_alike(grain, looks_like) - 0.5)), WOOD_GRID)
    warmth, warmth_small = _warmth(linear / light_color), _warmth(small / light_color)
    both = torch.cat([color, color * grain], dim=1)
    fitted = guided_from_grid(both, warmth_small, warmth, frame, WOOD_RADIUS, WOOD_EPSILON).clamp(0.0, 1.0)
    return torch.maximum(fitted[:, :1] * piece, fitted[:, 1:])


def _wood_color(linear: Tensor) -> Tensor:
    """[B, 1, h, w] logit: inside the bounds of wood's colours, by the bound that is nearest."""
    red, green, blue = torch.log(linear + 0.01).chunk(3, dim=1)
    red_green, green_blue = red - green, green - blue
    within = torch.minimum((red - blue - LEAST_WARMTH) / 0.08, (MOST_YELLOW - green_blue) / 0.1)
    within = torch.minimum(within, torch.minimum(red_green - LEAST_RED, MOST_RED - red_green) / 0.05)
    within = torch.minimum(within, (math.log(LIGHTEST) - torch.log(luminance(linear) + 0.01)) / 0.05)
    return torch.minimum(within, (green_blue - RED_TO_YELLOW * red_green) / 0.05)


def _warmth(linear: Tensor) -> Tensor:
    """[B, 1, h, w]: half of ln(red/blue), which sets wood off from most that is beside it."""
    red, _, blue = torch.log(linear + 0.02).chunk(3, dim=1)
    return 0.5 * (red - blue)


def streaks(log_luminance: Tensor, radius: int = 2, reach: int = 3) -> Tensor:
    """[B, 1, h, w]: strength of texture that runs one way, from the structure tensor (Bigün, Granlund 1987).

    Gradients are cut off at 0.25, and a lone edge, thinner than ``2 reach + 1`` cells, is opened away: texture is
    what has structure everywhere.
    """
    padded = F.pad(log_luminance, (1, 1, 1, 1), mode="replicate")
    across = 0.5 * (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2])
    down = 0.5 * (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1])
    cut = (0.25 / torch.sqrt(across * across + down * down + 1e-8)).clamp_max(1.0)
    across, down = across * cut, down * cut
    across, down = across - box_mean(across, radius), down - box_mean(down, radius)
    xx, yy, xy = box_mean(across * across, radius), box_mean(down * down, radius), box_mean(across * down, radius)
    one_way = torch.sqrt((xx - yy) ** 2 + 4.0 * xy * xy + 1e-12)
    size = 2 * reach + 1
    opened = F.max_pool2d(-F.max_pool2d(-one_way, size, 1, reach), size, 1, reach)
    return torch.sqrt(box_mean(opened, reach))


def _logits(likelihood: Tensor, classes: int) -> Tensor:
    """[B, classes, H, W] of [B, 1, H, W] in [0, 1]: the second class as likely as this, else the first."""
    half = SURE * (likelihood - 0.5)
    never = torch.full_like(half, NEVER)
    return torch.cat([-half, half, never.expand(-1, classes - 2, -1, -1)], dim=1)
