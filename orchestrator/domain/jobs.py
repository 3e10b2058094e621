"""Job states and failures."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import Enum


class JobState(str, Enum):
    """QUEUED → RUNNING → one of the last three, for good."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED)


@dataclass(frozen=True)
class Failure:
    """Why a job failed, as the API tells it."""

    reason: str
    message: str
    field: str = ""
    facts: dict[str, str] = dataclass_field(default_factory=dict)
