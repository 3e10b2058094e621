"""Protos of the cutout stage."""

from __future__ import annotations

from typing import Any

from orchestrator.api.codec import Codec
from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.protocol.heartwood.v1 import cutout_pb2


class CutoutCodec(Codec):
    """The background is a colour as text; empty means transparent."""

    def read_options(self, message: cutout_pb2.CutoutOptions, **_: Any) -> Any:
        background = SrgbColor.parse(message.background, "cutout.background") if message.background else None
        return super().read_options(message, background=background)

    def write_options(self, options: CutoutOptions, **_: Any) -> Any:
        return super().write_options(options, background=options.background.hex if options.background else "")


CODEC = CutoutCodec("cutout", cutout_pb2.CutoutOptions, cutout_pb2.CutoutResult, "cutout_id")
