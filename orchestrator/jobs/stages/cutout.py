"""The cutout stage of a job: each photo's piece on a transparent or coloured background."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.segment import Box
from orchestrator.jobs.documents import to_json
from orchestrator.jobs.photo_step import REVISION, PhotoStep, analyze
from orchestrator.jobs.stage import Stage, StageInput, StageRun
from orchestrator.jobs.step import Cached, digest
from orchestrator.stages import cutout as cutout_stage


@dataclass(frozen=True)
class CutoutPhoto:
    """The result for one photo. Files are asset ids; empty if absent, and in the cache."""

    photo_asset_id: str
    width: int
    height: int
    frame: Box  # of the image, in pixels of the photo
    piece_share: float
    model_versions: dict[str, str]
    image: str = ""
    shadow: str = ""


@dataclass(frozen=True)
class CutoutResult:
    """The result of the cutout stage."""

    photos: tuple[CutoutPhoto, ...]

    @property
    def model_versions(self) -> dict[str, str]:
        """The version of each model that contributed."""
        return self.photos[0].model_versions


def run_cutout(run: StageRun[CutoutOptions]) -> CutoutResult:
    """Analyze each photo, then cut out its piece."""
    photos = []
    for photo in run.photos():
        analysis = photo.within(0.0, 0.4).step("analyze", analyze, run.versions)
        photos.append(photo.within(0.4, 1.0).step("cutout", cut_out, analysis, run.options))
    return CutoutResult(tuple(photos))


def cut_out(photo: PhotoStep, analysis: str, options: CutoutOptions) -> CutoutPhoto:
    """Cut the piece out of one photo and publish the image and the shadow."""

    def make() -> Cached[CutoutPhoto]:
        maps = photo.maps(analysis)
        cutout = cutout_stage.cutout(photo.pixels(), maps, options, progress=photo.step.progress)
        images = {"cutout": cutout.image}
        if cutout.shadow is not None:
            images["shadow"] = cutout.shadow
        height, width = cutout.image.shape[:2]
        versions = dict(maps.model_versions)
        result = CutoutPhoto(photo.photo_id, width, height, cutout.box, cutout.piece_share, versions)
        return Cached(photo.store_images(images, options.format), result)

    key = digest("cutout", REVISION, photo.source_sha256, analysis, to_json(options))
    cached = photo.cached(key, Cached[CutoutPhoto], make)
    versions = cached.facts.model_versions
    files = {name: photo.publish(name, file, "cutout", versions) for name, file in cached.files.items()}
    photo.step.show(files["cutout"])
    return replace(cached.facts, photo_asset_id=photo.photo_id, image=files["cutout"], shadow=files.get("shadow", ""))


CUTOUT = Stage(
    name="cutout",
    options=CutoutOptions,
    result=CutoutResult,
    input=StageInput.PHOTOS,
    weight=0.05,
    uses_models=True,
    run=run_cutout,
)
