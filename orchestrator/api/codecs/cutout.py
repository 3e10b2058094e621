"""Protos of the cutout stage."""

from __future__ import annotations

from orchestrator.api.convert import from_proto, to_proto
from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.cutout import CutoutResult
from orchestrator.protocol.heartwood.v1 import cutout_pb2


def read_options(message: cutout_pb2.CutoutOptions) -> CutoutOptions:
    """The options of a proto."""
    background = SrgbColor.parse(message.background, "cutout.background") if message.background else None
    return from_proto(message, CutoutOptions, "cutout", background=background)


def write_options(options: CutoutOptions) -> cutout_pb2.CutoutOptions:
    """The proto of the options."""
    background = options.background.hex if options.background else ""
    return to_proto(options, cutout_pb2.CutoutOptions, background=background)


def write_result(result: CutoutResult, job: Job) -> cutout_pb2.CutoutResult:
    """The proto of the result."""
    return to_proto(result, cutout_pb2.CutoutResult, job, cutout_id=job.group_id)
