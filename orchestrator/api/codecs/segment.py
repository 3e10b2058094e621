"""Protos of the segment stage. The default detector is PROMPTS if there are prompts, otherwise LOCAL."""

from __future__ import annotations

from orchestrator.api.convert import Codec, Fields, from_proto
from orchestrator.api.fields import required
from orchestrator.domain.checks import Violations
from orchestrator.domain.segment import DetectorName, Point, Prompt
from orchestrator.protocol.heartwood.v1 import segment_pb2


def _read(message: segment_pb2.SegmentOptions) -> Fields:
    prompts = []
    with Violations() as violations:
        for index, prompt in enumerate(message.prompts):
            with violations.collect():
                prompts.append(_read_prompt(index, prompt))
    fields: Fields = {"prompts": tuple(prompts)}
    if message.prompts and not message.detector:
        fields["detector"] = DetectorName.PROMPTS
    return fields


def _read_prompt(index: int, message: segment_pb2.Prompt) -> Prompt:
    path = f"segment.prompts[{index}]"
    points = tuple(Point(point.x, point.y, inside=not point.outside) for point in message.points)
    return from_proto(message, Prompt, path, name=required(f"{path}.name", message.name), points=points)


CODEC = Codec("segment", "mask_set_id", _read, placeholders={"prompts": ()})
