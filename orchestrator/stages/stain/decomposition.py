"""The decomposition of a photo into albedo, shading and wood at full resolution, evaluated a few rows at a time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging.color import linear_from_srgb
from orchestrator.imaging.guided import GuidedMap
from orchestrator.imaging.refine import fit_mask, mask_from_map
from orchestrator.stages.stain.lighting import fit_log_shading


@dataclass(frozen=True)
class DecomposedRows:
    """Some rows of a photo, with separate planes for red, green and blue."""

    photo_linear: list[FloatMap]  # three [n, W] in [0, 1]
    albedo_linear: list[FloatMap]  # three [n, W] in [0, 1]
    wood: Image  # [n, W] uint8, 255 is wood


@dataclass(frozen=True)
class Decomposition:
    """A photo with the model outputs fitted to it."""

    photo_srgb: Image
    log_shading: GuidedMap
    wood: GuidedMap | Image  # a fitted mask, or a mask at full resolution

    @classmethod
    def fit(cls, photo_srgb: Image, maps: MaterialMaps, wood: FloatMap | Image) -> Decomposition:
        """Fit the model outputs to the photo.

        Args:
            photo_srgb: [H, W, 3] uint8.
            maps: model outputs for this photo.
            wood: [h, w] float32 probability at model resolution, or [H, W] uint8 mask at full resolution.
        """
        is_mask = wood.dtype == np.uint8
        fitted = np.asarray(wood, np.uint8) if is_mask else fit_mask(np.asarray(wood, np.float32), photo_srgb)
        return cls(photo_srgb, fit_log_shading(maps, photo_srgb), fitted)

    def read(self, rows: NDArray[np.intp]) -> DecomposedRows:
        """Decompose some rows. Albedo × shading equals the photo, except that the albedo is limited to 1.

        Args:
            rows: [n] ascending row indices.
        """
        photo_rows = _select_rows(self.photo_srgb, rows)
        photo = [linear_from_srgb(np.asarray(plane, np.uint8)) for plane in cv2.split(photo_rows)]
        log_shading = self.log_shading.rows(photo_rows, rows)
        albedo = [
            np.minimum(plane * cv2.exp(-channel), np.float32(1.0))
            for plane, channel in zip(photo, log_shading, strict=True)
        ]
        if isinstance(self.wood, GuidedMap):
            wood = mask_from_map(self.wood.rows(photo_rows, rows)[0])
        else:
            wood = _select_rows(self.wood, rows)
        return DecomposedRows(photo, albedo, wood)


def _select_rows(image: Image, rows: NDArray[np.intp]) -> Image:
    """Return rows of an image, without a copy if they are contiguous."""
    first, last = int(rows[0]), int(rows[-1])
    return image[first : last + 1] if last - first + 1 == len(rows) else image[rows]
