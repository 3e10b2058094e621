"""Recolour the wood in a photo as a translucent stain would, keeping grain and light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.stain import Region, StainOptions
from orchestrator.errors import InvalidInput, NoWoodFound
from orchestrator.imaging import guided
from orchestrator.imaging.color import (
    ciede2000,
    color_from_linear,
    lab_from_linear,
    linear_from_color,
    linear_from_srgb,
    srgb_from_linear,
    steps_from_linear,
)
from orchestrator.imaging.strips import Strip, for_each_strip, strips
from orchestrator.stages.stain import film, grain, surface
from orchestrator.stages.stain.decomposition import DecomposedRows, Decomposition
from orchestrator.stages.stain.lighting import fit_mirrored, rolled_off
from orchestrator.stages.stain.wood import wood_probability

MIN_WOOD_SHARE = 0.01
MASK_FIELD = "stain.mask_asset_id"
SURFACE_EPSILON = 1e-3
"""Guide variance (3 % contrast) that counts as flat for shape and roughness: they do not follow fine grain."""
SAMPLE_ROWS = 384
"""The wood's colours are counted on this many rows, evenly spread: a million pixels of a 12-megapixel photo."""
VARNISH = np.float32(0.02)
"""Share of the light that wood mirrors whatever its colour, much of what is seen of dark wood: half of the 4 % of a
varnish (Fresnel), as is taken to reach the camera in version 1 of ``intrinsic_decomposition``."""
COMPARISON_WIDTH, DIVIDER_WIDTH = 2048, 8
"""The before/after picture: at most this wide, with a white line between the two."""


@dataclass(frozen=True)
class SurfaceMaps:
    """Everything of a texture set that does not depend on the stain's colour; all at the photo's resolution."""

    normal: Image  # [H, W, 3] OpenGL normals (+Y up), geometry and grain; 128 is zero
    roughness: Image  # [H, W] 255 is fully rough
    ambient_occlusion: Image  # [H, W] 255 is open
    height: NDArray[np.uint16]  # [H, W] relief of the grain; 32768 is level
    orm: Image  # [H, W, 3] occlusion, roughness, metallic (0)
    wood_mask: Image  # [H, W] 255 is wood


@dataclass(frozen=True)
class StainResult:
    """A stained photo; pictures are sRGB at the photo's resolution."""

    albedo: Image  # [H, W, 3] the surface's own colour, stained where the mask is
    preview: Image  # [H, W, 3] the photo with the wood stained, its light kept
    before_after: Image  # [h, w, 3] both side by side, at most COMPARISON_WIDTH wide
    wood_mask: Image  # [H, W] 255 is stained
    wood_share: float  # of the picture, in [0, 1]
    reached: str  # '#RRGGBB', mean of the stained wood's albedo, taken in linear light
    delta_e: float  # CIEDE2000 of that mean, at full strength, to the target


def stain(
    photo_srgb: Image,
    maps: MaterialMaps,
    options: StainOptions,
    mask: Image | None = None,
    progress: Progress = no_progress,
) -> StainResult:
    """Stain the wood of a photo.

    Where the mask is 0 the preview equals the photo, bit for bit. The same input gives the same bytes.

    Args:
        photo_srgb: [H, W, 3] uint8.
        maps: what the models say of this photo.
        options: colour, strength and so on; its ``mask_asset_id`` is the caller's to load.
        mask: [H, W] uint8, 255 where to stain; replaces the wood that the models found.
        progress: called after each strip.

    Raises:
        InvalidInput: the mask is not of the photo's size, or is black everywhere.
        NoWoodFound: less than 1 % of the picture is wood.
    """
    wood = _given_wood(mask, photo_srgb) if mask is not None else _found_wood(maps, options.region)
    decomposition = Decomposition.fit(photo_srgb, maps, wood)
    solved = film.solve(
        _albedo_histograms(decomposition, wood),
        options.target,
        coats=options.coats,
        preserve_grain=options.preserve_grain,
    )
    brush = _Brush(
        film=solved,
        factors=[solved.factors(channel) for channel in range(3)],
        mirrored=fit_mirrored(maps, _at_size_of(maps.wood, wood), photo_srgb),
        edge=None if mask is None else np.asarray(cv2.blur(mask, (3, 3)), np.uint8),
        strength=options.strength,
    )
    albedo, preview = np.empty_like(photo_srgb), np.empty_like(photo_srgb)
    wood_mask = np.empty(photo_srgb.shape[:2], np.uint8)

    def work(strip: Strip) -> _Totals:
        rows = decomposition.read(strip.numbers)
        wood_mask[strip.rows] = rows.wood
        return brush.paint(photo_srgb, strip, rows, albedo[strip.rows], preview[strip.rows])

    totals = for_each_strip(work, strips(*photo_srgb.shape[:2]), progress, "staining the wood")
    weight = max(sum(total.weight for total in totals), 1e-6)
    delivered = np.sum([total.delivered for total in totals], axis=0) / weight
    full = np.sum([total.full for total in totals], axis=0) / weight
    difference = ciede2000(lab_from_linear(full), lab_from_linear(linear_from_color(options.target)))
    return StainResult(
        albedo=albedo,
        preview=preview,
        before_after=before_after(photo_srgb, preview),
        wood_mask=wood_mask,
        wood_share=float(weight / wood_mask.size),
        reached=color_from_linear(delivered).hex,
        delta_e=float(difference),
    )


