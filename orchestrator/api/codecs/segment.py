"""Protos of the segment stage."""

from __future__ import annotations

from orchestrator.api.enums import EnumCodec
from orchestrator.api.fields import required, write_file
from orchestrator.domain.segment import Box, Detector, Point, Prompt, SegmentOptions
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.segment import Component, SegmentedPhoto, SegmentResult
from orchestrator.protocol.heartwood.v1 import segment_pb2

DETECTORS = EnumCodec(segment_pb2.DetectorKind, "DETECTOR_KIND", Detector)


def read_options(message: segment_pb2.SegmentOptions) -> SegmentOptions:
    """The options of a proto. The default detector is PROMPTS if there are prompts, else LOCAL."""
    prompts = tuple(_read_prompt(index, prompt) for index, prompt in enumerate(message.prompts))
    detector = Detector.PROMPTS if prompts else Detector.LOCAL
    if message.detector != segment_pb2.DETECTOR_KIND_UNSPECIFIED:
        detector = DETECTORS.read("segment.detector", message.detector)
    return SegmentOptions(
        detect_components=message.detect_components if message.HasField("detect_components") else True,
        detect_wood=message.detect_wood if message.HasField("detect_wood") else True,
        detector=detector,
        prompts=prompts,
    )


def write_options(options: SegmentOptions) -> segment_pb2.SegmentOptions:
    """The proto of the options."""
    return segment_pb2.SegmentOptions(
        detect_components=options.detect_components,
        detect_wood=options.detect_wood,
        detector=DETECTORS.write(options.detector),
        prompts=[_write_prompt(prompt) for prompt in options.prompts],
    )


def write_result(result: SegmentResult, job: Job) -> segment_pb2.SegmentResult:
    """The proto of the result."""
    return segment_pb2.SegmentResult(
        mask_set_id=job.group_id,
        photos=[_write_photo(photo, job) for photo in result.photos],
        components=sorted({component.name for photo in result.photos for component in photo.components}),
        model_versions=result.photos[0].model_versions,
    )


def write_box(box: Box) -> segment_pb2.Box:
    """The proto of a box."""
    return segment_pb2.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom)


def _read_prompt(index: int, message: segment_pb2.Prompt) -> Prompt:
    box = message.box
    return Prompt(
        name=required(f"segment.prompts[{index}].name", message.name),
        box=Box(box.left, box.top, box.right, box.bottom) if message.HasField("box") else None,
        points=tuple(Point(point.x, point.y, not point.outside) for point in message.points),
        photo=message.photo,
    )


def _write_prompt(prompt: Prompt) -> segment_pb2.Prompt:
    return segment_pb2.Prompt(
        name=prompt.name,
        box=write_box(prompt.box) if prompt.box else None,
        points=[segment_pb2.Point(x=point.x, y=point.y, outside=not point.inside) for point in prompt.points],
        photo=prompt.photo,
    )


def _write_photo(photo: SegmentedPhoto, job: Job) -> segment_pb2.SegmentedPhoto:
    return segment_pb2.SegmentedPhoto(
        photo_asset_id=photo.photo_id,
        width=photo.width,
        height=photo.height,
        components=[_write_component(component, job) for component in photo.components],
        foreground=write_file(photo.foreground, job),
        wood=write_file(photo.wood, job),
        overlay=write_file(photo.overlay, job),
        document=write_file(photo.document, job),
    )


def _write_component(component: Component, job: Job) -> segment_pb2.Component:
    return segment_pb2.Component(
        name=component.name,
        instance=component.instance,
        material=component.material,
        confidence=component.confidence,
        box=write_box(component.box),
        area_px=component.area_px,
        mask=write_file(component.mask, job),
        detector=DETECTORS.write(Detector(component.detector)),
    )
