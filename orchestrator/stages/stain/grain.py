"""The relief of the grain as a height map, from the fine detail of the albedo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging import guided
from orchestrator.imaging.color import LUMINANCE_WEIGHTS, luminance
from orchestrator.stages.stain.decomposition import DecomposedRows
from orchestrator.stages.stain.film import MIN_ALBEDO

GRAIN_SCALE = 0.01
"""Detail finer than this share of the photo's longer side is grain. Not tuned."""
HEIGHT_PER_LOG = 0.5
"""Height per unit of log luminance. Open pores are dark, so darker is deeper. Not tuned."""
LEVEL = 0.5
"""Height of wood without relief, on a scale of 0 to 1."""
SIGMAS_PER_SIDE = 4000
"""The sigma of the noise filter is the longer side of the photo divided by this number. The filter resolves grain to
about 1/2000 of the photo. In larger photos, finer detail is noise."""
MIN_SIGMA = 0.7
"""Smallest sigma of the noise filter, in pixels."""


def fit_base(maps: MaterialMaps, wood: FloatMap, photo_srgb: Image) -> guided.GuidedMap:
    """Return the log luminance of the wood's albedo without grain, from which the relief is measured.

    The average covers only wood, so that a white wall behind a table does not raise the table's edge.
    """
    log_albedo = log_luminance(luminance(maps.albedo_linear))
    sigma = GRAIN_SCALE * max(log_albedo.shape)
    weights = wood + np.float32(1e-3)
    total = cv2.GaussianBlur(log_albedo * weights, (0, 0), sigma)
    base = total / cv2.GaussianBlur(weights, (0, 0), sigma)
    return guided.smooth(np.asarray(base, np.float32), photo_srgb)


def log_luminance(luminance_linear: FloatMap) -> FloatMap:
    """Return the natural logarithm of an albedo's luminance, limited to MIN_ALBEDO from below."""
    return np.asarray(cv2.log(np.maximum(luminance_linear, np.float32(MIN_ALBEDO))), np.float32)


@dataclass(frozen=True)
class NoiseFilter:
    """A Gaussian filter that removes camera noise before slopes are computed."""

    sigma: float  # pixels
    reach: int  # radius of the kernel in pixels

    @classmethod
    def for_photo(cls, height: int, width: int) -> NoiseFilter:
        """Return the filter for a photo of this size."""
        sigma = max(MIN_SIGMA, max(height, width) / SIGMAS_PER_SIDE)
        return cls(sigma, int(np.ceil(3 * sigma)))

    def __call__(self, values: FloatMap) -> FloatMap:
        size = 2 * self.reach + 1
        return np.asarray(cv2.GaussianBlur(values, (size, size), self.sigma), np.float32)


def relief(rows: DecomposedRows, base: FloatMap, noise_filter: NoiseFilter) -> FloatMap:
    """Compute the relief of some rows.

    The first and last ``noise_filter.reach`` rows are inaccurate because they lack neighbours.

    Args:
        rows: albedo and wood of the rows.
        base: [n, W] rows of ``fit_base``.

    Returns:
        [n, W] height in [0, 1]. It is level (0.5) outside the wood.
    """
    red, green, blue = (plane * weight for plane, weight in zip(rows.albedo_linear, LUMINANCE_WEIGHTS, strict=True))
    detail = noise_filter(log_luminance(red + green + blue) - base)
    wood = rows.wood.astype(np.float32) * np.float32(1 / 255)
    offset = np.clip(detail * np.float32(HEIGHT_PER_LOG), -LEVEL, LEVEL)
    return np.asarray(offset * wood + np.float32(LEVEL), np.float32)
