"""Refines the shading that the network predicts, and upsamples it to the size of the image.

``SharedAlbedo`` enforces that similar surfaces have the same albedo. ``upsample_log_shading`` is a guided filter.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.baselines.filtering import box_mean, pixel_positions
from export_models.baselines.segmentation import COMPONENTS, MATERIALS

CLASS_HEADS = ("component", "material")
"""Heads that predict class logits."""
INPUT_HEADS = (*CLASS_HEADS, "shading", "likeness")
"""Heads that ``SharedAlbedo`` needs."""
LEARNED_FEATURES = 8
"""Learned features by which surfaces are compared. Not tuned."""
LIKENESS_CHANNELS = LEARNED_FEATURES + 2
"""Channels of the head ``likeness``: the learned features, the log weight of a position as a source of albedo, and the
logit of the share by which its own albedo is replaced."""
ITERATIONS = 2
"""Number of times that albedos are shared. The second time compares the albedos that the first time produced."""
KEY_STRIDE = 4
"""The keys and values of the attention are means over 4 × 4 positions, which makes it 16 times cheaper."""
LOG_OFFSET = 0.01
"""Added to linear values before the logarithm; below it, the chromaticity of an 8-bit photo is noise."""

UPSAMPLING_RADIUS = 1
"""Radius of the guided filter: its window has 3 × 3 pixels of the network's output. A wider window moves wood grain
into the shading. On the validation images, it lowers the correlation of the albedo with the true grain from 0.66 to
0.61."""
UPSAMPLING_EPSILON = 0.005
"""Variance of log colour below which the guided filter treats a window as flat. Not tuned."""


class SharedAlbedo(nn.Module):
    """Refines the log shading so that similar surfaces, anywhere in the image, have the same albedo.

    This is the prior of version 1 (``baselines.intrinsic_decomposition``) with a learned similarity. It depends on part
    and material (Hellinger distance of the likelihoods), on the albedo under the current shading, on the distance in
    the image, and on learned features. The computation is an attention (Vaswani et al. 2017) whose values are albedos.
    """

    def __init__(self) -> None:
        super().__init__()
        # Initial scale of each feature; a difference of 1 after scaling is one sigma.
        classes = [1.0] * len(COMPONENTS) + [1.5] * len(MATERIALS)
        learned = [1.0] * LEARNED_FEATURES
        color = [2.0, 7.0, 3.5]
        position = [1.0, 1.0]
        self.scales = nn.Parameter(torch.tensor([*classes, *learned, *color, *position]))

    def forward(self, linear: Tensor, predictions: dict[str, Tensor]) -> Tensor:
        """Return the refined log shading [B, 3, h, w].

        Args:
            linear: [B, 3, h, w] linear image at the size of the predictions; h and w multiples of KEY_STRIDE.
            predictions: raw values of INPUT_HEADS, [B, C, h, w] each.
        """
        log_linear, log_shading = torch.log(linear + LOG_OFFSET), predictions["shading"]
        learned, log_weight, share_logit = torch.split(predictions["likeness"], [LEARNED_FEATURES, 1, 1], dim=1)
        classes = [torch.exp(0.5 * F.log_softmax(predictions[name], 1)) for name in CLASS_HEADS]
        for _ in range(ITERATIONS):
            log_albedo = log_linear - log_shading
            features = torch.cat([*classes, learned, *opponent_channels(log_albedo), pixel_positions(linear)], dim=1)
            features = features * self.scales[:, None, None]
            share = torch.sigmoid(share_logit)
            log_shading = log_shading + share * (log_albedo - mean_of_similar(features, log_albedo, log_weight))
        return log_shading


def mean_of_similar(features: Tensor, values: Tensor, log_weight: Tensor) -> Tensor:
    """Average ``values`` over positions with similar features.

    Args:
        features: [B, F, h, w], F > 1, scaled so that a difference of 1 is one sigma of a Gaussian.
        values: [B, 3, h, w].
        log_weight: [B, 1, h, w] log of the weight of each position, in addition to its similarity.

    Returns:
        [B, 3, h, w].
    """
    features = features - features.mean(dim=(2, 3), keepdim=True)  # small numbers keep the squares accurate
    keys, key_values, bias = (F.avg_pool2d(tensor, KEY_STRIDE) for tensor in (features, values, log_weight))
    # -|q - k|² / 2 without |q|², which is the same for all keys of a query and cancels in the softmax.
    bias = bias - 0.5 * (keys * keys).sum(1, keepdim=True)
    queries = F.pad(features, (0, 0, 0, 0, 0, 1), value=1.0)
    padded_values = F.pad(key_values, (0, 0, 0, 0, 0, features.shape[1] - 2))  # as wide as the keys, which is faster
    query, key, value = (
        tensor.flatten(2).transpose(1, 2).unsqueeze(1).contiguous()
        for tensor in (queries, torch.cat([keys, bias], 1), padded_values)
    )
    means = F.scaled_dot_product_attention(query, key, value, scale=1.0)
    return means.squeeze(1).transpose(1, 2)[:, :3].reshape(values.shape)


def upsample_log_shading(log_shading: Tensor, linear_small: Tensor, linear: Tensor) -> Tensor:
    """Upsample the log shading along the edges of the image.

    A fast guided filter (He and Sun 2015) guided by brightness and colour (He, Sun and Tang 2013, section 3.4), so that
    edges between colours of the same brightness are preserved too.

    Args:
        log_shading: [B, 3, h, w].
        linear_small: [B, 3, h, w] linear image.
        linear: [B, 3, H, W] linear image.

    Returns:
        [B, 3, H, W].
    """
    slopes, offset = guided_fit(opponent_channels(torch.log(linear_small + LOG_OFFSET)), log_shading)
    guides = opponent_channels(torch.log(linear + LOG_OFFSET))
    result = resize_like(offset, linear)
    for slope, guide in zip(slopes, guides, strict=True):
        result = result + resize_like(slope, linear) * guide
    return result


def guided_fit(guides: Sequence[Tensor], values: Tensor) -> tuple[list[Tensor], Tensor]:
    """Fit ``values`` locally as the sum of slope × guide over all guides, plus an offset.

    Args:
        guides: [B, 1, h, w] each.
        values: [B, C, h, w].

    Returns:
        The slope of each guide and the offset, [B, C, h, w] each, averaged over the windows that contain a pixel.
    """

    def mean(tensor: Tensor) -> Tensor:
        return box_mean(tensor, UPSAMPLING_RADIUS)

    centers = [guide.mean((2, 3), keepdim=True) for guide in guides]
    guides = [guide - center for guide, center in zip(guides, centers, strict=True)]  # keeps the squares accurate
    guide_means, value_mean = [mean(guide) for guide in guides], mean(values)
    covariance = [
        [mean(a * b) - mean_a * mean_b for b, mean_b in zip(guides, guide_means, strict=True)]
        for a, mean_a in zip(guides, guide_means, strict=True)
    ]
    cross = [mean(a * values) - mean_a * value_mean for a, mean_a in zip(guides, guide_means, strict=True)]
    slopes = _solve(covariance, cross)
    offset = value_mean - sum(
        slope * (guide_mean + center) for slope, guide_mean, center in zip(slopes, guide_means, centers, strict=True)
    )
    return [mean(slope) for slope in slopes], mean(offset)


def _solve(matrix: list[list[Tensor]], right: list[Tensor]) -> list[Tensor]:
    """Solve (matrix + UPSAMPLING_EPSILON × identity) × slopes = right at each pixel, by Gaussian elimination.

    Changes ``matrix`` and ``right``.
    """
    size = len(right)
    for i in range(size):
        matrix[i][i] = matrix[i][i] + UPSAMPLING_EPSILON
    for i in range(size):
        for j in range(i + 1, size):
            factor = matrix[j][i] / matrix[i][i]
            matrix[j] = [a - factor * b for a, b in zip(matrix[j], matrix[i], strict=True)]
            right[j] = right[j] - factor * right[i]
    slopes: list[Tensor] = []
    for i in reversed(range(size)):
        known = sum(matrix[i][i + 1 + k] * slope for k, slope in enumerate(slopes))
        slopes.insert(0, (right[i] - known) / matrix[i][i])
    return slopes


def opponent_channels(log_rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return brightness, red–green and yellow–blue, [B, 1, H, W] each, of log RGB [B, 3, H, W]."""
    red, green, blue = log_rgb.chunk(3, dim=1)
    return log_rgb.mean(1, keepdim=True), red - green, 0.5 * (red + green) - blue


def resize_like(values: Tensor, image: Tensor) -> Tensor:
    """Resize ``values`` to the height and width of ``image``, bilinearly."""
    return F.interpolate(values, size=image.shape[-2:], mode="bilinear", align_corners=False)
