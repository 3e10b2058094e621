"""Reads the protos of ``heartwood.v1`` into the domain's types, and refuses what they may not hold."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import ExportOptions, MeshCodec, MeshFormat, Target, TextureCodec
from orchestrator.domain.images import ImageFormat
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Engine, Mode, Provider, ReconstructOptions
from orchestrator.domain.render import Background, RenderOptions, VideoFormat
from orchestrator.domain.segment import Box, Detector, Point, Prompt, SegmentOptions
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.domain.stain import Region, StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import InvalidInput
from orchestrator.jobs.spec import JobRequest, Options, PipelineOptions, Priority
from orchestrator.protocol.heartwood.v1 import (
    asset_pb2,
    export_pb2,
    job_pb2,
    pipeline_pb2,
    reconstruct_pb2,
    render_pb2,
    segment_pb2,
    stain_pb2,
)

Value = TypeVar("Value")

ASSET_KINDS = {
    asset_pb2.ASSET_KIND_PHOTO: "photo",
    asset_pb2.ASSET_KIND_MASK: "mask",
    asset_pb2.ASSET_KIND_TEXTURE: "texture",
    asset_pb2.ASSET_KIND_PREVIEW: "preview",
    asset_pb2.ASSET_KIND_DOCUMENT: "document",
    asset_pb2.ASSET_KIND_MODEL: "model",
    asset_pb2.ASSET_KIND_VIDEO: "video",
    asset_pb2.ASSET_KIND_FRAME: "frame",
}
QUALITIES = {
    job_pb2.QUALITY_UNSPECIFIED: Quality.FINAL,
    job_pb2.QUALITY_PREVIEW: Quality.PREVIEW,
    job_pb2.QUALITY_FINAL: Quality.FINAL,
}
PRIORITIES = {
    job_pb2.PRIORITY_UNSPECIFIED: Priority.NORMAL,
    job_pb2.PRIORITY_LOW: Priority.LOW,
    job_pb2.PRIORITY_NORMAL: Priority.NORMAL,
    job_pb2.PRIORITY_HIGH: Priority.HIGH,
}
DETECTORS = {
    segment_pb2.DETECTOR_KIND_LOCAL: Detector.LOCAL,
    segment_pb2.DETECTOR_KIND_OPENAI: Detector.OPENAI,
    segment_pb2.DETECTOR_KIND_PROMPTS: Detector.PROMPTS,
}
REGIONS = {
    stain_pb2.REGION_UNSPECIFIED: Region.AUTO,
    stain_pb2.REGION_AUTO: Region.AUTO,
    stain_pb2.REGION_PIECE: Region.PIECE,
    stain_pb2.REGION_PICTURE: Region.PICTURE,
}
FORMATS = {
    stain_pb2.TEXTURE_FORMAT_UNSPECIFIED: ImageFormat.PNG,
    stain_pb2.TEXTURE_FORMAT_PNG: ImageFormat.PNG,
    stain_pb2.TEXTURE_FORMAT_WEBP: ImageFormat.WEBP,
}
MODES = {
    reconstruct_pb2.RECONSTRUCT_MODE_UNSPECIFIED: Mode.AUTO,
    reconstruct_pb2.RECONSTRUCT_MODE_AUTO: Mode.AUTO,
    reconstruct_pb2.RECONSTRUCT_MODE_PHOTOGRAMMETRY: Mode.PHOTOGRAMMETRY,
    reconstruct_pb2.RECONSTRUCT_MODE_NERF: Mode.NERF,
    reconstruct_pb2.RECONSTRUCT_MODE_SINGLE_IMAGE: Mode.SINGLE_IMAGE,
}
ENGINES = {
    reconstruct_pb2.PHOTOGRAMMETRY_ENGINE_UNSPECIFIED: Engine.COLMAP,
    reconstruct_pb2.PHOTOGRAMMETRY_ENGINE_COLMAP: Engine.COLMAP,
    reconstruct_pb2.PHOTOGRAMMETRY_ENGINE_MESHROOM: Engine.MESHROOM,
}
PROVIDERS = {
    reconstruct_pb2.SINGLE_IMAGE_PROVIDER_UNSPECIFIED: Provider.LOCAL,
    reconstruct_pb2.SINGLE_IMAGE_PROVIDER_LOCAL: Provider.LOCAL,
    reconstruct_pb2.SINGLE_IMAGE_PROVIDER_TRELLIS: Provider.TRELLIS,
}
BACKGROUNDS = {
    render_pb2.BACKGROUND_UNSPECIFIED: Background.STUDIO,
    render_pb2.BACKGROUND_STUDIO: Background.STUDIO,
    render_pb2.BACKGROUND_TRANSPARENT: Background.TRANSPARENT,
}
VIDEOS = {
    render_pb2.VIDEO_FORMAT_MP4: VideoFormat.MP4,
    render_pb2.VIDEO_FORMAT_WEBM: VideoFormat.WEBM,
    render_pb2.VIDEO_FORMAT_GIF: VideoFormat.GIF,
}
MODEL_FORMATS = {
    export_pb2.MODEL_FORMAT_GLB: MeshFormat.GLB,
    export_pb2.MODEL_FORMAT_GLTF: MeshFormat.GLTF,
    export_pb2.MODEL_FORMAT_FBX: MeshFormat.FBX,
    export_pb2.MODEL_FORMAT_OBJ: MeshFormat.OBJ,
    export_pb2.MODEL_FORMAT_STL: MeshFormat.STL,
    export_pb2.MODEL_FORMAT_PLY: MeshFormat.PLY,
    export_pb2.MODEL_FORMAT_USDZ: MeshFormat.USDZ,
}
TARGETS = {
    export_pb2.EXPORT_TARGET_UNSPECIFIED: Target.WEB,
    export_pb2.EXPORT_TARGET_ORIGINAL: Target.ORIGINAL,
    export_pb2.EXPORT_TARGET_WEB: Target.WEB,
    export_pb2.EXPORT_TARGET_DESKTOP: Target.DESKTOP,
    export_pb2.EXPORT_TARGET_PLANNER: Target.PLANNER,
    export_pb2.EXPORT_TARGET_BANNER: Target.BANNER,
}
TEXTURE_CODECS = {
    export_pb2.TEXTURE_CODEC_UNSPECIFIED: TextureCodec.AUTO,
    export_pb2.TEXTURE_CODEC_ORIGINAL: TextureCodec.ORIGINAL,
    export_pb2.TEXTURE_CODEC_WEBP: TextureCodec.WEBP,
    export_pb2.TEXTURE_CODEC_KTX2: TextureCodec.KTX2,
}
MESH_CODECS = {
    export_pb2.MESH_CODEC_UNSPECIFIED: MeshCodec.AUTO,
    export_pb2.MESH_CODEC_NONE: MeshCodec.NONE,
    export_pb2.MESH_CODEC_MESHOPT: MeshCodec.MESHOPT,
    export_pb2.MESH_CODEC_DRACO: MeshCodec.DRACO,
}
STATES = {
    job_pb2.JOB_STATE_QUEUED: "QUEUED",
    job_pb2.JOB_STATE_RUNNING: "RUNNING",
    job_pb2.JOB_STATE_SUCCEEDED: "SUCCEEDED",
    job_pb2.JOB_STATE_FAILED: "FAILED",
    job_pb2.JOB_STATE_CANCELED: "CANCELED",
}
DEFAULT_PAGE, MAX_PAGE = 100, 1000
DEFAULT_LIFETIME, MAX_LIFETIME = timedelta(hours=1), timedelta(days=7)


def job_request(request: job_pb2.CreateJobRequest) -> JobRequest:
    """The job that the caller asks for.

    Raises:
        InvalidInput: with the field's path from the top of the request.
    """
    spec = request.spec
    stage = spec.WhichOneof("stage")
    try:
        return JobRequest(
            upload_id=spec.upload_id if stage in ON_MODELS else _required("upload_id", spec.upload_id),
            options=_options(stage, spec),
            quality=_enum("quality", spec.quality, QUALITIES),
            priority=_enum("priority", spec.priority, PRIORITIES),
            deadline=_time("deadline", spec.deadline) if spec.HasField("deadline") else None,
            labels=dict(spec.labels),
            webhook_url=spec.webhook_url,
            request_id=request.request_id,
        )
    except InvalidInput as error:
        raise in_spec(error, stage) from None


def in_spec(error: InvalidInput, stage: str | None) -> InvalidInput:
    """The same error, its field's path beginning at the request."""
    if error.field == "request_id":
        return error
    inside = stage == "pipeline" and error.field.partition(".")[0] in STAGES
    return InvalidInput(f"spec.{'pipeline.' * inside}{error.field}", error.description, **error.facts)


