"""A photo split into albedo, light and wood at its own resolution, read a few rows at a time."""

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
    """Some rows of a photo, one plane a channel."""

    photo_linear: list[FloatMap]  # three [n, W] in [0, 1]
    albedo_linear: list[FloatMap]  # three [n, W] in [0, 1]
    wood: Image  # [n, W] uint8, 255 is wood


@dataclass(frozen=True)
class Decomposition:
    """A photo, and the models' maps fitted to it."""

    photo_srgb: Image
    log_shading: GuidedMap
    wood: GuidedMap | Image  # a fitted mask, or one given at the photo's resolution

    @classmethod
    def fit(cls, photo_srgb: Image, maps: MaterialMaps, wood: FloatMap | Image) -> Decomposition:
        """Fit the maps to the photo.

        Args:
            photo_srgb: [H, W, 3] uint8.
            maps: what the models say of it.
            wood: [h, w] float32 probability at model resolution, or [H, W] uint8 mask at the photo's.
        """
        found = isinstance(wood, np.ndarray) and wood.dtype != np.uint8
        mask = fit_mask(np.asarray(wood, np.float32), photo_srgb) if found else np.asarray(wood, np.uint8)
        return cls(photo_srgb, fit_log_shading(maps, photo_srgb), mask)

    def read(self, numbers: NDArray[np.intp]) -> DecomposedRows:
        """The rows of these numbers, ascending. Albedo × shading is the photo, but no albedo passes 1."""
        rows_srgb = self.photo_srgb[numbers[0] : numbers[-1] + 1] if _dense(numbers) else self.photo_srgb[numbers]
        photo = [linear_from_srgb(np.asarray(plane, np.uint8)) for plane in cv2.split(rows_srgb)]
        light = self.log_shading.rows(rows_srgb, numbers)
        albedo = [
            np.minimum(plane * cv2.exp(-channel), np.float32(1.0)) for plane, channel in zip(photo, light, strict=True)
        ]
        if isinstance(self.wood, GuidedMap):
            wood = mask_from_map(self.wood.rows(rows_srgb, numbers)[0])
        else:
            wood = self.wood[numbers[0] : numbers[-1] + 1] if _dense(numbers) else self.wood[numbers]
        return DecomposedRows(photo, albedo, wood)


def _dense(numbers: NDArray[np.intp]) -> bool:
    """Whether a slice, which copies nothing, gives the same rows."""
    return int(numbers[-1] - numbers[0]) + 1 == len(numbers)
