"""Version 2: one network that has learned furniture, and the three models that are cut from it.

It looks at the picture at a working size (``WORKING_SIDE``), whatever size comes in, so that a piece is as large for it
as those it learned from. Encoder: ``efficientnet_lite``. Decoder: a U-Net (Ronneberger et al. 2015) of separable
convolutions, with pyramid pooling at the bottom (Zhao et al. 2017) that tells each place what the whole is like.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.baselines.filtering import box_mean, linear_from_srgb, places
from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.networks.efficientnet_lite import LEVELS, Encoder, batch_norm

WORKING_SIDE = 256
"""Longer side in pixels at which the network looks; a multiple of 32."""
LEARNED_LOOKS = 8
HEADS = {
    "component": len(COMPONENTS),
    "material": len(MATERIALS),
    "shading": 3,  # log of linear light, per channel
    "normal": 3,
    "roughness": 1,
    "ambient_occlusion": 1,
    "depth": 1,  # log of metres, up to a constant
    "likeness": LEARNED_LOOKS + 2,  # of ``SharedAlbedo``: looks, how much a place is trusted, how far it is believed
}
LIGHT_NEEDS = ("component", "material", "shading", "likeness")
"""Heads that ``light`` is made of."""
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
KEYS, ROUNDS = 4, 2
"""Albedos are looked up from means of 4 × 4 places of the answers, the second time under the light found first."""
RADIUS, EPSILON = 1, 0.005
"""Of the guided filter: cells of half the working size, and the variance of log colour that counts as flat."""


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


class SharedAlbedo(nn.Module):
    """Light from an albedo that places share which look alike, wherever they are in the picture.

    The prior of version 1 (``baselines.intrinsic_decomposition``), but what is alike is learned: of one part and
    material (Hellinger's distance of their likelihoods), of one colour under the light found so far, near each other,
    and what else the network finds to tell surfaces apart. It is attention (Vaswani et al. 2017) to albedos.
    """

    def __init__(self) -> None:
        super().__init__()
        first = {"component": 1.0, "material": 1.5, "learned": 1.0}
        counts = HEADS | {"learned": LEARNED_LOOKS}
        scales = [scale for name, scale in first.items() for _ in range(counts[name])]
        self.scales = nn.Parameter(torch.tensor([*scales, 2.0, 7.0, 3.5, 1.0, 1.0]))

    def forward(self, linear: Tensor, found: dict[str, Tensor]) -> Tensor:
        """Return the log of the light, [B, 3, h, w].

        Args:
            linear: [B, 3, h, w] the picture at the size of the answers, a multiple of KEYS.
            found: the heads LIGHT_NEEDS, [B, C, h, w] each.
        """
        log_linear, light = torch.log(linear + DARK), found["shading"]
        learned, trust, believed = torch.split(found["likeness"], [LEARNED_LOOKS, 1, 1], dim=1)
        classes = [torch.exp(0.5 * F.log_softmax(found[name], 1)) for name in CLASSES]
        for _ in range(ROUNDS):
            albedo = log_linear - light
            looks = torch.cat([*classes, learned, *opponent(albedo), places(linear)], dim=1)
            looks = looks * self.scales[:, None, None]
            light = light + torch.sigmoid(believed) * (albedo - shared(looks, albedo, trust))
        return light


def shared(looks: Tensor, values: Tensor, trust: Tensor) -> Tensor:
    """Means of ``values`` [B, 3, h, w] over the places that look like each; same shape.

    Args:
        looks: [B, F, h, w], F > 1, scaled so that a difference of 1 is one sigma of a Gaussian.
        trust: [B, 1, h, w] log of what a place weighs beside its likeness.
    """
    looks = looks - looks.mean(dim=(2, 3), keepdim=True)  # small numbers keep the squares exact enough
    keys, key_values, weight = (F.avg_pool2d(one, KEYS) for one in (looks, values, trust))
    weight = weight - 0.5 * (keys * keys).sum(1, keepdim=True)  # |q - k|² without |q|², which all keys of a query share
    asked = F.pad(looks, (0, 0, 0, 0, 0, 1), value=1.0)
    told = F.pad(key_values, (0, 0, 0, 0, 0, looks.shape[1] - 2))  # as wide as the keys, which is fast
    query, key, value = (
        one.flatten(2).transpose(1, 2).unsqueeze(1).contiguous() for one in (asked, torch.cat([keys, weight], 1), told)
    )
    means = F.scaled_dot_product_attention(query, key, value, scale=1.0)
    return means.squeeze(1).transpose(1, 2)[:, :3].reshape(values.shape)


def made_of(heads: Collection[str]) -> list[str]:
    """The heads of HEADS that are needed for ``heads``, which may hold ``light``."""
    return [name for name in HEADS if name in heads or (name in LIGHT_NEEDS and "light" in heads)]


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
        self.shared_albedo = SharedAlbedo()
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(Separable(inside, HEAD_CHANNELS, 3), nn.Conv2d(HEAD_CHANNELS, count, 1))
                for name, count in HEADS.items()
            }
        )

    def forward(self, image: Tensor, heads: Collection[str] = (*HEADS, "light")) -> dict[str, Tensor]:
        """Return the raw values of each head, [B, C, H / 2, W / 2].

        Args:
            image: [B, 3, H, W] sRGB in [0, 1]; H and W multiples of 32.
            heads: of HEADS, or ``light``: the log of linear light [B, 3, H / 2, W / 2] by ``SharedAlbedo``.
        """
        features = self.encoder(image)
        up = self.context(features[-1])
        for step, skip in zip(self.steps, reversed(features[:-1]), strict=True):
            up = F.interpolate(up, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            up = step(torch.cat([up, skip], dim=1))
        spared = F.dropout2d(up, DROPPED, self.training)
        found = {name: self.heads[name](spared if name in CLASSES else up) for name in made_of(heads)}
        if "light" in heads:
            with torch.autocast(image.device.type, enabled=False):  # it takes differences of squares
                exact = {name: found[name].float() for name in LIGHT_NEEDS}
                found["light"] = self.shared_albedo(linear_from_srgb(F.avg_pool2d(image, 2)), exact)
        return {name: found[name] for name in heads}


class Served(nn.Module):
    """What the served models share: the network at its working size, and its answers at the picture's."""

    heads: tuple[str, ...]
    full_precision = False
    """Whether FP16 is too little for it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = FurnitureNetwork()
        for name in [name for name in HEADS if name not in made_of(self.heads)]:
            del self.network.heads[name]
        if "light" not in self.heads:
            del self.network.shared_albedo

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
    """Colour apart from light."""

    heads = ("light",)
    full_precision = True  # ``shared`` takes differences of squares

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
        light = torch.exp(log_light(linear, linear_from_srgb(small), found["light"]))
        shading = torch.maximum(light, linear).clamp_min(LEAST_LIGHT)
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
    """[B, 3, H, W] the light ``found`` [B, 3, h, w] along the edges of the picture ``linear``, at [h, w] ``small``.

    Fast guided filter (He and Sun 2015) with a guide of brightness and colour (He, Sun, Tang 2013, section 3.4): what
    differs in colour alone is told apart too.
    """
    slopes, offset = guided_fit(opponent(torch.log(small + DARK)), found)
    guide = opponent(torch.log(linear + DARK))
    light = enlarged(offset, linear)
    for slope, one in zip(slopes, guide, strict=True):
        light = light + enlarged(slope, linear) * one
    return light


def guided_fit(guide: Sequence[Tensor], values: Tensor) -> tuple[list[Tensor], Tensor]:
    """Explain ``values`` locally as the sum of slope × guide, plus an offset.

    Args:
        guide: [B, 1, h, w] each.
        values: [B, C, h, w].

    Returns:
        The slope for each guide and the offset, [B, C, h, w] each, averaged over the windows that hold a pixel.
    """

    def mean(one: Tensor) -> Tensor:
        return box_mean(one, RADIUS)

    middles = [one.mean((2, 3), keepdim=True) for one in guide]
    guide = [one - middle for one, middle in zip(guide, middles, strict=True)]  # small squares differ more exactly
    of_guide, of_values = [mean(one) for one in guide], mean(values)
    left = [
        [mean(a * b) - mean_a * mean_b for b, mean_b in zip(guide, of_guide, strict=True)]
        for a, mean_a in zip(guide, of_guide, strict=True)
    ]
    right = [mean(a * values) - mean_a * of_values for a, mean_a in zip(guide, of_guide, strict=True)]
    for i in range(len(guide)):  # Gaussian elimination, one small system a pixel
        left[i][i] = left[i][i] + EPSILON
    for i in range(len(guide)):
        for j in range(i + 1, len(guide)):
            factor = left[j][i] / left[i][i]
            left[j] = [a - factor * b for a, b in zip(left[j], left[i], strict=True)]
            right[j] = right[j] - factor * right[i]
    slopes: list[Tensor] = []
    for i in reversed(range(len(guide))):
        known = sum(left[i][i + 1 + k] * slope for k, slope in enumerate(slopes))
        slopes.insert(0, (right[i] - known) / left[i][i])
    offset = of_values - sum(s * (one + middle) for s, one, middle in zip(slopes, of_guide, middles, strict=True))
    return [mean(slope) for slope in slopes], mean(offset)


def opponent(logarithm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[B, 1, H, W] each: brightness, red–green and yellow–blue of log RGB [B, 3, H, W]."""
    red, green, blue = logarithm.chunk(3, dim=1)
    return logarithm.mean(1, keepdim=True), red - green, 0.5 * (red + green) - blue


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