def surface_maps(photo_srgb: Image, maps: MaterialMaps, progress: Progress = no_progress) -> SurfaceMaps:
    """Make the maps of a texture set that are the same for every stain.

    Args:
        photo_srgb: [H, W, 3] uint8.
        maps: what the models say of this photo.
        progress: called after each strip.
    """
    height, width = photo_srgb.shape[:2]
    wood_low = wood_probability(maps, Region.AUTO)
    decomposition = Decomposition.fit(photo_srgb, maps, wood_low)
    ground = grain.fit_ground(maps, wood_low, photo_srgb)
    low = np.dstack([maps.normal, maps.roughness, maps.ambient_occlusion]).astype(np.float32)
    geometry = guided.fit(low, photo_srgb, epsilon=SURFACE_EPSILON, grey=True)
    out = SurfaceMaps(
        normal=np.empty((height, width, 3), np.uint8),
        roughness=np.empty((height, width), np.uint8),
        ambient_occlusion=np.empty((height, width), np.uint8),
        height=np.empty((height, width), np.uint16),
        orm=np.empty((height, width, 3), np.uint8),
        wood_mask=np.empty((height, width), np.uint8),
    )
    blur = grain.Smoothing.for_picture(height, width)

    def work(strip: Strip) -> None:
        grown = strip.grown(blur.reach + 1)  # the slopes reach one row further
        inner = slice(strip.top - grown.top, strip.bottom - grown.top)
        rows = decomposition.read(grown.numbers)
        relief = grain.relief(rows, ground.rows(photo_srgb[grown.rows], grown.numbers)[0], blur)
        right, up = surface.grain_slopes(relief, max(height, width))
        shape = geometry.rows(photo_srgb[strip.rows], strip.numbers)
        roughness = surface.grain_roughness(shape[3], relief[inner])
        out.normal[strip.rows] = surface.combined_normal(shape[:3], right[inner], up[inner])
        out.roughness[strip.rows] = _byte(roughness)
        out.ambient_occlusion[strip.rows] = _byte(shape[4])
        out.height[strip.rows] = np.rint(relief[inner] * 65535.0).astype(np.uint16)
        out.orm[strip.rows] = surface.packed_orm(out.ambient_occlusion[strip.rows], out.roughness[strip.rows])
        out.wood_mask[strip.rows] = rows.wood[inner]

    for_each_strip(work, strips(height, width), progress, "making the surface maps")
    return out


def before_after(before_srgb: Image, after_srgb: Image) -> Image:
    """[h, w, 3] two pictures of one size side by side with a thin white line between, at most COMPARISON_WIDTH wide."""
    height, width = before_srgb.shape[:2]
    scale = min(1.0, (COMPARISON_WIDTH - DIVIDER_WIDTH) / 2 / width)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    halves = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (before_srgb, after_srgb)]
    line = np.full((size[1], DIVIDER_WIDTH, 3), 255, np.uint8)
    return np.hstack([halves[0], line, halves[1]])


@dataclass(frozen=True)
class _Totals:
    """Sums over the wood of one strip: mask weight, and linear albedo as delivered and at full strength."""

    weight: float
    delivered: NDArray[np.float64]  # [3]
    full: NDArray[np.float64]  # [3]


