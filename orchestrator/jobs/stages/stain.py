"""The stain stage of a job: PBR maps and the stained picture of each photo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from orchestrator.domain.images import Image
from orchestrator.domain.stain import StainOptions
from orchestrator.errors import InvalidInput
from orchestrator.jobs.assets import existing
from orchestrator.jobs.stage import ANALYSIS_END, JobInput, Stage, StageRun
from orchestrator.jobs.step import Cached, PhotoResult, PhotoResults, PhotoStep
from orchestrator.stages import intake
from orchestrator.stages.stain import stain as stain_stage
from orchestrator.stages.stain.surface import surface_maps

SURFACE_MAPS = ("normal", "roughness", "ambient_occlusion", "height", "orm")
STAINED_IMAGES = ("albedo", "preview", "before_after", "wood_mask")


@dataclass(frozen=True)
class StainedPhoto(PhotoResult):
    """The result for one photo. Files are asset ids; empty in the cache."""

    wood_share: float
    reached_color: str  # #RRGGBB
    delta_e: float
    albedo: str = ""
    normal: str = ""
    roughness: str = ""
    ambient_occlusion: str = ""
    height_map: str = ""
    orm: str = ""
    wood_mask: str = ""
    preview: str = ""
    before_after: str = ""


@dataclass(frozen=True)
class StainResult(PhotoResults):
    """The result of the stain stage."""

    photos: tuple[StainedPhoto, ...]


def run_stain(run: StageRun[StainOptions]) -> StainResult:
    """Analyze each photo, compute the maps that do not depend on the colour, then stain it."""
    photos = []
    for photo_run, analysis in run.analyzed_photos():
        surface = photo_run.photo_step("surface", map_surface, analysis, run.options, span=(ANALYSIS_END, 0.7))
        photos.append(photo_run.photo_step("stain", apply_stain, analysis, surface, run.options, span=(0.7, 1.0)))
    return StainResult(tuple(photos))


def map_surface(photo: PhotoStep, analysis: str, options: StainOptions) -> Cached[None]:
    """Compute and store the maps that do not depend on the colour."""

    def make() -> Cached[None]:
        surface = surface_maps(photo.pixels(), photo.maps(analysis), progress=photo.step.progress)
        images = {name: getattr(surface, name) for name in SURFACE_MAPS}
        return Cached(photo.store_images(images, options.format, "stain.format"), None)

    return photo.cached("surface", (analysis, options.format), Cached[None], make)


def apply_stain(photo: PhotoStep, analysis: str, surface: Cached[None], options: StainOptions) -> StainedPhoto:
    """Stain one photo and publish all of its files."""
    mask_sha256, mask = _mask(photo, options)

    def make() -> Cached[StainedPhoto]:
        maps = photo.maps(analysis)
        stained = stain_stage.stain(photo.pixels(), maps, options, mask=mask, progress=photo.step.progress)
        images = {name: getattr(stained, name) for name in STAINED_IMAGES}
        files = photo.store_images(images, options.format, "stain.format")
        height, width = stained.preview.shape[:2]
        versions = dict(maps.model_versions)
        facts = StainedPhoto(
            photo.asset.id, width, height, versions, stained.wood_share, stained.reached, stained.delta_e
        )
        return Cached(files, facts)

    cached = photo.cached("stain", (analysis, options, mask_sha256), Cached[StainedPhoto], make)
    files, versions = {**surface.files, **cached.files}, cached.facts.model_versions
    ids: dict[str, Any] = photo.publish(files, versions, "texture", preview="preview", before_after="preview")
    photo.step.add_preview(ids["before_after"])
    ids["height_map"] = ids.pop("height")
    return replace(cached.facts, photo_asset_id=photo.asset.id, **ids)


def check_options(options: StainOptions, job: JobInput) -> StainOptions:
    """Check that the uploaded mask exists and has the size of each photo."""
    if not options.mask_asset_id:
        return options
    mask = existing(job.dependencies.records.asset(job.tenant, options.mask_asset_id), "asset", options.mask_asset_id)
    for width, height in job.sizes:
        if (mask.width, mask.height) != (width, height):
            rule = f"it must have the size of the photo, {width}×{height}"
            raise InvalidInput("stain.mask_asset_id", f"the mask is {mask.width}×{mask.height} pixels; {rule}")
    return options


def _mask(photo: PhotoStep, options: StainOptions) -> tuple[str, Image | None]:
    """SHA-256 and pixels of the mask in the options; empty and None without a mask."""
    if not options.mask_asset_id:
        return "", None
    asset = photo.step.dependencies.records.asset(photo.step.job.tenant, options.mask_asset_id)
    if asset is None:
        raise InvalidInput("stain.mask_asset_id", f"the mask {options.mask_asset_id!r} was deleted")
    return asset.sha256, intake.read_mask(photo.step.read(asset.sha256), "stain.mask_asset_id", photo.max_side)


STAIN = Stage("stain", StainOptions, StainResult, weight=0.12, run=run_stain, check=check_options)
