"""The outputs of the material models for one photo, and the protocol that provides them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.model_roles import PhotoModels


@dataclass(frozen=True)
class MaterialMaps:
    """The model outputs for one photo, cropped to the photo.

    All maps are float32. h × w is the size of the photo after it was scaled down for the models: its longer side is at
    most 1024 pixels.
    """

    albedo_linear: FloatMap  # [h, w, 3] linear RGB in [0, 1]
    shading_linear: FloatMap  # [h, w, 3] linear, >= 0; albedo × shading = linear photo
    normal: FloatMap  # [h, w, 3] unit, camera space: +X right, +Y up, +Z towards the camera
    roughness: FloatMap  # [h, w] in [0, 1]
    ambient_occlusion: FloatMap  # [h, w] in [0, 1]; 1 is unoccluded
    depth: FloatMap  # [h, w] up to scale
    component: FloatMap  # [C, h, w] probabilities
    material: FloatMap  # [M, h, w] probabilities
    component_names: tuple[str, ...]
    material_names: tuple[str, ...]
    model_versions: dict[str, str] = field(default_factory=dict)
    surface_material: FloatMap | None = None
    """[M, h, w] like ``material``, but without the evidence of the whole piece, for ``stages.known_materials``. None
    before ``decide_by_surface``, and for a photo without a piece: then ``material`` applies."""

    @property
    def wood(self) -> FloatMap:
        """[h, w] probability of wood."""
        return np.asarray(self.material[self.material_names.index("wood")], np.float32)

    @property
    def foreground(self) -> FloatMap:
        """[h, w] probability that the pixel belongs to the piece."""
        return np.asarray(1.0 - self.component[self.component_names.index("background")], np.float32)


class MaterialModels(Protocol):
    """The interface of the models for the stages; ``inference.models.TritonModels`` implements it."""

    def analyze(
        self,
        photo_srgb: Image,
        *,
        long_side: int = 1024,
        timeout_s: float | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> MaterialMaps:
        """Return the material maps of one photo.

        Args:
            long_side: maximum length of the longer side, in pixels. A larger photo is scaled down by area averaging.
            versions: the version of each model to use, by model name. The default is the serving versions. Models of
                roles are used if they are named.

        Raises:
            ModelUnavailable: a model is not available at the moment.
            ModelFailed: a model returned an error, non-finite values, or an unexpected shape.
            DeadlineExceeded: ``timeout_s`` passed.
        """

    def versions(self, pinned: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the version of each model to use now. Raises ModelUnavailable.

        A ``pinned`` version, with which the job started, is used while it is loaded, otherwise the serving version.
        The result contains the model of a role unless the role uses its fallback.
        """

    def photo_models(self, pinned: Mapping[str, str] | None = None, timeout_s: float | None = None) -> PhotoModels:
        """Return the models that stages call on a photo, in the versions of ``versions``. Raises ModelUnavailable.

        Args:
            timeout_s: timeout of each call.
        """

    def ready(self) -> bool:
        """Return whether all models are ready, except those of roles with a fallback."""
