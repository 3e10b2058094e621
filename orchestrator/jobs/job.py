"""A job with everything that a reply about it contains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.assets import Asset
from orchestrator.domain.jobs import JobRecord
from orchestrator.jobs.step import group_id


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
