"""Converts job requests and jobs between protos and domain types."""

from __future__ import annotations

from typing import Any

from orchestrator.api.codecs import CODECS
from orchestrator.api.convert import from_proto, to_proto
from orchestrator.api.fields import read_time, required
from orchestrator.api.status import status
from orchestrator.errors import InvalidInput
from orchestrator.jobs.job import PIPELINE, Job, JobRequest
from orchestrator.jobs.stages import STAGES
from orchestrator.protocol.heartwood.v1 import job_pb2, pipeline_pb2

ALWAYS_IN_PIPELINE = ("segment", "reconstruct")
"""Stages that every pipeline runs, with their defaults if the caller does not set them."""


def read_job_request(request: job_pb2.CreateJobRequest) -> JobRequest:
    """The requested job. Raises InvalidInput with the field's path from the spec, or from the options of a stage."""
    spec = request.spec
    kind = spec.WhichOneof("stage")
    if kind is None:
        raise InvalidInput("stage", f"no stage is set; set one of {', '.join(STAGES)} or {PIPELINE}")
    on_mesh = kind != PIPELINE and STAGES[kind].takes_mesh
    return from_proto(
        spec,
        JobRequest,
        "",
        kind=kind,
        upload_id=spec.upload_id if on_mesh else required("upload_id", spec.upload_id),
        options=_read_options(kind, spec),
        deadline=read_time("deadline", spec.deadline) if spec.HasField("deadline") else None,
        labels=dict(spec.labels),
        request_id=request.request_id,
    )


def from_request(error: InvalidInput, request: job_pb2.CreateJobRequest) -> InvalidInput:
    """An error of ``read_job_request`` or of ``JobService.create``, with the field's path from the request on."""
    if error.field == "request_id":
        return error
    in_pipeline = request.spec.WhichOneof("stage") == PIPELINE and error.field.partition(".")[0] in STAGES
    path = f"spec.{PIPELINE}.{error.field}" if in_pipeline else f"spec.{error.field}"
    return InvalidInput(path, error.description, **error.facts)


def write_job(job: Job) -> job_pb2.Job:
    """The proto of a job."""
    record = job.record
    queue = {"queue_position": job.queue_position, "preview_asset_ids": record.previews}
    progress = to_proto(record, job_pb2.Progress, **queue)
    message = to_proto(record, job_pb2.Job, spec=_write_spec(job), progress=progress)
    if record.failure:
        message.error.CopyFrom(status(record.failure))
    if job.results:
        results = {name: CODECS[name].write_result(result, job) for name, result in job.results.items()}
        result = pipeline_pb2.PipelineResult(**results) if record.kind == PIPELINE else results[record.kind]
        getattr(message, record.kind).CopyFrom(result)
    return message


def _read_options(kind: str, spec: job_pb2.JobSpec) -> dict[str, Any]:
    """The options of each requested stage, by name."""
    if kind != PIPELINE:
        return {kind: CODECS[kind].read_options(getattr(spec, kind))}
    pipeline = spec.pipeline
    for stage in STAGES.values():
        if stage.takes_mesh and getattr(pipeline, stage.name).model_id:
            rule = "a pipeline works on the 3D model that it makes; leave model_id empty"
            raise InvalidInput(f"{stage.name}.model_id", rule)
    requested = {field.name for field, _ in pipeline.ListFields()} | set(ALWAYS_IN_PIPELINE)
    return {name: CODECS[name].read_options(getattr(pipeline, name)) for name in STAGES if name in requested}


def _write_spec(job: Job) -> job_pb2.JobSpec:
    options = {name: CODECS[name].write_options(value) for name, value in job.options.items()}
    kind = job.record.kind
    stage = pipeline_pb2.PipelineOptions(**options) if kind == PIPELINE else options[kind]
    return to_proto(job.record, job_pb2.JobSpec, **{kind: stage})
