"""One step of a job: its stores, its share of the progress, its folder, and the files that it publishes."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from orchestrator.domain.assets import Asset, StoredFile
from orchestrator.domain.jobs import JobRecord, JobState
from orchestrator.domain.limits import Limits
from orchestrator.domain.quality import Quality
from orchestrator.errors import Canceled, NotFound
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.documents import from_json, to_json, type_adapter
from orchestrator.jobs.progress import Reporter, Span

log = structlog.get_logger()
Facts = TypeVar("Facts")

NAMESPACE = uuid.UUID("6b0c7f5e-52fd-4d3a-9a2b-0d6a5b8f1f10")
"""Asset and group ids are UUID 5 in this namespace, so that a repeated step publishes the same ids."""
MAX_LOG_BYTES = 4 << 20
"""Only the end of a longer program log is kept, because the reason for a failure is there."""


@dataclass(frozen=True)
class Cached(Generic[Facts]):
    """What a step made and keeps in the cache: files by name, and facts about them."""

    files: Mapping[str, StoredFile]
    facts: Facts


@dataclass(frozen=True)
class Step:
    """One step of one job."""

    dependencies: Dependencies
    job: JobRecord
    name: str
    progress: Reporter

    @classmethod
    @contextmanager
    def open(cls, dependencies: Dependencies, job_id: str, name: str, span: Span, about: str) -> Iterator[Step]:
        """Open the step ``name``, which covers ``span`` of the job's progress. Publishes program logs at the end.

        Args:
            about: what the step works on, for people, such as "photo 1 of 3"; empty for the whole job.
        """
        job = dependencies.records.job(None, job_id)
        if job is None:
            raise Canceled("the job was deleted")
        reporter = Reporter(dependencies.records, job, name, span, dependencies.settings.job_timeout_s)
        step = cls(dependencies, job, name, reporter)
        step.progress(0.0, f"{about}: {name}" if about else name)
        log.info("step_started", job=job_id, step=name, about=about)
        try:
            yield step
        finally:
            step._publish_logs()
        log.info("step_finished", job=job_id, step=name, about=about)

    @property
    def tenant(self) -> str:
        return self.job.tenant

    @property
    def quality(self) -> Quality:
        return self.job.quality

    @property
    def folder(self) -> Path:
        """The working folder of the step's programs. It survives a crash and is deleted when the job ends."""
        path = self.dependencies.work_folder(self.job.id) / self.name
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    @property
    def limits(self) -> Limits:
        """Limits of the step's programs: the job's remaining time, and the memory of the settings."""
        return Limits(self.progress.remaining_s(), self.dependencies.settings.tool_memory_gb << 30)

    def lookup(self, key: str, kind: type[Cached[Facts]]) -> Cached[Facts] | None:
        """The cached value of ``key``, or None."""
        document = self.dependencies.records.cached(self.tenant, key)
        return None if document is None else from_json(kind, document)

    def cached(
        self, key: str, sources: Collection[str], kind: type[Cached[Facts]], make: Callable[[], Cached[Facts]]
    ) -> Cached[Facts]:
        """Return the cached value of ``key``, or call ``make`` and cache its result.

        Args:
            sources: SHA-256 of the files that the value depends on. Deleting one of them deletes the value.
        """
        value = self.lookup(key, kind)
        if value is None:
            value = make()
            document = type_adapter(kind).dump_python(value, mode="json")
            blobs = {file.sha256 for file in value.files.values()}
            self.dependencies.records.keep(self.tenant, key, sources, blobs, document)
        return value

    def store(self, data: bytes | Path, media_type: str, width: int = 0, height: int = 0) -> StoredFile:
        """Store a file's bytes for the tenant."""
        content = data.read_bytes() if isinstance(data, Path) else data
        sha256 = self.dependencies.blobs.put(self.tenant, content)
        return StoredFile(sha256, len(content), media_type, width, height)

    def publish(self, name: str, file: StoredFile, kind: str, versions: Mapping[str, str] | None = None) -> str:
        """Make a stored file an asset of the job and return its id.

        Args:
            versions: the model versions that contributed to it.
        """
        id, group = str(uuid.uuid5(NAMESPACE, f"{self.job.id}/{name}")), group_id(self.job.id)
        asset = Asset(id, self.tenant, group, kind, name, model_versions=versions or {}, **asdict(file))
        return self.dependencies.records.add_asset(asset, job_id=self.job.id).id

    def asset(self, id: str, kind: str = "file") -> Asset:
        """The tenant's asset. Raises NotFound for a ``kind`` that was deleted."""
        asset = self.dependencies.records.asset(self.tenant, id)
        if asset is None:
            raise NotFound(kind, id)
        return asset

    def read(self, sha256: str) -> bytes:
        """The bytes of a stored file."""
        return self.dependencies.blobs.get(self.tenant, sha256)

    def fetch(self, sha256: str, target: Path) -> Path:
        """Write a stored file to ``target``, unless it exists."""
        if not target.exists():
            scratch = target.with_name(f".{target.name}.part")
            scratch.write_bytes(self.read(sha256))
            scratch.replace(target)
        return target

    def show(self, asset_id: str) -> None:
        """Add a picture to the previews that watchers can show before the job ends."""
        job = self.dependencies.records.job(None, self.job.id)
        if job is not None and asset_id not in job.previews:
            self.dependencies.records.change_job(job.id, (JobState.RUNNING,), previews=[*job.previews, asset_id])

    def _publish_logs(self) -> None:
        """Publish the logs of the step's programs, without paths of this machine."""
        folder = self.dependencies.work_folder(self.job.id) / self.name
        root = str(self.dependencies.settings.root).encode()
        for path in sorted(folder.rglob("*.log")):
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - MAX_LOG_BYTES))
                text = file.read().replace(root, b".")
            if text:
                self.publish(f"logs/{self.name}/{path.relative_to(folder)}", self.store(text, "text/plain"), "document")


def group_id(job_id: str) -> str:
    """The group of a job's files: its texture_id, mask_set_id, model_id, render_id, export_id or cutout_id."""
    return str(uuid.uuid5(NAMESPACE, f"{job_id}/group"))


def digest(*values: Any) -> str:
    """SHA-256 in hex of JSON values and dataclasses. It is the same in every process."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=to_json)
    return hashlib.sha256(text.encode()).hexdigest()
