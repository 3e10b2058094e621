"""What a caller asks for, as data that the database keeps and a later process reads again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime
from enum import Enum, IntEnum
from typing import Any

from pydantic import TypeAdapter

from orchestrator.domain import Quality, SegmentOptions, StainOptions


class Kind(str, Enum):
    """The stages that a job can be of; the value is the workflow's name."""

    SEGMENT = "segment"
    STAIN = "stain"


class Priority(IntEnum):
    """A lower number starts first."""

    HIGH = 1
    NORMAL = 100
    LOW = 1000


_OPTIONS: dict[Kind, TypeAdapter[Any]] = {
    Kind.SEGMENT: TypeAdapter(SegmentOptions),
    Kind.STAIN: TypeAdapter(StainOptions),
}


@dataclass(frozen=True)
class JobRequest:
    """A job to create; every value is checked by ``jobs.control``."""

    upload_id: str
    options: SegmentOptions | StainOptions
    quality: Quality = Quality.FINAL
    priority: Priority = Priority.NORMAL
    deadline: datetime | None = None
    labels: dict[str, str] = dataclass_field(default_factory=dict)
    webhook_url: str = ""
    request_id: str = ""

    @property
    def kind(self) -> Kind:
        return Kind.SEGMENT if isinstance(self.options, SegmentOptions) else Kind.STAIN

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything but the request_id: two requests with the same one ask for the same."""
        deadline = self.deadline.isoformat() if self.deadline else ""
        said = [self.upload_id, self.kind, options_to_json(self.options), self.quality, self.priority, deadline]
        return digest(*said, self.labels, self.webhook_url)


def options_to_json(options: SegmentOptions | StainOptions) -> dict[str, Any]:
    """The options as JSON values."""
    kind = Kind.SEGMENT if isinstance(options, SegmentOptions) else Kind.STAIN
    document: dict[str, Any] = _OPTIONS[kind].dump_python(options, mode="json")
    return document


def options_from_json(kind: str, document: dict[str, Any]) -> SegmentOptions | StainOptions:
    """What ``options_to_json`` wrote."""
    options: SegmentOptions | StainOptions = _OPTIONS[Kind(kind)].validate_python(document)
    return options


def digest(*parts: Any) -> str:
    """SHA-256 in hex of JSON values, the same in every process."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
