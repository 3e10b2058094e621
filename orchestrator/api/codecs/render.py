"""Protos of the render stage."""

from __future__ import annotations

from typing import Any

from orchestrator.api.codec import Codec
from orchestrator.api.fields import required
from orchestrator.domain.render import RenderOptions
from orchestrator.protocol.heartwood.v1 import render_pb2


class RenderCodec(Codec):
    """The texture is a message of its own."""

    def read_options(self, message: render_pb2.RenderOptions, **_: Any) -> Any:
        if not message.HasField("texture"):
            return super().read_options(message)
        texture = message.texture
        return super().read_options(
            message,
            texture_id=required("render.texture.texture_id", texture.texture_id),
            texture_width_m=texture.width_m or RenderOptions.texture_width_m,
            texture_materials=tuple(texture.materials),
        )

    def write_options(self, options: RenderOptions, **_: Any) -> Any:
        texture = render_pb2.WoodTexture(
            texture_id=options.texture_id, width_m=options.texture_width_m, materials=options.texture_materials
        )
        return super().write_options(options, texture=texture if options.texture_id else None)


CODEC = RenderCodec("render", render_pb2.RenderOptions, render_pb2.RenderResult, "render_id")
