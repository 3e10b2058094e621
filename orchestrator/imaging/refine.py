"""Turns boxes, points and likelihood maps into masks that follow the edges of the photo."""

from __future__ import annotations

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.segment import Box, Point
from orchestrator.imaging.filters import to_byte
from orchestrator.imaging.guided import Guide, GuidedMap, upsample

WORKING_SIDE = 480
"""Longest side of the image that GrabCut runs on. Its cost grows with the number of pixels. Finer edges come from the
guided upsampling at full resolution. Not tuned."""
MARGIN = 0.25
"""Margin around a box, as a share of its longer side, from which GrabCut learns the background colours. Not tuned."""
ITERATIONS = 5
"""GrabCut iterations. Not tuned."""
FOREGROUND = (cv2.GC_FGD, cv2.GC_PR_FGD)
"""GrabCut's labels of certain and of probable foreground."""
MIN_SHARE = 0.02
"""GrabCut has failed if it keeps less than this share of the initial foreground. Not tuned."""
MIN_POINT_RADIUS = 2
"""Minimum radius in pixels of the disc that is labelled around a point of a prompt. The radius is 1/60 of the longer
side of the working image. Not tuned."""
EDGE_RADIUS = 16
"""Window radius of the guided filter for masks, in pixels of the model outputs. The window must span several cells of
the segmentation network (6 pixels at 768²), so that the mask's edge moves to the edge in the photo. Measured against
radius 2 without ``EDGE_SOFTNESS``: on the 14 images of ``stain_quality`` the IoU of the piece rises from 0.940 to
0.963, and in 24 rooms of the validation split at 768² from 0.920 to 0.931. Of structures thinner than 1.6 % of the
image, 0.77 instead of 0.65 are kept on the images, and 0.76 instead of 0.67 in the rooms. A radius of 24 is as good.
A radius of 48 is worse in rooms, where windows then contain more unrelated surfaces."""
EDGE_LIKELIHOOD = 0.5
"""Default likelihood at the edge of a mask."""
EDGE_SOFTNESS = 0.15
"""Likelihoods this far below and above the edge likelihood become 0 and 1. The width of the soft edge then follows the
photo, not the uncertainty of the model. Not tuned on its own; see ``EDGE_RADIUS``."""
PIECE_EDGE = 0.36
"""Likelihood at the edge of the mask of the piece. A lower value keeps more thin bars, which a 3D reconstruction needs,
at the cost of some IoU. On 72 images of ``catalogue-validation`` at 320², it keeps 0.91 of the structures thinner than
2 % of the image, with an IoU of 0.955; 0.40 keeps 0.88, with 0.957."""


