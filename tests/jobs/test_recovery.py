"""Recovery of jobs after a crash of the service or of Triton."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import job_pb2, render_pb2, stain_pb2
from tests.support.meshes import write_stool
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for

STAIN_FILES = [field.name for field in stain_pb2.StainedPhoto.DESCRIPTOR.fields if field.message_type]
PHOTO = jpeg(wood_photo(3000, 2250, seed=40))


def start_stain(client: Heartwood) -> str:
    return client.stain(client.upload_bytes(PHOTO, "board.jpg").group_id, stain="walnut").id


def contents(job: job_pb2.Job) -> dict[str, str]:
    return {name: getattr(job.stain.photos[0], name).sha256 for name in STAIN_FILES}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> dict[str, str]:
    """SHA-256 of every file of the job when nothing is interrupted."""
    service = RunningService(tmp_path_factory.mktemp("uninterrupted"), triton_url)
    with service.client() as client:
        files = contents(client.wait(start_stain(client)))
    service.stop()
    return files


def test_a_job_continues_after_a_crash_without_repeating_finished_steps(
    tmp_path: Path, triton_url: str, uninterrupted: dict[str, str]
) -> None:
    service, step = RunningService(tmp_path, triton_url), "stain"
    with service.client() as client:
        job_id = start_stain(client)
        wait_for(lambda: any(event["step"] == step for event in service.events("step_started")), 60, 0.01)
        service.kill()
    finished = {event["step"] for event in service.events("step_finished")}
    assert step not in finished
    service.start()
    with service.client() as client:
        job = client.wait(job_id)
    assert contents(job) == uninterrupted
    started = [event["step"] for event in service.events("step_started")]
    for name in finished:
        assert started.count(name) == 1, f"step {name} had finished and was repeated"
    assert started.count(step) == 2
    assert service.stop() == 0


def test_finished_frames_are_not_rendered_again_after_a_crash(tmp_path: Path, triton_url: str) -> None:
    service = RunningService(tmp_path / "data", triton_url)
    with service.client() as client:
        model_id = client.upload_model(write_stool(tmp_path / "stool.glb"))
        options = render_pb2.RenderOptions(frames=24, width=256, height=256, formats=[render_pb2.VIDEO_FORMAT_MP4])
        job_id = client.render(model_id, options, quality=job_pb2.QUALITY_PREVIEW).id
        wait_for(lambda: len(service.events("frame_rendered")) >= 3, 120, 0.01)
        blenders = psutil.Process(service.process.pid).children(recursive=True)
        service.kill()
    wait_for(lambda: not any(process.is_running() for process in blenders), 15)  # they end with the service
    before = {event["frame"] for event in service.events("frame_rendered")}
    assert len(before) < 24
    service.start()
    with service.client() as client:
        job = client.wait(job_id)
        assert job.render.HasField("mp4")
    rendered = [event["frame"] for event in service.events("frame_rendered")]
    assert sorted(rendered) == list(range(24))
    assert not (service.data_dir / "work" / job_id).exists()
    assert service.stop() == 0


def test_a_render_in_progress_ends_within_the_drain_time_and_continues_later(tmp_path: Path, triton_url: str) -> None:
    service = RunningService(tmp_path / "data", triton_url, drain_s=1)
    with service.client() as client:
        model_id = client.upload_model(write_stool(tmp_path / "stool.glb"))
        options = render_pb2.RenderOptions(frames=24, width=256, height=256, formats=[render_pb2.VIDEO_FORMAT_MP4])
        job_id = client.render(model_id, options, quality=job_pb2.QUALITY_PREVIEW).id
        wait_for(lambda: service.events("frame_rendered"), 120, 0.01)
    started = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - started < 12  # 1 s to drain, and the exit of the process on a busy machine
    assert "Traceback" not in service.log.read_text()
    assert programs_of(service) == []
    service.start()
    with service.client() as client:
        assert client.wait(job_id).render.HasField("mp4")
    assert service.stop() == 0


def programs_of(service: RunningService) -> list[str]:
    """The command lines of the programs that use the data folder of a service."""
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(service.data_dir) in line:
            lines.append(line)
    return lines


def test_a_job_survives_a_crash_of_triton(tmp_path: Path, uninterrupted: dict[str, str]) -> None:
    service = RunningService(tmp_path)
    with service.client() as client:
        (triton,) = [pid for pid in service.children() if is_triton(pid)]
        job_id = start_stain(client)
        wait_for(lambda: service.events("step_started"), 30, 0.01)
        os.kill(triton, signal.SIGKILL)
        job = client.wait(job_id)
        assert contents(job) == uninterrupted
        assert triton not in service.children()
    assert service.stop() == 0


def is_triton(pid: int) -> bool:
    return b"tritonserver" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_triton_ends_when_the_service_is_killed(tmp_path: Path) -> None:
    service = RunningService(tmp_path)
    tritons = [pid for pid in service.children() if is_triton(pid)]
    assert tritons
    service.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in tritons), 15)
