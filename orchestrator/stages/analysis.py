"""Runs the material models on a photo and packs their outputs into a file that several stages share."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps, MaterialModels
from orchestrator.domain.model_roles import ANALYSIS_ROLES, ROLE_MODELS, Role
from orchestrator.domain.model_versions import MODELS as OWN_MODELS
from orchestrator.domain.quality import Quality
from orchestrator.imaging.surfaces import decide_by_surface

MODELS = (*OWN_MODELS, *(ROLE_MODELS[role] for role in ANALYSIS_ROLES))
"""The models that contribute to the maps."""
PROMPT_MODEL = ROLE_MODELS[Role.PROMPT]
LONG_SIDE = {Quality.PREVIEW: 512, Quality.FINAL: 1024}
"""Longer side of the model inputs in pixels, by quality."""
PREVIEW_SIDE = 1024
"""Longest side of the photo that a preview job works on, in pixels."""

_MAPS = ("albedo_linear", "shading_linear", "normal", "roughness", "ambient_occlusion", "depth")
_PROBABILITIES = ("component", "material", "surface_material")


def analyze(
    photo_srgb: Image, models: MaterialModels, quality: Quality, timeout_s: float, versions: Mapping[str, str]
) -> bytes:
    """Run the given versions of the models on one photo, and decide the material of each surface.

    Returns:
        The packed maps; see ``unpack``.
    """
    maps = models.analyze(photo_srgb, long_side=LONG_SIDE[quality], timeout_s=timeout_s, versions=versions)
    proposals: tuple[FloatMap, ...] = ()
    prompt_model = models.photo_models(versions, timeout_s).prompt
    if prompt_model is not None and PROMPT_MODEL in versions:
        proposals = prompt_model.regions(photo_srgb, maps.foreground)
        maps = replace(maps, model_versions={**maps.model_versions, PROMPT_MODEL: versions[PROMPT_MODEL]})
    return pack(decide_by_surface(photo_srgb, maps, proposals))


def pack(maps: MaterialMaps) -> bytes:
    """Pack maps into an NPZ file of about 55 bytes per pixel.

    Maps are stored as float16 (relative error 2⁻¹¹) and probabilities as uint8 (absolute error 1/510).
    """
    arrays = {name: getattr(maps, name).astype(np.float16) for name in _MAPS}
    present = [name for name in _PROBABILITIES if getattr(maps, name) is not None]
    arrays |= {name: np.round(getattr(maps, name) * 255).astype(np.uint8) for name in present}
    metadata = {name: getattr(maps, name) for name in ("component_names", "material_names", "model_versions")}
    file = io.BytesIO()
    np.savez(file, about=np.frombuffer(json.dumps(metadata).encode(), np.uint8), **arrays)
    return file.getvalue()


def unpack(data: bytes) -> MaterialMaps:
    """Read maps that ``pack`` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        metadata = json.loads(file["about"].tobytes())
        maps = {name: file[name].astype(np.float32) for name in _MAPS}
        maps |= {name: file[name].astype(np.float32) / np.float32(255) for name in _PROBABILITIES if name in file}
    for name in ("component_names", "material_names"):
        metadata[name] = tuple(metadata[name])
    return MaterialMaps(**maps, **metadata)
