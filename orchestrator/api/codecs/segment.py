"""Protos of the segment stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator.api.codec import Codec
from orchestrator.api.convert import from_proto
from orchestrator.api.fields import required
from orchestrator.domain.segment import DetectorName, Point, Prompt
from orchestrator.protocol.heartwood.v1 import segment_pb2


class SegmentCodec(Codec):
    """Prompts need a name. The default detector is PROMPTS if there are prompts, else LOCAL."""

    def read_options(self, message: segment_pb2.SegmentOptions, **_: Any) -> Any:
        prompts = tuple(_read_prompt(index, prompt) for index, prompt in enumerate(message.prompts))
        options = super().read_options(message, prompts=prompts)
        return replace(options, detector=DetectorName.PROMPTS) if prompts and not message.detector else options


def _read_prompt(index: int, message: segment_pb2.Prompt) -> Prompt:
    path = f"segment.prompts[{index}]"
    points = tuple(Point(point.x, point.y, not point.outside) for point in message.points)
    return from_proto(message, Prompt, path, name=required(f"{path}.name", message.name), points=points)


CODEC = SegmentCodec("segment", segment_pb2.SegmentOptions, segment_pb2.SegmentResult, "mask_set_id")
