"""One step of a job on one photo, and the analysis of a photo by the material models that several stages share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.assets import Asset, StoredFile
from orchestrator.domain.images import Image, ImageFormat
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.quality import Quality
from orchestrator.jobs.step import Cached, Step, digest
from orchestrator.stages import analysis as analysis_stage
from orchestrator.stages import intake

Facts = TypeVar("Facts")

REVISION = 6
"""Part of every cache key of photo results. Increment it when a stage or a model version changes its output pixels."""


@dataclass(frozen=True)
class PhotoResult:
    """The part of a stage's result on one photo that all stages have."""

    photo_asset_id: str
    width: int
    height: int
    model_versions: dict[str, str]  # of the models that contributed


class PhotoResults:
    """The base of the results that consist of one result per photo."""

    photos: tuple[Any, ...]

    @property
    def model_versions(self) -> Any:
        """The version of each model that contributed, by name."""
        return self.photos[0].model_versions


@dataclass(frozen=True)
class PhotoStep:
    """One step of one job on one photo."""

    step: Step
    index: int
    asset: Asset

    @property
    def max_side(self) -> int | None:
        """Longest side of the photo that the job works on, or None for full resolution."""
        return analysis_stage.PREVIEW_SIDE if self.step.quality is Quality.PREVIEW else None

    def pixels(self) -> Image:
        """The upright photo, sRGB."""
        return intake.read_photo(self.step.read(self.asset.sha256), max_side=self.max_side)

    def maps(self, analysis: str) -> MaterialMaps:
        """The model outputs that ``analyze`` stored."""
        return analysis_stage.unpack(self.step.read(analysis))

    def cached(
        self, name: str, inputs: tuple[Any, ...], kind: type[Cached[Facts]], make: Callable[[], Cached[Facts]]
    ) -> Cached[Facts]:
        """Like ``Step.cached``, for a value ``name`` that depends on this photo and these ``inputs``."""
        sha256 = self.asset.sha256
        return self.step.cached(digest(name, REVISION, sha256, *inputs), [sha256], kind, make)

    def store_images(
        self, images: Mapping[str, Image | NDArray[np.uint16] | None], format: ImageFormat, field: str
    ) -> dict[str, StoredFile]:
        """Encode and store the images that are not None, by name. ``field`` is the path of ``format``, for errors."""
        return {
            name: self.step.store(*intake.encode_result(image, format, field), image.shape[1], image.shape[0])
            for name, image in images.items()
            if image is not None
        }

    def publish(
        self, files: Mapping[str, StoredFile], versions: Mapping[str, str], kind: str, **kinds: str
    ) -> dict[str, str]:
        """Publish files of the asset kind ``kind``, or of those in ``kinds`` by name; return the asset ids by name."""
        ids = {}
        for name, file in files.items():
            path = f"photo-{self.index}/{name}.{file.media_type.rpartition('/')[2]}"
            ids[name] = self.step.publish(path, file, kinds.get(name, kind), versions)
        return ids


def analyze(photo: PhotoStep, pinned: Mapping[str, str]) -> str:
    """Run the material models on the photo and return the SHA-256 of the packed maps.

    A version in ``pinned``, with which the job began, is replaced by the serving one if it has been retired since.
    """
    dependencies, step = photo.step.dependencies, photo.step
    versions = dependencies.models.versions(pinned)

    def make() -> Cached[None]:
        timeout_s = min(step.remaining_s(), dependencies.settings.triton_timeout_s)
        packed = analysis_stage.analyze(photo.pixels(), dependencies.models, step.quality, timeout_s, versions)
        return Cached({"maps": step.store(packed, "application/octet-stream")}, None)

    return photo.cached("analysis", (step.quality, versions), Cached[None], make).files["maps"].sha256
