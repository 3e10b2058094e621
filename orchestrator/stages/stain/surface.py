"""Combines the relief of the grain with the geometry in one normal map, and packs maps for renderers."""

from __future__ import annotations

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image

RELIEF_DEPTH = 1.5e-3
"""Depth of the full scale of the height map, as a share of the photo's longer side: 1.5 mm on a table of one metre. Not
tuned."""
MAX_SLOPE = 0.7
"""Largest slope of the grain: 35°. Steeper slopes, which come from brightness, are noise. Not tuned."""
PORE_ROUGHNESS = 0.2
"""Difference in roughness between the deepest pore and the highest ridge. Not tuned."""
SCHARR_WEIGHT = 32.0
"""Sum of the weights of Scharr's operator."""


def grain_slopes(height: FloatMap, longer_side: int) -> tuple[FloatMap, FloatMap]:
    """Return the [n, W] slopes of the relief to the right and upwards, per pixel, from height in [0, 1].

    Uses Scharr's 3 × 3 derivative (Scharr 2000). The rotation error of Sobel's derivative is visible as facets in
    reflections.
    """
    scale = RELIEF_DEPTH * longer_side / SCHARR_WEIGHT
    right = np.asarray(cv2.Scharr(height, cv2.CV_32F, 1, 0, scale=scale), np.float32)
    down = np.asarray(cv2.Scharr(height, cv2.CV_32F, 0, 1, scale=scale), np.float32)
    return np.clip(right, -MAX_SLOPE, MAX_SLOPE), np.clip(-down, -MAX_SLOPE, MAX_SLOPE)


def grain_roughness(roughness: FloatMap, relief: FloatMap) -> FloatMap:
    """Add the grain to the roughness: varnish is thinner in open pores, which therefore shine less."""
    return roughness + (np.float32(0.5) - relief) * np.float32(PORE_ROUGHNESS)


def combine_normals(geometry: FloatMap, slope_right: FloatMap, slope_up: FloatMap) -> Image:
    """Combine the normals of the geometry and of the grain.

    Reoriented normal mapping (Barré-Brisebois, Hill: Blending in Detail, 2012) tilts the grain with the surface.
    Adding the two normals would flatten the grain on slopes.

    Args:
        geometry: [3, n, W] normals in camera space, of any length.
        slope_right, slope_up: [n, W] from ``grain_slopes``.

    Returns:
        [n, W, 3] uint8 OpenGL normal map: +X right, +Y up, +Z to the viewer; 128 is zero.
    """
    length = np.sqrt(geometry[0] ** 2 + geometry[1] ** 2 + geometry[2] ** 2) + np.float32(1e-6)
    base_x, base_y = geometry[0] / length, geometry[1] / length
    # A visible surface faces the camera, but the model may return other normals at silhouettes.
    base_z = np.maximum(geometry[2] / length, 0.0) + np.float32(1.0)
    detail_x, detail_y, detail_z = -slope_right, -slope_up, np.float32(1.0)  # the result is normalised
    scale = (base_z * detail_z - base_x * detail_x - base_y * detail_y) / base_z
    x = base_x * scale + detail_x
    y = base_y * scale + detail_y
    z = base_z * scale - detail_z
    z = np.maximum(z, np.float32(1e-3))
    norm = np.float32(127.0) / np.sqrt(x * x + y * y + z * z)
    packed = np.stack([x * norm, y * norm, z * norm], axis=-1)
    return np.asarray(np.rint(packed + np.float32(128.0)), np.uint8)


def pack_orm(ambient_occlusion: Image, roughness: Image) -> Image:
    """Pack [n, W, 3] uint8 as in glTF: red is occlusion, green is roughness, blue is metallic (0 for wood)."""
    return np.stack([ambient_occlusion, roughness, np.zeros_like(roughness)], axis=-1)
