"""One step of a job, on the whole job or on one photo: its progress, folder and cache, and the files it publishes."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from orchestrator.domain.assets import Asset, StoredFile
from orchestrator.domain.images import Image, ImageFormat
from orchestrator.domain.jobs import JobChange, JobRecord, JobState
from orchestrator.domain.limits import Limits, Sandbox
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.model_roles import PhotoModels
from orchestrator.domain.quality import Quality
from orchestrator.domain.untrusted_folder import entries_in
from orchestrator.errors import Canceled, DeadlineExceeded, JobTakenOver, StorageUnavailable, ToolFailed
from orchestrator.jobs.assets import existing
from orchestrator.jobs.dependencies import Dependencies, ServiceStopping
from orchestrator.jobs.documents import from_json, to_json
from orchestrator.settings import Settings
from orchestrator.stages import analysis as analysis_stage
from orchestrator.stages import intake
from orchestrator.store.blobs import sha256_of
from orchestrator.store.leases import LEASE

log = structlog.get_logger()

Facts = TypeVar("Facts")
Span: TypeAlias = tuple[float, float]
"""The interval of a job's progress that some work covers."""
WHOLE: Span = (0.0, 1.0)

NAMESPACE = uuid.UUID("6b0c7f5e-52fd-4d3a-9a2b-0d6a5b8f1f10")
"""Asset and group ids are UUID 5 in this namespace, so that a repeated step publishes the same ids."""
REPORT_INTERVAL_S = 0.2
"""Minimum time between two progress reports of one step, which also check for a cancellation. Not tuned."""
PHOTO_REVISION = 11
"""Part of every cache key of photo results. Increment it when a stage or a model version changes its output pixels."""
MAX_LOG_BYTES = 4 << 20
"""Only the end of a longer program log is kept, because the reason for a failure is there."""


@dataclass(frozen=True)
class Cached(Generic[Facts]):
    """A cached result of a step: files by name, and facts about them."""

    files: Mapping[str, StoredFile]
    facts: Facts


