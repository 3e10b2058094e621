"""Writes assets and jobs as the protos of ``heartwood.v1``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator.api import requests
from orchestrator.api.status import status
from orchestrator.domain.assets import Asset
from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import ExportOptions, MeshFormat, Target
from orchestrator.domain.jobs import JobState
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Mode, ReconstructOptions
from orchestrator.domain.render import RenderOptions
from orchestrator.domain.segment import Detector, SegmentOptions
from orchestrator.domain.stain import StainOptions
from orchestrator.jobs.artifacts import group_id
from orchestrator.jobs.spec import Kind, Options, PipelineOptions, Priority, options_from_json, stage_options
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

STAIN_FILES = {"height": "height_map"}
"""File name → field, where they differ: ``height`` is the picture's in pixels."""


def _turned(known: dict[Any, Any]) -> dict[Any, Any]:
    # A value with a number of its own is told by it; UNSPECIFIED tells only what has no other.
    return {value: number for number, value in sorted(known.items())}


KIND_NUMBERS = _turned(requests.ASSET_KINDS)
STATE_NUMBERS = _turned(requests.STATES)
QUALITY_NUMBERS = _turned(requests.QUALITIES)
PRIORITY_NUMBERS = _turned(requests.PRIORITIES)
DETECTOR_NUMBERS = _turned(requests.DETECTORS)
REGION_NUMBERS = _turned(requests.REGIONS)
FORMAT_NUMBERS = _turned(requests.FORMATS)
MODE_NUMBERS = _turned(requests.MODES)
ENGINE_NUMBERS = _turned(requests.ENGINES)
PROVIDER_NUMBERS = _turned(requests.PROVIDERS)
BACKGROUND_NUMBERS = _turned(requests.BACKGROUNDS)
VIDEO_NUMBERS = _turned(requests.VIDEOS)
MODEL_FORMAT_NUMBERS = _turned(requests.MODEL_FORMATS)
TARGET_NUMBERS = _turned(requests.TARGETS)
TEXTURE_CODEC_NUMBERS = _turned(requests.TEXTURE_CODECS)
MESH_CODEC_NUMBERS = _turned(requests.MESH_CODECS)
Find: TypeAlias = Callable[[str], Asset | None]
"""Gives the tenant's asset of an id, or None where it has been deleted."""


def stamp(time: datetime | None) -> Timestamp | None:
    """A protobuf time."""
    if time is None:
        return None
    made = Timestamp()
    made.FromDatetime(time)
    return made


def asset(one: Asset) -> asset_pb2.Asset:
    """An asset's proto."""
    return asset_pb2.Asset(
        id=one.id,
        kind=KIND_NUMBERS.get(one.kind, asset_pb2.ASSET_KIND_UNSPECIFIED),
        group_id=one.group_id,
        name=one.name,
        media_type=one.media_type,
        size_bytes=one.size_bytes,
        sha256=one.sha256,
        width=one.width,
        height=one.height,
        create_time=stamp(one.create_time),
        model_versions=one.model_versions,
    )


def job(row: dict[str, Any], queue_position: int, find: Find) -> job_pb2.Job:
    """A job's proto; ``find`` gives the tenant's assets that its result names."""
    made = job_pb2.Job(
        id=row["id"],
        state=STATE_NUMBERS[row["state"]],
        spec=_spec(row),
        progress=job_pb2.Progress(
            stage=row["stage"],
            fraction=row["fraction"],
            message=row["message"],
            queue_position=queue_position,
            preview_asset_ids=row["previews"],
        ),
        cost=job_pb2.Cost(**row["cost"]) if row["cost"] else None,
        cancel_requested=row["cancel_requested"],
        create_time=stamp(row["create_time"]),
        start_time=stamp(row["start_time"]),
        end_time=stamp(row["end_time"]),
    )
    if row["failure"]:
        failure = row["failure"]
        made.error.CopyFrom(status(failure["reason"], failure["message"], failure["facts"], failure["field"]))
    if row["state"] == JobState.SUCCEEDED.value:
        results = {kind.value: RESULTS[kind](row, row["result"][kind.value], find) for kind in _results(row)}
        if row["kind"] == Kind.PIPELINE.value:
            made.pipeline.CopyFrom(pipeline_pb2.PipelineResult(**results))
        else:
            getattr(made, row["kind"]).CopyFrom(results[row["kind"]])
    return made


def _results(row: dict[str, Any]) -> list[Kind]:
    return [kind for kind in RESULTS if kind.value in row["result"]]