def _options(stage: str | None, spec: job_pb2.JobSpec) -> Options:
    if stage is None:
        raise InvalidInput("stage", f"nothing to do is given; set one of {', '.join(STAGES)} and pipeline")
    if stage == "pipeline":
        return _pipeline_options(spec.pipeline)
    options: Options = STAGES[stage](getattr(spec, stage))
    return options


def _pipeline_options(said: pipeline_pb2.PipelineOptions) -> PipelineOptions:
    for stage in ON_MODELS:
        if getattr(said, stage).model_id:
            raise InvalidInput(f"{stage}.model_id", "a pipeline makes its own model; leave it empty")
    there = {descriptor.name for descriptor, _ in said.ListFields()} | {"segment", "reconstruct"}
    return PipelineOptions(**{stage: STAGES[stage](getattr(said, stage)) for stage in STAGES if stage in there})


def _reconstruct_options(said: reconstruct_pb2.ReconstructOptions) -> ReconstructOptions:
    default = ReconstructOptions()
    return ReconstructOptions(
        mode=_enum("reconstruct.mode", said.mode, MODES),
        engine=_enum("reconstruct.engine", said.engine, ENGINES),
        provider=_enum("reconstruct.provider", said.provider, PROVIDERS),
        ordered=said.ordered,
        dimensions=_dimensions(said.dimensions),
        texture_size=said.texture_size or default.texture_size,
        max_triangles=said.max_triangles or default.max_triangles,
    )


