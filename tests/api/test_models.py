"""3D models over real gRPC: rendered and exported by the real Blender, ffmpeg, glTF tools and USD."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from PIL import Image

from orchestrator.client.client import ApiError, Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2, export_pb2, job_pb2, render_pb2
from tests.support.bad_meshes import CORPUS
from tests.support.meshes import HEIGHT_M, WIDTH_M, stool, write_stool
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for

SMALL = render_pb2.RenderOptions(frames=12, width=192, height=128, seconds=2)


def read(client: Heartwood, asset: asset_pb2.Asset) -> bytes:
    return b"".join(client.read(asset))


@pytest.fixture(scope="session")
def model_id(client: Heartwood, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An uploaded stool."""
    return client.upload_model(write_stool(tmp_path_factory.mktemp("model") / "stool.glb"))


@pytest.fixture(scope="session")
def turntable(client: Heartwood, model_id: str) -> tuple[list[job_pb2.Job], job_pb2.Job]:
    """Everything that a watcher saw of a render job, and the job when it had ended."""
    job = client.render(model_id, SMALL, quality=job_pb2.QUALITY_PREVIEW)
    seen = list(client.watch(job.id))
    return seen, client.wait(job.id)


def test_a_render_gives_back_what_the_gateway_shows(client: Heartwood, turntable: tuple[list, job_pb2.Job]) -> None:
    made = turntable[1].render
    assert (made.width, made.height) == (96, 64)  # PREVIEW: half
    assert made.mp4.media_type == "video/mp4"
    assert read(client, made.mp4)[4:8] == b"ftyp"
    assert Image.open(io.BytesIO(read(client, made.gif))).n_frames == 12
    assert len(made.thumbnails) == 4
    assert not made.frames
    logs = {asset.name for asset in client.list_assets(made.render_id) if asset.name.startswith("logs/")}
    assert "logs/render/blender-0/blender.log" in logs


def test_a_render_tells_of_its_frames_and_shows_the_first(turntable: tuple[list, job_pb2.Job]) -> None:
    seen, job = turntable
    messages = {one.progress.message for one in seen}
    # Frames this small take less than the 0.2 s between two reports: some are skipped, never all but one.
    assert len({message for message in messages if message.startswith("frame ")}) >= 2
    fractions = [one.progress.fraction for one in seen]
    assert fractions == sorted(fractions)
    assert any(one.progress.preview_asset_ids for one in seen if one.progress.fraction < 0.9)
    assert job.progress.preview_asset_ids


def test_the_same_frames_are_never_rendered_twice(
    client: Heartwood, service: RunningService, model_id: str, turntable: tuple[list, job_pb2.Job]
) -> None:
    options = render_pb2.RenderOptions(keep_frames=True, formats=[render_pb2.VIDEO_FORMAT_GIF])
    options.MergeFrom(SMALL)
    again = client.wait(client.render(model_id, options, quality=job_pb2.QUALITY_PREVIEW).id)
    assert len(again.render.frames) == 12
    assert not again.render.HasField("mp4")
    assert not [event for event in service.events("frame_rendered") if event["job"] == again.id]
    assert again.render.gif.sha256 == turntable[1].render.gif.sha256


def test_a_stain_job_s_texture_goes_onto_the_model(
    client: Heartwood, model_id: str, upload_id: str, turntable: tuple[list, job_pb2.Job]
) -> None:
    stain = client.wait(client.stain(upload_id, color="#203A6B").id).stain
    options = render_pb2.RenderOptions(
        texture=render_pb2.WoodTexture(texture_id=stain.texture_id, materials=["wood"]),
        formats=[render_pb2.VIDEO_FORMAT_GIF],
        keep_frames=True,
    )
    options.MergeFrom(SMALL)
    job = client.wait(client.render(model_id, options, quality=job_pb2.QUALITY_PREVIEW).id)
    files = client.list_assets(turntable[1].render.render_id)
    first = next(asset for asset in files if asset.name.endswith("frame-000.png"))
    before, after = (pixels(read(client, asset)) for asset in (first, job.render.frames[0]))
    wood = before[..., 0] - before[..., 2] > 20
    assert wood.sum() > 50
    change = (after - before)[wood].mean(0)
    assert change[0] - change[2] < -20  # less red and more blue, by more than the noise of a few samples


