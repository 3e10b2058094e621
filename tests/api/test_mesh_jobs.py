"""Render and export jobs over real gRPC, with the real Blender, ffmpeg, glTF tools and USD."""

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

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2, export_pb2, job_pb2, render_pb2
from tests.support.bad_meshes import CORPUS
from tests.support.meshes import HEIGHT_M, WIDTH_M, stool, write_stool
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for

SMALL = render_pb2.RenderOptions(frames=12, width=192, height=128, seconds=2)


def read(client: Heartwood, asset: asset_pb2.Asset) -> bytes:
    return b"".join(client.read(asset))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


@pytest.fixture(scope="session")
def model_id(client: Heartwood, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An uploaded stool."""
    return client.upload_model(write_stool(tmp_path_factory.mktemp("mesh") / "stool.glb"))


@pytest.fixture(scope="session")
def turntable(client: Heartwood, model_id: str) -> tuple[list[job_pb2.Job], job_pb2.Job]:
    """All updates of a watched render job, and the finished job."""
    job = client.render(model_id, SMALL, quality=job_pb2.QUALITY_PREVIEW)
    updates = list(client.watch(job.id))
    return updates, client.wait(job.id)


def test_render_result_has_videos_thumbnails_and_logs(
    client: Heartwood, turntable: tuple[list[job_pb2.Job], job_pb2.Job]
) -> None:
    result = turntable[1].render
    assert (result.width, result.height) == (96, 64)  # PREVIEW renders at half size
    assert result.mp4.media_type == "video/mp4"
    assert read(client, result.mp4)[4:8] == b"ftyp"
    assert Image.open(io.BytesIO(read(client, result.gif))).n_frames == 12
    assert len(result.thumbnails) == 4
    assert not result.frames
    logs = {asset.name for asset in client.list_assets(result.render_id) if asset.name.startswith("logs/")}
    assert "logs/render/blender-0/blender.log" in logs


def test_render_progress_counts_frames_and_shows_the_first_one(
    turntable: tuple[list[job_pb2.Job], job_pb2.Job],
) -> None:
    updates, job = turntable
    messages = {update.progress.message for update in updates}
    # Frames of this size take less than the 0.2 s between two reports, so some of them are not reported.
    assert len({message for message in messages if message.startswith("frame ")}) >= 2
    fractions = [update.progress.fraction for update in updates]
    assert fractions == sorted(fractions)
    assert any(update.progress.preview_asset_ids for update in updates if update.progress.fraction < 0.9)
    assert job.progress.preview_asset_ids


def test_second_render_reuses_the_frames_of_the_first(
    client: Heartwood, service: RunningService, model_id: str, turntable: tuple[list[job_pb2.Job], job_pb2.Job]
) -> None:
    options = render_pb2.RenderOptions(keep_frames=True, formats=[render_pb2.VIDEO_FORMAT_GIF])
    options.MergeFrom(SMALL)
    job = client.wait(client.render(model_id, options, quality=job_pb2.QUALITY_PREVIEW).id)
    assert len(job.render.frames) == 12
    assert not job.render.HasField("mp4")
    assert not [event for event in service.events("frame_rendered") if event["job"] == job.id]
    assert job.render.gif.sha256 == turntable[1].render.gif.sha256


def test_texture_of_a_stain_job_replaces_the_wood(
    client: Heartwood, model_id: str, upload_id: str, turntable: tuple[list[job_pb2.Job], job_pb2.Job]
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
    first_frame = next(asset for asset in files if asset.name.endswith("frame-000.png"))
    before, after = (pixels(read(client, asset)) for asset in (first_frame, job.render.frames[0]))
    wood = before[..., 0] - before[..., 2] > 20
    assert wood.sum() > 50
    change = (after - before)[wood].mean(0)
    assert change[0] - change[2] < -20  # less red and more blue, by more than the noise


def test_export_result_has_files_in_the_requested_formats(client: Heartwood, model_id: str) -> None:
    formats = [export_pb2.MODEL_FORMAT_GLB, export_pb2.MODEL_FORMAT_USDZ, export_pb2.MODEL_FORMAT_OBJ]
    result = client.wait(client.export(model_id, export_pb2.ExportOptions(formats=formats)).id).export
    assert [file.format for file in result.files] == formats
    glb, usdz, obj = (read(client, file.file) for file in result.files)
    assert glb[:4] == b"glTF"
    assert zipfile.ZipFile(io.BytesIO(usdz)).namelist()[0].endswith((".usdc", ".usda"))
    assert any(name.endswith(".mtl") for name in zipfile.ZipFile(io.BytesIO(obj)).namelist())
    assert export_pb2.EXPORT_TARGET_WEB in result.facts.meets
    assert result.facts.dimensions.width_m == pytest.approx(WIDTH_M, abs=1e-3)
    assert result.facts.dimensions.height_m == pytest.approx(HEIGHT_M, abs=1e-3)
    assert json.loads(read(client, result.report))


def test_result_of_an_export_can_be_rendered(client: Heartwood, model_id: str) -> None:
    stl = export_pb2.ExportOptions(formats=[export_pb2.MODEL_FORMAT_STL])
    result = client.wait(client.export(model_id, stl).id).export
    job = client.wait(client.render(result.export_id, SMALL, quality=job_pb2.QUALITY_PREVIEW).id)
    assert job.render.HasField("mp4")


def test_canceled_render_leaves_no_process_and_no_work_folder(
    client: Heartwood, service: RunningService, model_id: str
) -> None:
    job = client.render(model_id, render_pb2.RenderOptions(frames=72, width=1280, height=720))
    service_process = psutil.Process(service.process.pid)
    blenders = wait_for(
        lambda: [child for child in service_process.children(recursive=True) if runs_turntable_script(child)], 30
    )
    client.cancel(job.id)
    with pytest.raises(ApiError, match="canceled"):
        client.wait(job.id)
    assert not [process for process in blenders if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert not (service.data_dir / "work" / job.id).exists()


def runs_turntable_script(process: psutil.Process) -> bool:
    try:
        return any("turntable.py" in argument for argument in process.cmdline())
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("name", CORPUS)
def test_invalid_3d_model_is_rejected_on_upload(client: Heartwood, name: str, tmp_path: Path) -> None:
    case = CORPUS[name]
    with pytest.raises(ApiError) as rejected:
        client.upload_bytes(case.data, case.filename, kind=asset_pb2.ASSET_KIND_MODEL)
    assert rejected.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert rejected.value.field in ("data", "header.size_bytes")
    assert str(tmp_path.parent) not in rejected.value.message


def test_photo_cannot_be_used_as_3d_model_nor_3d_model_as_photo(
    client: Heartwood, model_id: str, upload_id: str
) -> None:
    with pytest.raises(ApiError, match="JPEG"):
        client.upload_bytes(jpeg(wood_photo()), "board.glb", kind=asset_pb2.ASSET_KIND_MODEL)
    with pytest.raises(ApiError, match="contains no photo"):
        client.stain(model_id, stain="walnut")
    with pytest.raises(ApiError) as missing:
        client.render(upload_id)
    assert missing.value.code is grpc.StatusCode.NOT_FOUND


def test_3d_model_and_texture_of_another_tenant_are_not_found(
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
            with pytest.raises(ApiError) as rejected:
                call()
            assert rejected.value.code is grpc.StatusCode.NOT_FOUND
