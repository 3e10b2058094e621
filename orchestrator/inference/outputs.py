"""Converts the outputs of Heartwood's own models to material maps."""

from __future__ import annotations

from collections.abc import Mapping

from scipy.special import softmax

from orchestrator.domain.images import FloatMap
from orchestrator.domain.material_maps import MaterialMaps


def material_maps(
    outputs: Mapping[str, FloatMap],
    component_names: tuple[str, ...],
    material_names: tuple[str, ...],
    model_versions: dict[str, str],
) -> MaterialMaps:
    """Return the maps of one photo.

    Args:
        outputs: [C, h, w] by the name of the output.
        component_names, material_names: classes of the segmentation model.
        model_versions: version of each model that contributed.
    """
    return MaterialMaps(
        albedo_linear=outputs["albedo"].transpose(1, 2, 0),
        shading_linear=outputs["shading"].transpose(1, 2, 0),
        normal=outputs["normal"].transpose(1, 2, 0),
        **{name: outputs[name][0] for name in ("roughness", "ambient_occlusion", "depth")},
        component=softmax(outputs["component"], axis=0),
        material=softmax(outputs["material"], axis=0),
        component_names=component_names,
        material_names=material_names,
        model_versions=model_versions,
    )
