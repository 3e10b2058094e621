"""The loss of each output of the network.

Losses are means over the valid pixels, with more weight on the piece than on the rest (PIECE_WEIGHT). Each is scaled to
about 1 for uninformative predictions. In every loss, ``prediction`` [B, C, H, W] is the raw output of a head, upsampled
to the size of the batch.

No comparison with other values of the constants is recorded.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from export_models.baselines.filtering import linear_from_srgb
from export_models.learning.batches import Batch
from export_models.learning.examples import IGNORED_CLASS
from export_models.networks.shading import resize_like, upsample_log_shading

GRADIENT_SCALES = 4
"""Number of scales at which gradients are compared, each half the size of the previous one."""
VARIANCE_SHARE = 0.85
"""Share of the squared mean error that the scale-invariant loss ignores. At 1 the level of the shading would be
undetermined; Eigen et al. (2014) use 0.5."""
SMOOTHING = 1.0
"""Added to numerator and denominator of Dice and IoU, which keeps them defined for absent classes."""
PIECE_WEIGHT = 4.0
"""Weight of a pixel on the piece in the losses of shading and surface; other pixels have weight 1. The piece covers a
quarter of an image or less."""
MAX_CLASS_WEIGHT = 12.0
"""Largest weight of a rare class."""
POOLED_WEIGHT = 0.5
"""Factor of the error per surface, next to the class loss of the materials."""
DISTANCE_WEIGHT = 0.5
"""Weight of the distance between unit vectors in the loss of normals, next to 1 − cosine."""
SURFACE_WEIGHT = 4
"""Factor of the absolute error of roughness and ambient occlusion, which lie in [0, 1]."""
DEPTH_WEIGHT = 3
"""Factor of the absolute error of log depth."""


def losses(predictions: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Return the loss of each output in ``predictions`` [B, C, H / 2, W / 2]."""
    return {
        name: LOSSES[name](full_size(name, prediction, batch["image"]), batch)
        for name, prediction in predictions.items()
    }


def full_size(name: str, prediction: Tensor, image: Tensor) -> Tensor:
    """Upsample a raw output [B, C, H / 2, W / 2] to the size of ``image`` as the served model does."""
    if name in ("shading", "light"):
        return upsample_log_shading(prediction, linear_from_srgb(F.avg_pool2d(image, 2)), linear_from_srgb(image))
    return resize_like(prediction, image)


def component_loss(prediction: Tensor, batch: Batch) -> Tensor:
    """Class loss over the parts, plus Dice loss (Milletari et al. 2016) and cross entropy of piece and background."""
    parts = class_loss(prediction, batch["component"])
    valid = (batch["foreground"] >= 0).to(prediction.dtype)
    piece = (1 - torch.softmax(prediction, 1)[:, :1]) * valid
    target = batch["foreground"].clamp_min(0)
    intersection, total = (piece * target).sum((1, 2, 3)), (piece + target * valid).sum((1, 2, 3))
    dice = 1 - (2 * intersection + SMOOTHING) / (total + SMOOTHING)
    entropy = F.binary_cross_entropy((piece * valid).clamp(1e-5, 1 - 1e-5), target, weight=valid)
    return parts + dice.mean() + entropy


def material_loss(prediction: Tensor, batch: Batch) -> Tensor:
    """Class loss over the materials, plus the error per surface.

    The classes have equal weights. Weights for rare classes would make the most frequent one, wood, less likely than it
    is, and the decision per surface adds up log likelihoods.
    """
    classes = class_loss(prediction, batch["material"], pixel_weights(batch)[:, 0], is_balanced=False)
    return classes + POOLED_WEIGHT * pooled_material_loss(prediction, batch)


def pooled_material_loss(prediction: Tensor, batch: Batch) -> Tensor:
    """Cross entropy of the material of each surface, from the mean log likelihood over the surface.

    The decision per surface (``orchestrator.imaging.surfaces``) pools the log likelihoods in the same way. A surface
    consists of all pixels of one part and one material in one image. Its weight is the square root of its area, so that
    small parts are not ignored.
    """
    class_count = prediction.shape[1]
    valid = (batch["foreground"][:, 0] > 0) & (batch["material"] != IGNORED_CLASS)
    image = torch.arange(len(prediction), device=prediction.device)[:, None, None]
    key = (image * (IGNORED_CLASS + 1) + batch["component"]) * class_count + batch["material"]
    keys, surface, area = torch.unique(key[valid], return_inverse=True, return_counts=True)
    log_likelihood = F.log_softmax(prediction, 1).movedim(1, -1)[valid]
    total = prediction.new_zeros(len(keys), class_count).index_add(0, surface, log_likelihood)
    entropy = F.cross_entropy(total / area[:, None], keys % class_count, reduction="none")
    weight = area.to(prediction.dtype).sqrt()
    mean: Tensor = (weight * entropy).sum() / weight.sum().clamp_min(1.0)
    return mean


