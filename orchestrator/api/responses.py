"""Writes assets and jobs as the protos of ``heartwood.v1``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator.api import requests
from orchestrator.api.heartwood.v1 import asset_pb2, job_pb2, segment_pb2, stain_pb2
from orchestrator.api.status import status
from orchestrator.domain import Asset, Detector, JobState, Quality, SegmentOptions, SrgbColor, StainOptions
from orchestrator.jobs.artifacts import group_id
from orchestrator.jobs.spec import Priority, options_from_json

STAIN_FILES = {"height": "height_map"}
"""File name → field, where they differ: ``height`` is the picture's in pixels."""


def _turned(known: dict[Any, Any]) -> dict[Any, Any]:
    # The first entry wins, so that UNSPECIFIED, which comes first, is skipped by its number.
    return {value: number for number, value in known.items() if number != 0}


KIND_NUMBERS = _turned(requests.ASSET_KINDS)
STATE_NUMBERS = _turned(requests.STATES)
QUALITY_NUMBERS = _turned(requests.QUALITIES)
PRIORITY_NUMBERS = _turned(requests.PRIORITIES)
DETECTOR_NUMBERS = _turned(requests.DETECTORS)
REGION_NUMBERS = _turned(requests.REGIONS)
FORMAT_NUMBERS = _turned(requests.FORMATS)


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
    )


def job(row: dict[str, Any], queue_position: int, find: Callable[[str], Asset | None]) -> job_pb2.Job:
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
    if row["state"] == JobState.SUCCEEDED.value and row["kind"] == "segment":
        made.segment.CopyFrom(_segment_result(row, find))
    if row["state"] == JobState.SUCCEEDED.value and row["kind"] == "stain":
        made.stain.CopyFrom(_stain_result(row, find))
    return made


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
    if isinstance(options, SegmentOptions):
        spec.segment.CopyFrom(_segment_options(options))
    else:
        spec.stain.CopyFrom(_stain_options(options))
    return spec


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


def _files(photo: dict[str, Any], names: set[str], find: Callable[[str], Asset | None]) -> dict[str, asset_pb2.Asset]:
    found = {}
    for name, id in photo["files"].items():
        one = find(id) if name in names else None
        if one is not None:  # it may have been deleted since
            found[STAIN_FILES.get(name, name)] = asset(one)
    return found


def _stain_result(row: dict[str, Any], find: Callable[[str], Asset | None]) -> stain_pb2.StainResult:
    photos = row["result"]["photos"]
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
        target_color=SrgbColor(**row["options"]["target"]).hex,
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


def _segment_result(row: dict[str, Any], find: Callable[[str], Asset | None]) -> segment_pb2.SegmentResult:
    photos = row["result"]["photos"]
    return segment_pb2.SegmentResult(
        mask_set_id=group_id(row["id"]),
        photos=[_segmented_photo(photo, find) for photo in photos],
        components=sorted({part["name"] for photo in photos for part in photo["components"]}),
        model_versions=photos[0]["models"],
    )


def _segmented_photo(photo: dict[str, Any], find: Callable[[str], Asset | None]) -> segment_pb2.SegmentedPhoto:
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
