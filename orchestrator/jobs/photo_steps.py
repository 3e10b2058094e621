"""The work of one job on one photo: read it from the store, run a stage, keep what it made.

What depends only on content and parameters is kept by both, so that a second colour costs only the recolouring.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import Image, ImageFormat
from orchestrator.domain.quality import Quality
from orchestrator.domain.segment import SegmentOptions
from orchestrator.domain.stain import StainOptions
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.jobs import artifacts
from orchestrator.jobs.dependencies import Parts
from orchestrator.jobs.progress import Reporter, Span, part
from orchestrator.jobs.spec import Kind, digest, options_to_json
from orchestrator.jobs.step import Step
from orchestrator.stages import analysis as analysis_stage
from orchestrator.stages import intake
from orchestrator.stages.segment.segment import SegmentResult, components_json, segment
from orchestrator.stages.stain.stain import stain, surface_maps

REVISION = 5
"""Part of every key under which results are kept: raise it when a stage, or a version of a model, makes other pixels
than before."""

KIND = {"preview": "preview", "before_after": "preview", "overlay": "preview"}
"""The asset kind of a result file; any other is a texture or a mask."""


@dataclass(frozen=True)
class PhotoStep:
    """One step of one job on one photo."""

    step: Step
    index: int
    photo_id: str
    source_sha256: str

    @classmethod
    @contextmanager
    def of(cls, parts: Parts, job_id: str, index: int, count: int, name: str, span: Span) -> Iterator[PhotoStep]:
        """Open the step ``name`` on photo ``index`` of ``count``, which covers its part of ``span`` of the job."""
        share = part(span, index / count, (index + 1) / count)
        with Step.of(parts, job_id, name, share, f"photo {index + 1} of {count}") as step:
            photo_id = step.job["inputs"][index]
            asset = parts.records.asset(step.tenant, photo_id)
            if asset is None:
                raise NotFound("photo", photo_id)
            yield cls(step, index, photo_id, asset.sha256)

    @property
    def parts(self) -> Parts:
        return self.step.parts

    @property
    def tenant(self) -> str:
        return self.step.tenant

    @property
    def progress(self) -> Reporter:
        return self.step.progress

    @property
    def side(self) -> int | None:
        """The longest side that the job works on, or None for all of the photo."""
        return analysis_stage.PREVIEW_SIDE if self.step.quality is Quality.PREVIEW else None

    def pixels(self) -> Image:
        """The upright photo, sRGB."""
        data = self.parts.blobs.get(self.tenant, self.source_sha256)
        return intake.read_photo(data, max_side=self.side).srgb

    def kept(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """As ``Step.kept``, of this photo."""
        return self.step.kept(key, [self.source_sha256], make)

    def store(self, image: Image | NDArray[np.uint16], format: ImageFormat) -> dict[str, Any]:
        height, width = image.shape[:2]
        data, media_type = intake.encode_result(image, format)
        return artifacts.store(self.parts, self.tenant, data, media_type, width, height)

    def publish(self, name: str, stored: dict[str, Any], kind: str, versions: dict[str, str]) -> str:
        suffix = stored["media_type"].rpartition("/")[2]
        return self.step.publish(f"photo-{self.index}/{name}.{suffix}", stored, kind, versions)


def analyze(photo: PhotoStep, held: dict[str, str]) -> str:
    """Ask the models, unless these versions were asked about this photo before; return the blob of the maps.

    Args:
        held: the versions that the job began with; one that an operator has retired since gives way to the serving one.
    """
    versions = photo.parts.models.versions(held)

    def make() -> dict[str, Any]:
        timeout_s = min(photo.progress.remaining_s(), photo.parts.settings.triton_timeout_s)
        packed = analysis_stage.analyze(photo.pixels(), photo.parts.models, photo.step.quality, timeout_s, versions)
        return {"blobs": [photo.parts.blobs.put(photo.tenant, packed)]}

    key = digest("analysis", REVISION, photo.source_sha256, photo.step.quality, versions)
    blob: str = photo.kept(key, make)["blobs"][0]
    return blob


def find_components(photo: PhotoStep, analysis: str) -> dict[str, Any]:
    """Segment one photo; its masks, overlay and JSON document become assets."""
    options: SegmentOptions = photo.step.options(Kind.SEGMENT)

    def make() -> dict[str, Any]:
        maps = analysis_stage.unpack(photo.parts.blobs.get(photo.tenant, analysis))
        found = segment(photo.pixels(), maps, options, photo.index, photo.parts.openai, progress=photo.progress)
        return _kept_segments(photo, found)

    key = digest("segment", REVISION, photo.source_sha256, analysis, options_to_json(options), photo.index)
    value = photo.kept(key, make)
    versions = value["facts"]["models"]
    files = {
        name: photo.publish(name, stored, KIND.get(name, "document" if name == "components" else "mask"), versions)
        for name, stored in value["files"].items()
    }
    photo.step.show(files["overlay"])
    return {**value["facts"], "photo": photo.photo_id, "files": files, "analysis": analysis}


def _kept_segments(photo: PhotoStep, found: SegmentResult) -> dict[str, Any]:
    images = {f"mask-{part.instance}": part.mask for part in found.components}
    images["foreground"] = found.foreground
    if found.wood is not None:
        images["wood"] = found.wood
    files = {name: photo.store(image, ImageFormat.PNG) for name, image in images.items()}
    files["overlay"] = photo.store(found.overlay, ImageFormat.PNG)
    document = components_json(found)
    text = json.dumps(document, indent=2, sort_keys=True).encode()
    files["components"] = artifacts.store(photo.parts, photo.tenant, text, "application/json")
    cost = {
        "prompt_tokens": found.cost.prompt_tokens,
        "completion_tokens": found.cost.completion_tokens,
        "usd": found.cost.usd,
    }
    height, width = found.foreground.shape[:2]
    parts = [
        {
            "name": part.name,
            "instance": part.instance,
            "material": part.material,
            "confidence": part.confidence,
            "box": [part.box.left, part.box.top, part.box.right, part.box.bottom],
            "area_px": part.area_px,
            "detector": part.detector,
        }
        for part in found.components
    ]
    facts = {"components": parts, "cost": cost, "width": width, "height": height, "models": found.model_versions}
    return {"blobs": [stored["sha256"] for stored in files.values()], "files": files, "facts": facts}


def map_surface(photo: PhotoStep, analysis: str) -> dict[str, Any]:
    """The maps that no colour changes, by name, as stored files."""
    options: StainOptions = photo.step.options(Kind.STAIN)

    def make() -> dict[str, Any]:
        maps = analysis_stage.unpack(photo.parts.blobs.get(photo.tenant, analysis))
        surface = surface_maps(photo.pixels(), maps, progress=photo.progress)
        images: dict[str, Image | NDArray[np.uint16]] = {
            "normal": surface.normal,
            "roughness": surface.roughness,
            "ambient_occlusion": surface.ambient_occlusion,
            "height": surface.height,
            "orm": surface.orm,
        }
        files = {name: photo.store(image, options.format) for name, image in images.items()}
        return {
            "blobs": [stored["sha256"] for stored in files.values()],
            "files": files,
            "models": maps.model_versions,
        }

    return photo.kept(digest("surface", REVISION, photo.source_sha256, analysis, options.format), make)


def apply_stain(photo: PhotoStep, analysis: str, surface: dict[str, Any]) -> dict[str, Any]:
    """Stain one photo; all of its files become assets."""
    options: StainOptions = photo.step.options(Kind.STAIN)
    mask_sha256, mask = _mask(photo, options)

    def make() -> dict[str, Any]:
        maps = analysis_stage.unpack(photo.parts.blobs.get(photo.tenant, analysis))
        stained = stain(photo.pixels(), maps, options, mask=mask, progress=photo.progress)
        images = {
            "albedo": stained.albedo,
            "preview": stained.preview,
            "before_after": stained.before_after,
            "wood_mask": stained.wood_mask,
        }
        files = {name: photo.store(image, options.format) for name, image in images.items()}
        facts = {"wood_share": stained.wood_share, "reached": stained.reached, "delta_e": stained.delta_e}
        height, width = stained.preview.shape[:2]
        return {
            "blobs": [stored["sha256"] for stored in files.values()],
            "files": files,
            "facts": {**facts, "width": width, "height": height},
        }

    key = digest("stain", REVISION, photo.source_sha256, analysis, options_to_json(options), mask_sha256)
    value = photo.kept(key, make)
    made = {**surface["files"], **value["files"]}
    versions = surface["models"]
    files = {name: photo.publish(name, stored, KIND.get(name, "texture"), versions) for name, stored in made.items()}
    photo.step.show(files["before_after"])
    return {
        **value["facts"],
        "photo": photo.photo_id,
        "files": files,
        "models": versions,
    }


def _mask(photo: PhotoStep, options: StainOptions) -> tuple[str, Image | None]:
    if not options.mask_asset_id:
        return "", None
    asset = photo.parts.records.asset(photo.tenant, options.mask_asset_id)
    if asset is None:
        raise InvalidInput("stain.mask_asset_id", f"{options.mask_asset_id!r} is not there any more")
    data = photo.parts.blobs.get(photo.tenant, asset.sha256)
    return asset.sha256, intake.read_mask(data, "stain.mask_asset_id", max_side=photo.side)
