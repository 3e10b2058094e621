"""Splits a photo into albedo, shading, specular light and wood at full resolution, a few rows at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging import guided
from orchestrator.imaging.color import linear_from_srgb, luminance
from orchestrator.imaging.filters import smoothstep, weighted_blur
from orchestrator.imaging.refine import fit_mask, mask_from_map

MIN_SHADING = 2e-3
"""Smallest shading. It avoids a division by 0."""
SHADING_EPSILON = 1e-3
"""Guide variance (3 % contrast) below which a window is flat. The shading follows object edges, not fine grain."""
GREY_WOOD = 0.75
"""Ratio of the smallest to the largest channel above which wood is treated as grey. On grey wood, specular reflections
cannot be separated from the wood's own colour. Not tuned."""
HIGHLIGHT_START = 1.25
"""Luminance, relative to the median of the wood, above which specular light starts to count as a highlight."""
HIGHLIGHT_FULL = 2.0
"""Luminance, relative to the median of the wood, above which all specular light counts as a highlight. Not tuned."""
SPECULAR_SIGMA = 0.003
"""Sigma of the filter for specular light, as a share of the longer side. Specular light is smooth; faster variation is
the colour of the grain. Not tuned."""


@dataclass(frozen=True)
class DecomposedRows:
    """Some rows of a photo, with separate planes for red, green and blue."""

    photo_linear: list[FloatMap]  # three [n, W] in [0, 1]
    albedo_linear: list[FloatMap]  # three [n, W] in [0, 1]
    wood: Image  # [n, W] uint8, 255 is wood


@dataclass(frozen=True)
class Decomposition:
    """A photo with the shading and the wood fitted to it."""

    photo_srgb: Image
    log_shading: guided.GuidedMap
    wood: guided.GuidedMap | Image  # a fitted mask, or a mask at full resolution

    @classmethod
    def fit(cls, photo_srgb: Image, maps: MaterialMaps, wood: FloatMap | Image) -> Self:
        """Fit the model outputs to the photo.

        Args:
            photo_srgb: [H, W, 3] uint8.
            maps: model outputs for this photo.
            wood: [h, w] float32 probability at model resolution, or [H, W] uint8 mask at full resolution.
        """
        log_shading = np.log(np.maximum(maps.shading_linear, MIN_SHADING)).astype(np.float32)
        fitted_shading = guided.fit(log_shading, photo_srgb, epsilon=SHADING_EPSILON, grey=True)
        if wood.dtype == np.uint8:
            return cls(photo_srgb, fitted_shading, np.asarray(wood, np.uint8))
        return cls(photo_srgb, fitted_shading, fit_mask(np.asarray(wood, np.float32), photo_srgb))

    def read(self, rows: NDArray[np.intp]) -> DecomposedRows:
        """Decompose some rows. Albedo × shading equals the photo, except that the albedo is limited to 1.

        Args:
            rows: [n] ascending row indices.
        """
        photo_rows = _select_rows(self.photo_srgb, rows)
        photo = [linear_from_srgb(np.asarray(plane, np.uint8)) for plane in cv2.split(photo_rows)]
        log_shading = self.log_shading.rows(photo_rows, rows)
        albedo = [
            np.minimum(plane * cv2.exp(-shading), np.float32(1.0))
            for plane, shading in zip(photo, log_shading, strict=True)
        ]
        if isinstance(self.wood, guided.GuidedMap):
            return DecomposedRows(photo, albedo, mask_from_map(self.wood.rows(photo_rows, rows)[0]))
        return DecomposedRows(photo, albedo, _select_rows(self.wood, rows))


def fit_specular(maps: MaterialMaps, wood: FloatMap, photo_srgb: Image) -> guided.GuidedMap:
    """Fit the specular light on the wood to the photo.

    In the dichromatic model (Shafer 1985, Using color to separate reflection components), a pixel is the sum of two
    parts: the colour of the wood times the light, and neutral light that the surface reflects. The wood has a typical
    ratio of the smallest to the largest channel. Neutral light is what must be subtracted to reach this ratio.

    Sheen is weak specular light. It is measured in the shading, which a film does not change. If sheen were not
    separated, it would turn blue when brown wood is stained grey. Highlights are measured in the photo, so that they
    stay bright whether the models assign them to the shading or to the albedo.

    Args:
        maps: model outputs for this photo.
        wood: [h, w] in [0, 1], at model resolution.
        photo_srgb: [H, W, 3] uint8.

    Returns:
        Linear neutral light in two channels: highlights, and sheen.
    """
    # The outermost pixels are mixed with the background, which is often neutral.
    inside = cv2.erode((wood > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    photo = maps.albedo_linear * maps.shading_linear
    light = luminance(photo)
    median_light = max(float(np.median(light[inside])), 1e-3) if inside.any() else 1.0
    highlight = smoothstep(light / median_light, HIGHLIGHT_START, HIGHLIGHT_FULL)
    wood_color = np.median(maps.albedo_linear[inside], axis=0) if inside.any() else np.ones(3)
    sheen = _neutral_light(maps.shading_linear * wood_color.astype(np.float32), inside) * (1.0 - highlight)
    specular = np.dstack([_neutral_light(photo, inside) * highlight, sheen])
    weights = inside.astype(np.float32) + np.float32(1e-4)
    smooth = weighted_blur(specular, weights, max(0.5, SPECULAR_SIGMA * max(wood.shape)))
    return guided.fit(smooth, photo_srgb, grey=True)


def _neutral_light(lit: FloatMap, inside: NDArray[np.bool_]) -> FloatMap:
    """Return the [h, w] neutral part of [h, w, 3] linear light, 0 if the wood is grey."""
    smallest, largest = lit.min(axis=2), np.maximum(lit.max(axis=2), 1e-4)
    ratio = float(np.median((smallest / largest)[inside])) if inside.any() else 1.0
    if ratio > GREY_WOOD:
        return np.zeros_like(smallest)
    return np.asarray(np.clip((smallest - ratio * largest) / (1.0 - ratio), 0.0, smallest), np.float32)


def _select_rows(image: Image, rows: NDArray[np.intp]) -> Image:
    """Return rows of an image, without a copy if they are contiguous."""
    first, last = int(rows[0]), int(rows[-1])
    return image[first : last + 1] if last - first + 1 == len(rows) else image[rows]