@dataclass
class Step:
    """One step of one job, which covers ``span`` of the job's progress."""

    dependencies: Dependencies
    job: JobRecord
    name: str
    span: Span
    owner: str  # of the job, unique for each execution of its workflow
    _next_report: float = 0.0  # in seconds of time.monotonic()
    _last_answer: float = field(default_factory=time.monotonic)  # of the database

    @property
    def folder(self) -> Path:
        """The working folder of the step's programs. It survives a crash and is deleted when the job ends."""
        path = self.dependencies.work_folder(self.job.id) / self.name
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    @property
    def limits(self) -> Limits:
        """Limits of the step's programs: the job's remaining time, and those of the settings."""
        settings = self.dependencies.settings
        return Limits(
            self.remaining_s(), settings.tool_memory_gb << 30, settings.tool_disk_gb << 30, Sandbox(settings.sandbox)
        )

    def progress(self, fraction: float, message: str) -> None:
        """Write the progress of the step to its job, unless the database does not answer for a moment.

        Raises Canceled, DeadlineExceeded or JobTakenOver if the job must stop, and ServiceStopping if the service does.
        Raises StorageUnavailable when the process cannot hold its lease any more.
        """
        if self.dependencies.stopping.is_set():
            raise ServiceStopping
        now = time.monotonic()
        if now < self._next_report:
            return
        self._next_report = now + REPORT_INTERVAL_S
        try:
            self._report(fraction, message)
        except StorageUnavailable:
            if time.monotonic() - self._last_answer > LEASE.total_seconds():
                raise
        else:
            self._last_answer = time.monotonic()

    def _report(self, fraction: float, message: str) -> None:
        records = self.dependencies.records
        job = records.job(None, self.job.id)
        if job is None or job.cancel_requested:
            raise Canceled("the job was canceled")
        if job.owner != self.owner:
            raise JobTakenOver(f"the process {job.owner} has taken over the job", job=job.id)
        self.remaining_s()
        _, reached = subspan(self.span, 0.0, min(max(fraction, 0.0), 1.0))
        done = max(job.fraction, reached)  # the progress of a job never decreases
        if (job.fraction, job.stage, job.message) != (done, self.name, message):
            change: JobChange = {"fraction": done, "stage": self.name, "message": message}
            records.change_job(job.id, (JobState.RUNNING,), self.owner, **change)

    def remaining_s(self) -> float:
        """Seconds until the job's deadline. Raises DeadlineExceeded if it has passed."""
        return remaining_s(self.job, self.dependencies.settings)

    def lookup(self, key: str, kind: type[Cached[Facts]]) -> Cached[Facts] | None:
        """The cached value of ``key``, or None. Its files exist, and are kept until the job has ended."""
        dependencies, tenant = self.dependencies, self.job.tenant
        document = dependencies.records.cached(tenant, key)
        if document is None:
            return None
        value = from_json(kind, document)
        files = {file.sha256 for file in value.files.values()}
        is_held = dependencies.blob_records.hold(tenant, files, self.job.id)
        if is_held and all(dependencies.blobs.exists(tenant, sha256) for sha256 in files):
            return value
        log.warning("cached_result_broken", job=self.job.id, step=self.name)
        dependencies.records.forget(tenant, key)
        return None

    def cached(
        self, key: str, sources: Collection[str], kind: type[Cached[Facts]], make: Callable[[], Cached[Facts]]
    ) -> Cached[Facts]:
        """The cached value of ``key``. Without one, call ``make`` and cache its result.

        ``sources`` are the SHA-256 of the files that the value depends on. Deleting one of them deletes the value.
        """
        value = self.lookup(key, kind)
        if value is None:
            value = make()
            blobs = {file.sha256 for file in value.files.values()}
            self.dependencies.records.keep(self.job.tenant, key, sources, blobs, to_json(value, kind))
        return value

    def store(self, data: bytes | Path, media_type: str, width: int = 0, height: int = 0) -> StoredFile:
        """Store a file's bytes for the tenant. They are kept until the job has ended. Raises DiskFull."""
        dependencies, tenant = self.dependencies, self.job.tenant
        size, sha256 = _size_and_hash(data)
        dependencies.disk_space.check(size)
        dependencies.blob_records.register(tenant, sha256, size, self.job.id)
        if isinstance(data, Path):
            dependencies.blobs.put_file(tenant, data, sha256)
        else:
            dependencies.blobs.put(tenant, data)
        return StoredFile(sha256, size, media_type, width, height)

    def publish(self, name: str, file: StoredFile, kind: str, versions: Mapping[str, str] | None = None) -> str:
        """Create an asset of the job for a stored file, to which the model ``versions`` contributed. Return its id."""
        id = str(uuid.uuid5(NAMESPACE, f"{self.job.id}/{name}"))
        tenant, group = self.job.tenant, group_id(self.job.id)
        asset = Asset(id, tenant, group, kind, name, model_versions=versions or {}, **asdict(file))
        return self.dependencies.records.add_asset(asset, self.job.id, self.owner).id

    def asset(self, id: str, kind: str = "file") -> Asset:
        """The tenant's asset. Raises NotFound if it was deleted; the message calls it a ``kind``."""
        return existing(self.dependencies.records.asset(self.job.tenant, id), kind, id)

    def read(self, sha256: str) -> bytes:
        """The bytes of a stored file."""
        return self.dependencies.blobs.get(self.job.tenant, sha256)

    def fetch(self, sha256: str, target: Path) -> Path:
        """Write a stored file to ``target``, unless it exists."""
        if not target.exists():
            scratch = target.with_name(f".{target.name}.part")
            scratch.write_bytes(self.read(sha256))
            scratch.replace(target)
        return target

    def add_preview(self, asset_id: str) -> None:
        """Add a picture to the job's previews, which clients can show before the job ends."""
        job = self.dependencies.records.job(None, self.job.id)
        if job is not None and asset_id not in job.previews:
            previews = [*job.previews, asset_id]
            self.dependencies.records.change_job(job.id, (JobState.RUNNING,), self.owner, previews=previews)

    def publish_logs(self) -> None:
        """Publish the logs of the step's programs, without paths of this machine."""
        folder = self.dependencies.work_folder(self.job.id) / self.name
        root = str(self.dependencies.settings.root).encode()
        logs: list[Path] = []
        with suppress(ToolFailed):  # a program nested folders too deeply
            logs.extend(Path(entry.path) for entry in entries_in(folder) if entry.name.endswith(".log"))
        for path in sorted(logs):
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - MAX_LOG_BYTES))
                text = file.read().replace(root, b".")
            if text:
                self.publish(f"logs/{self.name}/{path.relative_to(folder)}", self.store(text, "text/plain"), "document")


@dataclass(frozen=True)
class PhotoResult:
    """The fields that the results of all stages on one photo have in common."""

    photo_asset_id: str
    width: int
    height: int
    model_versions: dict[str, str]  # of the models that contributed


class PhotoResults:
    """Base class of the results that contain one result per photo."""

    photos: tuple[PhotoResult, ...]  # without the photos that failed

    @property
    def model_versions(self) -> dict[str, str]:
        """The version of each model that contributed, by name."""
        return self.photos[0].model_versions


