"""Protos of the render stage."""

from __future__ import annotations

from orchestrator.api.enums import EnumCodec
from orchestrator.api.fields import required, write_file, write_files
from orchestrator.domain.render import Background, RenderOptions, VideoFormat
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.render import RenderResult
from orchestrator.protocol.heartwood.v1 import render_pb2

BACKGROUNDS = EnumCodec(render_pb2.Background, "BACKGROUND", Background, Background.STUDIO)
VIDEOS = EnumCodec(render_pb2.VideoFormat, "VIDEO_FORMAT", VideoFormat)
DEFAULTS = RenderOptions()


def read_options(message: render_pb2.RenderOptions) -> RenderOptions:
    """The options of a proto."""
    formats = tuple(VIDEOS.read("render.formats", number) for number in message.formats)
    texture = message.texture
    return RenderOptions(
        model_id=message.model_id,
        frames=message.frames or DEFAULTS.frames,
        width=message.width or DEFAULTS.width,
        height=message.height or DEFAULTS.height,
        background=BACKGROUNDS.read("render.background", message.background),
        formats=tuple(dict.fromkeys(formats)) or DEFAULTS.formats,
        keep_frames=message.keep_frames,
        elevation_deg=message.elevation_deg if message.HasField("elevation_deg") else DEFAULTS.elevation_deg,
        seconds=message.seconds or DEFAULTS.seconds,
        texture_id=required("render.texture.texture_id", texture.texture_id) if message.HasField("texture") else "",
        texture_width_m=texture.width_m or DEFAULTS.texture_width_m,
        texture_materials=tuple(texture.materials),
    )


def write_options(options: RenderOptions) -> render_pb2.RenderOptions:
    """The proto of the options."""
    texture = None
    if options.texture_id:
        texture = render_pb2.WoodTexture(
            texture_id=options.texture_id, width_m=options.texture_width_m, materials=options.texture_materials
        )
    return render_pb2.RenderOptions(
        model_id=options.model_id,
        frames=options.frames,
        width=options.width,
        height=options.height,
        background=BACKGROUNDS.write(options.background),
        formats=[VIDEOS.write(format) for format in options.formats],
        keep_frames=options.keep_frames,
        elevation_deg=options.elevation_deg,
        seconds=options.seconds,
        texture=texture,
    )


def write_result(result: RenderResult, job: Job) -> render_pb2.RenderResult:
    """The proto of the result."""
    return render_pb2.RenderResult(
        render_id=job.group_id,
        width=result.width,
        height=result.height,
        mp4=write_file(result.mp4, job),
        webm=write_file(result.webm, job),
        gif=write_file(result.gif, job),
        contact_sheet=write_file(result.contact_sheet, job),
        thumbnails=write_files(result.thumbnails, job),
        frames=write_files(result.frames, job),
    )
