"""Reads photos and masks as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from orchestrator.tools.nerf_child.cameras import Cameras

MIN_COVERAGE = 0.01
"""Minimum coverage of a pixel to compute the piece's own colour in it."""


@dataclass(frozen=True)
class Photos:
    """Photos with masks and cameras. Colours at the edge of the piece contain no background."""

    colors: tuple[Tensor, ...]  # [H, W, 3] float32 sRGB in [0, 1] each
    masks: tuple[Tensor, ...]  # [H, W] float32 each, the share of the pixel that the piece covers
    cameras: Cameras


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
        channels = channels[0].permute(1, 2, 0).to(device)
        masked_color, plain_color, small_coverage = channels[..., :3], channels[..., 3:6], channels[..., 6]
        piece_color = masked_color / small_coverage[..., None].clamp_min(1e-4)
        colors.append(torch.where(small_coverage[..., None] > MIN_COVERAGE, piece_color, plain_color))
        coverages.append(small_coverage)
    sizes = torch.tensor([mask.shape[::-1] for mask in coverages], dtype=torch.float32, device=device)
    return Photos(tuple(colors), tuple(coverages), cameras.resized(sizes))
