"""Protos of the stain stage."""

from __future__ import annotations

from orchestrator.api.enums import EnumCodec
from orchestrator.api.fields import write_file
from orchestrator.domain.images import ImageFormat
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.domain.stain import Region, StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import InvalidInput
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.stain import StainedPhoto, StainResult
from orchestrator.protocol.heartwood.v1 import stain_pb2

REGIONS = EnumCodec(stain_pb2.Region, "REGION", Region, Region.AUTO)
FORMATS = EnumCodec(stain_pb2.TextureFormat, "TEXTURE_FORMAT", ImageFormat, ImageFormat.PNG)
DEFAULT_SHARE = 1.0
"""Default of ``preserve_grain``, ``strength`` and ``coats``."""


def read_options(message: stain_pb2.StainOptions) -> StainOptions:
    """The options of a proto."""
    color, name = _read_target(message)
    return StainOptions(
        target=color,
        stain_name=name,
        preserve_grain=message.preserve_grain if message.HasField("preserve_grain") else DEFAULT_SHARE,
        strength=message.strength if message.HasField("strength") else DEFAULT_SHARE,
        coats=message.coats if message.HasField("coats") else DEFAULT_SHARE,
        region=REGIONS.read("stain.region", message.region),
        mask_asset_id=message.mask_asset_id,
        format=FORMATS.read("stain.format", message.format),
    )


def write_options(options: StainOptions) -> stain_pb2.StainOptions:
    """The proto of the options."""
    target = {"stain": options.stain_name} if options.stain_name else {"color": options.target.hex}
    return stain_pb2.StainOptions(
        **target,
        preserve_grain=options.preserve_grain,
        strength=options.strength,
        coats=options.coats,
        region=REGIONS.write(options.region),
        mask_asset_id=options.mask_asset_id,
        format=FORMATS.write(options.format),
    )


def write_result(result: StainResult, job: Job) -> stain_pb2.StainResult:
    """The proto of the result."""
    return stain_pb2.StainResult(
        texture_id=job.group_id,
        target_color=job.options["stain"].target.hex,
        photos=[_write_photo(photo, job) for photo in result.photos],
        model_versions=result.photos[0].model_versions,
    )


def _read_target(message: stain_pb2.StainOptions) -> tuple[SrgbColor, str]:
    """The target colour, and the name of the stain if the caller set a name."""
    target = message.WhichOneof("target")
    if target == "color":
        return SrgbColor.parse(message.color, "stain.color"), ""
    if target is None:
        raise InvalidInput("stain.target", "no colour is set; set 'color' (#RRGGBB) or 'stain' (see ListStains)")
    if message.stain not in STAINS:
        raise InvalidInput(
            "stain.stain", f"{message.stain[:40]!r} is not known; allowed are {', '.join(sorted(STAINS))}"
        )
    return STAINS[message.stain].color, message.stain


def _write_photo(photo: StainedPhoto, job: Job) -> stain_pb2.StainedPhoto:
    return stain_pb2.StainedPhoto(
        photo_asset_id=photo.photo_id,
        width=photo.width,
        height=photo.height,
        albedo=write_file(photo.albedo, job),
        normal=write_file(photo.normal, job),
        roughness=write_file(photo.roughness, job),
        ambient_occlusion=write_file(photo.ambient_occlusion, job),
        height_map=write_file(photo.height_map, job),
        orm=write_file(photo.orm, job),
        wood_mask=write_file(photo.wood_mask, job),
        preview=write_file(photo.preview, job),
        before_after=write_file(photo.before_after, job),
        wood_share=photo.wood_share,
        reached_color=photo.reached_color,
        delta_e=photo.delta_e,
    )