def mask_from_prompt(photo_srgb: Image, box: Box | None, points: tuple[Point, ...], likelihood: FloatMap) -> Image:
    """Segment the component in a box or at some points with GrabCut (Rother et al. 2004).

    Args:
        photo_srgb: [H, W, 3] uint8.
        box: bounding box of the component. None searches the whole photo around the points.
        points: pixels on the component and pixels that are not.
        likelihood: [h, w] likelihood that a pixel belongs to any piece. It replaces GrabCut's result if that fails.

    Returns:
        [H, W] uint8, 255 on the component.
    """
    height, width = photo_srgb.shape[:2]
    left, top, right, bottom = _region(box, width, height)
    crop = photo_srgb[top:bottom, left:right]
    scale = min(1.0, WORKING_SIDE / max(crop.shape[:2]))
    size = (max(8, round(crop.shape[1] * scale)), max(8, round(crop.shape[0] * scale)))
    small = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
    labels = _initial_labels(box, points, (left, top, right, bottom), size)
    candidates = np.isin(labels, FOREGROUND)
    component = _grab_cut(small, labels)
    if component.sum() < MIN_SHARE * candidates.sum() or component.sum() == 0:
        whole = cv2.resize(likelihood, (width, height), interpolation=cv2.INTER_LINEAR)
        likelihood_crop = cv2.resize(whole[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
        component = (candidates & (likelihood_crop > 0.5)).astype(np.float32)
    mask = np.zeros((height, width), np.uint8)
    # The upsampled edge is blurred: stretch the values from 0.25 to 0.75 to the full range.
    mask[top:bottom, left:right] = to_byte((upsample(component, crop) - 0.25) * 2.0)
    return mask


def mask_guide(photo_srgb: Image, shape: tuple[int, ...]) -> Guide:
    """Return the guide for masks from likelihood maps of this shape. Masks of one photo are faster if they share it."""
    return Guide(photo_srgb, shape, radius=EDGE_RADIUS)


def mask_from_likelihood(
    photo_srgb: Image, likelihood: FloatMap, edge: float = EDGE_LIKELIHOOD, guide: Guide | None = None
) -> Image:
    """Turn a likelihood map at model resolution into a mask along the edges of the photo.

    Args:
        photo_srgb: [H, W, 3] uint8.
        likelihood: [h, w] in [0, 1].
        edge: likelihood at the edge of the mask. A lower value gives a larger mask.
        guide: ``mask_guide`` of the photo and the shape of the map. By default, it is computed.

    Returns:
        [H, W] uint8, 255 where the likelihood is high.
    """
    mask = np.zeros(photo_srgb.shape[:2], np.uint8)
    likely_rows = np.flatnonzero((likelihood > edge - EDGE_SOFTNESS).any(axis=1))
    if len(likely_rows):
        reach = 2 * EDGE_RADIUS + 1  # the mask is 0 in rows that are further from the likely rows
        scale = len(mask) / len(likelihood)
        first = max(0, int(scale * (likely_rows[0] - reach)))
        last = min(len(mask), int(scale * (likely_rows[-1] + 1 + reach)))
        rows = np.arange(first, last)
        fitted = fit_mask(likelihood, photo_srgb, edge, guide)
        mask[rows] = mask_from_map(fitted.rows(photo_srgb[rows], rows)[0], edge)
    return mask


def fit_mask(
    likelihood: FloatMap, photo_srgb: Image, edge: float = EDGE_LIKELIHOOD, guide: Guide | None = None
) -> GuidedMap:
    """Fit the mask of ``mask_from_likelihood`` without evaluating it. Pass its rows to ``mask_from_map``."""
    guide = guide or mask_guide(photo_srgb, likelihood.shape)
    return guide.fit(_steepen(likelihood, edge))


def mask_from_map(values: FloatMap, edge: float = EDGE_LIKELIHOOD) -> Image:
    """Convert values of a fitted mask to uint8 of the same shape, 255 inside."""
    return to_byte(_steepen(values, edge))


def _steepen(values: FloatMap, edge: float) -> FloatMap:
    """Map the range from ``edge`` - EDGE_SOFTNESS to ``edge`` + EDGE_SOFTNESS to [0, 1]. Other values are clipped."""
    return np.asarray(np.clip((values - edge) / (2 * EDGE_SOFTNESS) + 0.5, 0.0, 1.0), np.float32)


def _initial_labels(
    box: Box | None, points: tuple[Point, ...], region: tuple[int, int, int, int], size: tuple[int, int]
) -> Image:
    """Return GrabCut's initial labels for a region of the photo, which is scaled to ``size`` (width, height)."""
    left, top, right, bottom = region
    scale_x, scale_y = size[0] / (right - left), size[1] / (bottom - top)
    labels = np.full((size[1], size[0]), cv2.GC_PR_FGD, np.uint8)
    if box is not None:
        labels[:] = cv2.GC_BGD
        rows = _pixel_range((box.top - top) * scale_y, (box.bottom - top) * scale_y, size[1])
        columns = _pixel_range((box.left - left) * scale_x, (box.right - left) * scale_x, size[0])
        labels[rows, columns] = cv2.GC_PR_FGD
    elif points:
        labels[:] = cv2.GC_PR_BGD
    for point in points:
        center = (round((point.x - left) * scale_x), round((point.y - top) * scale_y))
        label = float(cv2.GC_FGD if point.inside else cv2.GC_BGD)
        cv2.circle(labels, center, max(MIN_POINT_RADIUS, max(size) // 60), (label,), -1)
    return labels


def _grab_cut(image_srgb: Image, labels: Image) -> FloatMap:
    """Run GrabCut and return 1 on the foreground, 0 elsewhere."""
    cv2.setRNGSeed(1)  # GrabCut initialises its colour models with k-means
    result = labels.copy()
    foreground = np.isin(labels, FOREGROUND)
    if not foreground.any():  # GrabCut needs pixels of both kinds
        return foreground.astype(np.float32)
    if foreground.all():
        result[[0, -1], :] = result[:, [0, -1]] = cv2.GC_BGD
    bgr = cv2.cvtColor(image_srgb, cv2.COLOR_RGB2BGR)
    color_models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr, result, (0, 0, 1, 1), *color_models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return np.isin(result, FOREGROUND).astype(np.float32)


def _region(box: Box | None, width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the box with its margin, in whole pixels. None is the whole photo."""
    if box is None:
        return 0, 0, width, height
    extra = MARGIN * max(box.right - box.left, box.bottom - box.top)
    left, top = max(0, int(box.left - extra)), max(0, int(box.top - extra))
    return left, top, min(width, int(box.right + extra) + 1), min(height, int(box.bottom + extra) + 1)


def _pixel_range(start: float, end: float, size: int) -> slice:
    """Return the pixels from ``start`` to ``end``, at least one of ``size`` pixels."""
    first = min(max(0, round(start)), size - 1)
    return slice(first, max(first + 1, round(end)))
