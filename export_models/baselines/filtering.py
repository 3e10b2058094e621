"""Filters that the closed-form models share: all exportable to ONNX with dynamic batch, height and width.

Costly steps run on a grid of fixed size. A picture is brought to the grid and back by two small matrices, which
resample without aliasing at any ratio, and results come back along the picture's edges by a guided filter.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Of linear sRGB (Rec. ITU-R BT.709)."""


def linear_from_srgb(image: Tensor) -> Tensor:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1). Any shape."""
    image = image.clamp(0.0, 1.0)
    return torch.where(image <= 0.04045, image / 12.92, ((image.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def luminance(linear: Tensor) -> Tensor:
    """[B, 1, H, W] of linear RGB [B, 3, H, W]."""
    red, green, blue = linear.split(1, dim=1)
    return red * LUMINANCE[0] + green * LUMINANCE[1] + blue * LUMINANCE[2]


def picture_mask(image: Tensor) -> Tensor:
    """[B, 1, H, W]: 1 on the picture, 0 on black bars that letterboxing added around it.

    A row or column is a bar when all of it is darker than one 8-bit step. A picture that is black altogether
    counts as picture.
    """
    bright = (image.amax(dim=1, keepdim=True) > 1.0 / 255.0).to(image.dtype)
    mask = bright.amax(dim=3, keepdim=True) * bright.amax(dim=2, keepdim=True)
    nothing = 1.0 - mask.amax(dim=(2, 3), keepdim=True)
    return torch.maximum(mask, nothing)


def _weights(positions: Tensor, source: Tensor, width: Tensor) -> Tensor:
    """[n, m] triangle weights of ``source`` centres for ``positions``; each row sums to 1."""
    weights = (1.0 - (positions[:, None] - source[None, :]).abs() / width).clamp_min(0.0)
    return weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-6)


def _to_grid_matrix(length: int, size: int, like: Tensor) -> Tensor:
    """[size, length] weights: a triangle as wide as a cell, or bilinear where the grid is finer."""
    source = torch.arange(length, device=like.device, dtype=like.dtype) + 0.5
    cells = torch.arange(size, device=like.device, dtype=like.dtype) + 0.5
    step = (torch.ones_like(like[0, 0, 0, 0]) * length) / size
    return _weights(cells * step, source, step.clamp_min(1.0))


def to_grid(values: Tensor, rows: int, columns: int) -> Tensor:
    """Resample [B, C, H, W] to [B, C, rows, columns] without aliasing."""
    down = _to_grid_matrix(values.shape[2], rows, values)
    across = _to_grid_matrix(values.shape[3], columns, values)
    return down @ (values @ across.transpose(0, 1))


def enlarge(values: Tensor, like: Tensor) -> Tensor:
    """Bilinear resize of [B, C, h, w] to the height and width of ``like``."""
    return F.interpolate(values, size=(like.shape[2], like.shape[3]), mode="bilinear", align_corners=False)


def places(like: Tensor) -> Tensor:
    """[B, 2, H, W]: row and column of each pixel, in [0, 1]."""
    batch, _, height, width = like.shape
    row = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    column = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    grid = torch.stack([row[:, None].expand(height, width), column[None, :].expand(height, width)])
    return grid.expand(batch, 2, height, width)


def likeness(queries: Tensor, keys: Tensor) -> Tensor:
    """Gaussian kernel weights of the keys for each query; each row sums to 1 (Nadaraya–Watson regression).

    Args:
        queries: [B, F, h, w] features, scaled so that a difference of 1 is one sigma.
        keys: [B, F, n, m].

    Returns:
        [B, h w, n m].
    """
    centre = keys.mean(dim=(2, 3), keepdim=True)  # small numbers keep the squares below exact enough
    one = (queries - centre).flatten(2).transpose(1, 2)
    other = (keys - centre).flatten(2)
    # |q - k|² without |q|², which all keys of a query share.
    return torch.softmax(one @ other - 0.5 * (other * other).sum(dim=1, keepdim=True), dim=2)


def box_mean(values: Tensor, radius: int) -> Tensor:
    """Mean over (2 radius + 1)² windows, cut off at the picture's border. [B, C, H, W]; linear in time."""
    size = 2 * radius + 1
    rows = F.avg_pool2d(values, (size, 1), stride=1, padding=(radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, size), stride=1, padding=(0, radius), count_include_pad=False)


def smooth(values: Tensor, radius: int) -> Tensor:
    """About a Gaussian of sigma 1.4 radius: three box means (Wells 1986)."""
    return box_mean(box_mean(box_mean(values, radius), radius), radius)


def guided_fit(guide: Tensor, values: Tensor, radius: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Explain ``values`` locally as slope × guide + offset (He, Sun, Tang: Guided Image Filtering, 2013).

    Args:
        guide: [B, 1, H, W].
        values: [B, C, H, W].
        radius: half the window.
        epsilon: variance of the guide that counts as flat.

    Returns:
        slope and offset, [B, C, H, W] each, averaged over the windows that hold a pixel.
    """
    guide_mean, value_mean = box_mean(guide, radius), box_mean(values, radius)
    variance = (box_mean(guide * guide, radius) - guide_mean * guide_mean).clamp_min(0.0)
    covariance = box_mean(guide * values, radius) - guide_mean * value_mean
    slope = covariance / (variance + epsilon)
    offset = value_mean - slope * guide_mean
    return box_mean(slope, radius), box_mean(offset, radius)


def guided_filter(guide: Tensor, values: Tensor, radius: int, epsilon: float) -> Tensor:
    """``values`` smoothed along the edges of ``guide``. Shapes as for ``guided_fit``."""
    slope, offset = guided_fit(guide, values, radius, epsilon)
    return slope * guide + offset


def guided_enlarge(values: Tensor, guide_grid: Tensor, guide: Tensor, radius: int, epsilon: float) -> Tensor:
    """Bring [B, C, h, w] to the size of ``guide`` along its edges (He, Sun: Fast Guided Filter, 2015).

    Args:
        guide_grid: [B, 1, h, w], the guide on the grid of ``values``.
        guide: [B, 1, H, W].
    """
    slope, offset = guided_fit(guide_grid, values, radius, epsilon)
    return enlarge(slope, guide) * guide + enlarge(offset, guide)
