"""How wrong each head is. Means over the pixels that count, those of the piece above others.

Every loss is near 1 for a network that knows nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from export_models.baselines.filtering import linear_from_srgb
from export_models.learning.batches import IGNORE, Batch
from export_models.networks.furniture import enlarged, log_light

SCALES = 4
"""Sizes at which gradients are compared, each half as large as the one before."""
VARIANCE_SHARE = 0.85
"""Share of the squared mean that is forgiven: all of it would leave the level untold (Eigen et al. 2014 take half)."""
SMOOTHING = 1.0
PIECE_WEIGHT = 4.0
"""Of a pixel on the piece, for light and surface; one beside it has 1. It covers a quarter of a picture, or less."""


def losses(found: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Return the loss of each head that ``found`` [B, C, H / 2, W / 2] has an answer of, at the size of the batch."""
    return {name: LOSSES[name](large(name, values, batch["image"]), batch) for name, values in found.items()}


def large(name: str, values: Tensor, image: Tensor) -> Tensor:
    """The raw ``values`` [B, C, H / 2, W / 2] of a head at the size of ``image``, light along its edges, as served."""
    if name in ("shading", "light"):
        return log_light(linear_from_srgb(image), linear_from_srgb(F.avg_pool2d(image, 2)), values)
    return enlarged(values, image)


def component(found: Tensor, batch: Batch) -> Tensor:
    """Cross entropy over the parts, and Dice of piece against background (Milletari et al. 2016)."""
    parts = classes(found, batch["component"])
    counts = (batch["piece"] >= 0).to(found.dtype)
    piece = (1 - torch.softmax(found, 1)[:, :1]) * counts
    truth = batch["piece"].clamp_min(0)
    shared, whole = (piece * truth).sum((1, 2, 3)), (piece + truth * counts).sum((1, 2, 3))
    dice = 1 - (2 * shared + SMOOTHING) / (whole + SMOOTHING)
    known = F.binary_cross_entropy((piece * counts).clamp(1e-5, 1 - 1e-5), truth, weight=counts)
    return parts + dice.mean() + known


def material(found: Tensor, batch: Batch) -> Tensor:
    return classes(found, batch["material"])


