"""What one step of one job works with: the stores, its options, its share of the progress, its folder and logs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from orchestrator.domain.jobs import JobState
from orchestrator.domain.limits import Limits
from orchestrator.domain.quality import Quality
from orchestrator.errors import Canceled
from orchestrator.jobs import artifacts
from orchestrator.jobs.dependencies import Parts
from orchestrator.jobs.progress import Reporter, Span
from orchestrator.jobs.spec import Kind, stage_options

log = structlog.get_logger()

MAX_LOG_BYTES = 4 << 20
"""Of a program's log, its end is kept: that is where it says why it failed."""


@dataclass(frozen=True)
class Step:
    """One step of one job."""

    parts: Parts
    job: dict[str, Any]
    name: str
    progress: Reporter

    @classmethod
    @contextmanager
    def of(cls, parts: Parts, job_id: str, name: str, span: Span, about: str = "") -> Iterator[Step]:
        """Open the step ``name``, which covers ``span`` of the job; what its programs logged is kept when it ends.

        Args:
            about: what it works on, for people, such as "photo 1 of 3".
        """
        job = parts.records.job(None, job_id)
        if job is None:
            raise Canceled("the job was deleted")
        step = cls(parts, job, name, Reporter(parts.records, job, name, span, parts.settings.job_timeout_s))
        step.progress(0.0, f"{about}: {name}" if about else name)
        log.info("step_started", job=job_id, step=name, about=about)
        try:
            yield step
        finally:
            step.keep_logs()
        log.info("step_finished", job=job_id, step=name, about=about)

    @property
    def tenant(self) -> str:
        return str(self.job["tenant"])

    @property
    def quality(self) -> Quality:
        return Quality(self.job["quality"])

    @property
    def folder(self) -> Path:
        """Where the step's programs work; it outlives a crash, and goes when the job has ended."""
        made = self.parts.work(self.job["id"]) / self.name
        made.mkdir(parents=True, exist_ok=True, mode=0o700)
        return made

    @property
    def limits(self) -> Limits:
        """What the step's programs may use: the time that the job has left, and the memory of the settings."""
        return Limits(self.progress.remaining_s(), self.parts.settings.tool_memory_gb << 30)

    def options(self, stage: Kind) -> Any:
        """The options of a stage of the job."""
        return stage_options(self.job, stage)

    def kept(self, key: str, sources: Collection[str], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``make`` made under ``key`` of ``sources`` before, or make it now; "blobs" lists the blobs it names."""
        value = self.parts.records.cached(self.tenant, key)
        if value is None:
            value = make()
            self.parts.records.keep(self.tenant, key, sources, value)
        return value

    def store(self, path: Path, media_type: str, width: int = 0, height: int = 0) -> dict[str, Any]:
        """Keep a file; return what a record needs to name it."""
        return artifacts.store(self.parts, self.tenant, path.read_bytes(), media_type, width, height)

    def publish(self, name: str, stored: dict[str, Any], kind: str, versions: Mapping[str, str] | None = None) -> str:
        """Make a kept file an asset of the job; return its id.

        Args:
            versions: the models' versions that had a part in it.
        """
        return artifacts.publish(self.parts, self.job, kind, name, stored, versions or {})

    def fetch(self, sha256: str, target: Path) -> Path:
        """Write a kept file to ``target``, unless it is there."""
        if not target.exists():
            scratch = target.with_name(f".{target.name}.part")
            scratch.write_bytes(self.parts.blobs.get(self.tenant, sha256))
            scratch.replace(target)
        return target

    def show(self, asset_id: str) -> None:
        """Tell watchers of a picture that they can show before the job is done."""
        row = self.parts.records.job(None, self.job["id"])
        if row is not None and asset_id not in row["previews"]:
            self.parts.records.change_job(row["id"], (JobState.RUNNING,), previews=[*row["previews"], asset_id])

    def keep_logs(self) -> None:
        """Publish the logs that programs left in the step's folder, without where on this machine they worked."""
        here = self.parts.work(self.job["id"]) / self.name
        for path in sorted(here.rglob("*.log")):
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - MAX_LOG_BYTES))
                text = file.read().replace(str(self.parts.settings.root).encode(), b".")
            if text:
                stored = artifacts.store(self.parts, self.tenant, text, "text/plain")
                self.publish(f"logs/{self.name}/{path.relative_to(here)}", stored, "document")
