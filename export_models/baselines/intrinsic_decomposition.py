"""Version 1 of ``intrinsic_decomposition``: what is a surface's own colour, and what is light.

Surfaces of one chromaticity are taken to be of one albedo, wherever they are in the picture (the global prior of
Gehler et al. 2011 and Garces et al. 2012; the cue is that of colour Retinex, Grosse et al. 2009). What brightness
that leaves over is light, smoothed along edges, so that grain stays with the albedo.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export_models.baselines.filtering import (
    guided_filter,
    guided_from_grid,
    likeness,
    linear_from_srgb,
    luminance,
    picture_frame,
    places,
    shades_of_grey,
    smooth,
    to_grid,
)

INPUTS = ("image",)
OUTPUTS = ("albedo", "shading")

GRID, QUERY, KEY = 256, 128, 32
"""Sides of the grids: of the light, of the places whose albedo is looked up, of the places it is looked up from."""
ROUNDS, SPREAD = 6, 2
"""While albedos are sought, light is taken to be smooth over three box means of 5 cells of the coarsest grid: it does
not stop where one material meets another, which is what ties their levels together."""
DARK = 0.01
"""Added before logarithms of channels: below, an 8-bit photo's chromaticity is noise."""
DARK_LUMINANCE = 2e-3
RED_GREEN, YELLOW_BLUE = 0.07, 0.17
"""Log chromaticity that counts as another surface: lights of other colours shift yellow–blue more than red–green."""
GREY, GREY_STEP = 0.5, 0.25
"""Below this log chromaticity a surface is nearly grey. Greys differ in albedo alone, so for them a step in
brightness counts as another surface too."""
LIGHT_RADIUS, LIGHT_EPSILON = 4, 0.05
"""Window in grid cells, and variance of log luminance: steps above 22 % are faces and shadows, below grain."""
FINE_RADIUS, FINE_EPSILON = 2, 0.02
LIGHT_COLOR_SHARE = 0.4
"""The light's colour is believed by less than half: a picture's colour may well be the room's own."""
WHITE, WHITE_SHARE = 0.85, 0.02
"""Albedo of white paint; the lightest fiftieth of a picture is taken to be near it."""
MIRRORED, LEAST_DIFFUSE = 0.02, 0.3
"""Half of the 4 % that a varnished surface mirrors at normal incidence (Fresnel, n = 1.5) is taken to reach the
camera, and never more than 70 % of a pixel."""


class IntrinsicDecomposition(nn.Module):
    """albedo × shading = the picture in linear light."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Split a picture.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            albedo [B, 3, H, W] linear RGB in [0, 1] and shading [B, 3, H, W] linear RGB, > 0. Their product is
            the linear picture up to rounding, everywhere: a black pixel has albedo 0 under its neighbours' light,
            and where light would have to be weaker than the pixel, as in clipped highlights, albedo is 1.
        """
        linear = linear_from_srgb(image)
        frame = picture_frame(image)
        small = to_grid(linear, GRID, frame)
        light_color = shades_of_grey(small, LIGHT_COLOR_SHARE)
        log_luminance = _log_luminance(small)
        log_light = grid_light(small, light_color)
        fine = guided_from_grid(log_light, log_luminance, _log_luminance(linear), frame, FINE_RADIUS, FINE_EPSILON)
        shading = torch.exp(fine) * light_color
        shading = shading * _exposure(small / (torch.exp(log_light) * light_color), log_light)
        shading = shading * _mirrored_share(linear / shading)
        shading = torch.maximum(shading, linear)
        return linear / shading, shading


def grid_light(small: Tensor, light_color: Tensor) -> Tensor:
    """Log of the light's brightness, up to a constant: [B, 1, GRID, GRID] for linear RGB [B, 3, GRID, GRID].

    Albedo and light are solved in turn, each from what the other leaves over. The last light follows edges again.
    """
    log_small, keys, queries = _log_luminance(small), to_grid(small, KEY), to_grid(small, QUERY)
    log_keys = _log_luminance(keys)
    log_light = torch.zeros_like(log_keys)
    for _ in range(ROUNDS):
        surface = _surface(keys, light_color, log_light)
        log_light = smooth(log_keys - _albedo(surface, surface, log_keys - log_light), SPREAD)

    seen_from = _surface(queries, light_color, to_grid(log_light, QUERY))
    log_albedo = _albedo(seen_from, _surface(keys, light_color, log_light), log_keys - log_light)
    rest = log_small - to_grid(log_albedo, GRID)
    return guided_filter(log_small, rest, LIGHT_RADIUS, LIGHT_EPSILON)


def _albedo(queries: Tensor, keys: Tensor, log_albedo: Tensor) -> Tensor:
    """[B, 1, h, w]: mean of ``log_albedo`` [B, 1, n, m] over keys that look like a query; see ``likeness``."""
    batch, _, height, width = queries.shape
    mean = likeness(queries, keys) @ log_albedo.flatten(2).transpose(1, 2)
    return mean.transpose(1, 2).reshape(batch, 1, height, width)


def _surface(linear: Tensor, light_color: Tensor, log_light: Tensor) -> Tensor:
    """[B, 5, n, n]: what tells surfaces apart, scaled so that a difference of 1 matters."""
    red, green, blue = torch.log(linear / light_color + DARK).chunk(3, dim=1)
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    grey = torch.exp(-(2.0 * red_green * red_green + yellow_blue * yellow_blue) / GREY**2)
    brightness = grey * (_log_luminance(linear) - log_light)
    place = places(linear)
    return torch.cat([red_green / RED_GREEN, yellow_blue / YELLOW_BLUE, brightness / GREY_STEP, place], dim=1)


def _log_luminance(linear: Tensor) -> Tensor:
    return torch.log(luminance(linear) + DARK_LUMINANCE)


def _exposure(albedo: Tensor, log_light: Tensor) -> Tensor:
    """[B, 1, 1, 1]: what the light is to be multiplied by, so that albedo and light have plausible levels.

    Two guesses that err in opposite directions, halved: the lightest surface is white (wrong where a dark board
    fills the picture), and the strongest light is 1 (wrong where the photo is underexposed).
    """
    lightest = _top(to_grid(albedo, KEY).amax(dim=1, keepdim=True)) / WHITE
    strongest = torch.exp(_top(to_grid(log_light, KEY)))
    return torch.sqrt((lightest / strongest).clamp(1e-3, 1e3))


def _top(values: Tensor) -> Tensor:
    """[B, 1, 1, 1]: what the share WHITE_SHARE of the cells of [B, 1, KEY, KEY] is above."""
    count = int(KEY * KEY * WHITE_SHARE)
    return values.flatten(1).topk(count, dim=1).values[:, count - 1 :].unsqueeze(2).unsqueeze(3)


def _mirrored_share(albedo: Tensor) -> Tensor:
    """Factor >= 1 by which neutral light off the varnish lifts the light of each channel. Same shape."""
    enough = albedo * (1.0 - LEAST_DIFFUSE) > MIRRORED
    return torch.where(enough, albedo / (albedo - MIRRORED).clamp_min(1e-3), torch.full_like(albedo, 1 / LEAST_DIFFUSE))
