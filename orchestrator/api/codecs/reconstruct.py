"""Protos of the reconstruct stage."""

from __future__ import annotations

from orchestrator.api.convert import from_proto, to_proto
from orchestrator.domain.reconstruct import ReconstructOptions
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.reconstruct import ReconstructResult
from orchestrator.protocol.heartwood.v1 import reconstruct_pb2


def read_options(message: reconstruct_pb2.ReconstructOptions) -> ReconstructOptions:
    """The options of a proto."""
    return from_proto(message, ReconstructOptions, "reconstruct")


def write_options(options: ReconstructOptions) -> reconstruct_pb2.ReconstructOptions:
    """The proto of the options."""
    return to_proto(options, reconstruct_pb2.ReconstructOptions)


def write_result(result: ReconstructResult, job: Job) -> reconstruct_pb2.ReconstructResult:
    """The proto of the result."""
    return to_proto(result, reconstruct_pb2.ReconstructResult, job, model_id=job.group_id)
