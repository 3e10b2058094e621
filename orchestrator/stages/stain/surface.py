"""The maps of a texture set that do not depend on the colour of the stain: normals, roughness, occlusion and height.

The relief of the grain comes from the fine detail of the albedo. It is combined with the geometry that the models see.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.stain import Region
from orchestrator.imaging import guided
from orchestrator.imaging.color import LUMINANCE_WEIGHTS, luminance
from orchestrator.imaging.filters import to_byte, weighted_blur
from orchestrator.imaging.strips import Strip, for_each_strip, strips
from orchestrator.imaging.wood import wood_probability
from orchestrator.stages.stain.decomposition import DecomposedRows, Decomposition
from orchestrator.stages.stain.film import MIN_ALBEDO

SURFACE_EPSILON = 1e-3
"""Guide variance (3 % contrast) below which a window is flat. Normals and roughness do not follow fine grain."""
GRAIN_SCALE = 0.01
"""Detail finer than this share of the photo's longer side is grain. Not tuned."""
HEIGHT_PER_LOG = 0.5
"""Height per unit of log luminance. Open pores are dark, so darker is deeper. Not tuned."""
LEVEL = 0.5
"""Height of wood without relief, on a scale of 0 to 1."""
SIGMAS_PER_SIDE = 4000
"""The sigma of the noise filter is the longer side of the photo divided by this number. The filter resolves grain to
about 1/2000 of the photo. In larger photos, finer detail is noise."""
MIN_SIGMA = 0.7
"""Smallest sigma of the noise filter, in pixels."""
RELIEF_DEPTH = 1.5e-3
"""Depth of the full scale of the height map, as a share of the photo's longer side: 1.5 mm per metre. Not tuned."""
MAX_SLOPE = 0.7
"""Largest slope of the grain: 35°. The relief is derived from brightness, where steeper slopes are noise. Not tuned."""
PORE_ROUGHNESS = 0.2
"""Difference in roughness between the deepest pore and the highest ridge. Not tuned."""
SCHARR_WEIGHT = 32.0
"""Sum of the absolute weights of Scharr's operator. Its response divided by this is the slope per pixel."""


@dataclass(frozen=True)
class SurfaceMaps:
    """The maps, at the resolution of the photo."""

    normal: Image  # [H, W, 3] OpenGL normals (+Y up) of geometry and grain; 128 is zero
    roughness: Image  # [H, W] 255 is fully rough
    ambient_occlusion: Image  # [H, W] 255 is unoccluded
    height: NDArray[np.uint16]  # [H, W] relief of the grain; 32768 is level
    orm: Image  # [H, W, 3] occlusion, roughness, metallic (0)


def surface_maps(photo_srgb: Image, maps: MaterialMaps, progress: Progress = no_progress) -> SurfaceMaps:
    """Compute the maps from the [H, W, 3] uint8 photo and the model outputs for it."""
    height, width = photo_srgb.shape[:2]
    wood = wood_probability(maps, Region.AUTO)
    decomposition = Decomposition.fit(photo_srgb, maps, wood)
    base = _fit_base(maps, wood, photo_srgb)
    surface_low = np.dstack([maps.normal, maps.roughness, maps.ambient_occlusion]).astype(np.float32)
    fitted_surface = guided.fit(surface_low, photo_srgb, epsilon=SURFACE_EPSILON, grey=True)
    noise_sigma = max(MIN_SIGMA, max(height, width) / SIGMAS_PER_SIDE)
    noise_reach = int(np.ceil(3 * noise_sigma))
    normal, relief_height = np.empty_like(photo_srgb), np.empty((height, width), np.uint16)
    roughness, ambient_occlusion = np.empty((2, height, width), np.uint8)

    def compute_strip(strip: Strip) -> None:
        grown = strip.grown(noise_reach + 1)  # the slopes need one more row
        inner = slice(strip.top - grown.top, strip.bottom - grown.top)
        base_rows = base.rows(photo_srgb[grown.rows], grown.indices)[0]
        relief = _relief(decomposition.read(grown.indices), base_rows, noise_sigma, noise_reach)
        right, up = grain_slopes(relief, max(height, width))
        surface = fitted_surface.rows(photo_srgb[strip.rows], strip.indices)
        normal[strip.rows] = combine_normals(surface[:3], right[inner], up[inner])
        # Varnish is thinner in open pores, which therefore shine less.
        grain_roughness = (np.float32(LEVEL) - relief[inner]) * np.float32(PORE_ROUGHNESS)
        roughness[strip.rows] = to_byte(surface[3] + grain_roughness)
        ambient_occlusion[strip.rows] = to_byte(surface[4])
        relief_height[strip.rows] = np.rint(relief[inner] * 65535.0).astype(np.uint16)

    for_each_strip(compute_strip, strips(height, width), progress, "computing the surface maps")
    orm = pack_orm(ambient_occlusion, roughness)
    return SurfaceMaps(normal, roughness, ambient_occlusion, relief_height, orm)


