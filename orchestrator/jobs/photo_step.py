"""One step of a job on one photo, and the analysis of a photo by the material models that several stages share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.assets import StoredFile
from orchestrator.domain.images import Image, ImageFormat
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.quality import Quality
from orchestrator.errors import NotFound
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.progress import Span
from orchestrator.jobs.step import Cached, Step, digest
from orchestrator.stages import analysis as analysis_stage
from orchestrator.stages import intake

Facts = TypeVar("Facts")

REVISION = 6
"""Part of every cache key of photo results. Increment it when a stage or a model version changes its output pixels."""


@dataclass(frozen=True)
class PhotoStep:
    """One step of one job on one photo."""

    step: Step
    index: int
    photo_id: str
    source_sha256: str

    @classmethod
    @contextmanager
    def open(
        cls, dependencies: Dependencies, job_id: str, name: str, span: Span, index: int, count: int
    ) -> Iterator[PhotoStep]:
        """Open the step ``name`` on photo ``index`` of ``count``, which covers ``span`` of the job's progress.

        Raises:
            NotFound: the photo was deleted.
        """
        with Step.open(dependencies, job_id, name, span, f"photo {index + 1} of {count}") as step:
            photo_id = step.job.inputs[index]
            asset = dependencies.records.asset(step.tenant, photo_id)
            if asset is None:
                raise NotFound("photo", photo_id)
            yield cls(step, index, photo_id, asset.sha256)

    @property
    def max_side(self) -> int | None:
        """Longest side of the photo that the job works on, or None for full resolution."""
        return analysis_stage.PREVIEW_SIDE if self.step.quality is Quality.PREVIEW else None

    def pixels(self) -> Image:
        """The upright photo, sRGB."""
        return intake.read_photo(self.step.read(self.source_sha256), max_side=self.max_side).srgb

    def cached(self, key: str, kind: type[Cached[Facts]], make: Callable[[], Cached[Facts]]) -> Cached[Facts]:
        """Like ``Step.cached``, for a value that depends on this photo."""
        return self.step.cached(key, [self.source_sha256], kind, make)

    def store_images(
        self, images: Mapping[str, Image | NDArray[np.uint16]], format: ImageFormat
    ) -> dict[str, StoredFile]:
        """Encode and store images; return the stored files by name."""
        return {name: self._store_image(image, format) for name, image in images.items()}

    def publish(self, name: str, file: StoredFile, kind: str, versions: Mapping[str, str]) -> str:
        """Like ``Step.publish``, under the photo's folder."""
        suffix = file.media_type.rpartition("/")[2]
        return self.step.publish(f"photo-{self.index}/{name}.{suffix}", file, kind, versions)

    def maps(self, analysis: str) -> MaterialMaps:
        """The model outputs that ``analyze`` stored."""
        return analysis_stage.unpack(self.step.read(analysis))

    def _store_image(self, image: Image | NDArray[np.uint16], format: ImageFormat) -> StoredFile:
        height, width = image.shape[:2]
        data, media_type = intake.encode_result(image, format)
        return self.step.store(data, media_type, width, height)


def analyze(photo: PhotoStep, pinned: Mapping[str, str]) -> str:
    """Run the material models on the photo and return the SHA-256 of the packed maps.

    Args:
        pinned: the model versions with which the job began. A version that has been retired since is replaced by the
            serving one.
    """
    dependencies, step = photo.step.dependencies, photo.step
    versions = dependencies.models.versions(pinned)

    def make() -> Cached[None]:
        timeout_s = min(step.progress.remaining_s(), dependencies.settings.triton_timeout_s)
        packed = analysis_stage.analyze(photo.pixels(), dependencies.models, step.quality, timeout_s, versions)
        return Cached({"maps": step.store(packed, "application/octet-stream")}, None)

    key = digest("analysis", REVISION, photo.source_sha256, step.quality, versions)
    return photo.cached(key, Cached[None], make).files["maps"].sha256
