"""Protos of the render stage."""

from __future__ import annotations

from orchestrator.api.convert import from_proto, to_proto
from orchestrator.api.fields import required
from orchestrator.domain.render import RenderOptions
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.render import RenderResult
from orchestrator.protocol.heartwood.v1 import render_pb2


def read_options(message: render_pb2.RenderOptions) -> RenderOptions:
    """The options of a proto."""
    if not message.HasField("texture"):
        return from_proto(message, RenderOptions, "render")
    texture = message.texture
    return from_proto(
        message,
        RenderOptions,
        "render",
        texture_id=required("render.texture.texture_id", texture.texture_id),
        texture_width_m=texture.width_m or RenderOptions.texture_width_m,
        texture_materials=tuple(texture.materials),
    )


def write_options(options: RenderOptions) -> render_pb2.RenderOptions:
    """The proto of the options."""
    if not options.texture_id:
        return to_proto(options, render_pb2.RenderOptions)
    texture = render_pb2.WoodTexture(
        texture_id=options.texture_id, width_m=options.texture_width_m, materials=options.texture_materials
    )
    return to_proto(options, render_pb2.RenderOptions, texture=texture)


def write_result(result: RenderResult, job: Job) -> render_pb2.RenderResult:
    """The proto of the result."""
    return to_proto(result, render_pb2.RenderResult, job, render_id=job.group_id)
