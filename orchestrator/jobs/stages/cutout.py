"""The cutout stage of a job: each photo's piece on a transparent or coloured background."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.segment import Box
from orchestrator.jobs.stage import Stage
from orchestrator.jobs.step import Cached, PhotoResult, PhotoResults, PhotoStep
from orchestrator.stages import cutout as cutout_stage


@dataclass(frozen=True)
class CutoutPhoto(PhotoResult):
    """The result for one photo. Files are asset ids. An id is empty if there is no such file, and in cached results."""

    frame: Box  # part of the photo that the image shows, in pixels
    piece_share: float  # share of the photo that the piece covers, in [0, 1]
    image: str = ""
    shadow: str = ""


@dataclass(frozen=True)
class CutoutResult(PhotoResults):
    """The result of the cutout stage."""

    photos: tuple[CutoutPhoto, ...]


def cut_out(photo: PhotoStep, analysis: str, options: CutoutOptions) -> CutoutPhoto:
    """Cut the piece out of one photo and publish the image and the shadow."""

    def make() -> Cached[CutoutPhoto]:
        maps = photo.maps(analysis)
        cutout = cutout_stage.cutout(photo.pixels(), maps, options, progress=photo.step.progress)
        files = photo.store_images({"cutout": cutout.image, "shadow": cutout.shadow}, options.format, "cutout.format")
        height, width = cutout.image.shape[:2]
        versions = dict(maps.model_versions)
        return Cached(files, CutoutPhoto(photo.asset.id, width, height, versions, cutout.box, cutout.piece_share))

    cached = photo.cached("cutout", (analysis, options), Cached[CutoutPhoto], make)
    files = photo.publish(cached.files, cached.facts.model_versions, "cutout")
    photo.step.add_preview(files["cutout"])
    return replace(cached.facts, photo_asset_id=photo.asset.id, image=files["cutout"], shadow=files.get("shadow", ""))


CUTOUT = Stage(
    "cutout",
    CutoutOptions,
    CutoutResult,
    weight=0.05,
    run=lambda run: CutoutResult(run.each_photo_in_one_step("cutout", cut_out)),
)
