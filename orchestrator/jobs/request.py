"""A request to create a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.domain.jobs import Priority
from orchestrator.domain.quality import Quality
from orchestrator.jobs.plan import options_document
from orchestrator.jobs.step import digest


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
        return digest(
            self.upload_id,
            self.kind,
            options,
            self.quality,
            self.priority,
            deadline,
            dict(self.labels),
            self.webhook_url,
        )
