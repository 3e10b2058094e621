"""The segment stage of a job: masks, overlay and JSON document of each photo."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from orchestrator.domain.images import ImageFormat
from orchestrator.domain.segment import Box, Detector, DetectorCost, SegmentOptions
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
    detector: Detector
    mask: str = ""  # asset id


@dataclass(frozen=True)
class SegmentedPhoto:
    """The result for one photo. Files are asset ids; empty if absent, and in the cache."""

    photo_asset_id: str
    width: int
    height: int
    components: tuple[Component, ...]
    analysis: str  # SHA-256 of the packed material maps
    model_versions: dict[str, str]
    cost: DetectorCost
    foreground: str = ""
    wood: str = ""
    overlay: str = ""
    document: str = ""


@dataclass(frozen=True)
class SegmentResult:
    """The result of the segment stage."""

    photos: tuple[SegmentedPhoto, ...]

    @property
    def components(self) -> list[str]:
        """The distinct names of the components."""
        return sorted({component.name for photo in self.photos for component in photo.components})

    @property
    def model_versions(self) -> dict[str, str]:
        """The version of each model that contributed."""
        return self.photos[0].model_versions


def run_segment(run: StageRun[SegmentOptions]) -> SegmentResult:
    """Analyze each photo, then find its components."""
    photos = []
    for photo in run.photos():
        analysis = photo.within(0.0, 0.4).step("analyze", analyze, run.versions)
        photos.append(photo.within(0.4, 1.0).step("segment", find_components, analysis, run.options))
    return SegmentResult(tuple(photos))


def find_components(photo: PhotoStep, analysis: str, options: SegmentOptions) -> SegmentedPhoto:
    """Segment one photo and publish its masks, overlay and JSON document."""

    def make() -> Cached[SegmentedPhoto]:
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
                Detector(component.detector),
            )
            for component in segmentation.components
        )
        versions = dict(segmentation.model_versions)
        return Cached(
            files, SegmentedPhoto(photo.photo_id, width, height, components, analysis, versions, segmentation.cost)
        )

    key = digest("segment", REVISION, photo.source_sha256, analysis, to_json(options), photo.index)
    cached = photo.cached(key, Cached[SegmentedPhoto], make)
    segmented = cached.facts
    files = {
        name: photo.publish(name, file, ASSET_KINDS.get(name, "mask"), segmented.model_versions)
        for name, file in cached.files.items()
    }
    photo.step.show(files["overlay"])
    return replace(
        segmented,
        photo_asset_id=photo.photo_id,
        components=tuple(replace(part, mask=files[f"mask-{part.instance}"]) for part in segmented.components),
        foreground=files["foreground"],
        wood=files.get("wood", ""),
        overlay=files["overlay"],
        document=files["components"],
    )


def check_options(options: SegmentOptions, job: JobInput) -> SegmentOptions:
    """Check the prompts against the photos, and that the detector is available."""
    segment_stage.check_prompts(options, job.sizes, openai=job.dependencies.openai)
    return options


def total_cost(result: SegmentResult) -> DetectorCost:
    """The cost of all photos."""
    return sum((photo.cost for photo in result.photos), DetectorCost())


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