@dataclass(frozen=True)
class PhotoStep:
    """One step of one job on one photo."""

    step: Step
    index: int
    asset: Asset
    pinned: Mapping[str, str]  # model → version with which the job began
    folder: str  # of the photo's results, unique in the job

    @property
    def max_side(self) -> int | None:
        """Longest side of the photo that the job works on, or None for full resolution."""
        return analysis_stage.PREVIEW_SIDE if self.step.job.quality is Quality.PREVIEW else None

    def pixels(self) -> Image:
        """The upright photo, sRGB."""
        data, tenant = self.step.read(self.asset.sha256), self.step.job.tenant
        return intake.read_photo(data, max_side=self.max_side, tenant=tenant)

    def maps(self, analysis: str) -> MaterialMaps:
        """The model outputs that ``analyze`` stored; ``analysis`` is the SHA-256 that it returned."""
        return analysis_stage.unpack(self.step.read(analysis))

    def models(self) -> PhotoModels:
        """The models that a stage may call on the photo, preferably in the ``pinned`` versions."""
        return self.step.dependencies.models.photo_models(self.pinned, self.inference_timeout_s)

    @property
    def inference_timeout_s(self) -> float:
        """Timeout of one inference: that of the settings, but at most the remaining time of the job."""
        return min(self.step.remaining_s(), self.step.dependencies.settings.triton_timeout_s)

    def cached(
        self,
        name: str,
        inputs: tuple[Any, ...],
        kind: type[Cached[Facts]],
        make: Callable[[], Cached[Facts]],
        sources: Collection[str] = (),
    ) -> Cached[Facts]:
        """Like ``Step.cached``, for a value ``name`` that depends on this photo and these ``inputs``.

        ``sources`` are the SHA-256 of other files that the value depends on.
        """
        photo = self.asset.sha256
        return self.step.cached(digest(name, PHOTO_REVISION, photo, *inputs), [photo, *sources], kind, make)

    def store_images(
        self, images: Mapping[str, Image | NDArray[np.uint16] | None], format: ImageFormat, field: str
    ) -> dict[str, StoredFile]:
        """Encode and store the images that are not None. Errors name ``field``, the path of ``format`` in the API."""
        return {
            name: self.step.store(*intake.encode_result(image, format, field), image.shape[1], image.shape[0])
            for name, image in images.items()
            if image is not None
        }

    def publish(
        self, files: Mapping[str, StoredFile], versions: Mapping[str, str], kind: str, **kinds: str
    ) -> dict[str, str]:
        """Publish files as assets of ``kind`` and return their ids, by name. ``kinds`` overrides the kind of a file."""
        ids = {}
        for name, file in files.items():
            path = f"{self.folder}/{name}.{file.media_type.rpartition('/')[2]}"
            ids[name] = self.step.publish(path, file, kinds.get(name, kind), versions)
        return ids


def analyze(photo: PhotoStep) -> str:
    """Run the material models, preferably in the ``pinned`` versions; return the SHA-256 of the packed maps."""
    dependencies, step = photo.step.dependencies, photo.step
    serving = dependencies.models.versions(photo.pinned)
    versions = {model: version for model, version in serving.items() if model in analysis_stage.MODELS}

    def make() -> Cached[None]:
        timeout_s = photo.inference_timeout_s
        packed = analysis_stage.analyze(photo.pixels(), dependencies.models, step.job.quality, timeout_s, versions)
        return Cached({"maps": step.store(packed, "application/octet-stream")}, None)

    return photo.cached("analysis", (step.job.quality, versions), Cached[None], make).files["maps"].sha256


def _size_and_hash(data: bytes | Path) -> tuple[int, str]:
    """Return the size in bytes and the SHA-256 in hex."""
    if isinstance(data, bytes):
        return len(data), hashlib.sha256(data).hexdigest()
    return data.stat().st_size, sha256_of(data)


def remaining_s(job: JobRecord, settings: Settings) -> float:
    """Seconds until the deadline of a job. Raises DeadlineExceeded if it has passed."""
    now = datetime.now(UTC)
    deadline = job.deadline or (job.start_time or now) + timedelta(seconds=settings.job_timeout_s)
    if deadline <= now:
        missed = f"the job was not done by its deadline, {deadline.isoformat(timespec='seconds')}"
        raise DeadlineExceeded(missed, deadline=deadline.isoformat())
    return (deadline - now).total_seconds()


def subspan(span: Span, start: float, end: float) -> Span:
    """The part of ``span`` from ``start`` to ``end``, which are fractions of its length."""
    width = span[1] - span[0]
    return span[0] + start * width, span[0] + end * width


def group_id(job_id: str) -> str:
    """The group of a job's files: its texture_id, mask_set_id, model_id, render_id, export_id or cutout_id."""
    return str(uuid.uuid5(NAMESPACE, f"{job_id}/group"))


def digest(*values: Any) -> str:
    """SHA-256 in hex of JSON values and dataclasses. It is the same in every process."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=to_json)
    return hashlib.sha256(text.encode()).hexdigest()
