"""The segment stage of a job: masks, overlay and JSON document of each photo."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.domain.checks import Violations
from orchestrator.domain.images import ImageFormat
from orchestrator.domain.made_of import resolve_made_of
from orchestrator.domain.segment import Box, DetectorCost, DetectorName, SegmentOptions
from orchestrator.errors import DetectorFailed
from orchestrator.jobs.documents import copy_fields
from orchestrator.jobs.stage import JobInput, Stage
from orchestrator.jobs.step import Cached, PhotoResult, PhotoResults, PhotoStep
from orchestrator.stages.segment import segment as segment_stage


@dataclass(frozen=True)
class Component:
    """One component in one photo."""

    name: str
    instance: str  # unique in the photo, such as leg-2
    material: str
    confidence: float
    box: Box
    area_px: int
    detector: DetectorName
    mask: str = ""  # asset id


@dataclass(frozen=True)
class SegmentedPhoto(PhotoResult):
    """The result for one photo. Files are asset ids. An id is empty if there is no such file, and in cached results."""

    components: tuple[Component, ...]
    analysis: str  # SHA-256 of the packed material maps
    cost: DetectorCost
    foreground: str = ""
    wood: str = ""
    overlay: str = ""
    document: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentResult(PhotoResults):
    """The result of the segment stage."""

    photos: tuple[SegmentedPhoto, ...]

    @property
    def components(self) -> list[str]:
        """The distinct names of the components."""
        return sorted({component.name for photo in self.photos for component in photo.components})


def find_components(photo: PhotoStep, analysis: str, options: SegmentOptions) -> SegmentedPhoto:
    """Segment one photo and publish its masks, overlay and JSON document."""
    step, models = photo.step, photo.models()

    def charge(cost: DetectorCost) -> None:
        if cost.usd:
            step.dependencies.quotas.spend(step.job.tenant, cost.usd)

    def make() -> Cached[SegmentedPhoto]:
        pixels, maps, openai = photo.pixels(), photo.maps(analysis), step.dependencies.openai
        if _is_paid(options):
            step.dependencies.quotas.check_detector_budget(step.job.tenant)
        try:
            found = segment_stage.segment(
                pixels, maps, options, photo.index, openai, step.progress, models, on_cost=charge
            )
        except DetectorFailed as error:
            charge(DetectorCost(usd=error.usd))
            raise
        masks = {f"mask-{component.instance}": component.mask for component in found.components}
        images = {**masks, "foreground": found.foreground, "overlay": found.overlay, "wood": found.wood}
        document = json.dumps(segment_stage.components_json(found), indent=2, sort_keys=True).encode()
        files = photo.store_images(images, ImageFormat.PNG, "segment")
        files["components"] = step.store(document, "application/json")
        components = tuple(
            copy_fields(Component, component, detector=DetectorName(component.detector), mask="")
            for component in found.components
        )
        height, width = found.foreground.shape[:2]
        versions = dict(found.model_versions)
        facts = SegmentedPhoto(photo.asset.id, width, height, versions, components, analysis, found.cost)
        return Cached(files, replace(facts, warnings=found.warnings))

    cached = photo.cached("segment", (analysis, options, photo.index, models.versions), Cached[SegmentedPhoto], make)
    result = replace(cached.facts, photo_asset_id=photo.asset.id)
    kinds = {"overlay": "preview", "components": "document"}
    ids: dict[str, Any] = photo.publish(cached.files, result.model_versions, "mask", **kinds)
    step.add_preview(ids["overlay"])
    components = tuple(replace(item, mask=ids.pop(f"mask-{item.instance}")) for item in result.components)
    return replace(result, components=components, document=ids.pop("components"), **ids)


def _is_paid(options: SegmentOptions) -> bool:
    return options.detector is DetectorName.OPENAI and options.detect_components


def check_options(options: SegmentOptions, job: JobInput) -> SegmentOptions:
    """Check the prompts against the photos, that the detector is available, and the names in ``made_of``.

    Raises QuotaExceeded if the detector is paid and the tenant has spent its budget.
    """
    uses_finder = options.detector is DetectorName.OPEN_VOCABULARY
    finder = job.dependencies.models.photo_models().open_vocabulary if uses_finder else None
    with Violations() as violations:
        with violations.collect():
            segment_stage.check_options(options, job.sizes, job.dependencies.openai, finder)
        made_of = resolve_made_of("segment.made_of", options.made_of, options.possible_parts)
        checked = replace(options, made_of=made_of)
    if _is_paid(options):
        job.dependencies.quotas.check_detector_budget(job.tenant)
    return checked


SEGMENT = Stage(
    "segment",
    SegmentOptions,
    SegmentResult,
    weight=0.08,
    run=lambda run: SegmentResult(run.each_photo_in_one_step("segment", find_components)),
    check=check_options,
    cost=lambda result: sum((photo.cost for photo in result.photos), DetectorCost()),
)
