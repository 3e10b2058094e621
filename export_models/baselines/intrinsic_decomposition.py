"""Version 1 of ``intrinsic_decomposition``: separates albedo from shading in closed form.

Surfaces of the same chromaticity are assumed to have the same albedo anywhere in the image (the global prior of
Gehler et al. 2011 and Garces et al. 2012, with the cue of colour Retinex, Grosse et al. 2009). The remaining variation
of brightness is shading. An edge-preserving filter smooths it, so that wood grain stays in the albedo.

The constants were chosen on the 14 images of the ``stain_quality`` benchmark. The model card states the quality on
these images and on others. The effect of single constants is not recorded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export_models.baselines.filtering import (
    content_frame,
    guided_filter,
    guided_from_grid,
    linear_from_srgb,
    luminance,
    pixel_positions,
    shades_of_grey,
    similarity_weights,
    smooth,
    to_grid,
)

INPUTS = ("image",)
OUTPUTS = ("albedo", "shading")

SHADING_GRID = 256
"""Side of the grid on which the shading is computed."""
QUERY_GRID = 128
"""Side of the grid of positions that receive an albedo."""
KEY_GRID = 32
"""Side of the grid of positions from which albedos are averaged."""

ITERATIONS = 6
"""Number of times that albedo and shading are estimated in turn."""
ITERATION_SMOOTHING = 2
"""Radius of ``smooth`` for the shading within the iterations, in cells of the key grid. This smoothing ignores material
borders on purpose: it ties the albedo levels of adjacent materials together."""

LOG_OFFSET = 0.01
"""Added to linear channels before the logarithm. Below this level, the chromaticity of an 8-bit photo is noise."""
LUMINANCE_LOG_OFFSET = 2e-3
"""Added to linear luminance before the logarithm, for the same reason as LOG_OFFSET."""

RED_GREEN_SIGMA = 0.07
"""Difference of log red–green chromaticity that separates two surfaces."""
YELLOW_BLUE_SIGMA = 0.17
"""Difference of log yellow–blue chromaticity that separates two surfaces. It is larger than RED_GREEN_SIGMA because
the colour of light varies mainly between yellow and blue."""
GREY_CHROMATICITY = 0.5
"""Log chromaticity below which a surface is treated as nearly grey."""
GREY_BRIGHTNESS_SIGMA = 0.25
"""Difference of log brightness that separates two grey surfaces. Greys differ in albedo but not in chromaticity, so
among them brightness has to separate surfaces."""

SHADING_RADIUS = 4
"""Radius of the guided filter that smooths the final shading, in cells of the shading grid."""
SHADING_EPSILON = 0.05
"""Variance of log luminance below which that filter treats a window as flat. Larger steps than 22 % (√0.05) are
treated as shadows or edges between faces and stay in the shading; smaller steps are treated as grain."""
UPSAMPLING_RADIUS = 2
"""Radius of the guided filter that brings the shading to full size, in cells of the shading grid."""
UPSAMPLING_EPSILON = 0.02
"""Variance of log luminance below which that filter treats a window as flat."""

LIGHT_COLOR_SHARE = 0.4
"""Share of the ``shades_of_grey`` estimate that is attributed to the light. The average colour of an image often
belongs to the room itself, so the estimate is used by less than half."""
WHITE_ALBEDO = 0.85
"""Albedo of white paint, assumed for the lightest surfaces of an image."""
LIGHTEST_SHARE = 0.02
"""Share of the image that counts as its lightest surfaces, or as its strongest light."""
SPECULAR_REFLECTANCE = 0.02
"""Part of the neutral light that a varnished surface mirrors into the camera: half of the Fresnel reflectance of 4 %
at normal incidence (n = 1.5)."""
MIN_DIFFUSE_SHARE = 0.3
"""Smallest diffuse share of a pixel: at most 70 % are attributed to specular reflection."""


class IntrinsicDecomposition(nn.Module):
    """Splits an image into albedo and shading, with albedo × shading = image in linear light."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Split an image.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            albedo [B, 3, H, W] linear RGB in [0, 1] and shading [B, 3, H, W] linear RGB, > 0. Their product is the
            linear image up to rounding. A black pixel has albedo 0 and the shading of its neighbours. Where the
            estimated shading is below the pixel, as in clipped highlights, it is raised to the pixel and albedo is 1.
        """
        linear = linear_from_srgb(image)
        frame = content_frame(image)
        linear_grid = to_grid(linear, SHADING_GRID, frame)
        light_color = shades_of_grey(linear_grid, LIGHT_COLOR_SHARE)
        log_luminance_grid = _log_luminance(linear_grid)
        log_shading_grid = grid_log_shading(linear_grid, light_color)
        log_shading = guided_from_grid(
            log_shading_grid,
            log_luminance_grid,
            _log_luminance(linear),
            frame,
            UPSAMPLING_RADIUS,
            UPSAMPLING_EPSILON,
        )
        shading = torch.exp(log_shading) * light_color
        shading = shading * _level(linear_grid / (torch.exp(log_shading_grid) * light_color), log_shading_grid)
        shading = shading * _specular_gain(linear / shading)
        shading = torch.maximum(shading, linear)
        return linear / shading, shading


def grid_log_shading(linear: Tensor, light_color: Tensor) -> Tensor:
    """Estimate the log of the achromatic shading, up to a constant.

    Albedo and a smooth shading are estimated in turn, each from the residual of the other. The last shading preserves
    edges.

    Args:
        linear: [B, 3, SHADING_GRID, SHADING_GRID] linear RGB.
        light_color: [B, 3, 1, 1].

    Returns:
        [B, 1, SHADING_GRID, SHADING_GRID].
    """
    log_linear, keys, queries = _log_luminance(linear), to_grid(linear, KEY_GRID), to_grid(linear, QUERY_GRID)
    log_keys = _log_luminance(keys)
    log_shading = torch.zeros_like(log_keys)
    for _ in range(ITERATIONS):
        features = _surface_features(keys, light_color, log_shading)
        log_shading = smooth(log_keys - _shared_albedo(features, features, log_keys - log_shading), ITERATION_SMOOTHING)

    query_features = _surface_features(queries, light_color, to_grid(log_shading, QUERY_GRID))
    key_features = _surface_features(keys, light_color, log_shading)
    log_albedo = _shared_albedo(query_features, key_features, log_keys - log_shading)
    residual = log_linear - to_grid(log_albedo, SHADING_GRID)
    return guided_filter(log_linear, residual, SHADING_RADIUS, SHADING_EPSILON)


def _shared_albedo(queries: Tensor, keys: Tensor, log_albedo: Tensor) -> Tensor:
    """Return [B, 1, h, w]: mean of ``log_albedo`` [B, 1, n, m] over the keys similar to each query."""
    batch, _, height, width = queries.shape
    mean = similarity_weights(queries, keys) @ log_albedo.flatten(2).transpose(1, 2)
    return mean.transpose(1, 2).reshape(batch, 1, height, width)


def _surface_features(linear: Tensor, light_color: Tensor, log_shading: Tensor) -> Tensor:
    """Return [B, 5, n, n]: chromaticity, brightness of greys and position, scaled to a sigma of 1."""
    red, green, blue = torch.log(linear / light_color + LOG_OFFSET).chunk(3, dim=1)
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    greyness = torch.exp(-(2.0 * red_green * red_green + yellow_blue * yellow_blue) / GREY_CHROMATICITY**2)
    brightness = greyness * (_log_luminance(linear) - log_shading)
    positions = pixel_positions(linear)
    chromaticity = [red_green / RED_GREEN_SIGMA, yellow_blue / YELLOW_BLUE_SIGMA]
    return torch.cat([*chromaticity, brightness / GREY_BRIGHTNESS_SIGMA, positions], dim=1)


def _log_luminance(linear: Tensor) -> Tensor:
    return torch.log(luminance(linear) + LUMINANCE_LOG_OFFSET)


def _level(albedo: Tensor, log_shading: Tensor) -> Tensor:
    """Return the factor [B, 1, 1, 1] that brings the shading, and with it the albedo, to a plausible level.

    The geometric mean of two estimates with opposite errors: the lightest surface is white, which is wrong if a dark
    board fills the image; the strongest light is 1, which is wrong if the photo is underexposed.
    """
    lightest_albedo = _upper_quantile(to_grid(albedo, KEY_GRID).amax(dim=1, keepdim=True)) / WHITE_ALBEDO
    strongest_light = torch.exp(_upper_quantile(to_grid(log_shading, KEY_GRID)))
    return torch.sqrt((lightest_albedo / strongest_light).clamp(1e-3, 1e3))


def _upper_quantile(values: Tensor) -> Tensor:
    """Return [B, 1, 1, 1]: the quantile 1 - LIGHTEST_SHARE of ``values`` [B, 1, KEY_GRID, KEY_GRID]."""
    count = int(KEY_GRID * KEY_GRID * LIGHTEST_SHARE)
    return values.flatten(1).topk(count, dim=1).values[:, count - 1 :].unsqueeze(2).unsqueeze(3)


def _specular_gain(albedo: Tensor) -> Tensor:
    """Return the factor ≥ 1, per channel, by which neutral specular reflection raises the shading. Same shape."""
    is_bright_enough = albedo * (1.0 - MIN_DIFFUSE_SHARE) > SPECULAR_REFLECTANCE
    gain = albedo / (albedo - SPECULAR_REFLECTANCE).clamp_min(1e-3)
    return torch.where(is_bright_enough, gain, torch.full_like(albedo, 1 / MIN_DIFFUSE_SHARE))
