"""The stages of a job: which stages a job kind runs, and their options and results as JSON documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from orchestrator.domain.jobs import JobRecord, JsonObject
from orchestrator.jobs.documents import from_json, to_json
from orchestrator.jobs.progress import Span
from orchestrator.jobs.stage import Stage
from orchestrator.jobs.stages import STAGES

PIPELINE = "pipeline"
"""The job kind that runs several stages. The other job kinds are the names of the stages."""


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
    """The JSON document of a job's options: of its stage, or of each stage of a pipeline by name."""
    documents = {name: to_json(options[name]) for name in STAGES if name in options}
    return documents if kind == PIPELINE else documents[kind]


def options_of(job: JobRecord) -> dict[str, Any]:
    """The options of each requested stage of a job."""
    documents = job.options if job.kind == PIPELINE else {job.kind: job.options}
    return {name: from_json(stage.options, documents[name]) for name, stage in STAGES.items() if documents.get(name)}


def results_of(job: JobRecord) -> dict[str, Any]:
    """The result of each requested stage of a finished job."""
    documents = job.result or {}
    return {name: from_json(stage.result, documents[name]) for name, stage in STAGES.items() if documents.get(name)}
