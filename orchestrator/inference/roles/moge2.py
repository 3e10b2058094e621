"""MoGe-2 (Wang et al. 2025): normals and depth in metres, for the role ``geometry``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.inference.letterbox import to_model_input
from orchestrator.inference.tensors import Tensors

STEP = 32
"""The sides of the input are multiples of this. The photo is stretched to the nearest ones, not padded, because the
model assumes that the optical axis passes through the centre of the image."""
MIN_VALID = 0.5
"""Likelihood from which normal and depth are meaningful. The authors use the same."""


def to_inputs(photo_srgb: Image) -> Tensors:
    """Return the inputs for one photo, [H, W, 3] uint8."""
    height, width = (max(1, round(side / STEP)) * STEP for side in photo_srgb.shape[:2])
    resized = cv2.resize(photo_srgb, (width, height), interpolation=cv2.INTER_AREA)
    return {"image": to_model_input(np.asarray(resized, np.uint8))}


def with_geometry(maps: MaterialMaps, outputs: Mapping[str, FloatMap]) -> MaterialMaps:
    """Return the maps with normals and depth from the outputs of MoGe-2, where they are valid.

    Elsewhere the maps keep their normals, and their depth, which has no scale, is scaled to metres.

    Args:
        outputs: ``normal`` [1, 3, H, W] unit, camera space as in ``MaterialMaps``; ``depth`` [1, 1, H, W] in metres;
            ``valid`` [1, 1, H, W] in [0, 1]. H × W is the size of the input.
    """
    shape = maps.depth.shape
    depth, valid = (_resized(outputs[name][0, 0], shape) for name in ("depth", "valid"))
    normal = _resized(outputs["normal"][0].transpose(1, 2, 0), shape)
    trusted = valid > MIN_VALID
    if not trusted.any():
        return maps
    weight = valid[..., None]
    mixed = weight * normal + (1 - weight) * maps.normal
    metres = float(np.median(depth[trusted] / maps.depth[trusted]))
    return replace(
        maps,
        normal=(mixed / np.maximum(np.linalg.norm(mixed, axis=2, keepdims=True), 1e-6)).astype(np.float32),
        depth=np.where(trusted, depth, maps.depth * metres).astype(np.float32),
    )


def _resized(values: NDArray[np.float32], shape: tuple[int, ...]) -> FloatMap:
    """Resize [H, W] or [H, W, C] to the height and width of ``shape``."""
    return np.asarray(cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)
