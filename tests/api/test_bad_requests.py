"""Invalid requests: each is refused as INVALID_ARGUMENT with its field, and the service keeps serving."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import (
    asset_pb2,
    cutout_pb2,
    export_pb2,
    job_pb2,
    model_pb2,
    model_pb2_grpc,
    pipeline_pb2,
    reconstruct_pb2,
    render_pb2,
    segment_pb2,
    stain_pb2,
)
from tests.support.bad_photos import CORPUS
from tests.support.pictures import jpeg, png, wood_photo
from tests.support.running_service import RunningService

Change = Callable[[job_pb2.CreateJobRequest], None]


def box(left: float, top: float, right: float, bottom: float, name: str = "leg", photo: int = 0) -> Change:
    def change(request: job_pb2.CreateJobRequest) -> None:
        corners = segment_pb2.Box(left=left, top=top, right=right, bottom=bottom)
        request.spec.segment.prompts.append(segment_pb2.Prompt(name=name, box=corners, photo=photo))

    return change


def point(x: float, y: float) -> Change:
    def change(request: job_pb2.CreateJobRequest) -> None:
        request.spec.segment.prompts.append(segment_pb2.Prompt(name="leg", points=[segment_pb2.Point(x=x, y=y)]))

    return change


def stain(**fields: object) -> Change:
    return lambda request: request.spec.stain.MergeFrom(stain_pb2.StainOptions(**fields))


def spec(**fields: object) -> Change:
    return lambda request: request.spec.MergeFrom(job_pb2.JobSpec(stain={"color": "#5A3B2E"}, **fields))


def reconstruct(**fields: object) -> Change:
    return lambda request: request.spec.reconstruct.MergeFrom(reconstruct_pb2.ReconstructOptions(**fields))


def on_mesh(change: Change) -> Change:
    """Apply ``change`` to a job that works on a 3D model and has no upload."""

    def changed(request: job_pb2.CreateJobRequest) -> None:
        request.spec.upload_id = ""
        change(request)

    return changed


def render(**fields: object) -> Change:
    options = render_pb2.RenderOptions(**{"model_id": "any", **fields})
    return on_mesh(lambda request: request.spec.render.MergeFrom(options))


def export(**fields: object) -> Change:
    options = export_pb2.ExportOptions(**{"model_id": "any", **fields})
    return on_mesh(lambda request: request.spec.export.MergeFrom(options))


def cutout(**fields: object) -> Change:
    return lambda request: request.spec.cutout.MergeFrom(cutout_pb2.CutoutOptions(**fields))


def pipeline(**fields: object) -> Change:
    return lambda request: request.spec.pipeline.MergeFrom(pipeline_pb2.PipelineOptions(**fields))


NAN = float("nan")
INFINITE = float("inf")
BAD: dict[str, tuple[Change, str]] = {
    "no stage": (lambda _: None, "spec.stage"),
    "no colour": (stain(), "spec.stain.target"),
    "word for a colour": (stain(color="brown"), "spec.stain.color"),
    "short colour": (stain(color="#FFF"), "spec.stain.color"),
    "long colour": (stain(color="#5A3B2E00"), "spec.stain.color"),
    "colour with odd digits": (stain(color="#GG0000"), "spec.stain.color"),
    "colour of another script": (stain(color="#５A3B2E"), "spec.stain.color"),
    "unknown stain": (stain(stain="unobtainium"), "spec.stain.stain"),
    "strength above": (stain(color="#5A3B2E", strength=1.01), "spec.stain.strength"),
    "strength below": (stain(color="#5A3B2E", strength=-0.1), "spec.stain.strength"),
    "strength NaN": (stain(color="#5A3B2E", strength=NAN), "spec.stain.strength"),
    "grain NaN": (stain(color="#5A3B2E", preserve_grain=NAN), "spec.stain.preserve_grain"),
    "grain infinite": (stain(color="#5A3B2E", preserve_grain=INFINITE), "spec.stain.preserve_grain"),
    "no coats": (stain(color="#5A3B2E", coats=0.0), "spec.stain.coats"),
    "many coats": (stain(color="#5A3B2E", coats=1e9), "spec.stain.coats"),
    "unknown region": (stain(color="#5A3B2E", region=9), "spec.stain.region"),
    "unknown format": (stain(color="#5A3B2E", format=9), "spec.stain.format"),
    "unknown material": (stain(color="#5A3B2E", made_of=[{"material": "gold"}]), "spec.stain.made_of[0].material"),
    "no material": (stain(color="#5A3B2E", made_of=[{"part": "leg"}]), "spec.stain.made_of[0].material"),
    "material of an unknown part": (
        stain(color="#5A3B2E", made_of=[{"material": "wood"}, {"part": "wing", "material": "wood"}]),
        "spec.stain.made_of[1].part",
    ),
    "two materials": (
        stain(color="#5A3B2E", made_of=[{"material": "wood"}, {"material": "metal"}]),
        "spec.stain.made_of[1]",
    ),
    "segment of an unknown material": (
        lambda request: request.spec.segment.MergeFrom(segment_pb2.SegmentOptions(made_of=[{"material": "gold"}])),
        "spec.segment.made_of[0].material",
    ),
    "unknown part": (stain(color="#5A3B2E", parts=["top", "wing"]), "spec.stain.parts[1]"),
    "part without a name": (stain(color="#5A3B2E", parts=[""]), "spec.stain.parts[0]"),
    "masks of no job": (stain(color="#5A3B2E", masks=[{"part": "top-1", "mask_asset_id": "any"}]), "spec.stain.masks"),
    "a pipeline's unknown part": (
        pipeline(stain={"color": "#5A3B2E", "parts": ["wing"]}),
        "spec.pipeline.stain.parts[0]",
    ),
    "unknown quality": (spec(quality=9), "spec.quality"),
    "unknown priority": (spec(priority=9), "spec.priority"),
    "deadline in the past": (spec(deadline=Timestamp(seconds=1)), "spec.deadline"),
    "deadline beyond time": (spec(deadline=Timestamp(seconds=2**62)), "spec.deadline"),
    "webhook without TLS": (spec(webhook_url="http://shop.test/done"), "spec.webhook_url"),
    "webhook inside": (spec(webhook_url="https://127.0.0.1/done"), "spec.webhook_url"),
    "webhook inside, IPv6": (spec(webhook_url="https://[::1]/done"), "spec.webhook_url"),
    "webhook on the metadata address": (spec(webhook_url="https://169.254.169.254/x"), "spec.webhook_url"),
    "webhook with a password": (spec(webhook_url="https://a:b@shop.test/"), "spec.webhook_url"),
    "webhook that is no URL": (spec(webhook_url="https://[oops"), "spec.webhook_url"),
    "label without a key": (spec(labels={"": "x"}), "spec.labels"),
    "long label": (spec(labels={"k": "x" * 256}), "spec.labels"),
    "many labels": (spec(labels={f"k{index}": "" for index in range(33)}), "spec.labels"),
    "long request id": (lambda request: setattr(request, "request_id", "x" * 129), "request_id"),
    "box outside": (box(700, 10, 800, 50), "spec.segment.prompts[0].box"),
    "box turned round": (box(100, 100, 50, 50), "spec.segment.prompts[0].box"),
    "box NaN": (box(NAN, 0, 10, 10), "spec.segment.prompts[0].box"),
    "empty box": (box(10, 10, 10, 10), "spec.segment.prompts[0].box"),
    "prompt without a name": (box(10, 10, 60, 60, name=""), "spec.segment.prompts[0].name"),
    "prompt of no photo": (box(10, 10, 60, 60, photo=3), "spec.segment.prompts[0].photo"),
    "prompt of photo -1": (box(10, 10, 60, 60, photo=-1), "spec.segment.prompts[0].photo"),
    "point outside": (point(-4, 5), "spec.segment.prompts[0].points[0]"),
    "point infinite": (point(INFINITE, 5), "spec.segment.prompts[0].points[0]"),
    "prompts detector without prompts": (
        lambda request: request.spec.segment.MergeFrom(
            segment_pb2.SegmentOptions(detector=segment_pb2.DETECTOR_KIND_PROMPTS)
        ),
        "spec.segment.prompts",
    ),
    "unknown mode": (reconstruct(mode=9), "spec.reconstruct.mode"),
    "photogrammetry of one photo": (
        reconstruct(mode=reconstruct_pb2.RECONSTRUCT_MODE_PHOTOGRAMMETRY),
        "spec.reconstruct.mode",
    ),
    "trellis that is not configured": (
        reconstruct(provider=reconstruct_pb2.SINGLE_IMAGE_PROVIDER_TRELLIS),
        "spec.reconstruct.provider",
    ),
    "a chair of 30 metres": (reconstruct(dimensions={"height_m": 30}), "spec.reconstruct.dimensions.height_m"),
    "negative width": (reconstruct(dimensions={"width_m": -1}), "spec.reconstruct.dimensions.width_m"),
    "depth NaN": (reconstruct(dimensions={"depth_m": NAN}), "spec.reconstruct.dimensions.depth_m"),
    "odd texture size": (reconstruct(texture_size=1000), "spec.reconstruct.texture_size"),
    "few triangles": (reconstruct(max_triangles=3), "spec.reconstruct.max_triangles"),
    "render of nothing": (render(model_id=""), "spec.render.model_id"),
    "render of an upload": (
        lambda request: request.spec.render.MergeFrom(render_pb2.RenderOptions(model_id="any")),
        "spec.upload_id",
    ),
    "ten frames": (render(frames=10), "spec.render.frames"),
    "odd width": (render(width=1281), "spec.render.width"),
    "huge height": (render(height=100_000), "spec.render.height"),
    "negative height": (render(height=-2), "spec.render.height"),
    "unknown video": (render(formats=[9]), "spec.render.formats"),
    "unknown background": (render(background=9), "spec.render.background"),
    "elevation NaN": (render(elevation_deg=NAN), "spec.render.elevation_deg"),
    "camera under the floor": (render(elevation_deg=-80), "spec.render.elevation_deg"),
    "endless turn": (render(seconds=INFINITE), "spec.render.seconds"),
    "texture without an id": (render(texture={"width_m": 1}), "spec.render.texture.texture_id"),
    "wide board": (render(texture={"texture_id": "any", "width_m": 1e9}), "spec.render.texture.width_m"),
    "export of nothing": (export(model_id=""), "spec.export.model_id"),
    "unknown model format": (export(formats=[19]), "spec.export.formats"),
    "unknown target": (export(target=9), "spec.export.target"),
    "unknown mesh codec": (export(mesh_codec=9), "spec.export.mesh_codec"),
    "unknown texture codec": (export(texture_codec=9), "spec.export.texture_codec"),
    "many levels": (export(levels=9), "spec.export.levels"),
    "cutout on a named colour": (cutout(background="red"), "spec.cutout.background"),
    "cutout with a wide margin": (cutout(margin=0.6), "spec.cutout.margin"),
    "cutout margin NaN": (cutout(margin=NAN), "spec.cutout.margin"),
    "unknown cutout format": (cutout(format=9), "spec.cutout.format"),
    "a pipeline's cutout margin": (pipeline(cutout={"margin": -1}), "spec.pipeline.cutout.margin"),
    "a pipeline's own model": (pipeline(render={"model_id": "any"}), "spec.pipeline.render.model_id"),
    "a pipeline's stain without colour": (pipeline(stain={}), "spec.pipeline.stain.target"),
    "a pipeline's frames": (pipeline(render={"frames": 5}), "spec.pipeline.render.frames"),
    "a pipeline's nerf of one photo": (
        pipeline(reconstruct={"mode": reconstruct_pb2.RECONSTRUCT_MODE_NERF}),
        "spec.pipeline.reconstruct.mode",
    ),
    "openai without a key": (
        lambda request: request.spec.segment.MergeFrom(
            segment_pb2.SegmentOptions(detector=segment_pb2.DETECTOR_KIND_OPENAI)
        ),
        "spec.segment.detector",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_value_is_refused_with_its_field(client: Heartwood, upload_id: str, name: str) -> None:
    change, field = BAD[name]
    request = job_pb2.CreateJobRequest(spec=job_pb2.JobSpec(upload_id=upload_id))
    change(request)
    if field == "request_id":
        request.spec.stain.color = "#5A3B2E"
    with pytest.raises(ApiError) as refused:
        client._call(client._jobs.CreateJob, request)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT, refused.value.message
    assert refused.value.field == field
    assert refused.value.reason == "INVALID_INPUT"


def test_every_invalid_value_of_a_request_is_listed(client: Heartwood, upload_id: str) -> None:
    options = pipeline_pb2.PipelineOptions(
        segment=segment_pb2.SegmentOptions(made_of=[{"material": "gold"}, {"part": "wing", "material": "wood"}]),
        stain=stain_pb2.StainOptions(strength=2.0, coats=-1.0, format=9),
        render=render_pb2.RenderOptions(model_id="any", frames=7, width=33),
    )
    spec = job_pb2.JobSpec(upload_id=upload_id, pipeline=options, webhook_url="ftp://x", labels={"": "x"})
    with pytest.raises(ApiError, match="more invalid values") as refused:
        client._call(client._jobs.CreateJob, job_pb2.CreateJobRequest(spec=spec, request_id="r" * 129))
    fields = {violation.partition(":")[0] for violation in refused.value.violations}
    stain_fields = {"target", "strength", "coats", "format"}
    assert fields == {
        "request_id",
        "spec.labels",
        "spec.webhook_url",
        *(f"spec.pipeline.stain.{name}" for name in stain_fields),
        *(f"spec.pipeline.render.{name}" for name in ("model_id", "frames", "width")),
    }
    # The names of parts and materials depend on the detector, so they are checked when all values are valid.
    spec = job_pb2.JobSpec(upload_id=upload_id, segment=options.segment)
    with pytest.raises(ApiError) as refused:
        client._call(client._jobs.CreateJob, job_pb2.CreateJobRequest(spec=spec))
    fields = {violation.partition(":")[0] for violation in refused.value.violations}
    assert fields == {"spec.segment.made_of[0].material", "spec.segment.made_of[1].part"}


def test_a_request_with_very_many_invalid_values_is_refused_like_any_other(client: Heartwood, upload_id: str) -> None:
    outside = segment_pb2.Point(x=-1.0, y=-1.0)
    prompt = segment_pb2.Prompt(name="leg", points=[segment_pb2.Point(x=1, y=1), *[outside] * 255])
    spec = job_pb2.JobSpec(upload_id=upload_id, segment=segment_pb2.SegmentOptions(prompts=[prompt] * 64))
    with pytest.raises(ApiError, match=r"99 more invalid values") as refused:
        client._call(client._jobs.CreateJob, job_pb2.CreateJobRequest(spec=spec))
    assert refused.value.field == "spec.segment.prompts[0].points[1]"


def test_requests_with_very_long_lists_do_not_delay_other_tenants(
    service: RunningService, client: Heartwood, upload_id: str
) -> None:
    names = [f"p{number}" for number in range(30_000)]
    spec = job_pb2.JobSpec(upload_id=upload_id, stain=stain_pb2.StainOptions(stain="walnut", parts=names))
    ended = threading.Event()

    def flood() -> None:
        while not ended.is_set():
            with pytest.raises(ApiError) as refused:
                client._call(client._jobs.CreateJob, job_pb2.CreateJobRequest(spec=spec))
            assert refused.value.field == "spec.stain.parts"

    times = []
    with service.client("other") as other, ThreadPoolExecutor() as threads:
        floods = [threads.submit(flood) for _ in range(4)]
        for _ in range(20):
            started = time.monotonic()
            other.usage()
            times.append(time.monotonic() - started)
        ended.set()
    assert [task.result() for task in floods] == [None] * 4
    assert sorted(times)[10] < 0.2


def test_unknown_ids_are_not_found(client: Heartwood) -> None:
    for call in (
        lambda: client.job("nope"),
        lambda: client.cancel("../../x"),
        lambda: client.delete_job(""),
        lambda: list(client.watch("00000000-0000-0000-0000-000000000000")),
        lambda: list(client.read("%2e%2e")),
        lambda: client.stain("no-such-upload", stain="walnut"),
        lambda: client.upload_bytes(jpeg(wood_photo()), "a.jpg", upload_id="not-mine"),
    ):
        with pytest.raises(ApiError) as refused:
            call()
        assert refused.value.code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("character", ["a", "é", "🪑"])
def test_errors_about_long_values_reach_the_caller(client: Heartwood, upload_id: str, character: str) -> None:
    long = character * 50_000
    for call, code in (
        (lambda: client.job(long), grpc.StatusCode.NOT_FOUND),
        (lambda: client.delete_asset(long), grpc.StatusCode.NOT_FOUND),
        (lambda: client.stain(upload_id, stain=long), grpc.StatusCode.INVALID_ARGUMENT),
        (lambda: client.stain(upload_id, stain="walnut", labels={long: long}), grpc.StatusCode.INVALID_ARGUMENT),
        (lambda: client.stain(upload_id, stain="walnut", webhook_url=long), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(ApiError) as refused:
            call()
        assert refused.value.code is code, refused.value.message
        assert refused.value.reason


def test_a_mask_of_another_size_is_refused(client: Heartwood, upload_id: str) -> None:
    mask = client.upload_bytes(png(wood_photo(64, 64)), "mask.png", kind=asset_pb2.ASSET_KIND_MASK)
    with pytest.raises(ApiError, match="640×480") as refused:
        client.stain(upload_id, stain="walnut", options=stain_pb2.StainOptions(mask_asset_id=mask.id))
    assert refused.value.field == "spec.stain.mask_asset_id"


@pytest.mark.parametrize("name", [name for name, case in CORPUS.items() if case.rejected])
def test_an_invalid_photo_is_refused_at_upload(client: Heartwood, name: str) -> None:
    with pytest.raises(ApiError) as refused:
        client.upload_bytes(CORPUS[name].data, name)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.field in ("data", "header.size_bytes")


def test_invalid_page_tokens_and_lifetimes_are_refused(client: Heartwood, upload_id: str) -> None:
    for token in ("x", "W10=", "WyJhIl0=", "é"):
        with pytest.raises(ApiError) as refused:
            client._call(client._jobs.ListJobs, job_pb2.ListJobsRequest(page_token=token))
        assert refused.value.field == "page_token"
    with pytest.raises(ApiError) as refused:
        client._call(client._jobs.ListJobs, job_pb2.ListJobsRequest(page_size=5000))
    assert refused.value.field == "page_size"
    asset = next(client.list_assets(upload_id))
    with pytest.raises(ApiError) as refused:
        client.sign_url(asset.id, timedelta(days=8))
    assert refused.value.field == "lifetime"


def test_calls_without_a_valid_token_are_unauthenticated(service: RunningService) -> None:
    for token in ("", "wrong", "hw_" + "A" * 43):
        with Heartwood(service.address, token) as stranger, pytest.raises(ApiError) as refused:
            stranger.stains()
        assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED
        assert refused.value.reason == "UNAUTHENTICATED"


def test_the_service_still_serves_after_invalid_requests(client: Heartwood, upload_id: str) -> None:
    assert client.wait(client.stain(upload_id, stain="walnut").id).stain.photos


@pytest.mark.parametrize("seconds", [-5, 2**62])
def test_a_deployment_with_an_invalid_time_is_refused(service: RunningService, seconds: int) -> None:
    header = model_pb2.DeployModelRequest.Header(model="segmentation", version=9, shadow_timeout={"seconds": seconds})
    with service.client("local") as client, grpc.insecure_channel(service.address) as channel:
        method = model_pb2_grpc.ModelServiceStub(channel).DeployModel
        with pytest.raises(ApiError) as refused:
            list(client._stream(method, iter([model_pb2.DeployModelRequest(header=header)])))
    assert refused.value.field == "header.shadow_timeout"


def test_a_filter_with_more_labels_than_a_job_can_have_is_refused(client: Heartwood) -> None:
    labels = {f"key{number}": "value" for number in range(5000)}
    for answer in (
        lambda: client._call(client._jobs.ListJobs, job_pb2.ListJobsRequest(labels=labels)),
        lambda: next(client._stream(client._jobs.WatchJobs, job_pb2.WatchJobsRequest(labels=labels), timeout_s=10)),
    ):
        with pytest.raises(ApiError, match="5000 labels; at most 32 are allowed"):
            answer()
