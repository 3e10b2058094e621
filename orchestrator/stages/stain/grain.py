"""The grain of wood: its relief as a height map, from the albedo's fine detail."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging import guided
from orchestrator.imaging.color import LUMINANCE_WEIGHTS, luminance
from orchestrator.stages.stain.decomposition import DecomposedRows
from orchestrator.stages.stain.film import LEAST_ALBEDO

GRAIN_SCALE = 0.01
"""Grain is detail finer than this share of the picture's longer side."""
HEIGHT_OF_LOG = 0.5
"""Height for one unit of log luminance: open pores are dark, so darker is deeper. Half of full scale is level."""


def fit_ground(maps: MaterialMaps, wood: FloatMap, photo_srgb: Image) -> guided.GuidedMap:
    """The level from which the grain is measured: log luminance of the wood's albedo without detail.

    The mean is taken over wood alone, so a white wall behind a table edge does not raise the edge.
    """
    log_albedo = log_luminance(luminance(maps.albedo_linear))
    sigma = GRAIN_SCALE * max(log_albedo.shape)
    weights = wood + np.float32(1e-3)
    total = cv2.GaussianBlur(log_albedo * weights, (0, 0), sigma)
    ground = total / cv2.GaussianBlur(weights, (0, 0), sigma)
    return guided.smooth(np.asarray(ground, np.float32), photo_srgb)


def log_luminance(luminance_linear: FloatMap) -> FloatMap:
    """Natural logarithm of the luminance of an albedo, cut at black."""
    return np.asarray(cv2.log(np.maximum(luminance_linear, np.float32(LEAST_ALBEDO))), np.float32)


@dataclass(frozen=True)
class Smoothing:
    """A Gaussian that takes away the camera's noise before slopes are measured."""

    sigma: float  # pixels
    reach: int  # pixels that a result depends on, to each side

    @classmethod
    def for_picture(cls, height: int, width: int) -> Smoothing:
        """Grain is resolved to about 1/2000 of the picture; in a larger photo finer detail is noise."""
        sigma = max(0.7, max(height, width) / 4000)
        return cls(sigma, int(np.ceil(3 * sigma)))

    def __call__(self, values: FloatMap) -> FloatMap:
        size = 2 * self.reach + 1
        return np.asarray(cv2.GaussianBlur(values, (size, size), self.sigma), np.float32)


def relief(rows: DecomposedRows, ground: FloatMap, smooth: Smoothing) -> FloatMap:
    """[n, W] height in [0, 1], 0.5 is level; level outside the wood. Border rows lack neighbours: read wider strips.

    Args:
        rows: the rows' albedo and wood.
        ground: [n, W] from ``fit_ground``.
        smooth: takes the noise off.
    """
    red, green, blue = (plane * weight for plane, weight in zip(rows.albedo_linear, LUMINANCE_WEIGHTS, strict=True))
    detail = smooth(log_luminance(red + green + blue) - ground)
    wood = rows.wood.astype(np.float32) * np.float32(1 / 255)
    return np.asarray(np.clip(detail * np.float32(HEIGHT_OF_LOG), -0.5, 0.5) * wood + np.float32(0.5), np.float32)
