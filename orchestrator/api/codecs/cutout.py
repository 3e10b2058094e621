"""Protos of the cutout stage."""

from __future__ import annotations

from orchestrator.api.codecs.segment import write_box
from orchestrator.api.enums import EnumCodec
from orchestrator.api.fields import write_file
from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.images import ImageFormat
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.cutout import CutoutPhoto, CutoutResult
from orchestrator.protocol.heartwood.v1 import cutout_pb2

FORMATS = EnumCodec(cutout_pb2.CutoutFormat, "CUTOUT_FORMAT", ImageFormat, ImageFormat.PNG)
DEFAULTS = CutoutOptions()


def read_options(message: cutout_pb2.CutoutOptions) -> CutoutOptions:
    """The options of a proto."""
    return CutoutOptions(
        format=FORMATS.read("cutout.format", message.format),
        trim=message.trim if message.HasField("trim") else DEFAULTS.trim,
        margin=message.margin if message.HasField("margin") else DEFAULTS.margin,
        background=SrgbColor.parse(message.background, "cutout.background") if message.background else None,
        shadow=message.shadow if message.HasField("shadow") else DEFAULTS.shadow,
    )


def write_options(options: CutoutOptions) -> cutout_pb2.CutoutOptions:
    """The proto of the options."""
    return cutout_pb2.CutoutOptions(
        format=FORMATS.write(options.format),
        trim=options.trim,
        margin=options.margin,
        background=options.background.hex if options.background else "",
        shadow=options.shadow,
    )


def write_result(result: CutoutResult, job: Job) -> cutout_pb2.CutoutResult:
    """The proto of the result."""
    return cutout_pb2.CutoutResult(
        cutout_id=job.group_id,
        photos=[_write_photo(photo, job) for photo in result.photos],
        model_versions=result.photos[0].model_versions,
    )


def _write_photo(photo: CutoutPhoto, job: Job) -> cutout_pb2.CutoutPhoto:
    return cutout_pb2.CutoutPhoto(
        photo_asset_id=photo.photo_id,
        width=photo.width,
        height=photo.height,
        image=write_file(photo.image, job),
        shadow=write_file(photo.shadow, job),
        frame=write_box(photo.frame),
        piece_share=photo.piece_share,
    )
