"""Ask the models about a photo once, and keep the answer in a small file that later stages start from."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps, MaterialModels
from orchestrator.domain.quality import Quality

LONG_SIDE = {Quality.PREVIEW: 512, Quality.FINAL: 1024}
"""The models' working size, by quality: pixels of the longer side."""

PREVIEW_SIDE = 1024
"""A preview works on a photo of at most this many pixels on its longer side."""

_MAPS = ("albedo_linear", "shading_linear", "normal", "roughness", "ambient_occlusion", "depth")
_LIKELIHOODS = ("component", "material")


def analyze(
    photo_srgb: Image, models: MaterialModels, quality: Quality, timeout_s: float, versions: Mapping[str, str]
) -> bytes:
    """Return the packed material maps of one photo, from these versions of the models; see ``unpack``."""
    maps = models.analyze(photo_srgb, long_side=LONG_SIDE[quality], timeout_s=timeout_s, versions=versions)
    return pack(maps)


def pack(maps: MaterialMaps) -> bytes:
    """Write maps as NPZ: float16 (relative error 2⁻¹¹), likelihoods as uint8 (error 1/510). About 40 bytes a pixel."""
    arrays: dict[str, NDArray[np.generic]] = {name: getattr(maps, name).astype(np.float16) for name in _MAPS}
    for name in _LIKELIHOODS:
        arrays[name] = np.round(getattr(maps, name) * 255).astype(np.uint8)
    about = {
        "component_names": maps.component_names,
        "material_names": maps.material_names,
        "model_versions": maps.model_versions,
    }
    file = io.BytesIO()
    np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    return file.getvalue()


def unpack(data: bytes) -> MaterialMaps:
    """Read what ``pack`` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        about = json.loads(file["about"].tobytes())
        maps: dict[str, FloatMap] = {name: file[name].astype(np.float32) for name in _MAPS}
        for name in _LIKELIHOODS:
            maps[name] = file[name].astype(np.float32) / np.float32(255)
    return MaterialMaps(
        **maps,
        component_names=tuple(about["component_names"]),
        material_names=tuple(about["material_names"]),
        model_versions=about["model_versions"],
    )
