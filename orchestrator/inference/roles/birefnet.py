"""BiRefNet (Zheng et al. 2024): the likelihood of the piece, for the role ``foreground``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.inference.letterbox import stretch_to_square, to_model_input
from orchestrator.inference.tensors import Tensors

SIDE = 1024
"""Side of the square input in pixels. As in the authors' code, the photo is stretched to it."""
MIN_SHARE = 1e-6
"""Likelihood that every part has at least, so that the parts of a pixel that ``segmentation`` takes for background keep
their proportions. Far below the precision of the stored maps."""


def to_inputs(photo_srgb: Image) -> Tensors:
    """Return the inputs for one photo, [H, W, 3] uint8."""
    return {"image": to_model_input(stretch_to_square(photo_srgb, SIDE))}


def with_foreground(maps: MaterialMaps, outputs: Mapping[str, FloatMap]) -> MaterialMaps:
    """Return the maps with the likelihood of the piece from the outputs of BiRefNet.

    The likelihoods of the parts keep their proportions, and their sum becomes the likelihood of the piece.

    Args:
        outputs: ``foreground`` [1, 1, SIDE, SIDE] in [0, 1].
    """
    height, width = maps.foreground.shape
    foreground = cv2.resize(outputs["foreground"][0, 0], (width, height), interpolation=cv2.INTER_LINEAR)
    background = maps.component_names.index("background")
    parts = np.maximum(maps.component, np.float32(MIN_SHARE))
    parts[background] = 0
    component = parts * (foreground / parts.sum(axis=0))
    component[background] = 1 - foreground
    return replace(maps, component=component.astype(np.float32))
