"""The stain stage of a job: PBR maps and the stained picture of each photo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.assets import StoredFile
from orchestrator.domain.images import Image
from orchestrator.domain.stain import StainOptions
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.jobs.documents import to_json
from orchestrator.jobs.photo_step import REVISION, PhotoStep, analyze
from orchestrator.jobs.stage import JobInput, Stage, StageInput, StageRun
from orchestrator.jobs.step import Cached, digest
from orchestrator.stages import intake
from orchestrator.stages.stain import stain as stain_stage

ASSET_KINDS = {"preview": "preview", "before_after": "preview"}
"""Asset kind of each result file; all others are textures."""


@dataclass(frozen=True)
class StainedPhoto:
    """The result for one photo. Files are asset ids; empty in the cache."""

    photo_asset_id: str
    width: int
    height: int
    wood_share: float
    reached_color: str  # #RRGGBB
    delta_e: float
    model_versions: dict[str, str]
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
class StainResult:
    """The result of the stain stage."""

    photos: tuple[StainedPhoto, ...]

    @property
    def model_versions(self) -> dict[str, str]:
        """The version of each model that contributed."""
        return self.photos[0].model_versions


def run_stain(run: StageRun[StainOptions]) -> StainResult:
    """Analyze each photo, compute the maps that do not depend on the colour, then stain it."""
    photos = []
    for photo in run.photos():
        analysis = photo.within(0.0, 0.4).step("analyze", analyze, run.versions)
        surface = photo.within(0.4, 0.7).step("surface", map_surface, analysis, run.options)
        photos.append(photo.within(0.7, 1.0).step("stain", apply_stain, analysis, surface, run.options))
    return StainResult(tuple(photos))


def map_surface(photo: PhotoStep, analysis: str, options: StainOptions) -> Cached[None]:
    """Compute and store normal, roughness, occlusion, height and ORM maps, which do not depend on the colour."""

    def make() -> Cached[None]:
        surface = stain_stage.surface_maps(photo.pixels(), photo.maps(analysis), progress=photo.step.progress)
        images: dict[str, Image | NDArray[np.uint16]] = {
            "normal": surface.normal,
            "roughness": surface.roughness,
            "ambient_occlusion": surface.ambient_occlusion,
            "height": surface.height,
            "orm": surface.orm,
        }
        return Cached(photo.store_images(images, options.format), None)

    key = digest("surface", REVISION, photo.source_sha256, analysis, options.format)
    return photo.cached(key, Cached[None], make)


def apply_stain(photo: PhotoStep, analysis: str, surface: Cached[None], options: StainOptions) -> StainedPhoto:
    """Stain one photo and publish all of its files."""
    mask_sha256, mask = _mask(photo, options)

    def make() -> Cached[StainedPhoto]:
        maps = photo.maps(analysis)
        stained = stain_stage.stain(photo.pixels(), maps, options, mask=mask, progress=photo.step.progress)
        images = {
            "albedo": stained.albedo,
            "preview": stained.preview,
            "before_after": stained.before_after,
            "wood_mask": stained.wood_mask,
        }
        height, width = stained.preview.shape[:2]
        result = StainedPhoto(
            photo.photo_id,
            width,
            height,
            stained.wood_share,
            stained.reached,
            stained.delta_e,
            dict(maps.model_versions),
        )
        return Cached(photo.store_images(images, options.format), result)

    key = digest("stain", REVISION, photo.source_sha256, analysis, to_json(options), mask_sha256)
    cached = photo.cached(key, Cached[StainedPhoto], make)
    files: dict[str, StoredFile] = {**surface.files, **cached.files}
    versions = cached.facts.model_versions
    assets: dict[str, Any] = {
        name: photo.publish(name, file, ASSET_KINDS.get(name, "texture"), versions) for name, file in files.items()
    }
    photo.step.show(assets["before_after"])
    height_map = assets.pop("height")
    return replace(cached.facts, photo_asset_id=photo.photo_id, height_map=height_map, **assets)


def check_options(options: StainOptions, job: JobInput) -> StainOptions:
    """Check that the uploaded mask exists and has the size of each photo."""
    if not options.mask_asset_id:
        return options
    mask = job.dependencies.records.asset(job.tenant, options.mask_asset_id)
    if mask is None:
        raise NotFound("asset", options.mask_asset_id)
    for width, height in job.sizes:
        if (mask.width, mask.height) != (width, height):
            raise InvalidInput(
                "stain.mask_asset_id",
                f"the mask is {mask.width}×{mask.height} pixels; it must have the size of the photo, {width}×{height}",
            )
    return options


def _mask(photo: PhotoStep, options: StainOptions) -> tuple[str, Image | None]:
    if not options.mask_asset_id:
        return "", None
    asset = photo.step.dependencies.records.asset(photo.step.tenant, options.mask_asset_id)
    if asset is None:
        raise InvalidInput("stain.mask_asset_id", f"the mask {options.mask_asset_id!r} was deleted")
    return asset.sha256, intake.read_mask(photo.step.read(asset.sha256), "stain.mask_asset_id", photo.max_side)


STAIN = Stage(
    name="stain",
    options=StainOptions,
    result=StainResult,
    input=StageInput.PHOTOS,
    weight=0.12,
    uses_models=True,
    run=run_stain,
    check=check_options,
)
