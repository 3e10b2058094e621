"""A synthetic photo of a wooden board in front of a grey wall, with its ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging.color import srgb_from_linear
from tests.support.material_maps import flat_maps


@dataclass(frozen=True)
class WoodenScene:
    """The photo, its ground truth, and the outputs of perfect models."""

    photo_srgb: Image  # [H, W, 3]
    albedo_linear: FloatMap  # [H, W, 3]
    wood: Image  # [H, W] 255 is wood
    maps: MaterialMaps


def wooden_scene(
    height: int = 240,
    width: int = 320,
    *,
    wood_share: float = 0.6,
    mean: tuple[float, float, float] = (0.3, 0.16, 0.08),
) -> WoodenScene:
    """Return a scene with horizontal grain and light that falls off to the right. The maps have half its resolution.

    Args:
        wood_share: share of the rows that the board covers, from the bottom.
        mean: mean linear RGB of the wood.
    """
    random = np.random.default_rng(7)
    streaks = cv2.GaussianBlur(random.standard_normal((height, width)).astype(np.float32), (0, 0), 12, sigmaY=1.2)
    grain = np.exp(0.15 * streaks / streaks.std())
    wood = np.zeros((height, width), np.uint8)
    wood[round(height * (1 - wood_share)) :] = 255
    board = np.asarray(mean, np.float32) * grain[..., None]
    albedo = np.where(wood[..., None] > 0, board, np.float32(0.5)).astype(np.float32)
    shading = np.broadcast_to(np.linspace(1.0, 0.4, width, dtype=np.float32), (height, width))
    photo = srgb_from_linear(albedo * shading[..., None])

    small = (width // 2, height // 2)
    low_albedo = cv2.resize(albedo, small, interpolation=cv2.INTER_AREA)
    low_shading = np.repeat(cv2.resize(shading, small, interpolation=cv2.INTER_AREA)[..., None], 3, axis=2)
    low_wood = cv2.resize(wood, small, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    maps = flat_maps(
        {"background": 1 - low_wood, "tabletop": low_wood},
        {"wood": low_wood, "other": 1 - low_wood},
        albedo_linear=low_albedo,
        shading_linear=low_shading,
        roughness=np.full_like(low_wood, 0.5),
    )
    return WoodenScene(photo, albedo, wood, maps)
