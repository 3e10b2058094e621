"""SAM 2.1 (Ravi et al. 2024): masks for boxes and points, and region proposals, for the role ``prompt``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from scipy.special import expit

from orchestrator.domain.images import BoolMask, FloatMap, Image
from orchestrator.domain.segment import Prompt
from orchestrator.inference.letterbox import stretch_to_square, to_model_input
from orchestrator.inference.tensors import Tensors

SIDE = 1024
"""Side of the square input in pixels. As in the authors' code, the photo is stretched to it."""
OUTSIDE = 0
"""Label of a point that is not on the object."""
INSIDE = 1
"""Label of a point on the object."""
UPPER_LEFT = 2
"""Label of the first corner of a box."""
LOWER_RIGHT = 3
"""Label of the second corner of a box."""
IGNORED = -10
"""Label of a point that only fills the tensor, because all prompts of a request have the same number of points."""
MAX_REGION_POINTS = 64
"""Maximum number of points for region proposals. 64 points give 192 masks and an answer of 50 MB. Not tuned."""
MIN_REGION_QUALITY = 0.8
"""Smallest IoU that the model predicts for a region. The authors' default for automatic masks."""
MIN_STABILITY = 0.95
"""Smallest ``_stability`` of a region. The authors' default for automatic masks."""
STABILITY_OFFSET = 1.0
"""Offset of the logits for ``_stability``. The authors' default for automatic masks."""
MAX_REGION_OVERLAP = 0.7
"""IoU from which two regions are the same. The authors' default for automatic masks."""


def to_inputs(photo_srgb: Image, prompts: Sequence[Prompt]) -> Tensors:
    """Return the inputs for one photo, [H, W, 3] uint8, and at least one prompt in pixels of the photo."""
    height, width = photo_srgb.shape[:2]
    rows = [_points(prompt) for prompt in prompts]
    longest = max(map(len, rows))
    padded = np.array([row + [(0.0, 0.0, IGNORED)] * (longest - len(row)) for row in rows], np.float32)
    points = padded[..., :2] * np.array([SIDE / width, SIDE / height], np.float32)
    return {
        "image": to_model_input(stretch_to_square(photo_srgb, SIDE)),
        "points": points[None],
        "labels": padded[None, ..., 2].astype(np.int32),
    }


def _points(prompt: Prompt) -> list[tuple[float, float, int]]:
    """Return x, y and label of each point of a prompt."""
    points = [(point.x, point.y, INSIDE if point.inside else OUTSIDE) for point in prompt.points]
    if prompt.box is not None:
        box = prompt.box
        points = [(box.left, box.top, UPPER_LEFT), (box.right, box.bottom, LOWER_RIGHT), *points]
    return points


def best_masks(outputs: Mapping[str, FloatMap], shape: tuple[int, ...]) -> tuple[FloatMap, ...]:
    """Return the likelihood, of height and width ``shape``, of each prompt's mask of the highest predicted quality.

    Args:
        outputs: ``masks`` [1, P, 3, S / 4, S / 4] logits; ``quality`` [1, P, 3] predicted IoU.
    """
    best = outputs["quality"][0].argmax(axis=1)
    return tuple(_likelihood(masks[level], shape) for masks, level in zip(outputs["masks"][0], best, strict=True))


def region_points(foreground: FloatMap) -> FloatMap:
    """Return x and y [N, 2] in [0, 1] of a regular grid of at most MAX_REGION_POINTS points on the piece.

    Args:
        foreground: [h, w] likelihood of the piece.
    """
    height, width = foreground.shape
    piece = foreground > 0.5
    spacing = max(1.0, np.sqrt(piece.sum() / MAX_REGION_POINTS))
    while True:
        columns = np.arange(spacing / 2, width, spacing)
        rows = np.arange(spacing / 2, height, spacing)
        x, y = (axis.ravel() for axis in np.meshgrid(columns, rows))
        inside = piece[y.astype(int), x.astype(int)]
        if inside.sum() <= MAX_REGION_POINTS:
            return np.asarray(np.stack([x[inside] / width, y[inside] / height], axis=1), np.float32)
        spacing *= 1.05


def regions(outputs: Mapping[str, FloatMap], shape: tuple[int, ...]) -> tuple[FloatMap, ...]:
    """Return the likelihoods, of height and width ``shape``, of good masks without repetitions, the largest first.

    Args:
        outputs: see ``best_masks``.
    """
    masks, quality = outputs["masks"][0], outputs["quality"][0].ravel()
    logits = masks.reshape(-1, *masks.shape[2:])
    best_first = np.argsort(-quality, kind="stable")
    kept: list[tuple[FloatMap, BoolMask]] = []  # logits and mask of each region
    for index in best_first[quality[best_first] >= MIN_REGION_QUALITY]:
        region = logits[index]
        mask = region > 0
        is_new = mask.any() and all(_overlap(mask, other) < MAX_REGION_OVERLAP for _, other in kept)
        if is_new and _stability(region) >= MIN_STABILITY:
            kept.append((region, mask))
    kept.sort(key=lambda item: -int(item[1].sum()))
    return tuple(_likelihood(region, shape) for region, _ in kept)


def _likelihood(logits: FloatMap, shape: tuple[int, ...]) -> FloatMap:
    """Return the likelihood of a mask, of height and width ``shape``, from its logits."""
    resized = cv2.resize(logits, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(expit(resized), np.float32)


def _overlap(first: BoolMask, second: BoolMask) -> float:
    """Return the intersection of two masks over their union."""
    return float((first & second).sum()) / float((first | second).sum())


def _stability(logits: FloatMap) -> float:
    """Return the IoU of the masks at logits of +STABILITY_OFFSET and -STABILITY_OFFSET."""
    return float((logits > STABILITY_OFFSET).sum()) / max(float((logits > -STABILITY_OFFSET).sum()), 1.0)
