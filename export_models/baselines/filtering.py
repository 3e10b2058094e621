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
MINKOWSKI = 6.0
FRAME_MARGIN = 0.04
"""Share of the picture that is left around it: a piece cut out on white is not to touch the frame."""


def linear_from_srgb(image: Tensor) -> Tensor:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1). Any shape."""
    image = image.clamp(0.0, 1.0)
    return torch.where(image <= 0.04045, image / 12.92, ((image.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def luminance(linear: Tensor) -> Tensor:
    """[B, 1, H, W] of linear RGB [B, 3, H, W]."""
    red, green, blue = linear.chunk(3, dim=1)
    return red * LUMINANCE[0] + green * LUMINANCE[1] + blue * LUMINANCE[2]


def shades_of_grey(linear: Tensor, share: float) -> Tensor:
    """Colour of the light by the Minkowski mean of degree 6 (Finlayson, Trezzi 2004).

    Args:
        linear: [B, 3, h, w] linear RGB.
        share: how far to believe it, in [0, 1]; the picture's things have colours of their own.

    Returns:
        [B, 3, 1, 1], of luminance about 1.
    """
    mean = (linear.clamp_min(1e-4) ** MINKOWSKI).mean(dim=(2, 3), keepdim=True) ** (1.0 / MINKOWSKI)
    return (mean / luminance(mean)) ** share


def picture_mask(image: Tensor) -> Tensor:
    """[B, 1, H, W]: 1 on the picture, 0 on black bars that letterboxing added around it.

    A row or column is a bar when all of it is darker than one 8-bit step. A picture that is black altogether
    counts as picture.
    """
    bright = (image.amax(dim=1, keepdim=True) > 1.0 / 255.0).to(image.dtype)
    mask = bright.amax(dim=3, keepdim=True) * bright.amax(dim=2, keepdim=True)
    nothing = 1.0 - mask.amax(dim=(2, 3), keepdim=True)
    return torch.maximum(mask, nothing)


def picture_frame(image: Tensor) -> Tensor:
    """Where the picture is, without border rows and columns that only repeat, as letterboxing adds them.

    Args:
        image: [B, 3, H, W].

    Returns:
        [B, 4]: top, bottom, left, right in pixels, with a margin. All of it where nothing changes.
    """
    rows = (image[:, :, 1:] - image[:, :, :-1]).abs().amax(dim=(1, 3))
    columns = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().amax(dim=(1, 2))
    return torch.stack([*_extent(rows), *_extent(columns)], dim=1)


def _extent(change: Tensor) -> tuple[Tensor, Tensor]:
    """[B] start and [B] stop of what changes by a visible step; ``change`` [B, n - 1] is between neighbours."""
    changes = (change > 0.5 / 255.0).to(change.dtype)
    position = torch.cumsum(torch.ones_like(change[:1]), dim=1)  # of the second of both neighbours
    length = position.amax() + 1.0
    some = changes.amax(dim=1)
    start = (length - ((length - position) * changes).amax(dim=1) - 1.0) * some
    stop = length + ((position * changes).amax(dim=1) + 1.0 - length) * some
    margin = FRAME_MARGIN * (stop - start)
    return (start - margin).clamp_min(0.0), torch.minimum(stop + margin, length)


def _centres(length: int, like: Tensor) -> Tensor:
    return torch.arange(length, device=like.device, dtype=like.dtype) + 0.5


def _to_grid_matrix(start: Tensor, stop: Tensor, length: int, size: int) -> Tensor:
    """[B, 1, size, length] weights: a triangle as wide as a cell, or bilinear where the grid is finer."""
    step = ((stop - start) / size)[:, None]
    cells = start[:, None] + _centres(size, start) * step
    distance = (cells[:, :, None] - _centres(length, start)).abs() / step.clamp_min(1.0)[:, :, None]
    weights = (1.0 - distance).clamp_min(0.0)
    return (weights / weights.sum(dim=2, keepdim=True).clamp_min(1e-6)).unsqueeze(1)


def _from_grid_matrix(start: Tensor, stop: Tensor, length: int, size: int) -> Tensor:
    """[B, 1, length, size] bilinear weights; beyond the frame the outermost cell goes on."""
    place = (_centres(length, start) - start[:, None]) / (stop - start)[:, None] * size
    distance = place.clamp(0.5, size - 0.5)[:, :, None] - _centres(size, start)
    return (1.0 - distance.abs()).clamp_min(0.0).unsqueeze(1)


def to_grid(values: Tensor, size: int, frame: Tensor | None = None) -> Tensor:
    """Resample what is in the frame [B, 4] of [B, C, H, W], or all of it, to [B, C, size, size] without aliasing."""
    height, width = values.shape[2], values.shape[3]
    if frame is None:
        zero = torch.zeros_like(values[:1, 0, 0, 0])
        top, bottom, left, right = zero, zero + height, zero, zero + width
    else:
        top, bottom, left, right = frame.unbind(dim=1)
    down = _to_grid_matrix(top, bottom, height, size)
    across = _to_grid_matrix(left, right, width, size)
    return down @ (values @ across.transpose(2, 3))


def from_grid(values: Tensor, frame: Tensor, like: Tensor) -> Tensor:
    """Bring [B, C, n, n] back to the height and width of ``like``, into the frame that it was taken from."""
    top, bottom, left, right = frame.unbind(dim=1)
    size = values.shape[2]
    down = _from_grid_matrix(top, bottom, like.shape[2], size)
    across = _from_grid_matrix(left, right, like.shape[3], size)
    return down @ (values @ across.transpose(2, 3))


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


def guided_from_grid(
    values: Tensor, guide_grid: Tensor, guide: Tensor, frame: Tensor, radius: int, epsilon: float
) -> Tensor:
    """``from_grid`` along the edges of ``guide`` (He, Sun: Fast Guided Filter, 2015).

    Args:
        values: [B, C, n, n].
        guide_grid: [B, 1, n, n], the guide on the grid of ``values``.
        guide: [B, 1, H, W].
        frame: [B, 4], where the grid lies in ``guide``.
    """
    slope, offset = guided_fit(guide_grid, values, radius, epsilon)
    return from_grid(slope, frame, guide) * guide + from_grid(offset, frame, guide)
