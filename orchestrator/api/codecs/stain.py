"""Protos of the stain stage."""

from __future__ import annotations

from typing import Any

from orchestrator.api.convert import from_proto, to_proto
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.domain.stain import StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import InvalidInput
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.stain import StainResult
from orchestrator.protocol.heartwood.v1 import stain_pb2


def read_options(message: stain_pb2.StainOptions) -> StainOptions:
    """The options of a proto."""
    return from_proto(message, StainOptions, "stain", target=_read_target(message), stain_name=message.stain)


def write_options(options: StainOptions) -> stain_pb2.StainOptions:
    """The proto of the options."""
    target: dict[str, Any] = {"stain": options.stain_name} if options.stain_name else {"color": options.target.hex}
    return to_proto(options, stain_pb2.StainOptions, **target)


def write_result(result: StainResult, job: Job) -> stain_pb2.StainResult:
    """The proto of the result."""
    color = job.options["stain"].target.hex
    return to_proto(result, stain_pb2.StainResult, job, texture_id=job.group_id, target_color=color)


def _read_target(message: stain_pb2.StainOptions) -> SrgbColor:
    target = message.WhichOneof("target")
    if target == "color":
        return SrgbColor.parse(message.color, "stain.color")
    if target is None:
        raise InvalidInput("stain.target", "no colour is set; set 'color' (#RRGGBB) or 'stain' (see ListStains)")
    if message.stain not in STAINS:
        names = ", ".join(sorted(STAINS))
        raise InvalidInput("stain.stain", f"{message.stain[:40]!r} is not known; allowed are {names}")
    return STAINS[message.stain].color
