"""The outputs of the material models for one photo, and the protocol that provides them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Protocol

import numpy as np

from orchestrator.domain.images import FloatMap, Image


@dataclass(frozen=True)
class MaterialMaps:
    """What ``material_pipeline`` says of one photo, at model resolution, letterbox cut off.

    All float32. h × w is the photo scaled so that its longer side is one of 512, 768, 1024.
    """

    albedo_linear: FloatMap  # [h, w, 3] linear RGB in [0, 1]
    shading_linear: FloatMap  # [h, w, 3] linear, >= 0; albedo × shading = linear photo
    normal: FloatMap  # [h, w, 3] unit, camera space: +X right, +Y up, +Z to the camera
    roughness: FloatMap  # [h, w] in [0, 1]
    ambient_occlusion: FloatMap  # [h, w] in [0, 1], 1 is open
    depth: FloatMap  # [h, w] up to scale
    component: FloatMap  # [C, h, w] probabilities
    material: FloatMap  # [M, h, w] probabilities
    component_names: tuple[str, ...]
    material_names: tuple[str, ...]
    model_versions: dict[str, str] = dataclass_field(default_factory=dict)

    @property
    def wood(self) -> FloatMap:
        """[h, w] probability of wood."""
        return np.asarray(self.material[self.material_names.index("wood")], np.float32)

    @property
    def foreground(self) -> FloatMap:
        """[h, w] probability that the pixel belongs to the piece."""
        return np.asarray(1.0 - self.component[self.component_names.index("background")], np.float32)


class MaterialModels(Protocol):
    """What the stages need of the models; ``inference.models.TritonModels`` is the real one."""

    def analyze(
        self,
        photo_srgb: Image,
        *,
        long_side: int = 1024,
        timeout_s: float | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> MaterialMaps:
        """Return the material maps of one photo, from these ``versions`` of the models or from those that serve.

        Raises:
            ModelUnavailable: the models do not answer at the moment.
            ModelFailed: they answered with an error.
            DeadlineExceeded: ``timeout_s`` passed.
        """

    def versions(self, held: Mapping[str, str] | None = None) -> dict[str, str]:
        """The version of each model that answers now: of ``held``, where it still answers, else the serving one.

        Raises:
            ModelUnavailable: the models do not answer at the moment.
        """

    def ready(self) -> bool:
        """Whether the models answer now."""
