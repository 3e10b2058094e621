"""A request to create a job, and a job with everything that a reply about it contains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.domain.assets import Asset
from orchestrator.domain.jobs import JobRecord, Priority
from orchestrator.domain.quality import Quality
from orchestrator.jobs.plan import options_document
from orchestrator.jobs.step import digest, group_id


@dataclass(frozen=True)
class JobRequest:
    """A job to create. ``JobService`` checks the values."""

    kind: str  # the name of a stage, or "pipeline"
    upload_id: str
    options: Mapping[str, Any]  # options of each requested stage, by name
    quality: Quality = Quality.FINAL
    priority: Priority = Priority.NORMAL
    deadline: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    webhook_url: str = ""
    request_id: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything except the request id. Equal requests have equal fingerprints."""
        deadline = self.deadline.isoformat() if self.deadline else ""
        options = options_document(self.kind, self.options)
        job = (self.upload_id, self.kind, options, self.quality, self.priority)
        return digest(*job, deadline, dict(self.labels), self.webhook_url)


@dataclass(frozen=True)
class Job:
    """A job record with its typed options and results."""

    record: JobRecord
    options: Mapping[str, Any]  # options of each requested stage, by name
    results: Mapping[str, Any]  # result of each requested stage, by name; empty unless the job succeeded
    assets: Mapping[str, Asset]  # files that the job made, by id; deleted files are missing
    queue_position: int

    @property
    def group_id(self) -> str:
        """The group of the job's files."""
        return group_id(self.record.id)
