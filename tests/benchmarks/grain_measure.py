"""Measures how well staining preserves the grain: correlation and contrast of high-passed log luminance."""

from __future__ import annotations

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.imaging.color import linear_from_srgb, luminance

HIGH_PASS_SIGMA = 5.0
"""Sigma of the Gaussian in pixels. Grain is the difference between the image and its blurred version."""
MIN_LUMINANCE = 0.01
"""Linear luminance below which one 8-bit step is more than 6 %, which is as much as the grain itself."""
EDGE = 3
"""Width in pixels of the band along the edge of the wood that is excluded, because it contains edge contrast."""


def grain_kept(before_srgb: Image, after_srgb: Image, wood: Image) -> tuple[float, float]:
    """Compare the grain in two images.

    Pixels within EDGE of the edge of the wood, and pixels darker than MIN_LUMINANCE in either image, are excluded.

    Args:
        before_srgb: [H, W, 3] uint8, the bare wood.
        after_srgb: [H, W, 3] uint8, the stained wood.
        wood: [H, W] uint8, 255 is wood.

    Returns:
        The correlation of the grain, and the ratio of its contrast after to before.
    """
    before, after = luminance(linear_from_srgb(before_srgb)), luminance(linear_from_srgb(after_srgb))
    inside = cv2.erode((wood > 250).astype(np.uint8), np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)) > 0
    included = inside & (before > MIN_LUMINANCE) & (after > MIN_LUMINANCE)
    detail_before, detail_after = _detail(before, included)[included], _detail(after, included)[included]
    correlation = np.corrcoef(detail_before, detail_after)[0, 1]
    return float(correlation), float(detail_after.std() / detail_before.std())


def _detail(light: FloatMap, included: FloatMap) -> FloatMap:
    """Return log luminance minus its local mean over the included pixels."""
    log = np.log(np.maximum(light, 1e-4)).astype(np.float32)
    weights = included.astype(np.float32)
    total = cv2.GaussianBlur(log * weights, (0, 0), HIGH_PASS_SIGMA)
    return np.asarray(log - total / np.maximum(cv2.GaussianBlur(weights, (0, 0), HIGH_PASS_SIGMA), 1e-3), np.float32)
