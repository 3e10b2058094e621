"""Protos of the stain stage."""

from __future__ import annotations

from typing import Any

from orchestrator.api.codec import Codec
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.domain.stain import StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import InvalidInput
from orchestrator.jobs.job import Job
from orchestrator.protocol.heartwood.v1 import stain_pb2


class StainCodec(Codec):
    """The target is a colour or the name of a stain."""

    def read_options(self, message: stain_pb2.StainOptions, **_: Any) -> Any:
        return super().read_options(message, target=_read_target(message), stain_name=message.stain)

    def write_options(self, options: StainOptions, **_: Any) -> Any:
        target = {"stain": options.stain_name} if options.stain_name else {"color": options.target.hex}
        return super().write_options(options, **target)

    def write_result(self, result: Any, job: Job, **_: Any) -> Any:
        return super().write_result(result, job, target_color=job.options["stain"].target.hex)


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


CODEC = StainCodec("stain", stain_pb2.StainOptions, stain_pb2.StainResult, "texture_id")