def test_an_export_gives_back_checked_files(client: Heartwood, model_id: str) -> None:
    formats = [export_pb2.MODEL_FORMAT_GLB, export_pb2.MODEL_FORMAT_USDZ, export_pb2.MODEL_FORMAT_OBJ]
    made = client.wait(client.export(model_id, export_pb2.ExportOptions(formats=formats)).id).export
    assert [file.format for file in made.files] == formats
    glb, usdz, obj = (read(client, file.file) for file in made.files)
    assert glb[:4] == b"glTF"
    assert zipfile.ZipFile(io.BytesIO(usdz)).namelist()[0].endswith((".usdc", ".usda"))
    assert any(name.endswith(".mtl") for name in zipfile.ZipFile(io.BytesIO(obj)).namelist())
    assert export_pb2.EXPORT_TARGET_WEB in made.facts.meets
    assert made.facts.dimensions.width_m == pytest.approx(WIDTH_M, abs=1e-3)
    assert made.facts.dimensions.height_m == pytest.approx(HEIGHT_M, abs=1e-3)
    report = json.loads(read(client, made.report))
    assert report


def test_what_an_export_made_can_be_rendered(client: Heartwood, model_id: str) -> None:
    stl = export_pb2.ExportOptions(formats=[export_pb2.MODEL_FORMAT_STL])
    made = client.wait(client.export(model_id, stl).id).export
    job = client.wait(client.render(made.export_id, SMALL, quality=job_pb2.QUALITY_PREVIEW).id)
    assert job.render.HasField("mp4")


def test_a_canceled_render_leaves_no_process(client: Heartwood, service: RunningService, model_id: str) -> None:
    large = render_pb2.RenderOptions(frames=72, width=1280, height=720)
    job = client.render(model_id, large)
    us = psutil.Process(service.process.pid)
    blenders = wait_for(lambda: [one for one in us.children(recursive=True) if is_blender(one)], 30)
    client.cancel(job.id)
    with pytest.raises(ApiError, match="canceled"):
        client.wait(job.id)
    assert not [one for one in blenders if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert not (service.data_dir / "work" / job.id).exists()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


def is_blender(process: psutil.Process) -> bool:
    try:
        return any("turntable.py" in part for part in process.cmdline())
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("name", CORPUS)
def test_a_bad_model_is_refused_over_the_wire(client: Heartwood, name: str, tmp_path: Path) -> None:
    case = CORPUS[name]
    with pytest.raises(ApiError) as refused:
        client.upload_bytes(case.data, case.filename, kind=asset_pb2.ASSET_KIND_MODEL)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.field in ("data", "header.size_bytes")
    assert str(tmp_path.parent) not in refused.value.message


def test_a_photo_is_no_model_and_a_model_is_no_photo(client: Heartwood, model_id: str, upload_id: str) -> None:
    with pytest.raises(ApiError, match="JPEG"):
        client.upload_bytes(jpeg(wood_photo()), "board.glb", kind=asset_pb2.ASSET_KIND_MODEL)
    with pytest.raises(ApiError, match="holds no photo"):
        client.stain(model_id, stain="walnut")
    with pytest.raises(ApiError) as missing:
        client.render(upload_id)
    assert missing.value.code is grpc.StatusCode.NOT_FOUND


def test_another_tenant_s_model_and_texture_are_not_found(
    client: Heartwood, service: RunningService, model_id: str, upload_id: str
) -> None:
    texture_id = client.wait(client.stain(upload_id, stain="walnut").id).stain.texture_id
    with service.client("model-rival") as rival:
        own = rival.upload_bytes(stool().export(file_type="glb"), "own.glb", kind=asset_pb2.ASSET_KIND_MODEL).group_id
        for call in (
            lambda: rival.render(model_id),
            lambda: rival.export(model_id),
            lambda: rival.render(own, render_pb2.RenderOptions(texture={"texture_id": texture_id})),
        ):
            with pytest.raises(ApiError) as refused:
                call()
            assert refused.value.code is grpc.StatusCode.NOT_FOUND
