"""The stain stage of a job: PBR maps and the stained picture of each photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from orchestrator.domain.checks import Violations
from orchestrator.domain.images import Image
from orchestrator.domain.made_of import MadeOf, combine, resolve_made_of, resolve_part
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.segment import SegmentOptions
from orchestrator.domain.stain import FOREGROUND_MASK, StainOptions
from orchestrator.domain.vocabulary import COMPONENTS
from orchestrator.errors import InvalidInput, NoWoodFound
from orchestrator.jobs.assets import existing
from orchestrator.jobs.stage import ANALYSIS_END, JobInput, Stage, StageRun
from orchestrator.jobs.stages.part_masks import PartMasks, check_edits, load_segment_job, part_masks
from orchestrator.jobs.stages.segment import SEGMENT, SegmentResult
from orchestrator.jobs.step import Cached, PhotoResult, PhotoResults, PhotoStep
from orchestrator.stages import intake
from orchestrator.stages.known_materials import known_piece
from orchestrator.stages.stain import stain as stain_stage
from orchestrator.stages.stain.area import StainArea, area_of_parts, known_wood
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
    """Analyze each photo, compute the maps that do not depend on the colour, then stain it.

    Raises NoWoodFound if the caller limits the stain, and no photo shows wood there.
    """
    options, pipeline = run.options, run.results.get(SEGMENT.name)

    def stain_photo(photo: StageRun[StainOptions], analysis: str) -> StainedPhoto:
        inputs = (analysis, options, pipeline)
        surface = photo.photo_step("surface", map_surface, *inputs, span=(ANALYSIS_END, 0.7))
        return photo.photo_step("stain", apply_stain, *inputs, surface, span=(0.7, 1.0))

    photos = run.each_photo(stain_photo)
    if not any(photo.wood_share for photo in photos):
        raise NoWoodFound(share=0.0, minimum=stain_stage.MIN_WOOD_SHARE, parts=options.parts)
    return StainResult(photos)


def map_surface(photo: PhotoStep, analysis: str, options: StainOptions, pipeline: SegmentResult | None) -> Cached[None]:
    """Compute and store the maps that do not depend on the colour."""
    masks, known_parts = part_masks(photo, options, pipeline), _known_parts(options)

    def make() -> Cached[None]:
        pixels = photo.pixels()
        maps = _known_maps(photo.maps(analysis), options, masks, masks.edited_area(_size(pixels)), _size(pixels))
        surface = surface_maps(pixels, maps, progress=photo.step.progress)
        images = {name: getattr(surface, name) for name in SURFACE_MAPS}
        return Cached(photo.store_images(images, options.format, "stain.format"), None)

    used = masks.used(known_parts)
    key = (analysis, options.format, options.made_of, used)
    return photo.cached("surface", key, Cached[None], make, [sha256 for _, _, sha256 in used])


def apply_stain(
    photo: PhotoStep, analysis: str, options: StainOptions, pipeline: SegmentResult | None, surface: Cached[None]
) -> StainedPhoto:
    """Stain one photo and publish all of its files."""
    mask_sha256, mask = _mask(photo, options)
    masks = part_masks(photo, options, pipeline)

    def make() -> Cached[StainedPhoto]:
        pixels = photo.pixels()
        size = _size(pixels)
        area = masks.edited_area(size)
        maps = _known_maps(photo.maps(analysis), options, masks, area, size)
        if options.parts and masks.segmented is not None:
            area = replace(area, only=masks.union(options.parts, size))
        elif options.parts:
            area = replace(area, only=area_of_parts(pixels, maps, options.parts))
        stained = stain_stage.stain(pixels, maps, options, mask, area, photo.step.progress)
        images = {name: getattr(stained, name) for name in STAINED_IMAGES}
        files = photo.store_images(images, options.format, "stain.format")
        height, width = stained.preview.shape[:2]
        versions = dict(maps.model_versions)
        facts = StainedPhoto(
            photo.asset.id, width, height, versions, stained.wood_share, stained.reached, stained.delta_e
        )
        return Cached(files, facts)

    used = masks.used([*_known_parts(options), *options.parts])
    found_by_models = masks.segmented is None
    key = (analysis, replace(options, segment_job_id="", masks=()), mask_sha256, found_by_models, used)
    sources = [*filter(None, [mask_sha256]), *(sha256 for _, _, sha256 in used)]
    cached = photo.cached("stain", key, Cached[StainedPhoto], make, sources)
    files, versions = {**surface.files, **cached.files}, cached.facts.model_versions
    ids: dict[str, Any] = photo.publish(files, versions, "texture", preview="preview", before_after="preview")
    photo.step.add_preview(ids["before_after"])
    ids["height_map"] = ids.pop("height")
    return replace(cached.facts, photo_asset_id=photo.asset.id, **ids)


def check_options(options: StainOptions, job: JobInput) -> StainOptions:
    """Check the masks and the names of parts and materials; add what the caller stated to the segment job."""
    with Violations() as violations:
        with violations.collect():
            _check_mask(options, job)
        return _resolve_names(options, job)


def _resolve_names(options: StainOptions, job: JobInput) -> StainOptions:
    """Resolve the names of parts and materials, and check the masks that replace those of a segment job."""
    stated: MadeOf
    resolve: Callable[[str, str], str]
    if options.segment_job_id:
        segment_job = load_segment_job(job.dependencies, job.tenant, options.segment_job_id)
        check_edits(options.masks, job, segment_job)
        possible: Sequence[str] | None = segment_job.result.components
        stated = segment_job.made_of
        resolve = segment_job.resolve_part
    elif options.masks:
        raise InvalidInput("stain.masks", "set segment_job_id to the job whose masks these replace")
    else:
        pipeline = job.options.get(SEGMENT.name, SegmentOptions())
        possible = pipeline.possible_parts
        stated = resolve_made_of("segment.made_of", pipeline.made_of, possible)
        allowed = None if possible is None else [*COMPONENTS, *possible]
        resolve = partial(resolve_part, allowed=allowed)
    parts = []
    with Violations() as violations:
        for index, part in enumerate(options.parts):
            with violations.collect():
                parts.append(resolve(f"stain.parts[{index}]", part))
        made_of = combine(stated, resolve_made_of("stain.made_of", options.made_of, possible))
    return replace(options, made_of=made_of, parts=tuple(dict.fromkeys(parts)))


def _check_mask(options: StainOptions, job: JobInput) -> None:
    """Check that the uploaded mask exists and has the size of each photo."""
    if not options.mask_asset_id:
        return
    mask = existing(job.dependencies.records.asset(job.tenant, options.mask_asset_id), "asset", options.mask_asset_id)
    for width, height in job.sizes:
        if (mask.width, mask.height) != (width, height):
            rule = f"it must have the size of the photo, {width}×{height}"
            raise InvalidInput("stain.mask_asset_id", f"the mask is {mask.width}×{mask.height} pixels; {rule}")


def _mask(photo: PhotoStep, options: StainOptions) -> tuple[str, Image | None]:
    """SHA-256 and pixels of the mask in the options; empty and None without a mask."""
    if not options.mask_asset_id:
        return "", None
    asset = photo.step.dependencies.records.asset(photo.step.job.tenant, options.mask_asset_id)
    if asset is None:
        raise InvalidInput("stain.mask_asset_id", f"the mask {options.mask_asset_id!r} was deleted")
    data, tenant = photo.step.read(asset.sha256), photo.step.job.tenant
    return asset.sha256, intake.read_mask(data, "stain.mask_asset_id", photo.max_side, tenant=tenant)


def _known_maps(
    maps: MaterialMaps, options: StainOptions, masks: PartMasks, area: StainArea, size: tuple[int, int]
) -> MaterialMaps:
    """Return the maps with what the caller states about the piece, its parts and its materials."""
    piece = masks.edited_mask(FOREGROUND_MASK, size)
    if piece is not None:
        maps = known_piece(maps, piece)
    return known_wood(maps, options.made_of, masks.by_name(_known_parts(options), size), area)


def _known_parts(options: StainOptions) -> list[str]:
    return [known.part for known in options.made_of if known.part]


def _size(pixels: Image) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    return width, height


STAIN = Stage("stain", StainOptions, StainResult, weight=0.12, run=run_stain, check=check_options)
