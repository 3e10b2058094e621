"""Version 2 of the three models that Triton serves, each the furniture network with the heads that it needs.

The network runs at a fixed working size (``WORKING_SIDE``) regardless of the size of the image, so that a piece has the
size that it had in training. The predictions are then upsampled to the size of the image.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.baselines.filtering import linear_from_srgb
from export_models.networks.furniture import HEADS, LIGHT, FurnitureNetwork, required_heads
from export_models.networks.shading import CLASS_HEADS, resize_like, upsample_log_shading

WORKING_SIDE = 256
"""Longer side in pixels at which the network runs, a multiple of 32. Chosen from 256, 320 and 384 with the test
figures of earlier weights in view; see ``model_quality`` in docs/benchmarks.md."""
MIN_SHADING = 1e-4
"""Smallest shading, so that later steps can take its logarithm."""


class ServedModel(nn.Module):
    """The furniture network at its working size, reduced to the heads that ``outputs`` need."""

    outputs: tuple[str, ...]
    """Heads of the network, or LIGHT."""
    requires_fp32 = False
    """Whether FP16 is not accurate enough."""

    def __init__(self) -> None:
        super().__init__()
        self.network = FurnitureNetwork()
        required = required_heads(self.outputs)
        for name in HEADS:
            if name not in required:
                del self.network.heads[name]
        if LIGHT not in self.outputs:
            del self.network.shared_albedo

    def predict(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the image at the size of the predictions, [B, 3, h, w], and the predictions, [B, C, h, w] each."""
        working = resize_to_working_side(image)
        return F.avg_pool2d(working, 2), self.network(working, self.outputs)


class Segmentation(ServedModel):
    """Classifies each pixel by part of the piece and by material."""

    outputs = CLASS_HEADS

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Classify each pixel, averaged over the image and its mirror image.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            component [B, 13, H, W] logits over COMPONENTS and material [B, 9, H, W] logits over MATERIALS.
        """
        working = resize_to_working_side(image)
        plain, mirrored = (self.network(view, self.outputs) for view in (working, working.flip(-1)))
        component, material = (
            resize_like(F.log_softmax(plain[name], 1) + F.log_softmax(mirrored[name].flip(-1), 1), image) / 2
            for name in CLASS_HEADS
        )
        return component, material


class IntrinsicDecomposition(ServedModel):
    """Splits an image into albedo and shading."""

    outputs = (LIGHT,)
    requires_fp32 = True  # ``mean_of_similar`` computes differences of squares

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Split an image.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            albedo [B, 3, H, W] linear RGB in [0, 1] and shading [B, 3, H, W] linear RGB, > 0. Their product is the
            linear image. The shading has edges only where the image has them, so that fine grain stays in the albedo.
        """
        small, predictions = self.predict(image)
        linear = linear_from_srgb(image)
        log_shading = upsample_log_shading(predictions[LIGHT], linear_from_srgb(small), linear)
        shading = torch.maximum(torch.exp(log_shading), linear).clamp_min(MIN_SHADING)
        return linear / shading, shading


class SurfaceEstimation(ServedModel):
    """Estimates normals, roughness, ambient occlusion and depth."""

    outputs = ("normal", "roughness", "ambient_occlusion", "depth")

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Estimate the surface at each pixel.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            normal [B, 3, H, W] unit, camera space (+X right, +Y up, +Z towards the camera); roughness [B, 1, H, W] in
            [0, 1], 1 is fully rough; ambient_occlusion [B, 1, H, W] in [0, 1], 1 is unoccluded; depth [B, 1, H, W]
            > 0, up to scale.
        """
        _, predictions = self.predict(image)
        normal = unit_vectors(resize_like(predictions["normal"], image))
        roughness, ambient_occlusion = (
            torch.sigmoid(resize_like(predictions[name], image)) for name in ("roughness", "ambient_occlusion")
        )
        return normal, roughness, ambient_occlusion, torch.exp(resize_like(predictions["depth"], image))


def unit_vectors(vectors: Tensor) -> Tensor:
    """Scale [B, 3, H, W] to length 1 along the channels."""
    return vectors / torch.sqrt((vectors * vectors).sum(1, keepdim=True) + 1e-8)


def resize_to_working_side(image: Tensor) -> Tensor:
    """Resize an image so that its longer side is WORKING_SIDE and the other a multiple of 32.

    Upsamples to twice that size and halves it by averaging, in place of the low-pass filter that ``interpolate`` lacks.
    """
    height: Any = image.shape[-2]
    width: Any = image.shape[-1]
    is_tracing = isinstance(height, Tensor)  # sizes must then stay dynamic
    longer = torch.maximum(height, width) if is_tracing else max(height, width)
    # Twice the working size: side / longer · WORKING_SIDE / 32, rounded up, is the number of blocks of 32 pixels.
    sides = [2 * 32 * ((side * (WORKING_SIDE // 32) + longer - 1) // longer) for side in (height, width)]
    double = F.interpolate(image, size=sides, mode="bilinear", align_corners=False)
    return F.avg_pool2d(double, 2)