def classes(found: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy, each class weighted by the root of how rare it is in the batch, and one minus the mean IoU.

    Likelihoods take the place of sets in the latter (Rahman and Wang 2016), over the classes that the batch shows.
    """
    count, counts = found.shape[1], truth != IGNORE
    seen = torch.bincount(truth[counts], minlength=count)[:count].to(found.dtype)
    weight = torch.where(seen > 0, (seen.sum() / (seen + 1)).sqrt(), torch.zeros_like(seen)).clamp_max(12.0)
    known = F.log_softmax(found, 1)
    entropy = F.nll_loss(known, truth, weight, ignore_index=IGNORE)
    likely = known.exp() * counts[:, None]
    among = truth.where(counts, 0)  # what does not count adds a likelihood of 0 there
    shared = torch.zeros_like(seen).index_add(0, among.flatten(), likely.gather(1, among[:, None]).flatten())
    iou = (shared + SMOOTHING) / (likely.sum((0, 2, 3)) + seen - shared + SMOOTHING)
    return entropy + 1 - iou[seen > 0].mean()


def shading(found: Tensor, batch: Batch) -> Tensor:
    """Scale-invariant error of log light (Eigen et al. 2014) and of its gradients (Li and Snavely 2018, CGIntrinsics).

    Log albedo is log picture less log light, so that its error is the same. The logarithm weighs what is dark, so that
    the errors of linear light and albedo by which a model is judged (``metrics.si_rmse``, on the piece) come beside it.
    """
    counts, heavy = batch["light_counts"].to(found.dtype), heaviness(batch)
    difference = (found - batch["light"]) * counts
    weight = counts * heavy
    area = weight.sum((1, 2, 3)).clamp_min(1.0) * found.shape[1]
    square = (weight * difference.square()).sum((1, 2, 3)) / area
    mean = (weight * difference).sum((1, 2, 3)) / area
    logarithmic = (square - VARIANCE_SHARE * mean.square()).mean() + gradients(difference, counts, heavy)
    linear, piece = linear_from_srgb(batch["image"]), counts * batch["piece"].clamp_min(0)
    light, truth = found.exp(), batch["light"].exp()
    return logarithmic + si_rmse(light, truth, piece) + si_rmse(linear / light, linear / truth, piece)


def si_rmse(found: Tensor, truth: Tensor, counts: Tensor) -> Tensor:
    """``metrics.si_rmse`` of [B, C, H, W] where ``counts`` [B, 1, H, W]: the sine between the two; mean over B."""
    found, truth = found * counts, truth * counts
    shared, one, other = ((a * b).sum((1, 2, 3)) for a, b in ((found, truth), (found, found), (truth, truth)))
    sine = torch.sqrt((1 - shared.square() / (one * other).clamp_min(1e-8)).clamp_min(0) + 1e-4)
    shown = (counts.sum((1, 2, 3)) > 0).to(found.dtype)
    return (sine * shown).sum() / shown.sum().clamp_min(1.0)


def heaviness(batch: Batch) -> Tensor:
    """[B, 1, H, W] how much each pixel weighs."""
    return 1 + (PIECE_WEIGHT - 1) * batch["piece"].clamp_min(0)


def gradients(difference: Tensor, counts: Tensor, heavy: Tensor) -> Tensor:
    """Weighted mean of the absolute gradient of a difference, at several sizes.

    Args:
        difference: [B, C, H, W], 0 where it does not count.
        counts: [B, 1, H, W] 1 where it counts, else 0.
        heavy: [B, 1, H, W] weight of each pixel.
    """
    total = difference.new_zeros(())
    for _ in range(SCALES):
        right = counts[..., :, 1:] * counts[..., :, :-1] * heavy[..., :, 1:]
        down = counts[..., 1:, :] * counts[..., :-1, :] * heavy[..., 1:, :]
        across = ((difference[..., :, 1:] - difference[..., :, :-1]).abs() * right).sum()
        along = ((difference[..., 1:, :] - difference[..., :-1, :]).abs() * down).sum()
        total = (
            total + across / (right.sum() * difference.shape[1] + 1) + along / (down.sum() * difference.shape[1] + 1)
        )
        share = F.avg_pool2d(counts, 2)
        difference = F.avg_pool2d(difference * counts, 2) / share.clamp_min(0.25)
        counts = (share > 0.99).to(difference.dtype)
        difference, heavy = difference * counts, F.avg_pool2d(heavy, 2)
    return total


def normal(found: Tensor, batch: Batch) -> Tensor:
    """One minus the cosine, and where it is small the angle itself, which keeps its slope near zero."""
    counts = batch["surface_counts"].to(found.dtype)
    length = torch.sqrt(found.square().sum(1, keepdim=True) + 1e-6)
    cosine = (found * batch["normal"]).sum(1, keepdim=True) / length
    chord = torch.sqrt((2 - 2 * cosine).clamp_min(0) + 1e-4)  # length between the two ends, about the angle
    weight = counts * heaviness(batch)
    return (weight * (1 - cosine + 0.5 * chord)).sum() / weight.sum().clamp_min(1.0)


def roughness(found: Tensor, batch: Batch) -> Tensor:
    return absolute(torch.sigmoid(found), batch["roughness"], batch)


def ambient_occlusion(found: Tensor, batch: Batch) -> Tensor:
    return absolute(torch.sigmoid(found), batch["ambient_occlusion"], batch)


def absolute(found: Tensor, truth: Tensor, batch: Batch) -> Tensor:
    """Mean absolute error; ×4, as the values lie within 1."""
    weight = batch["surface_counts"].to(found.dtype) * heaviness(batch)
    return 4 * (weight * (found - truth).abs()).sum() / weight.sum().clamp_min(1.0)


def depth(found: Tensor, batch: Batch) -> Tensor:
    """Error of log depth after the best shift of each picture, and of its gradients (Ranftl et al. 2020, MiDaS)."""
    counts, heavy = batch["surface_counts"].to(found.dtype), heaviness(batch)
    difference = found - batch["depth"]
    weight = counts * heavy
    area = weight.sum((1, 2, 3), keepdim=True).clamp_min(1.0)
    difference = (difference - (difference * weight).sum((1, 2, 3), keepdim=True) / area) * counts
    off = (weight * difference.abs()).sum((1, 2, 3), keepdim=True) / area
    return 3 * off.mean() + gradients(difference, counts, heavy)


LOSSES: dict[str, Callable[[Tensor, Batch], Tensor]] = {
    "component": component,
    "material": material,
    "shading": shading,
    "light": shading,
    "normal": normal,
    "roughness": roughness,
    "ambient_occlusion": ambient_occlusion,
    "depth": depth,
}
