"""Protos of the cutout stage. The background is a colour as text; empty means transparent."""

from __future__ import annotations

from orchestrator.api.convert import Codec, Fields
from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.protocol.heartwood.v1 import cutout_pb2


def _read(message: cutout_pb2.CutoutOptions) -> Fields:
    return {"background": SrgbColor.parse(message.background, "cutout.background") if message.background else None}


def _write(options: CutoutOptions) -> Fields:
    return {"background": options.background.hex if options.background else ""}


CODEC = Codec("cutout", cutout_pb2.CutoutOptions, cutout_pb2.CutoutResult, "cutout_id", _read, _write)