def _dimensions(said: reconstruct_pb2.Dimensions) -> Dimensions:
    return Dimensions(said.width_m, said.height_m, said.depth_m)


def _render_options(said: render_pb2.RenderOptions) -> RenderOptions:
    default = RenderOptions()
    formats = tuple(_enum("render.formats", number, VIDEOS) for number in said.formats)
    return RenderOptions(
        model_id=said.model_id,
        frames=said.frames or default.frames,
        width=said.width or default.width,
        height=said.height or default.height,
        background=_enum("render.background", said.background, BACKGROUNDS),
        formats=tuple(dict.fromkeys(formats)) or default.formats,
        keep_frames=said.keep_frames,
        elevation_deg=said.elevation_deg if said.HasField("elevation_deg") else default.elevation_deg,
        seconds=said.seconds or default.seconds,
        texture_id=_required("render.texture.texture_id", said.texture.texture_id) if said.HasField("texture") else "",
        texture_width_m=said.texture.width_m or default.texture_width_m,
        texture_materials=tuple(said.texture.materials),
    )


def _export_options(said: export_pb2.ExportOptions) -> ExportOptions:
    default = ExportOptions()
    formats = tuple(_enum("export.formats", number, MODEL_FORMATS) for number in said.formats)
    return ExportOptions(
        model_id=said.model_id,
        formats=tuple(dict.fromkeys(formats)) or default.formats,
        target=_enum("export.target", said.target, TARGETS),
        texture_codec=_enum("export.texture_codec", said.texture_codec, TEXTURE_CODECS),
        mesh_codec=_enum("export.mesh_codec", said.mesh_codec, MESH_CODECS),
        levels=said.levels or default.levels,
        dimensions=_dimensions(said.dimensions),
    )


def _segment_options(said: segment_pb2.SegmentOptions) -> SegmentOptions:
    prompts = tuple(_prompt(index, prompt) for index, prompt in enumerate(said.prompts))
    detector = Detector.PROMPTS if prompts else Detector.LOCAL
    if said.detector != segment_pb2.DETECTOR_KIND_UNSPECIFIED:
        detector = _enum("segment.detector", said.detector, DETECTORS)
    return SegmentOptions(
        detect_components=said.detect_components if said.HasField("detect_components") else True,
        detect_wood=said.detect_wood if said.HasField("detect_wood") else True,
        detector=detector,
        prompts=prompts,
    )


