"""The segment stage of a job: masks, overlay and JSON document of each photo."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from orchestrator.domain.images import ImageFormat
from orchestrator.domain.segment import Box, DetectorCost, SegmentOptions
from orchestrator.jobs.documents import to_json
from orchestrator.jobs.photo_step import REVISION, PhotoStep, analyze
from orchestrator.jobs.stage import JobInput, Stage, StageInput, StageRun
from orchestrator.jobs.step import Cached, digest
from orchestrator.stages.segment import segment as segment_stage

ASSET_KINDS = {"overlay": "preview", "components": "document"}
"""Asset kind of each result file; all others are masks."""


@dataclass(frozen=True)
class Component:
    """One component in one photo."""

    name: str
    instance: str  # unique in the photo, such as leg-2
    material: str
    confidence: float
    box: Box
    area_px: int
    detector: str
    mask: str = ""  # asset id


@dataclass(frozen=True)
class SegmentedPhoto:
    """The result for one photo. Files are asset ids; empty if absent."""

    photo_id: str
    width: int
    height: int
    components: tuple[Component, ...]
    foreground: str
    wood: str
    overlay: str
    document: str
    analysis: str  # SHA-256 of the packed material maps
    model_versions: dict[str, str]
    cost: DetectorCost


@dataclass(frozen=True)
class SegmentResult:
    """The result of the segment stage."""

    photos: tuple[SegmentedPhoto, ...]


@dataclass(frozen=True)
class SegmentFacts:
    """What is cached about a segmented photo besides its files."""

    width: int
    height: int
    components: tuple[Component, ...]
    cost: DetectorCost
    model_versions: dict[str, str]


def run_segment(run: StageRun[SegmentOptions]) -> SegmentResult:
    """Analyze each photo, then find its components."""
    photos = []
    for photo in run.photos():
        analysis = photo.within(0.0, 0.4).step("analyze", analyze, run.versions)
        photos.append(photo.within(0.4, 1.0).step("segment", find_components, analysis, run.options))
    return SegmentResult(tuple(photos))


def find_components(photo: PhotoStep, analysis: str, options: SegmentOptions) -> SegmentedPhoto:
    """Segment one photo and publish its masks, overlay and JSON document."""

    def make() -> Cached[SegmentFacts]:
        step = photo.step
        segmentation = segment_stage.segment(
            photo.pixels(), photo.maps(analysis), options, photo.index, step.dependencies.openai, progress=step.progress
        )
        images = {f"mask-{component.instance}": component.mask for component in segmentation.components}
        images |= {"foreground": segmentation.foreground, "overlay": segmentation.overlay}
        if segmentation.wood is not None:
            images["wood"] = segmentation.wood
        files = photo.store_images(images, ImageFormat.PNG)
        document = json.dumps(segment_stage.components_json(segmentation), indent=2, sort_keys=True)
        files["components"] = step.store(document.encode(), "application/json")
        height, width = segmentation.foreground.shape[:2]
        components = tuple(
            Component(
                component.name,
                component.instance,
                component.material,
                component.confidence,
                component.box,
                component.area_px,
                component.detector,
            )
            for component in segmentation.components
        )
        facts = SegmentFacts(width, height, components, segmentation.cost, dict(segmentation.model_versions))
        return Cached(files, facts)

    key = digest("segment", REVISION, photo.source_sha256, analysis, to_json(options), photo.index)
    cached = photo.cached(key, Cached[SegmentFacts], make)
    facts = cached.facts
    files = {
        name: photo.publish(name, file, ASSET_KINDS.get(name, "mask"), facts.model_versions)
        for name, file in cached.files.items()
    }
    photo.step.show(files["overlay"])
    return SegmentedPhoto(
        photo_id=photo.photo_id,
        width=facts.width,
        height=facts.height,
        components=tuple(replace(part, mask=files[f"mask-{part.instance}"]) for part in facts.components),
        foreground=files["foreground"],
        wood=files.get("wood", ""),
        overlay=files["overlay"],
        document=files["components"],
        analysis=analysis,
        model_versions=facts.model_versions,
        cost=facts.cost,
    )


def check_options(options: SegmentOptions, job: JobInput) -> SegmentOptions:
    """Check the prompts against the photos, and that the detector is available."""
    segment_stage.check_prompts(options, job.sizes, openai=job.dependencies.openai)
    return options


def total_cost(result: SegmentResult) -> DetectorCost:
    """The cost of all photos."""
    costs = [photo.cost for photo in result.photos]
    return DetectorCost(
        prompt_tokens=sum(cost.prompt_tokens for cost in costs),
        completion_tokens=sum(cost.completion_tokens for cost in costs),
        usd=sum(cost.usd for cost in costs),
    )


SEGMENT = Stage(
    name="segment",
    options=SegmentOptions,
    result=SegmentResult,
    input=StageInput.PHOTOS,
    weight=0.08,
    uses_models=True,
    run=run_segment,
    check=check_options,
    cost=total_cost,
)