def class_loss(
    prediction: Tensor, target: Tensor, pixel_weight: Tensor | None = None, *, is_balanced: bool = True
) -> Tensor:
    """Weighted cross entropy plus 1 − mean IoU.

    The IoU is computed from likelihoods instead of sets (Rahman and Wang 2016), over the classes that occur in the
    batch.

    Args:
        prediction: [B, C, H, W] logits.
        target: [B, H, W] class, or IGNORED_CLASS.
        pixel_weight: [B, H, W] weight of each pixel in the cross entropy; default 1.
        is_balanced: whether the weight of a class in the cross entropy is the square root of its inverse frequency in
            the batch, instead of 1.
    """
    class_count, valid = prediction.shape[1], target != IGNORED_CLASS
    pixels = torch.bincount(target[valid], minlength=class_count)[:class_count].to(prediction.dtype)
    class_weight = (pixels.sum() / (pixels + 1)).sqrt().clamp_max(MAX_CLASS_WEIGHT)
    index = target.where(valid, 0)  # ignored pixels have weight 0
    weight = valid.to(prediction.dtype) if pixel_weight is None else valid * pixel_weight
    if is_balanced:
        weight = weight * class_weight[index]
    log_likelihood = F.log_softmax(prediction, 1)
    own_log_likelihood = log_likelihood.gather(1, index[:, None])[:, 0]
    entropy = -(weight * own_log_likelihood).sum() / weight.sum().clamp_min(1.0)
    likelihood = log_likelihood.exp() * valid[:, None]
    intersection = torch.zeros_like(pixels).index_add(0, index.flatten(), (own_log_likelihood.exp() * valid).flatten())
    iou = (intersection + SMOOTHING) / (likelihood.sum((0, 2, 3)) + pixels - intersection + SMOOTHING)
    return entropy + 1 - iou[pixels > 0].mean()


def shading_loss(prediction: Tensor, batch: Batch) -> Tensor:
    """Error of log shading, plus the evaluation metrics of linear shading and albedo.

    The error of log shading is scale-invariant (Eigen et al. 2014) and includes gradients (Li and Snavely 2018,
    CGIntrinsics). It is also the error of log albedo, because log albedo is log image − log shading. The logarithm
    emphasises dark areas, so the metrics by which the model is evaluated are added: ``metrics.si_rmse`` on the piece.
    """
    valid, weight = batch["shading_valid"].to(prediction.dtype), pixel_weights(batch)
    difference = (prediction - batch["log_shading"]) * valid
    valid_weight = valid * weight
    area = valid_weight.sum((1, 2, 3)).clamp_min(1.0) * prediction.shape[1]
    square = (valid_weight * difference.square()).sum((1, 2, 3)) / area
    mean = (valid_weight * difference).sum((1, 2, 3)) / area
    log_error = (square - VARIANCE_SHARE * mean.square()).mean() + gradient_loss(difference, valid, weight)
    linear, piece = linear_from_srgb(batch["image"]), valid * batch["foreground"].clamp_min(0)
    shading, target = prediction.exp(), batch["log_shading"].exp()
    return log_error + si_rmse(shading, target, piece) + si_rmse(linear / shading, linear / target, piece)