@dataclass(frozen=True)
class _Brush:
    """Applies a solved film to rows of the photo."""

    film: film.Film
    factors: list[FloatMap]  # for each channel: stained over bare reflectance, by reflectance step
    mirrored: guided.GuidedMap  # neutral light in the photo: highlights, and weaker sheen
    edge: Image | None  # a given mask, blurred: its outermost pixels hold some of what lies behind the wood
    strength: float

    def paint(self, photo_srgb: Image, strip: Strip, rows: DecomposedRows, albedo: Image, preview: Image) -> _Totals:
        """Write [n, W, 3] sRGB albedo and preview of a strip, and return what it adds to the means."""
        mask = rows.wood.astype(np.float32) * np.float32(1 / 255)
        amount = mask * np.float32(self.strength)
        seen = amount
        if self.edge is not None:
            seen = np.minimum(mask, self.edge[strip.rows] * np.float32(1 / 255)) * np.float32(self.strength)
        least = np.minimum(np.minimum(*rows.photo_linear[:2]), rows.photo_linear[2])
        highlight, sheen = np.clip(self.mirrored.rows(photo_srgb[strip.rows], strip.numbers), 0.0, least)
        # Sheen gets darker with the wood, without a colour; a highlight stays as light as it is.
        darker = np.float32(self.film.luminance_factor - 1.0)
        neutral = sheen * darker - highlight * min(darker, np.float32(0.0))
        least_albedo = np.float32(film.LEAST_ALBEDO)
        bare = [np.asarray(np.maximum(plane, least_albedo), np.float32) for plane in rows.albedo_linear]
        filmed = [
            plane * np.take(factors, steps_from_linear(plane))
            for plane, factors in zip(bare, self.factors, strict=True)
        ]
        stained = self.film.hold_hue(filmed)
        delivered, full = np.empty(3), np.empty(3)
        for channel in range(3):
            photo = rows.photo_linear[channel]
            gain = stained[channel] / bare[channel] - np.float32(1.0)
            albedo[..., channel] = srgb_from_linear(rows.albedo_linear[channel] * (gain * amount + np.float32(1.0)))
            # What varnish mirrors of the light gets no lighter with the wood.
            raised = (stained[channel] + VARNISH) / (bare[channel] + VARNISH) - np.float32(1.0)
            lit = photo + (np.minimum(gain, raised) * (photo - sheen) + neutral) * seen
            preview[..., channel] = srgb_from_linear(rolled_off(lit, photo))
            delivered[channel] = np.vdot(linear_from_srgb(albedo[..., channel]), mask)
            full[channel] = np.vdot(np.minimum(stained[channel], np.float32(1.0)), mask)
        return _Totals(float(mask.sum(dtype=np.float64)), delivered, full)


def _albedo_histograms(decomposition: Decomposition, wood: FloatMap | Image) -> NDArray[np.float64]:
    """[3, bins] how much wood has each reflectance, counted on rows that have wood."""
    half = 128 if wood.dtype == np.uint8 else 0.5
    with_wood = np.flatnonzero((wood >= half).any(axis=1))
    sample = with_wood[np.linspace(0, len(with_wood) - 1, min(len(with_wood), SAMPLE_ROWS)).astype(np.intp)]
    rows = decomposition.read(np.unique(sample * decomposition.photo_srgb.shape[0] // wood.shape[0]))
    # The tiny weight of everything else decides only where a speck of wood was lost on the photo's edges.
    weights = rows.wood.astype(np.float32) + np.float32(1e-6)
    return np.stack([film.histogram(plane, weights) for plane in rows.albedo_linear])


def _at_size_of(like: FloatMap, wood: FloatMap | Image) -> FloatMap:
    """Wood in [0, 1] at model resolution."""
    if wood.dtype != np.uint8:
        return np.asarray(wood, np.float32)
    small = cv2.resize(wood, (like.shape[1], like.shape[0]), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) * np.float32(1 / 255)


def _found_wood(maps: MaterialMaps, region: Region) -> FloatMap:
    probability = wood_probability(maps, region)
    share = float((probability >= 0.5).mean())
    if share < MIN_WOOD_SHARE:
        raise NoWoodFound(share=share, minimum=MIN_WOOD_SHARE)
    return probability


def _given_wood(mask: Image, photo_srgb: Image) -> Image:
    if mask.shape != photo_srgb.shape[:2]:
        height, width = photo_srgb.shape[:2]
        given = "×".join(str(side) for side in reversed(mask.shape[:2]))
        raise InvalidInput(MASK_FIELD, f"the mask is {given} pixels; it must be {width}×{height}, as the photo")
    if int(mask.max(initial=0)) < 128:
        raise InvalidInput(MASK_FIELD, "the mask is black everywhere; white marks where to stain")
    return mask


def _byte(values: FloatMap) -> Image:
    """uint8 of values in [0, 1], clipped."""
    return np.asarray(np.rint(np.clip(values, 0.0, 1.0) * 255.0), np.uint8)
