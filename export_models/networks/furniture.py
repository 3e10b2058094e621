"""The network of version 2: one encoder and decoder with eight heads, trained on rendered furniture.

The encoder is ``efficientnet_lite``. The decoder is a U-Net (Ronneberger et al. 2015) of separable convolutions, with
pyramid pooling at the bottom (Zhao et al. 2017) that gives each position information about the whole image. The models
that Triton serves (``served_models``) use this network with a subset of its heads.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.baselines.filtering import linear_from_srgb
from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.networks.efficientnet_lite import OUTPUT_CHANNELS, Encoder, batch_norm
from export_models.networks.shading import CLASS_HEADS, INPUT_HEADS, LIKENESS_CHANNELS, SharedAlbedo

HEADS = {
    "component": len(COMPONENTS),  # logits
    "material": len(MATERIALS),  # logits
    "shading": 3,  # initial estimate of the log of linear shading, per channel
    "normal": 3,  # of any length
    "roughness": 1,  # logit
    "ambient_occlusion": 1,  # logit
    "depth": 1,  # log of metres, up to a constant
    "likeness": LIKENESS_CHANNELS,  # see ``SharedAlbedo``
}
"""Number of channels of each head."""
LIGHT = "light"
"""Name of the refined log shading, which ``SharedAlbedo`` computes from other heads."""
DECODER_CHANNELS = (192, 128, 96, 64)
"""Channels of the decoder at 1/16, 1/8, 1/4 and 1/2 of the image."""
DECODER_KERNELS = (5, 5, 3, 3)
"""Kernel sizes of the decoder at these resolutions. Kernels of 5 at the two finest resolutions would take half of the
training time."""
POOLING_TILES = (1, 3, 6)
"""Tiles per side of the three pooling levels."""
HEAD_CHANNELS = 48
"""Channels before the last layer of each head."""
CLASS_HEAD_DROPOUT = 0.1
"""Share of the channels that spatial dropout (Tompson et al. 2015) removes in front of the class heads during training.
Without it, these heads memorise the training images. Together with new images it raised the IoU of wood on the 64
validation images from 0.60 to 0.62, and that of parts from 0.44 to 0.47."""


class Separable(nn.Sequential):
    """Depthwise convolution, pointwise convolution, batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, in_channels, kernel, 1, kernel // 2, groups=in_channels, bias=False),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            batch_norm(out_channels),
            nn.ReLU(),
        )


class PyramidPooling(nn.Module):
    """Adds to each position the means over the image and over 3 × 3 and 6 × 6 tiles of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        level_channels = channels // 4
        self.squeeze = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, level_channels, 1), nn.ReLU()) for _ in POOLING_TILES
        )
        self.mix = Separable(channels + level_channels * len(POOLING_TILES), channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[-2:]
        levels = [
            F.interpolate(squeeze(tile_means(features, tiles)), size=size, mode="bilinear", align_corners=False)
            for squeeze, tiles in zip(self.squeeze, POOLING_TILES, strict=True)
        ]
        mixed: Tensor = self.mix(torch.cat([features, *levels], dim=1))
        return mixed


def tile_means(features: Tensor, tiles: int) -> Tensor:
    """Average over ``tiles`` × ``tiles`` tiles, after resampling: pooling of dynamic size does not export to ONNX."""
    if tiles == 1:
        return features.mean((2, 3), keepdim=True)
    resampled = F.interpolate(features, size=(4 * tiles, 4 * tiles), mode="bilinear", align_corners=False)
    return F.avg_pool2d(resampled, 4)


def required_heads(outputs: Collection[str]) -> list[str]:
    """Return the heads of HEADS that ``outputs`` need. ``outputs`` are heads or LIGHT."""
    return [name for name in HEADS if name in outputs or (name in INPUT_HEADS and LIGHT in outputs)]


class FurnitureNetwork(nn.Module):
    """Predicts all heads at half the size of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        channels = list(OUTPUT_CHANNELS.values())
        self.context = PyramidPooling(channels[-1])
        in_channels, steps = channels[-1], []
        for skip, out_channels, kernel in zip(reversed(channels[:-1]), DECODER_CHANNELS, DECODER_KERNELS, strict=True):
            merge = Separable(in_channels + skip, out_channels, kernel)
            steps.append(nn.Sequential(merge, Separable(out_channels, out_channels, kernel)))
            in_channels = out_channels
        self.steps = nn.ModuleList(steps)
        self.shared_albedo = SharedAlbedo()
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(Separable(in_channels, HEAD_CHANNELS, 3), nn.Conv2d(HEAD_CHANNELS, count, 1))
                for name, count in HEADS.items()
            }
        )

    def forward(self, image: Tensor, outputs: Collection[str] = (*HEADS, LIGHT)) -> dict[str, Tensor]:
        """Return the raw values [B, C, H / 2, W / 2] of each output.

        Args:
            image: [B, 3, H, W] sRGB in [0, 1]; H and W multiples of 32.
            outputs: names of HEADS, or LIGHT: the log of linear shading [B, 3, H / 2, W / 2] from ``SharedAlbedo``.
        """
        features = self.encoder(image)
        decoded = self.context(features[-1])
        for step, skip in zip(self.steps, reversed(features[:-1]), strict=True):
            decoded = F.interpolate(decoded, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            decoded = step(torch.cat([decoded, skip], dim=1))
        dropped = F.dropout2d(decoded, CLASS_HEAD_DROPOUT, self.training)
        predictions = {
            name: self.heads[name](dropped if name in CLASS_HEADS else decoded) for name in required_heads(outputs)
        }
        if LIGHT in outputs:
            # ``SharedAlbedo`` computes differences of squares, which need full precision.
            with torch.autocast(image.device.type, enabled=False):
                full_precision = {name: predictions[name].float() for name in INPUT_HEADS}
                predictions[LIGHT] = self.shared_albedo(linear_from_srgb(F.avg_pool2d(image, 2)), full_precision)
        return {name: predictions[name] for name in outputs}