def si_rmse(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return a differentiable ``metrics.si_rmse``, averaged over the batch.

    The scale-invariant RMSE of two vectors is the sine of the angle between them.

    Args:
        prediction, target: [B, C, H, W].
        valid: [B, 1, H, W] 1 on valid pixels, else 0. Images without a valid pixel are left out.
    """
    prediction, target = prediction * valid, target * valid
    product, prediction_energy, target_energy = (
        (a * b).sum((1, 2, 3)) for a, b in ((prediction, target), (prediction, prediction), (target, target))
    )
    square_cosine = product.square() / (prediction_energy * target_energy).clamp_min(1e-8)
    sine = torch.sqrt((1 - square_cosine).clamp_min(0) + 1e-4)
    has_valid = (valid.sum((1, 2, 3)) > 0).to(prediction.dtype)
    return (sine * has_valid).sum() / has_valid.sum().clamp_min(1.0)


def pixel_weights(batch: Batch) -> Tensor:
    """Return the weight of each pixel, [B, 1, H, W]."""
    return 1 + (PIECE_WEIGHT - 1) * batch["foreground"].clamp_min(0)


def gradient_loss(difference: Tensor, valid: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of the absolute gradient of ``difference``, summed over GRADIENT_SCALES scales.

    Args:
        difference: [B, C, H, W], 0 on invalid pixels.
        valid: [B, 1, H, W] 1 on valid pixels, else 0.
        weight: [B, 1, H, W].
    """
    total = difference.new_zeros(())
    channels = difference.shape[1]
    for _ in range(GRADIENT_SCALES):
        weight_right = valid[..., :, 1:] * valid[..., :, :-1] * weight[..., :, 1:]
        weight_down = valid[..., 1:, :] * valid[..., :-1, :] * weight[..., 1:, :]
        right = ((difference[..., :, 1:] - difference[..., :, :-1]).abs() * weight_right).sum()
        down = ((difference[..., 1:, :] - difference[..., :-1, :]).abs() * weight_down).sum()
        total = total + right / (weight_right.sum() * channels + 1) + down / (weight_down.sum() * channels + 1)
        valid_share = F.avg_pool2d(valid, 2)
        difference = F.avg_pool2d(difference * valid, 2) / valid_share.clamp_min(0.25)
        valid = (valid_share > 0.99).to(difference.dtype)
        difference, weight = difference * valid, F.avg_pool2d(weight, 2)
    return total


def normal_loss(prediction: Tensor, batch: Batch) -> Tensor:
    """1 − cosine of the angle, plus the distance of the unit vectors. The gradient of the latter stays large near 0."""
    valid = batch["surface_valid"].to(prediction.dtype)
    length = torch.sqrt(prediction.square().sum(1, keepdim=True) + 1e-6)
    cosine = (prediction * batch["normal"]).sum(1, keepdim=True) / length
    distance = torch.sqrt((2 - 2 * cosine).clamp_min(0) + 1e-4)
    weight = valid * pixel_weights(batch)
    return (weight * (1 - cosine + DISTANCE_WEIGHT * distance)).sum() / weight.sum().clamp_min(1.0)


def roughness_loss(prediction: Tensor, batch: Batch) -> Tensor:
    """Absolute error of roughness."""
    return absolute_error(torch.sigmoid(prediction), batch["roughness"], batch)


def ambient_occlusion_loss(prediction: Tensor, batch: Batch) -> Tensor:
    """Absolute error of ambient occlusion."""
    return absolute_error(torch.sigmoid(prediction), batch["ambient_occlusion"], batch)


def absolute_error(prediction: Tensor, target: Tensor, batch: Batch) -> Tensor:
    """Return SURFACE_WEIGHT times the weighted mean absolute error of [B, 1, H, W] in [0, 1]."""
    weight = batch["surface_valid"].to(prediction.dtype) * pixel_weights(batch)
    return SURFACE_WEIGHT * (weight * (prediction - target).abs()).sum() / weight.sum().clamp_min(1.0)


def depth_loss(prediction: Tensor, batch: Batch) -> Tensor:
    """Error of log depth after removal of each image's mean error, plus its gradients (Ranftl et al. 2020, MiDaS)."""
    valid, pixel_weight = batch["surface_valid"].to(prediction.dtype), pixel_weights(batch)
    difference = prediction - batch["log_depth"]
    weight = valid * pixel_weight
    area = weight.sum((1, 2, 3), keepdim=True).clamp_min(1.0)
    difference = (difference - (difference * weight).sum((1, 2, 3), keepdim=True) / area) * valid
    error = (weight * difference.abs()).sum((1, 2, 3), keepdim=True) / area
    return DEPTH_WEIGHT * error.mean() + gradient_loss(difference, valid, pixel_weight)


LOSSES: dict[str, Callable[[Tensor, Batch], Tensor]] = {
    "component": component_loss,
    "material": material_loss,
    "shading": shading_loss,
    "light": shading_loss,
    "normal": normal_loss,
    "roughness": roughness_loss,
    "ambient_occlusion": ambient_occlusion_loss,
    "depth": depth_loss,
}
"""The loss of each output, by name. The head ``likeness`` has no loss of its own; the loss of ``light`` trains it."""
