"""Protos of the stain stage. The target is a colour or the name of a stain."""

from __future__ import annotations

from orchestrator.api.convert import Codec, Fields
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.domain.stain import StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import InvalidInput
from orchestrator.jobs.job import Job
from orchestrator.protocol.heartwood.v1 import stain_pb2


def _read(message: stain_pb2.StainOptions) -> Fields:
    return {"target": _read_target(message), "stain_name": message.stain}


def _read_target(message: stain_pb2.StainOptions) -> SrgbColor:
    target = message.WhichOneof("target")
    if target == "color":
        return SrgbColor.parse(message.color, "stain.color")
    if target is None:
        raise InvalidInput("stain.target", "no colour is set; set 'color' (#RRGGBB) or 'stain' (see ListStains)")
    if message.stain not in STAINS:
        names = ", ".join(sorted(STAINS))
        raise InvalidInput("stain.stain", f"{message.stain[:40]!r} is not a known stain; allowed are {names}")
    return STAINS[message.stain].color


def _write(options: StainOptions) -> Fields:
    return {"stain": options.stain_name} if options.stain_name else {"color": options.target.hex}


def _write_result(_: object, job: Job) -> Fields:
    return {"target_color": job.options["stain"].target.hex}


PLACEHOLDERS: Fields = {"target": SrgbColor(0, 0, 0), "stain_name": ""}
CODEC = Codec("stain", "texture_id", _read, _write, _write_result, PLACEHOLDERS)
