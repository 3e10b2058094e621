"""What a caller asks for, as data that the database keeps and a later process reads again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime
from enum import Enum, IntEnum
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from orchestrator.domain.export import ExportOptions
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import ReconstructOptions
from orchestrator.domain.render import RenderOptions
from orchestrator.domain.segment import SegmentOptions
from orchestrator.domain.stain import StainOptions


class Kind(str, Enum):
    """What a job can be of; the value is the workflow's name."""

    SEGMENT = "segment"
    STAIN = "stain"
    RECONSTRUCT = "reconstruct"
    RENDER = "render"
    EXPORT = "export"
    PIPELINE = "pipeline"


class Priority(IntEnum):
    """A lower number starts first."""

    HIGH = 1
    NORMAL = 100
    LOW = 1000


@dataclass(frozen=True)
class PipelineOptions:
    """Segment, stain, reconstruct, render and export as one job; a stage that is None is left out."""

    segment: SegmentOptions
    reconstruct: ReconstructOptions
    stain: StainOptions | None = None
    render: RenderOptions | None = None
    export: ExportOptions | None = None

    @property
    def stages(self) -> tuple[Kind, ...]:
        """The stages that run, in their order."""
        return tuple(kind for kind in Kind if kind is not Kind.PIPELINE and getattr(self, kind.value) is not None)


Options: TypeAlias = (
    SegmentOptions | StainOptions | ReconstructOptions | RenderOptions | ExportOptions | PipelineOptions
)

TYPES: dict[Kind, type[Options]] = {
    Kind.SEGMENT: SegmentOptions,
    Kind.STAIN: StainOptions,
    Kind.RECONSTRUCT: ReconstructOptions,
    Kind.RENDER: RenderOptions,
    Kind.EXPORT: ExportOptions,
    Kind.PIPELINE: PipelineOptions,
}
_ADAPTERS: dict[Kind, TypeAdapter[Any]] = {kind: TypeAdapter(options) for kind, options in TYPES.items()}

MASKS_ONLY = SegmentOptions(detect_components=False, detect_wood=False)
"""What a reconstruct job needs to know of its photos: where the piece is."""


@dataclass(frozen=True)
class JobRequest:
    """A job to create; every value is checked by ``jobs.control``."""

    upload_id: str
    options: Options
    quality: Quality = Quality.FINAL
    priority: Priority = Priority.NORMAL
    deadline: datetime | None = None
    labels: dict[str, str] = dataclass_field(default_factory=dict)
    webhook_url: str = ""
    request_id: str = ""

    @property
    def kind(self) -> Kind:
        return kind_of(self.options)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything but the request_id: two requests with the same one ask for the same."""
        deadline = self.deadline.isoformat() if self.deadline else ""
        said = [self.upload_id, self.kind, options_to_json(self.options), self.quality, self.priority, deadline]
        return digest(*said, self.labels, self.webhook_url)


def kind_of(options: Options) -> Kind:
    """The kind of job that has these options."""
    return next(kind for kind, type_ in TYPES.items() if isinstance(options, type_))


def options_to_json(options: Options) -> dict[str, Any]:
    """The options as JSON values."""
    document: dict[str, Any] = _ADAPTERS[kind_of(options)].dump_python(options, mode="json")
    return document


def options_from_json(kind: str, document: dict[str, Any]) -> Options:
    """What ``options_to_json`` wrote."""
    options: Options = _ADAPTERS[Kind(kind)].validate_python(document)
    return options


def stage_options(job: dict[str, Any], stage: Kind) -> Any:
    """The options of one stage of a job, which may be a pipeline of them; None where it has no such stage."""
    options = options_from_json(job["kind"], job["options"])
    if isinstance(options, PipelineOptions):
        return getattr(options, stage.value)
    if isinstance(options, ReconstructOptions) and stage is Kind.SEGMENT:
        return MASKS_ONLY
    return options if isinstance(options, TYPES[stage]) else None


def digest(*parts: Any) -> str:
    """SHA-256 in hex of JSON values, the same in every process."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
