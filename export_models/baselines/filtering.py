"""Image filters shared by the closed-form models.

Every function exports to ONNX with dynamic batch, height and width. Expensive steps run on a grid of fixed size:
``to_grid`` and ``from_grid`` resample an image to the grid and back with two small matrices, without aliasing at any
ratio. ``guided_from_grid`` also aligns the result with the edges of the image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

LUMINANCE_WEIGHTS = (0.2126, 0.7152, 0.0722)
"""Weights of linear red, green and blue in luminance (Rec. ITU-R BT.709)."""
MINKOWSKI_DEGREE = 6.0
"""Degree of the Minkowski mean in shades of grey (Finlayson and Trezzi 2004)."""
FRAME_MARGIN = 0.04
"""Margin around the content, as a share of its size. It keeps a piece on a plain white background off the border of
the frame. Not tuned."""
VISIBLE_STEP = 0.5 / 255.0
"""Smallest change between neighbouring sRGB values that counts as image content: half an 8-bit step."""


def linear_from_srgb(image: Tensor) -> Tensor:
    """Convert sRGB in [0, 1] to linear light (IEC 61966-2-1). Any shape."""
    image = image.clamp(0.0, 1.0)
    return torch.where(image <= 0.04045, image / 12.92, ((image.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def luminance(linear: Tensor) -> Tensor:
    """Return the luminance [B, 1, H, W] of linear RGB [B, 3, H, W]."""
    red, green, blue = linear.chunk(3, dim=1)
    return red * LUMINANCE_WEIGHTS[0] + green * LUMINANCE_WEIGHTS[1] + blue * LUMINANCE_WEIGHTS[2]


def shades_of_grey(linear: Tensor, share: float) -> Tensor:
    """Estimate the colour of the light as the Minkowski mean of the image (Finlayson and Trezzi 2004).

    Args:
        linear: [B, 3, h, w] linear RGB.
        share: confidence in the estimate, in [0, 1]. At 0 the light is neutral; at 1 the mean colour of the image is
            attributed to the light alone.

    Returns:
        [B, 3, 1, 1] linear RGB with a luminance of about 1.
    """
    mean = (linear.clamp_min(1e-4) ** MINKOWSKI_DEGREE).mean(dim=(2, 3), keepdim=True) ** (1.0 / MINKOWSKI_DEGREE)
    return (mean / luminance(mean)) ** share


def content_mask(image: Tensor) -> Tensor:
    """Return [B, 1, H, W]: 1 on the image content, 0 on black bars that letterboxing added around it.

    A row or column is a bar if all of its pixels are darker than one 8-bit step. An entirely black image counts as
    content.
    """
    bright = (image.amax(dim=1, keepdim=True) > 1.0 / 255.0).to(image.dtype)
    mask = bright.amax(dim=3, keepdim=True) * bright.amax(dim=2, keepdim=True)
    all_black = 1.0 - mask.amax(dim=(2, 3), keepdim=True)
    return torch.maximum(mask, all_black)


def content_frame(image: Tensor) -> Tensor:
    """Find the content of an image: the image without the border that letterboxing adds.

    Border rows and columns are not content if each equals its neighbour.

    Args:
        image: [B, 3, H, W].

    Returns:
        [B, 4]: top, bottom, left and right in pixels, with a margin. The whole image if it has a single colour.
    """
    row_changes = (image[:, :, 1:] - image[:, :, :-1]).abs().amax(dim=(1, 3))
    column_changes = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().amax(dim=(1, 2))
    return torch.stack([*_changing_range(row_changes), *_changing_range(column_changes)], dim=1)


def _changing_range(change: Tensor) -> tuple[Tensor, Tensor]:
    """Return [B] start and [B] stop of the range with visible changes, with a margin. Without changes, it is
    the whole length.

    ``change`` [B, n - 1] is the difference between neighbouring rows or columns.
    """
    visible = (change > VISIBLE_STEP).to(change.dtype)
    position = torch.cumsum(torch.ones_like(change[:1]), dim=1)  # index of the second of the two neighbours
    length = position.amax() + 1.0
    any_visible = visible.amax(dim=1)
    start = (length - ((length - position) * visible).amax(dim=1) - 1.0) * any_visible
    stop = length + ((position * visible).amax(dim=1) + 1.0 - length) * any_visible
    margin = FRAME_MARGIN * (stop - start)
    return (start - margin).clamp_min(0.0), torch.minimum(stop + margin, length)


def _cell_centers(length: int, like: Tensor) -> Tensor:
    return torch.arange(length, device=like.device, dtype=like.dtype) + 0.5


def _to_grid_matrix(start: Tensor, stop: Tensor, length: int, size: int) -> Tensor:
    """Return [B, 1, size, length] weights of a triangle filter. Its radius is one cell, but at least one pixel."""
    step = ((stop - start) / size)[:, None]
    cells = start[:, None] + _cell_centers(size, start) * step
    distance = (cells[:, :, None] - _cell_centers(length, start)).abs() / step.clamp_min(1.0)[:, :, None]
    weights = (1.0 - distance).clamp_min(0.0)
    return (weights / weights.sum(dim=2, keepdim=True).clamp_min(1e-6)).unsqueeze(1)


def _from_grid_matrix(start: Tensor, stop: Tensor, length: int, size: int) -> Tensor:
    """Return [B, 1, length, size] bilinear weights; pixels outside the frame take the outermost cell."""
    position = (_cell_centers(length, start) - start[:, None]) / (stop - start)[:, None] * size
    distance = position.clamp(0.5, size - 0.5)[:, :, None] - _cell_centers(size, start)
    return (1.0 - distance.abs()).clamp_min(0.0).unsqueeze(1)


def to_grid(values: Tensor, size: int, frame: Tensor | None = None) -> Tensor:
    """Resample [B, C, H, W], or its part inside ``frame`` [B, 4], to [B, C, size, size] without aliasing."""
    height, width = values.shape[2], values.shape[3]
    if frame is None:
        zero = torch.zeros_like(values[:1, 0, 0, 0])
        top, bottom, left, right = zero, zero + height, zero, zero + width
    else:
        top, bottom, left, right = frame.unbind(dim=1)
    rows = _to_grid_matrix(top, bottom, height, size)
    columns = _to_grid_matrix(left, right, width, size)
    return rows @ (values @ columns.transpose(2, 3))


def from_grid(values: Tensor, frame: Tensor, like: Tensor) -> Tensor:
    """Resample [B, C, n, n] into ``frame`` [B, 4] of an image with the height and width of ``like``."""
    top, bottom, left, right = frame.unbind(dim=1)
    size = values.shape[2]
    rows = _from_grid_matrix(top, bottom, like.shape[2], size)
    columns = _from_grid_matrix(left, right, like.shape[3], size)
    return rows @ (values @ columns.transpose(2, 3))


def pixel_positions(like: Tensor) -> Tensor:
    """Return [B, 2, H, W]: row and column of each pixel, as shares of the height and the width."""
    batch, _, height, width = like.shape
    row = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    column = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    grid = torch.stack([row[:, None].expand(height, width), column[None, :].expand(height, width)])
    return grid.expand(batch, 2, height, width)


def similarity_weights(queries: Tensor, keys: Tensor) -> Tensor:
    """Return Gaussian kernel weights of the keys for each query (Nadaraya–Watson regression); each row sums to 1.

    Args:
        queries: [B, F, h, w] features, scaled so that a difference of 1 is one sigma.
        keys: [B, F, n, m].

    Returns:
        [B, h w, n m].
    """
    center = keys.mean(dim=(2, 3), keepdim=True)  # small numbers keep the squares below accurate
    centered_queries = (queries - center).flatten(2).transpose(1, 2)
    centered_keys = (keys - center).flatten(2)
    # -|q - k|² / 2 without |q|², which is the same for all keys of a query and cancels in the softmax.
    scores = centered_queries @ centered_keys - 0.5 * (centered_keys * centered_keys).sum(dim=1, keepdim=True)
    return torch.softmax(scores, dim=2)


def box_mean(values: Tensor, radius: int) -> Tensor:
    """Average [B, C, H, W] over windows of (2 radius + 1)², cropped at the border. The cost is linear in ``radius``."""
    size = 2 * radius + 1
    rows = F.avg_pool2d(values, (size, 1), stride=1, padding=(radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, size), stride=1, padding=(0, radius), count_include_pad=False)


def smooth(values: Tensor, radius: int) -> Tensor:
    """Approximate a Gaussian blur of sigma √(radius² + radius) by three box means (Wells 1986)."""
    return box_mean(box_mean(box_mean(values, radius), radius), radius)


def guided_fit(guide: Tensor, values: Tensor, radius: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Fit ``values`` locally as slope × guide + offset (He, Sun and Tang: Guided Image Filtering, 2013).

    Args:
        guide: [B, 1, H, W].
        values: [B, C, H, W].
        radius: radius of the window.
        epsilon: variance of the guide below which a window counts as flat.

    Returns:
        Slope and offset, [B, C, H, W] each, averaged over the windows that contain a pixel.
    """
    guide_mean, value_mean = box_mean(guide, radius), box_mean(values, radius)
    variance = (box_mean(guide * guide, radius) - guide_mean * guide_mean).clamp_min(0.0)
    covariance = box_mean(guide * values, radius) - guide_mean * value_mean
    slope = covariance / (variance + epsilon)
    offset = value_mean - slope * guide_mean
    return box_mean(slope, radius), box_mean(offset, radius)


def guided_filter(guide: Tensor, values: Tensor, radius: int, epsilon: float) -> Tensor:
    """Smooth ``values`` while preserving the edges of ``guide``. Shapes as in ``guided_fit``."""
    slope, offset = guided_fit(guide, values, radius, epsilon)
    return slope * guide + offset


def guided_from_grid(
    values: Tensor, guide_grid: Tensor, guide: Tensor, frame: Tensor, radius: int, epsilon: float
) -> Tensor:
    """Resample like ``from_grid``, but along the edges of ``guide`` (He and Sun: Fast Guided Filter, 2015).

    Args:
        values: [B, C, n, n].
        guide_grid: [B, 1, n, n], the guide on the grid of ``values``.
        guide: [B, 1, H, W].
        frame: [B, 4], position of the grid in ``guide``.
        radius: radius of the window, in cells of the grid.
        epsilon: variance of the guide below which a window counts as flat.
    """
    slope, offset = guided_fit(guide_grid, values, radius, epsilon)
    return from_grid(slope, frame, guide) * guide + from_grid(offset, frame, guide)
