"""The cutout stage of a job: each photo's piece on a transparent or coloured background."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.segment import Box
from orchestrator.jobs.documents import to_json
from orchestrator.jobs.photo_step import REVISION, PhotoStep, analyze
from orchestrator.jobs.stage import Stage, StageInput, StageRun
from orchestrator.jobs.step import Cached, digest
from orchestrator.stages import cutout as cutout_stage


@dataclass(frozen=True)
class CutoutPhoto:
    """The result for one photo. Files are asset ids; empty if absent."""

    photo_id: str
    width: int
    height: int
    image: str
    shadow: str
    frame: Box  # of the image, in pixels of the photo
    piece_share: float
    model_versions: dict[str, str]


@dataclass(frozen=True)
class CutoutResult:
    """The result of the cutout stage."""

    photos: tuple[CutoutPhoto, ...]


@dataclass(frozen=True)
class CutoutFacts:
    """What is cached about a cutout besides its files."""

    frame: Box
    piece_share: float
    model_versions: dict[str, str]


def run_cutout(run: StageRun[CutoutOptions]) -> CutoutResult:
    """Analyze each photo, then cut out its piece."""
    photos = []
    for photo in run.photos():
        analysis = photo.within(0.0, 0.4).step("analyze", analyze, run.versions)
        photos.append(photo.within(0.4, 1.0).step("cutout", cut_out, analysis, run.options))
    return CutoutResult(tuple(photos))


def cut_out(photo: PhotoStep, analysis: str, options: CutoutOptions) -> CutoutPhoto:
    """Cut the piece out of one photo and publish the image and the shadow."""

    def make() -> Cached[CutoutFacts]:
        maps = photo.maps(analysis)
        cutout = cutout_stage.cutout(photo.pixels(), maps, options, progress=photo.step.progress)
        images = {"cutout": cutout.image}
        if cutout.shadow is not None:
            images["shadow"] = cutout.shadow
        facts = CutoutFacts(cutout.box, cutout.piece_share, dict(maps.model_versions))
        return Cached(photo.store_images(images, options.format), facts)

    key = digest("cutout", REVISION, photo.source_sha256, analysis, to_json(options))
    cached = photo.cached(key, Cached[CutoutFacts], make)
    versions = cached.facts.model_versions
    files = {name: photo.publish(name, file, "cutout", versions) for name, file in cached.files.items()}
    photo.step.show(files["cutout"])
    return CutoutPhoto(
        photo_id=photo.photo_id,
        width=cached.files["cutout"].width,
        height=cached.files["cutout"].height,
        image=files["cutout"],
        shadow=files.get("shadow", ""),
        frame=cached.facts.frame,
        piece_share=cached.facts.piece_share,
        model_versions=versions,
    )


CUTOUT = Stage(
    name="cutout",
    options=CutoutOptions,
    result=CutoutResult,
    input=StageInput.PHOTOS,
    weight=0.05,
    uses_models=True,
    run=run_cutout,
)