def _spec(row: dict[str, Any]) -> job_pb2.JobSpec:
    options = options_from_json(row["kind"], row["options"])
    spec = job_pb2.JobSpec(
        upload_id=row["upload_id"],
        quality=QUALITY_NUMBERS[Quality(row["quality"])],
        priority=PRIORITY_NUMBERS[Priority(row["priority"])],
        deadline=stamp(row["deadline"]),
        webhook_url=row["webhook_url"],
        labels=row["labels"],
    )
    if isinstance(options, PipelineOptions):
        given = {kind.value: _said(getattr(options, kind.value)) for kind in options.stages}
        spec.pipeline.CopyFrom(pipeline_pb2.PipelineOptions(**given))
    else:
        getattr(spec, row["kind"]).CopyFrom(_said(options))
    return spec


def _said(options: Options) -> Any:
    """The options of one stage as their proto."""
    if isinstance(options, SegmentOptions):
        return _segment_options(options)
    if isinstance(options, StainOptions):
        return _stain_options(options)
    if isinstance(options, ReconstructOptions):
        return _reconstruct_options(options)
    if isinstance(options, RenderOptions):
        return _render_options(options)
    assert isinstance(options, ExportOptions)  # noqa: S101 - the last of them
    return _export_options(options)


def _reconstruct_options(options: ReconstructOptions) -> reconstruct_pb2.ReconstructOptions:
    return reconstruct_pb2.ReconstructOptions(
        mode=MODE_NUMBERS[options.mode],
        engine=ENGINE_NUMBERS[options.engine],
        provider=PROVIDER_NUMBERS[options.provider],
        ordered=options.ordered,
        dimensions=_dimensions(options.dimensions),
        texture_size=options.texture_size,
        max_triangles=options.max_triangles,
    )


def _dimensions(size: Dimensions) -> reconstruct_pb2.Dimensions | None:
    if size == Dimensions():
        return None
    return reconstruct_pb2.Dimensions(width_m=size.width_m, height_m=size.height_m, depth_m=size.depth_m)


def _render_options(options: RenderOptions) -> render_pb2.RenderOptions:
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
        background=BACKGROUND_NUMBERS[options.background],
        formats=[VIDEO_NUMBERS[format] for format in options.formats],
        keep_frames=options.keep_frames,
        elevation_deg=options.elevation_deg,
        seconds=options.seconds,
        texture=texture,
    )


def _export_options(options: ExportOptions) -> export_pb2.ExportOptions:
    return export_pb2.ExportOptions(
        model_id=options.model_id,
        formats=[MODEL_FORMAT_NUMBERS[format] for format in options.formats],
        target=TARGET_NUMBERS[options.target],
        texture_codec=TEXTURE_CODEC_NUMBERS[options.texture_codec],
        mesh_codec=MESH_CODEC_NUMBERS[options.mesh_codec],
        levels=options.levels,
        dimensions=_dimensions(options.dimensions),
    )


def _segment_options(options: SegmentOptions) -> segment_pb2.SegmentOptions:
    prompts = []
    for prompt in options.prompts:
        box = prompt.box
        prompts.append(
            segment_pb2.Prompt(
                name=prompt.name,
                box=segment_pb2.Box(**box.__dict__) if box else None,
                points=[segment_pb2.Point(x=point.x, y=point.y, outside=not point.inside) for point in prompt.points],
                photo=prompt.photo,
            )
        )
    return segment_pb2.SegmentOptions(
        detect_components=options.detect_components,
        detect_wood=options.detect_wood,
        detector=DETECTOR_NUMBERS[options.detector],
        prompts=prompts,
    )


def _stain_options(options: StainOptions) -> stain_pb2.StainOptions:
    target = {"stain": options.stain_name} if options.stain_name else {"color": options.target.hex}
    return stain_pb2.StainOptions(
        **target,
        preserve_grain=options.preserve_grain,
        strength=options.strength,
        coats=options.coats,
        region=REGION_NUMBERS[options.region],
        mask_asset_id=options.mask_asset_id,
        format=FORMAT_NUMBERS[options.format],
    )


def _files(photo: dict[str, Any], names: set[str], find: Find) -> dict[str, asset_pb2.Asset]:
    found = {}
    for name, id in photo["files"].items():
        one = find(id) if name in names else None
        if one is not None:  # it may have been deleted since
            found[STAIN_FILES.get(name, name)] = asset(one)
    return found


def _one(id: str, find: Find) -> asset_pb2.Asset | None:
    found = find(id) if id else None
    return asset(found) if found else None


def _several(ids: list[str], find: Find) -> list[asset_pb2.Asset]:
    return [asset(found) for found in map(find, ids) if found is not None]


def _stain_result(row: dict[str, Any], made: dict[str, Any], find: Find) -> stain_pb2.StainResult:
    photos = made["photos"]
    names = {
        "albedo",
        "normal",
        "roughness",
        "ambient_occlusion",
        "height",
        "orm",
        "wood_mask",
        "preview",
        "before_after",
    }
    return stain_pb2.StainResult(
        texture_id=group_id(row["id"]),
        target_color=stage_options(row, Kind.STAIN).target.hex,
        photos=[
            stain_pb2.StainedPhoto(
                photo_asset_id=photo["photo"],
                width=photo["width"],
                height=photo["height"],
                wood_share=photo["wood_share"],
                reached_color=photo["reached"],
                delta_e=photo["delta_e"],
                **_files(photo, names, find),
            )
            for photo in photos
        ],
        model_versions=photos[0]["models"],
    )


