"""A job: its request, the stages that it runs, and its typed options and results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

from orchestrator.domain.assets import Asset
from orchestrator.domain.checks import Violations
from orchestrator.domain.jobs import Failure, JobRecord, JsonObject, Priority
from orchestrator.domain.quality import Quality
from orchestrator.domain.webhooks import check_syntax
from orchestrator.errors import DiskFull, HeartwoodError, InUse, InvalidInput
from orchestrator.jobs.documents import from_json, to_json
from orchestrator.jobs.stage import Stage
from orchestrator.jobs.stages import STAGES
from orchestrator.jobs.step import Span, digest
from orchestrator.store.disk_space import is_disk_full

MAX_LABELS = 32
MAX_LABEL_KEY = 63
MAX_LABEL_VALUE = 255
MAX_REQUEST_ID = 128
PIPELINE = "pipeline"
"""The job kind that runs several stages. The other job kinds are the names of the stages."""


@dataclass(frozen=True)
class JobRequest:
    """A job to create. Raises InvalidInput if a value is invalid; ``JobService`` checks it against the files."""

    kind: str  # the name of a stage, or "pipeline"
    upload_id: str
    options: Mapping[str, Any]  # options of each requested stage, by name
    quality: Quality = Quality.FINAL
    priority: Priority = Priority.NORMAL
    deadline: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    webhook_url: str = ""
    request_id: str = ""

    def __post_init__(self) -> None:
        with Violations() as violations:
            length = len(self.request_id)
            rule = f"it has {length} characters; at most {MAX_REQUEST_ID} are allowed"
            violations.check(length <= MAX_REQUEST_ID, "request_id", rule)
            with violations.collect():
                check_labels(self.labels)
            if self.webhook_url:
                with violations.collect():
                    check_syntax(self.webhook_url, "webhook_url")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the work. Requests for the same work have equal fingerprints.

        The request id is not part of it. Nor is the deadline, which callers recompute when they repeat a request.
        """
        options = options_document(self.kind, self.options)
        schedule = (self.quality, self.priority)
        return digest(self.upload_id, self.kind, options, *schedule, dict(self.labels), self.webhook_url)


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise InvalidInput if a job cannot have these labels."""
    with Violations() as violations:
        violations.check(len(labels) <= MAX_LABELS, "labels", f"{len(labels)} labels; at most {MAX_LABELS} are allowed")
        for key, value in labels.items():
            rule = f"the key {key[:80]!r} has {len(key)} characters; allowed are 1 to {MAX_LABEL_KEY}"
            violations.check(0 < len(key) <= MAX_LABEL_KEY, "labels", rule)
            rule = f"the value of {key[:80]!r} has {len(value)} characters; at most {MAX_LABEL_VALUE}"
            violations.check(len(value) <= MAX_LABEL_VALUE, "labels", rule)


@dataclass(frozen=True)
class Job:
    """A job record with its files."""

    record: JobRecord
    assets: Mapping[str, Asset]  # files that the job made, by id; deleted files are missing

    @cached_property
    def options(self) -> dict[str, Any]:
        """The options of each requested stage, by name."""
        return options_of(self.record)

    @cached_property
    def results(self) -> dict[str, Any]:
        """The result of each requested stage, by name; empty unless the job succeeded."""
        documents = self.record.result or {}
        return {name: from_json(stage.result, documents[name]) for name, stage in STAGES.items() if documents.get(name)}


@dataclass(frozen=True)
class PlannedStage:
    """One stage that a job runs."""

    stage: Stage[Any, Any]
    options: Any
    span: Span
    requested: bool  # False for a stage that runs only because another one requires it


def planned_stages(options: Mapping[str, Any]) -> list[PlannedStage]:
    """The stages to run for the requested ``options``, in order, with their intervals of the job's progress."""
    complete = dict(options)
    for name in options:
        complete = {**STAGES[name].requires, **complete}
    stages = [stage for stage in STAGES.values() if stage.name in complete]
    total = sum(stage.weight for stage in stages)
    spans = pairwise(accumulate((stage.weight / total for stage in stages), initial=0.0))
    return [
        PlannedStage(stage, complete[stage.name], span, stage.name in options)
        for stage, span in zip(stages, spans, strict=True)
    ]


def options_document(kind: str, options: Mapping[str, Any]) -> JsonObject:
    """The JSON document of a job's options. For a pipeline, it maps each stage name to the options of the stage."""
    documents = {name: to_json(options[name]) for name in STAGES if name in options}
    return documents if kind == PIPELINE else documents[kind]


def options_of(job: JobRecord) -> dict[str, Any]:
    """The options of each requested stage of a job, by name."""
    documents = job.options if job.kind == PIPELINE else {job.kind: job.options}
    return {name: from_json(stage.options, documents[name]) for name, stage in STAGES.items() if documents.get(name)}


def failure_of(error: BaseException, work: str) -> Failure:
    """The failure to report for ``error``; ``work`` is "job" or "call". Details of an unexpected error stay private."""
    if isinstance(error, HeartwoodError):
        if isinstance(error, InvalidInput):
            return Failure(error.reason, error.message, error.field, error.facts, error.violations)
        if isinstance(error, InUse):
            return Failure(error.reason, error.message, facts=error.facts, violations=error.violations)
        return Failure(error.reason, error.message, facts=error.facts)
    if is_disk_full(error):
        full = DiskFull(f"the {work} failed because the service has no disk space left; try again later")
        return Failure(full.reason, full.message)
    return internal_failure(work)


def internal_failure(work: str) -> Failure:
    """The failure of ``work``, such as "job", that states no details."""
    return Failure("INTERNAL", f"the {work} failed because of an internal error; see the log of the service")
