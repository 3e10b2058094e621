"""Recolours the wood in a photo as a translucent stain would, preserving grain and lighting."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.stain import StainOptions
from orchestrator.errors import InvalidInput, NoWoodFound
from orchestrator.imaging import color
from orchestrator.imaging.color import linear_from_srgb, srgb_from_linear
from orchestrator.imaging.guided import GuidedMap
from orchestrator.imaging.strips import Strip, for_each_strip, strips
from orchestrator.imaging.wood import wood_probability
from orchestrator.stages.known_materials import at_model_resolution
from orchestrator.stages.stain import film
from orchestrator.stages.stain.area import EVERYWHERE, StainArea, full_size_mask
from orchestrator.stages.stain.decomposition import DecomposedRows, Decomposition, fit_specular

MIN_WOOD_SHARE = 0.01
"""Smallest share of the photo that must be wood. Not tuned."""
MASK_FIELD = "stain.mask_asset_id"
"""The request field that errors about the mask refer to."""
SAMPLE_ROWS = 384
"""Number of evenly spaced rows for the histograms. In a 12-megapixel photo, they have more than a million pixels."""
VARNISH = np.float32(0.02)
"""Share of the light that the varnish reflects, whatever the colour of the wood. On dark wood, this is a large part of
the visible light. A varnish reflects 4 % (Fresnel). Half of this is assumed to reach the camera, as in version 1 of the
model ``intrinsic_decomposition``."""
KNEE = 0.65
"""Linear light (sRGB 210) above which lightened wood is compressed towards white. Not tuned."""
COMPARISON_WIDTH = 2048
"""Maximum width of the before/after image."""
DIVIDER_WIDTH = 8
"""Width of the white line between before and after."""

WoodSums = tuple[float, NDArray[np.float64], NDArray[np.float64]]
"""Sums over the wood: the weight of the mask, and the [3] linear albedo at the requested and at full strength."""


@dataclass(frozen=True)
class StainResult:
    """A stained photo. Images are sRGB at the resolution of the photo."""

    albedo: Image  # [H, W, 3] colour of the surface without lighting, stained inside the mask
    preview: Image  # [H, W, 3] the photo with stained wood and its original lighting
    before_after: Image  # [h, w, 3] photo and preview side by side, at most COMPARISON_WIDTH wide
    wood_mask: Image  # [H, W] 255 is stained
    wood_share: float  # share of the photo that is stained, in [0, 1]
    reached: str  # '#RRGGBB', the mean albedo of the stained wood, averaged in linear light; '' if nothing is stained
    delta_e: float  # CIEDE2000 between the target and the mean albedo at full strength; 0 if nothing is stained


def stain(
    photo_srgb: Image,
    maps: MaterialMaps,
    options: StainOptions,
    mask: Image | None = None,
    area: StainArea = EVERYWHERE,
    progress: Progress = no_progress,
) -> StainResult:
    """Stain the wood in a photo.

    Where the mask is 0, the preview is bit-identical to the photo. The same input gives the same bytes. A photo that
    shows none of the parts in ``area`` stays unchanged.

    Args:
        photo_srgb: [H, W, 3] uint8.
        maps: model outputs for this photo.
        options: colour and strength of the stain. The caller loads ``mask_asset_id`` and passes it as ``mask``.
        mask: [H, W] uint8, 255 where to stain. None stains the wood that the models find.
        area: the parts to stain, and corrections of the wood.
        progress: called after each strip.

    Raises:
        InvalidInput: the mask does not have the size of the photo, or is black everywhere.
        NoWoodFound: less than 1 % of the photo is wood.
    """
    wood = _find_wood(photo_srgb, maps, options, mask, area)
    decomposition = Decomposition.fit(photo_srgb, maps, wood)
    histograms = _albedo_histograms(decomposition, wood)
    stain_film = film.solve(histograms, options.target, coats=options.coats, preserve_grain=options.preserve_grain)
    painter = _Painter(
        film=stain_film,
        factors=[stain_film.factors(channel) for channel in range(3)],
        specular=fit_specular(maps, _at_model_resolution(wood, maps), photo_srgb),
        blurred_mask=np.asarray(cv2.blur(wood, (3, 3)), np.uint8) if wood.dtype == np.uint8 else None,
        strength=options.strength,
    )
    albedo, preview = np.empty_like(photo_srgb), np.empty_like(photo_srgb)
    wood_mask = np.empty(photo_srgb.shape[:2], np.uint8)

    def stain_strip(strip: Strip) -> WoodSums:
        rows = decomposition.read(strip.indices)
        wood_mask[strip.rows] = rows.wood
        return painter.paint(photo_srgb, strip, rows, albedo[strip.rows], preview[strip.rows])

    sums = for_each_strip(stain_strip, strips(*photo_srgb.shape[:2]), progress, "staining the wood")
    weights, requested, full = zip(*sums, strict=True)
    weight = sum(weights)
    mean_requested = np.sum(requested, axis=0) / max(weight, 1e-6)
    mean_full = np.sum(full, axis=0) / max(weight, 1e-6)
    target = color.lab_from_linear(color.linear_from_color(options.target))
    return StainResult(
        albedo=albedo,
        preview=preview,
        before_after=before_after(photo_srgb, preview),
        wood_mask=wood_mask,
        wood_share=float(weight / wood_mask.size),
        reached=color.color_from_linear(mean_requested).hex if weight else "",
        delta_e=float(color.ciede2000(color.lab_from_linear(mean_full), target)) if weight else 0.0,
    )


def before_after(before_srgb: Image, after_srgb: Image) -> Image:
    """Place two images of the same size side by side, at most COMPARISON_WIDTH wide, with a white line between them."""
    height, width = before_srgb.shape[:2]
    scale = min(1.0, (COMPARISON_WIDTH - DIVIDER_WIDTH) / 2 / width)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    before, after = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (before_srgb, after_srgb))
    return np.hstack([before, np.full((size[1], DIVIDER_WIDTH, 3), 255, np.uint8), after])


@dataclass(frozen=True)
class _Painter:
    """Applies a film to strips of the photo."""

    film: film.Film
    factors: list[FloatMap]  # for each channel, see ``Film.factors``
    specular: GuidedMap  # neutral light in the photo: highlights and sheen
    blurred_mask: Image | None  # the caller's mask, blurred because its outermost pixels contain background
    strength: float

    def paint(self, photo_srgb: Image, strip: Strip, rows: DecomposedRows, albedo: Image, preview: Image) -> WoodSums:
        """Stain a strip, write its [n, W, 3] uint8 albedo and preview into the given arrays, and return its sums."""
        mask = preview_mask = rows.wood.astype(np.float32) * np.float32(1 / 255)
        if self.blurred_mask is not None:
            preview_mask = np.minimum(mask, self.blurred_mask[strip.rows] * np.float32(1 / 255))
        opacity, preview_opacity = mask * np.float32(self.strength), preview_mask * np.float32(self.strength)
        sheen, specular_change = self._neutral_light(photo_srgb, strip, rows)
        bare, stained = self._stain_albedo(rows)
        requested, full = np.empty(3), np.empty(3)
        for channel in range(3):
            photo = rows.photo_linear[channel]
            gain = stained[channel] / bare[channel] - np.float32(1.0)
            albedo[..., channel] = srgb_from_linear(rows.albedo_linear[channel] * (gain * opacity + np.float32(1.0)))
            # The light that varnish reflects does not become brighter with the wood.
            varnished_gain = (stained[channel] + VARNISH) / (bare[channel] + VARNISH) - np.float32(1.0)
            change = np.minimum(gain, varnished_gain) * (photo - sheen) + specular_change
            preview[..., channel] = srgb_from_linear(_roll_off(photo + change * preview_opacity, photo))
            requested[channel] = np.vdot(linear_from_srgb(albedo[..., channel]), mask)
            full[channel] = np.vdot(np.minimum(stained[channel], np.float32(1.0)), mask)
        return float(mask.sum(dtype=np.float64)), requested, full

    def _neutral_light(self, photo_srgb: Image, strip: Strip, rows: DecomposedRows) -> tuple[FloatMap, FloatMap]:
        """Return the [n, W] linear sheen of the bare wood, and the change to add for all specular light.

        Sheen darkens with the wood. Highlights keep their brightness: the change adds back what the film absorbs.
        """
        smallest = np.minimum(np.minimum(*rows.photo_linear[:2]), rows.photo_linear[2])
        highlight, sheen = np.clip(self.specular.rows(photo_srgb[strip.rows], strip.indices), 0.0, smallest)
        darkening = np.float32(self.film.luminance_factor - 1.0)
        return sheen, sheen * darkening - highlight * min(darkening, np.float32(0.0))

    def _stain_albedo(self, rows: DecomposedRows) -> tuple[list[FloatMap], list[FloatMap]]:
        """Return the planes of the bare and of the stained albedo at full strength."""
        min_albedo = np.float32(film.MIN_ALBEDO)
        bare = [np.asarray(np.maximum(plane, min_albedo), np.float32) for plane in rows.albedo_linear]
        pairs = zip(bare, self.factors, strict=True)
        filmed = [plane * np.take(factors, color.steps_from_linear(plane)) for plane, factors in pairs]
        return bare, self.film.unify_hue(filmed)


def _roll_off(lit: FloatMap, photo: FloatMap) -> FloatMap:
    """Compress linear light above the photo's light towards 1 instead of clipping it.

    Values below the photo or below KNEE are unchanged. Both arrays have the same shape.
    """
    knee = np.maximum(photo, np.float32(KNEE))
    room = np.maximum(np.float32(1.0) - knee, np.float32(1e-4))
    compressed = np.float32(1.0) - room * cv2.exp((knee - lit) / room)
    return np.where(lit > knee, compressed, lit)


def _find_wood(
    photo_srgb: Image, maps: MaterialMaps, options: StainOptions, mask: Image | None, area: StainArea
) -> FloatMap | Image:
    """Return the [H, W] mask of the wood to stain, or its [h, w] probability if neither mask nor area is given."""
    if mask is not None:
        _check_mask(mask, photo_srgb)
        wood: FloatMap | Image = mask
    elif area.all_wood is not None:
        wood = area.all_wood
    else:
        wood = wood_probability(maps, options.region)
        share = float((wood >= 0.5).mean())
        if area.wood is None and share < MIN_WOOD_SHARE:
            raise NoWoodFound(share=share, minimum=MIN_WOOD_SHARE)
    if area.is_everywhere:
        return wood
    return area.limited(area.corrected(full_size_mask(photo_srgb, wood)))


def _albedo_histograms(decomposition: Decomposition, wood: FloatMap | Image) -> NDArray[np.float64]:
    """Return the [3, HISTOGRAM_BINS] reflectance histograms of the wood, from a sample of its rows."""
    threshold = 128 if wood.dtype == np.uint8 else 0.5
    wood_rows = np.flatnonzero((wood >= threshold).any(axis=1))
    if not len(wood_rows):  # nothing is stained, and any histogram is as good as another
        wood_rows = np.arange(len(wood))
    sample = wood_rows[np.linspace(0, len(wood_rows) - 1, min(len(wood_rows), SAMPLE_ROWS)).astype(np.intp)]
    rows = decomposition.read(np.unique(sample * decomposition.photo_srgb.shape[0] // wood.shape[0]))
    # The tiny weight of other pixels matters only if the full-resolution mask contains no wood.
    weights = rows.wood.astype(np.float32) + np.float32(1e-6)
    return np.stack([film.histogram(plane, weights) for plane in rows.albedo_linear])


def _at_model_resolution(wood: FloatMap | Image, maps: MaterialMaps) -> FloatMap:
    """Return the wood in [0, 1] at model resolution."""
    if wood.dtype != np.uint8:
        return np.asarray(wood, np.float32)
    return at_model_resolution(np.asarray(wood, np.uint8), maps)


def _check_mask(mask: Image, photo_srgb: Image) -> None:
    """Raise InvalidInput if the mask does not have the size of the photo, or is black everywhere."""
    if mask.shape != photo_srgb.shape[:2]:
        (height, width), (mask_height, mask_width) = photo_srgb.shape[:2], mask.shape
        rule = f"it must have the size of the photo, {width}×{height}"
        raise InvalidInput(MASK_FIELD, f"the mask is {mask_width}×{mask_height} pixels; {rule}")
    if int(mask.max(initial=0)) < 128:
        raise InvalidInput(MASK_FIELD, "the mask is black everywhere; mark the area to stain in white")
