"""Jobs as the database stores them: states, priorities, failures and the job record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime
from enum import Enum, IntEnum
from typing import NamedTuple, TypeAlias, TypedDict

from orchestrator.domain.quality import Quality
from orchestrator.domain.segment import DetectorCost

JsonObject: TypeAlias = Mapping[str, "JsonValue"]
JsonValue: TypeAlias = str | int | float | bool | list["JsonValue"] | JsonObject | None


def texts_in(value: JsonValue) -> Iterator[str]:
    """Yield every text in a JSON value, such as the ids in the options of a job, without the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(item)


class JobState(str, Enum):
    """QUEUED, then RUNNING, then one of the three final states. A final state never changes."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED)


class Priority(IntEnum):
    """Of the jobs of a tenant, those with a lower number start first. HIGH ones also precede those of other tenants."""

    HIGH = 1
    NORMAL = 100
    LOW = 1000


@dataclass(frozen=True)
class Failure:
    """The reason why a job failed, as the API reports it."""

    reason: str
    message: str
    field: str = ""
    facts: dict[str, str] = dataclass_field(default_factory=dict)
    violations: tuple[tuple[str, str], ...] = ()  # path and description of every invalid field


@dataclass(frozen=True)
class PhotoFailure:
    """Why a job left out a photo."""

    photo: int  # index in the upload, from 0
    photo_asset_id: str
    name: str  # of the file
    stage: str  # that could not process the photo
    failure: Failure


@dataclass(frozen=True)
class JobRecord:
    """One row of the table ``jobs``.

    ``options`` and ``result`` are the JSON documents of the job's stages; ``jobs.job`` converts them to typed objects.
    """

    id: str
    tenant: str
    kind: str  # the name of a stage, or "pipeline"
    state: JobState
    upload_id: str
    inputs: tuple[str, ...]  # asset ids of the photos, or of the mesh, at creation
    options: JsonObject
    quality: Quality
    priority: Priority
    fingerprint: str  # SHA-256 of the request: a repeated request_id must have the same one
    create_time: datetime
    request_id: str | None = None
    deadline: datetime | None = None
    labels: Mapping[str, str] = dataclass_field(default_factory=dict)
    webhook_url: str = ""
    announced: bool = False  # the webhook has been enqueued
    cancel_requested: bool = False
    fraction: float = 0.0  # progress in [0, 1]
    stage: str = ""  # the running step
    message: str = ""
    previews: tuple[str, ...] = ()  # asset ids, in order of appearance
    result: JsonObject | None = None
    failure: Failure | None = None
    photo_failures: tuple[PhotoFailure, ...] = ()
    cost: DetectorCost | None = None
    revision: int = 1  # incremented by every change of the row
    start_time: datetime | None = None
    end_time: datetime | None = None
    owner: str | None = None  # the execution that may write about the job; see ``new_owner``
    release_time: datetime | None = None  # when it left the queue of its tenant, to be run by the next free worker


@dataclass(frozen=True)
class JobRevision:
    """The part of a job that ``WatchJob`` polls to detect a change or the end of the job."""

    revision: int
    state: JobState
    queue_position: int  # number of jobs of the tenant that start before this one; 0 unless the job is queued


class JobKey(NamedTuple):
    """A job in a list, without its content. The content is the same as long as the revision is the same."""

    id: str
    revision: int
    create_time: datetime


class JobChange(TypedDict, total=False):
    """The fields of a job that may change after its creation."""

    state: JobState
    start_time: datetime
    end_time: datetime
    cancel_requested: bool
    fraction: float
    stage: str
    message: str
    previews: Sequence[str]
    result: JsonObject
    failure: Failure | None
    photo_failures: Sequence[PhotoFailure]
    cost: DetectorCost