def _fit_base(maps: MaterialMaps, wood: FloatMap, photo_srgb: Image) -> guided.GuidedMap:
    """Return the log luminance of the wood's albedo without grain, from which the relief is measured.

    The average covers only wood, so that a white wall behind a table does not raise the table's edge.
    """
    log_albedo = _log_albedo(luminance(maps.albedo_linear))
    base = weighted_blur(log_albedo, wood + np.float32(1e-3), GRAIN_SCALE * max(log_albedo.shape))
    return guided.without_guide(base, photo_srgb)


def _log_albedo(luminance_linear: FloatMap) -> FloatMap:
    return np.asarray(cv2.log(np.maximum(luminance_linear, np.float32(MIN_ALBEDO))), np.float32)


def _relief(rows: DecomposedRows, base: FloatMap, noise_sigma: float, noise_reach: int) -> FloatMap:
    """Return the [n, W] relief of some rows as height in [0, 1], which is level outside the wood.

    The relief is the deviation of the albedo's log luminance from ``base``, the same rows of ``_fit_base``. The first
    and last ``noise_reach`` rows are inaccurate, because the noise filter lacks neighbours there.
    """
    red, green, blue = (plane * weight for plane, weight in zip(rows.albedo_linear, LUMINANCE_WEIGHTS, strict=True))
    kernel = (2 * noise_reach + 1, 2 * noise_reach + 1)
    detail = cv2.GaussianBlur(_log_albedo(red + green + blue) - base, kernel, noise_sigma)
    wood = rows.wood.astype(np.float32) * np.float32(1 / 255)
    offset = np.clip(detail * np.float32(HEIGHT_PER_LOG), -LEVEL, LEVEL)
    return np.asarray(offset * wood + np.float32(LEVEL), np.float32)


def grain_slopes(height: FloatMap, longer_side: int) -> tuple[FloatMap, FloatMap]:
    """Return the [n, W] slopes of the relief to the right and upwards, per pixel, from height in [0, 1].

    Uses Scharr's 3 × 3 derivative (Scharr 2000). The rotation error of Sobel's derivative is visible as facets in
    reflections.
    """
    scale = RELIEF_DEPTH * longer_side / SCHARR_WEIGHT
    right = np.asarray(cv2.Scharr(height, cv2.CV_32F, 1, 0, scale=scale), np.float32)
    down = np.asarray(cv2.Scharr(height, cv2.CV_32F, 0, 1, scale=scale), np.float32)
    return np.clip(right, -MAX_SLOPE, MAX_SLOPE), np.clip(-down, -MAX_SLOPE, MAX_SLOPE)


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
    x, y = base_x * scale + detail_x, base_y * scale + detail_y
    z = np.maximum(base_z * scale - detail_z, np.float32(1e-3))
    norm = np.float32(127.0) / np.sqrt(x * x + y * y + z * z)
    return np.asarray(np.rint(np.stack([x * norm, y * norm, z * norm], axis=-1) + np.float32(128.0)), np.uint8)


def pack_orm(ambient_occlusion: Image, roughness: Image) -> Image:
    """Pack [n, W, 3] uint8 as in glTF: red is occlusion, green is roughness, blue is metallic (0 for wood)."""
    return np.stack([ambient_occlusion, roughness, np.zeros_like(roughness)], axis=-1)
