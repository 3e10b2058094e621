"""How well the grain of wood survives a change: correlation and contrast of high-passed log luminance."""

from __future__ import annotations

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.imaging.color import linear_from_srgb, luminance

HIGH_PASS_SIGMA = 5.0
"""Grain is what a Gaussian of this many pixels takes away."""
LEAST_LUMINANCE = 0.01
"""Linear; below it one 8-bit step is more than 6 %, as much as the grain itself, and nothing can be measured."""
EDGE = 3
"""Pixels along the wood's outline that are left out: there the neighbour, not the grain, makes the detail."""


def grain_kept(before_srgb: Image, after_srgb: Image, wood: Image) -> tuple[float, float]:
    """Return (correlation, contrast ratio) of the grain in two pictures.

    Args:
        before_srgb: [H, W, 3] uint8, the wood as it was.
        after_srgb: [H, W, 3] uint8, the stained wood.
        wood: [H, W] uint8, 255 is wood. A band of EDGE pixels along its outline does not count, nor do pixels darker
            than LEAST_LUMINANCE in either picture.
    """
    before, after = luminance(linear_from_srgb(before_srgb)), luminance(linear_from_srgb(after_srgb))
    inside = cv2.erode((wood > 250).astype(np.uint8), np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)) > 0
    counted = inside & (before > LEAST_LUMINANCE) & (after > LEAST_LUMINANCE)
    a, b = _detail(before, counted)[counted], _detail(after, counted)[counted]
    return float(np.corrcoef(a, b)[0, 1]), float(b.std() / a.std())


def _detail(light: FloatMap, counted: FloatMap) -> FloatMap:
    """Log luminance less its mean over the counted pixels around."""
    log = np.log(np.maximum(light, 1e-4)).astype(np.float32)
    weights = counted.astype(np.float32)
    total = cv2.GaussianBlur(log * weights, (0, 0), HIGH_PASS_SIGMA)
    return np.asarray(log - total / np.maximum(cv2.GaussianBlur(weights, (0, 0), HIGH_PASS_SIGMA), 1e-3), np.float32)