def _prompt(index: int, said: segment_pb2.Prompt) -> Prompt:
    box = None
    if said.HasField("box"):
        box = Box(said.box.left, said.box.top, said.box.right, said.box.bottom)
    points = tuple(Point(point.x, point.y, not point.outside) for point in said.points)
    return Prompt(name=_required(f"segment.prompts[{index}].name", said.name), box=box, points=points, photo=said.photo)


def _stain_options(said: stain_pb2.StainOptions) -> StainOptions:
    target = said.WhichOneof("target")
    coats = said.coats if said.HasField("coats") else 1.0
    if target == "color":
        color, name = SrgbColor.parse(said.color, "stain.color"), ""
    elif target == "stain":
        name = said.stain
        if name not in STAINS:
            raise InvalidInput("stain.stain", f"{name[:40]!r} is not known; allowed are {', '.join(sorted(STAINS))}")
        color = STAINS[name].color
    else:
        raise InvalidInput("stain.target", "no colour is given; set 'color' (#RRGGBB) or 'stain' (see ListStains)")
    return StainOptions(
        target=color,
        stain_name=name,
        preserve_grain=said.preserve_grain if said.HasField("preserve_grain") else 1.0,
        strength=said.strength if said.HasField("strength") else 1.0,
        coats=coats,
        region=_enum("stain.region", said.region, REGIONS),
        mask_asset_id=said.mask_asset_id,
        format=_enum("stain.format", said.format, FORMATS),
    )


STAGES: dict[str, Callable[[Any], Any]] = {
    "segment": _segment_options,
    "stain": _stain_options,
    "reconstruct": _reconstruct_options,
    "render": _render_options,
    "export": _export_options,
}
"""Field of ``JobSpec`` and of ``PipelineOptions`` → what reads it."""
ON_MODELS = ("render", "export")
"""The stages that work on a model instead of an upload of photos."""


def asset_kind(field: str, number: int, default: str) -> str:
    """The kind that the caller names; ``default`` where it names none."""
    if number == asset_pb2.ASSET_KIND_UNSPECIFIED:
        return default
    kinds: dict[int, str] = {int(key): value for key, value in ASSET_KINDS.items()}
    return _enum(field, number, kinds)


def states(numbers: Any) -> list[str]:
    """The states that the caller names."""
    return [_enum("states", number, STATES) for number in numbers]


def page_size(number: int) -> int:
    """How many rows a page has."""
    if not 0 <= number <= MAX_PAGE:
        raise InvalidInput(
            "page_size", f"{number} is not allowed; it must be from 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}"
        )
    return number or DEFAULT_PAGE


def page_token(values: list[str]) -> str:
    """An opaque token for the page that begins after ``values``."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def read_page_token(token: str, count: int) -> list[str]:
    """The ``count`` values of a token that ``page_token`` made; none for an empty one."""
    if not token:
        return []
    try:
        values = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError):
        values = None
    if not isinstance(values, list) or len(values) != count or not all(isinstance(value, str) for value in values):
        raise InvalidInput("page_token", "it is not one that this service gave; leave it empty for the first page")
    return values


def lifetime(duration: Duration | None) -> timedelta:
    """How long a signed URL holds."""
    if duration is None:
        return DEFAULT_LIFETIME
    value = timedelta(seconds=min(max(duration.seconds, -1), 10**9))
    if not timedelta(seconds=1) <= value <= MAX_LIFETIME:
        raise InvalidInput("lifetime", f"{duration.seconds} s is not allowed; it must be from 1 s to 7 days")
    return value


def _time(field: str, stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            field, f"{stamp.seconds} s is no time; give seconds since 1970, before the year 10000"
        ) from None


def _required(field: str, text: str) -> str:
    if not text:
        raise InvalidInput(field, "it is empty, and needed")
    return text


def _enum(field: str, number: Any, known: dict[Any, Value]) -> Value:
    if number not in known:
        raise InvalidInput(
            field, f"{int(number)} is not allowed; allowed are {', '.join(str(int(key)) for key in known)}"
        )
    return known[number]
