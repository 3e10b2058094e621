"""Material maps of a flat, evenly lit scene."""

from __future__ import annotations

from typing import Any

import numpy as np

from orchestrator.domain.images import FloatMap
from orchestrator.domain.material_maps import MaterialMaps


def flat_maps(component: dict[str, FloatMap], material: dict[str, FloatMap], **others: Any) -> MaterialMaps:
    """Return maps of a matt white plane that faces the camera.

    Args:
        component, material: likelihood [h, w] of each class by its name.
        others: other fields of ``MaterialMaps``.
    """
    ones = np.ones_like(next(iter(component.values())), np.float32)
    plane: dict[str, Any] = {
        "albedo_linear": np.dstack([ones] * 3),
        "shading_linear": np.dstack([ones] * 3),
        "normal": np.dstack([0 * ones, 0 * ones, ones]),
        "roughness": ones,
        "ambient_occlusion": ones,
        "depth": ones,
    }
    return MaterialMaps(
        component=np.stack(list(component.values())).astype(np.float32),
        material=np.stack(list(material.values())).astype(np.float32),
        component_names=tuple(component),
        material_names=tuple(material),
        **plane | others,
    )
