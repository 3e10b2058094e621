"""A simple recipe for staining, as the baseline of the stain benchmarks.

Retinex with one 51 px Gaussian; Lab a and b interpolated to the target; a weighted 5 px high-pass added back; Sobel
normals; variance in 15 px windows as roughness. All outputs have the resolution of the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.srgb_color import SrgbColor

EPSILON = 1e-3
"""Avoids divisions by 0."""


@dataclass(frozen=True)
class RecipeResult:
    """The outputs of the recipe."""

    albedo_linear: FloatMap  # [H, W, 3] unstained; up to scale
    shading_linear: FloatMap  # [H, W] up to scale
    stained_albedo: Image  # [H, W, 3] sRGB
    preview: Image  # [H, W, 3] sRGB
    normal: FloatMap  # [H, W, 3] unit, +Y up
    roughness: FloatMap  # [H, W] in [0, 1]


def recipe(
    photo_srgb: Image, target: SrgbColor, *, strength: float = 1.0, grain: float = 1.0, mask: Image | None = None
) -> RecipeResult:
    """Run the recipe inside ``mask`` [H, W] uint8, or on the whole photo."""
    photo = photo_srgb.astype(np.float32) / 255
    linear = np.where(photo <= 0.04045, photo / 12.92, ((photo + 0.055) / 1.055) ** 2.4).astype(np.float32)
    grey_linear = cv2.cvtColor(linear, cv2.COLOR_RGB2GRAY)
    shading = cv2.GaussianBlur(grey_linear, (51, 51), 0) + EPSILON
    # Retinex returns reflectance up to scale. Its median is mapped to a middle grey.
    albedo = linear / shading[..., None]
    albedo = np.clip(albedo * (0.3 / float(np.median(albedo))), 0, 1).astype(np.float32)
    albedo_srgb = np.where(albedo <= 0.0031308, albedo * 12.92, 1.055 * albedo ** (1 / 2.4) - 0.055).astype(np.float32)

    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    slope_x = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3)
    normal = np.dstack([-slope_x, slope_y, np.full_like(grey, 0.5)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    mean = cv2.blur(grey, (15, 15))
    variance = np.maximum(cv2.blur(grey * grey, (15, 15)) - mean * mean, 0)
    roughness = np.clip(variance / (float(variance.max()) + EPSILON), 0, 1)

    amount = np.full(grey.shape, strength, np.float32) if mask is None else mask.astype(np.float32) * (strength / 255)
    high_pass = grey - cv2.GaussianBlur(grey, (5, 5), 0)
    return RecipeResult(
        albedo_linear=albedo,
        shading_linear=shading,
        stained_albedo=_recolor(albedo_srgb, target, amount, grain * high_pass),
        preview=_recolor(photo, target, amount, grain * high_pass),
        normal=normal.astype(np.float32),
        roughness=roughness.astype(np.float32),
    )


def _recolor(image_srgb: FloatMap, target: SrgbColor, amount: FloatMap, detail: FloatMap) -> Image:
    lab = cv2.cvtColor(image_srgb, cv2.COLOR_RGB2LAB)
    goal = np.array([[[target.red, target.green, target.blue]]], np.float32) / 255
    goal_lab = cv2.cvtColor(goal, cv2.COLOR_RGB2LAB)[0, 0]
    for channel in (1, 2):
        lab[..., channel] += amount * (goal_lab[channel] - lab[..., channel])
    recolored = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) + (detail * amount)[..., None]
    return np.rint(np.clip(recolored, 0, 1) * 255).astype(np.uint8)