def _segment_result(row: dict[str, Any], made: dict[str, Any], find: Find) -> segment_pb2.SegmentResult:
    photos = made["photos"]
    return segment_pb2.SegmentResult(
        mask_set_id=group_id(row["id"]),
        photos=[_segmented_photo(photo, find) for photo in photos],
        components=sorted({part["name"] for photo in photos for part in photo["components"]}),
        model_versions=photos[0]["models"],
    )


def _segmented_photo(photo: dict[str, Any], find: Find) -> segment_pb2.SegmentedPhoto:
    components = []
    for part in photo["components"]:
        mask = find(photo["files"][f"mask-{part['instance']}"])
        components.append(
            segment_pb2.Component(
                name=part["name"],
                instance=part["instance"],
                material=part["material"],
                confidence=part["confidence"],
                box=segment_pb2.Box(**dict(zip(("left", "top", "right", "bottom"), part["box"], strict=True))),
                area_px=part["area_px"],
                mask=asset(mask) if mask else None,
                detector=DETECTOR_NUMBERS[Detector(part["detector"])],
            )
        )
    document = find(photo["files"]["components"])
    return segment_pb2.SegmentedPhoto(
        photo_asset_id=photo["photo"],
        width=photo["width"],
        height=photo["height"],
        components=components,
        document=asset(document) if document else None,
        **_files(photo, {"foreground", "wood", "overlay"}, find),
    )


MODEL_FIELDS = {"glb": "model.glb", "usdz": "model.usdz", "fbx": "model.fbx", "preview": "model-preview.png"}


def _reconstruct_result(row: dict[str, Any], made: dict[str, Any], find: Find) -> reconstruct_pb2.ReconstructResult:
    files: dict[str, str] = made["files"]
    known = {field: _one(files.get(name, ""), find) for field, name in MODEL_FIELDS.items()}
    extras = [id for name, id in files.items() if name not in MODEL_FIELDS.values()]
    return reconstruct_pb2.ReconstructResult(
        model_id=group_id(row["id"]),
        mode=MODE_NUMBERS[Mode(made["mode"])],
        report=reconstruct_pb2.CaptureReport(
            photos=len(made["photos"]),
            used_photo_asset_ids=[made["photos"][index] for index in made["used"]],
            points=made["points"],
            mean_reprojection_error_px=made["error_px"],
            coverage_deg=made["coverage_deg"],
            advice=made["advice"],
        ),
        vertices=made["vertices"],
        triangles=made["triangles"],
        dimensions=_dimensions(Dimensions(*made["dimensions"])),
        extras=_several(extras, find),
        **known,
    )


def _render_result(row: dict[str, Any], made: dict[str, Any], find: Find) -> render_pb2.RenderResult:
    videos: dict[str, Any] = {name: _one(id, find) for name, id in made["files"].items()}
    return render_pb2.RenderResult(
        render_id=group_id(row["id"]),
        width=made["width"],
        height=made["height"],
        thumbnails=_several(made["thumbnails"], find),
        frames=_several(made["frames"], find),
        **videos,
    )


def _export_result(row: dict[str, Any], made: dict[str, Any], find: Find) -> export_pb2.ExportResult:
    facts = made["facts"]
    files = [(MeshFormat(name), _one(id, find)) for name, id in made["files"].items()]
    return export_pb2.ExportResult(
        export_id=group_id(row["id"]),
        target=TARGET_NUMBERS[stage_options(row, Kind.EXPORT).target],
        files=[
            export_pb2.ExportedFile(format=MODEL_FORMAT_NUMBERS[format], file=file) for format, file in files if file
        ],
        levels=_several(made["levels"], find),
        report=_one(made["report"], find),
        facts=export_pb2.ModelFacts(
            size_bytes=facts["size_bytes"],
            triangles=facts["triangles"],
            vertices=facts["vertices"],
            draw_calls=facts["draw_calls"],
            materials=len(facts["materials"]),
            textures=len(facts["textures"]),
            dimensions=_dimensions(Dimensions(**facts["dimensions"])),
            meets=[TARGET_NUMBERS[Target(name)] for name in facts["meets"]],
        ),
    )


RESULTS: dict[Kind, Callable[[dict[str, Any], dict[str, Any], Find], Any]] = {
    Kind.SEGMENT: _segment_result,
    Kind.STAIN: _stain_result,
    Kind.RECONSTRUCT: _reconstruct_result,
    Kind.RENDER: _render_result,
    Kind.EXPORT: _export_result,
}
"""What writes each stage's result."""
