"""Protos of the segment stage."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.api.convert import from_proto, to_proto
from orchestrator.api.fields import required
from orchestrator.domain.segment import Detector, Point, Prompt, SegmentOptions
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.segment import SegmentResult
from orchestrator.protocol.heartwood.v1 import segment_pb2


def read_options(message: segment_pb2.SegmentOptions) -> SegmentOptions:
    """The options of a proto. The default detector is PROMPTS if there are prompts, else LOCAL."""
    prompts = tuple(_read_prompt(index, prompt) for index, prompt in enumerate(message.prompts))
    options = from_proto(message, SegmentOptions, "segment", prompts=prompts)
    return replace(options, detector=Detector.PROMPTS) if prompts and not message.detector else options


def write_options(options: SegmentOptions) -> segment_pb2.SegmentOptions:
    """The proto of the options."""
    return to_proto(options, segment_pb2.SegmentOptions)


def write_result(result: SegmentResult, job: Job) -> segment_pb2.SegmentResult:
    """The proto of the result."""
    return to_proto(result, segment_pb2.SegmentResult, job, mask_set_id=job.group_id)


def _read_prompt(index: int, message: segment_pb2.Prompt) -> Prompt:
    path = f"segment.prompts[{index}]"
    points = tuple(Point(point.x, point.y, not point.outside) for point in message.points)
    return from_proto(message, Prompt, path, name=required(f"{path}.name", message.name), points=points)
