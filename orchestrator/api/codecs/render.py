"""Protos of the render stage. The message ``WoodTexture`` contains the options that start with ``texture_``."""

from __future__ import annotations

from orchestrator.api.convert import Codec, Fields
from orchestrator.api.fields import required
from orchestrator.domain.render import RenderOptions
from orchestrator.protocol.heartwood.v1 import render_pb2


def _read(message: render_pb2.RenderOptions) -> Fields:
    if not message.HasField("texture"):
        return {}
    return {
        "texture_id": required("render.texture.texture_id", message.texture.texture_id),
        "texture_width_m": message.texture.width_m or RenderOptions.texture_width_m,
        "texture_materials": tuple(message.texture.materials),
    }


def _write(options: RenderOptions) -> Fields:
    texture = render_pb2.WoodTexture(texture_id=options.texture_id, width_m=options.texture_width_m)
    texture.materials.extend(options.texture_materials)
    return {"texture": texture} if options.texture_id else {}


CODEC = Codec("render", "render_id", _read, _write)
