"""Surface maps of a photo: grain relief and geometry in one normal map, and the packing for renderers."""

from __future__ import annotations

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image

RELIEF_DEPTH = 1.5e-3
"""Depth of the height map's full scale, as a share of the picture's longer side: 1.5 mm on a table of one metre."""
STEEPEST = 0.7
"""Largest slope that grain adds: 35°, beyond which a height from brightness is noise."""
PORE_ROUGHNESS = 0.2
"""Roughness between the deepest pore and the highest ridge."""


def grain_slopes(height: FloatMap, longer_side: int) -> tuple[FloatMap, FloatMap]:
    """[n, W] rise of the relief to the right and to the top, per pixel, from height in [0, 1].

    Scharr's 3 × 3 derivative (Scharr 2000): the rotation error of Sobel's is visible as facets in reflections.
    """
    scale = RELIEF_DEPTH * longer_side / 32.0  # the operator's weights add up to 32
    right = np.asarray(cv2.Scharr(height, cv2.CV_32F, 1, 0, scale=scale), np.float32)
    down = np.asarray(cv2.Scharr(height, cv2.CV_32F, 0, 1, scale=scale), np.float32)
    return np.clip(right, -STEEPEST, STEEPEST), np.clip(-down, -STEEPEST, STEEPEST)


def grain_roughness(roughness: FloatMap, relief: FloatMap) -> FloatMap:
    """Roughness with the grain in it: varnish stands thinner in open pores, which shine less."""
    return roughness + (np.float32(0.5) - relief) * np.float32(PORE_ROUGHNESS)


def combined_normal(geometry: FloatMap, slope_right: FloatMap, slope_up: FloatMap) -> Image:
    """[n, W, 3] uint8 normal map, OpenGL (+X right, +Y up, +Z to the viewer), 128 is zero.

    Reoriented normal mapping (Barré-Brisebois, Hill: Blending in Detail, 2012) tilts the grain with the surface
    beneath, where adding the two would flatten grain on slopes.

    Args:
        geometry: [3, n, W] normals, camera space; need not be unit.
        slope_right, slope_up: [n, W] from ``grain_slopes``.
    """
    length = np.sqrt(geometry[0] ** 2 + geometry[1] ** 2 + geometry[2] ** 2) + np.float32(1e-6)
    base_x, base_y = geometry[0] / length, geometry[1] / length
    # Surfaces that turn away from the camera are not seen; a model may say so at silhouettes.
    base_z = np.maximum(geometry[2] / length, 0.0) + np.float32(1.0)
    detail_x, detail_y, detail_z = -slope_right, -slope_up, np.float32(1.0)  # not unit: the result is normalised
    scale = (base_z * detail_z - base_x * detail_x - base_y * detail_y) / base_z
    x = base_x * scale + detail_x
    y = base_y * scale + detail_y
    z = base_z * scale - detail_z
    z = np.maximum(z, np.float32(1e-3))
    norm = np.float32(127.0) / np.sqrt(x * x + y * y + z * z)
    packed = np.stack([x * norm, y * norm, z * norm], axis=-1)
    return np.asarray(np.rint(packed + np.float32(128.0)), np.uint8)


def packed_orm(ambient_occlusion: Image, roughness: Image) -> Image:
    """[n, W, 3] uint8 in glTF's packing: R occlusion, G roughness, B metallic, which wood is not."""
    return np.stack([ambient_occlusion, roughness, np.zeros_like(roughness)], axis=-1)
