"""Version 2: one network that has learned furniture, and the three models that are cut from it.

It looks at the picture at a working size (``WORKING_SIDE``), whatever size comes in, so that a piece is as large for it
as those it learned from. Encoder: ``efficientnet_lite``. Decoder: a U-Net (Ronneberger et al. 2015) of separable
convolutions, with pyramid pooling at the bottom (Zhao et al. 2017) that tells each place what the whole is like.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.baselines import intrinsic_decomposition
from export_models.baselines.filtering import guided_fit, linear_from_srgb, luminance
from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.networks.efficientnet_lite import LEVELS, Encoder, batch_norm

WORKING_SIDE = 256
"""Longer side in pixels at which the network looks; a multiple of 32."""
HEADS = {
    "component": len(COMPONENTS),
    "material": len(MATERIALS),
    "shading": 3,  # log of linear light, per channel
    "normal": 3,
    "roughness": 1,
    "ambient_occlusion": 1,
    "depth": 1,  # log of metres, up to a constant
}
DECODER = (192, 128, 96, 64)
"""Channels at 1/16, 1/8, 1/4 and 1/2 of the working size."""
KERNELS = (5, 5, 3, 3)
"""Sides of the filters there: wide ones where the picture is large would take half of the time of learning."""
POOLS = (1, 3, 6)
HEAD_CHANNELS = 48
CLASSES, DROPPED = ("component", "material"), 0.1
"""Heads that learn their pictures by heart, and the share of channels that they do without while learning (spatial
dropout, Tompson et al. 2015)."""
LEAST_LIGHT, DARK = 1e-4, 0.01
RADIUS, EPSILON = 1, 0.005
"""Of the guided filter: cells of half the working size, and the variance of log luminance that counts as flat."""


class Separable(nn.Sequential):
    """Filter each channel, then mix them."""

    def __init__(self, inside: int, outside: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(inside, inside, kernel, 1, kernel // 2, groups=inside, bias=False),
            nn.Conv2d(inside, outside, 1, bias=False),
            batch_norm(outside),
            nn.ReLU(),
        )


class PyramidPooling(nn.Module):
    """What the picture is like as a whole, in ninths and in thirty-sixths, told to each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        each = channels // 4
        self.squeeze = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, each, 1), nn.ReLU()) for _ in POOLS)
        self.mix = Separable(channels + each * len(POOLS), channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[-2:]
        pooled = [
            F.interpolate(squeeze(pool(features, count)), size=size, mode="bilinear", align_corners=False)
            for squeeze, count in zip(self.squeeze, POOLS, strict=True)
        ]
        mixed: Tensor = self.mix(torch.cat([features, *pooled], dim=1))
        return mixed


def pool(features: Tensor, count: int) -> Tensor:
    """Means over ``count`` × ``count`` tiles; resampled first, as tiles of any size do not export."""
    if count == 1:
        return features.mean((2, 3), keepdim=True)
    fine = F.interpolate(features, size=(4 * count, 4 * count), mode="bilinear", align_corners=False)
    return F.avg_pool2d(fine, 4)


class FurnitureNetwork(nn.Module):
    """All heads on one trunk, at the size that comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        channels = list(LEVELS.values())
        self.context = PyramidPooling(channels[-1])
        inside, steps = channels[-1], []
        for skip, outside, kernel in zip(reversed(channels[:-1]), DECODER, KERNELS, strict=True):
            steps.append(nn.Sequential(Separable(inside + skip, outside, kernel), Separable(outside, outside, kernel)))
            inside = outside
        self.steps = nn.ModuleList(steps)
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(Separable(inside, HEAD_CHANNELS, 3), nn.Conv2d(HEAD_CHANNELS, count, 1))
                for name, count in HEADS.items()
            }
        )

    def forward(self, image: Tensor, heads: tuple[str, ...] = tuple(HEADS)) -> dict[str, Tensor]:
        """Return the raw values of each head, [B, C, H / 2, W / 2].

        Args:
            image: [B, 3, H, W] sRGB in [0, 1]; H and W multiples of 32.
        """
        features = self.encoder(image)
        up = self.context(features[-1])
        for step, skip in zip(self.steps, reversed(features[:-1]), strict=True):
            up = F.interpolate(up, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            up = step(torch.cat([up, skip], dim=1))
        spared = F.dropout2d(up, DROPPED, self.training)
        return {name: self.heads[name](spared if name in CLASSES else up) for name in heads}


class Served(nn.Module):
    """What the served models share: the network at its working size, and its answers at the picture's."""

    heads: tuple[str, ...]
    full_precision = False
    """Whether FP16 is too little for it."""

    def __init__(self, network: FurnitureNetwork | None = None) -> None:
        super().__init__()
        self.network = network or FurnitureNetwork()
        for name in [name for name in self.network.heads if name not in self.heads]:
            del self.network.heads[name]

    def seen(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The picture at the size of the answers, and the answers, [B, C, h, w]."""
        working = at_working_size(image)
        return F.avg_pool2d(working, 2), self.network(working, self.heads)


class Segmentation(Served):
    """Which part and which material each pixel is."""

    heads = CLASSES

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Classify each pixel. The network looks twice, also in a mirror, and what it says is the mean.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            component [B, 13, H, W] logits over COMPONENTS and material [B, 9, H, W] logits over MATERIALS.
        """
        working = at_working_size(image)
        seen, mirrored = (self.network(one, CLASSES) for one in (working, working.flip(-1)))
        component, material = (
            enlarged(F.log_softmax(seen[name], 1) + F.log_softmax(mirrored[name].flip(-1), 1), image) / 2
            for name in CLASSES
        )
        return component, material


class IntrinsicDecomposition(Served):
    """Colour apart from light, as network and version 1 say it together: the mean of the logarithms of their light.

    The formula knows that what has one colour all over a piece is of one albedo, which a small network does not see,
    and the network knows furniture in rooms. Their errors differ: the mean is better than either.
    """

    heads = ("shading",)
    full_precision = True  # for the formula's sake

    def __init__(self, network: FurnitureNetwork | None = None) -> None:
        super().__init__(network)
        self.formula = intrinsic_decomposition.IntrinsicDecomposition()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Split the picture into albedo and shading.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            albedo [B, 3, H, W] linear RGB in [0, 1] and shading [B, 3, H, W] linear RGB, > 0; their product is the
            linear picture. Light is smooth but for edges that the picture has too (He and Sun 2015, fast guided
            filter), so that fine grain goes to the albedo.
        """
        small, found = self.seen(image)
        linear = linear_from_srgb(image)
        _, by_formula = self.formula(image)
        together = (log_light(linear, linear_from_srgb(small), found["shading"]) + torch.log(by_formula)) / 2
        shading = torch.maximum(torch.exp(together), linear).clamp_min(LEAST_LIGHT)
        return linear / shading, shading


class SurfaceEstimation(Served):
    """The shape of what is seen and how rough it is."""

    heads = ("normal", "roughness", "ambient_occlusion", "depth")

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Estimate the surface.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            normal [B, 3, H, W] unit, camera space (+X right, +Y up, +Z to the camera); roughness and
            ambient_occlusion [B, 1, H, W] in [0, 1], 1 is rough and open; depth [B, 1, H, W] > 0, up to scale.
        """
        _, found = self.seen(image)
        normal = unit(enlarged(found["normal"], image))
        roughness, open_share = (
            torch.sigmoid(enlarged(found[name], image)) for name in ("roughness", "ambient_occlusion")
        )
        return normal, roughness, open_share, torch.exp(enlarged(found["depth"], image))


def unit(vectors: Tensor) -> Tensor:
    """[B, 3, H, W] of length 1."""
    return vectors / torch.sqrt((vectors * vectors).sum(1, keepdim=True) + 1e-8)


def log_light(linear: Tensor, small: Tensor, found: Tensor) -> Tensor:
    """[B, 3, H, W] the light ``found`` [B, 3, h, w] along the edges of the picture ``linear``, at [h, w] ``small``."""
    slope, offset = guided_fit(log_luminance(small), found, RADIUS, EPSILON)
    return enlarged(slope, linear) * log_luminance(linear) + enlarged(offset, linear)


def log_luminance(linear: Tensor) -> Tensor:
    return torch.log(luminance(linear) + DARK)


def enlarged(values: Tensor, image: Tensor) -> Tensor:
    """``values`` at the size of ``image``."""
    return F.interpolate(values, size=image.shape[-2:], mode="bilinear", align_corners=False)


def at_working_size(image: Tensor) -> Tensor:
    """[B, 3, h, w] the picture with its longer side at WORKING_SIDE, the other a multiple of 32.

    It is made twice as large and halved, which takes the place of the low-pass filter that ``interpolate`` lacks.
    """
    height: Any = image.shape[-2]
    width: Any = image.shape[-1]
    tracing = isinstance(height, Tensor)  # then sizes must stay free
    longer = torch.maximum(height, width) if tracing else max(height, width)
    sides = [2 * 32 * ((side * (WORKING_SIDE // 32) + longer - 1) // longer) for side in (height, width)]
    double = F.interpolate(image, size=sides, mode="bilinear", align_corners=False)
    return F.avg_pool2d(double, 2)
