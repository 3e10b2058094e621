"""The launcher restarts a Triton that died and removes everything when it stops."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from orchestrator.domain.model_versions import MODELS
from orchestrator.errors import CandidateRefused, ToolFailed
from orchestrator.inference.launch import SHARED_MEMORY, TritonServer
from orchestrator.inference.triton_client import TritonClient
from orchestrator.settings import Settings
from tests.support.running_service import wait_for

SETTINGS = Settings()


def small_server(workdir: Path, optional_repository: Path | None = None) -> TritonServer:
    """A server that loads only the preprocessing model."""
    return TritonServer(
        SETTINGS.model_repository,
        SETTINGS.triton_backends,
        workdir,
        models=["image_preprocess"],
        optional_repository=optional_repository,
    )


def is_ready(triton: TritonServer) -> bool:
    with grpcclient.InferenceServerClient(triton.url) as client:
        try:
            return bool(client.is_model_ready("image_preprocess"))
        except InferenceServerException:
            return False


def has_ended(group: int) -> bool:
    """Whether a process group has no processes any more."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_killed_triton_restarts_on_the_same_port_and_stop_leaves_no_process_or_memory(tmp_path: Path) -> None:
    with small_server(tmp_path) as triton:
        first_pid = triton.pid
        first_group = os.getpgid(first_pid)
        os.kill(first_pid, signal.SIGKILL)
        wait_for(lambda: triton.pid not in (0, first_pid) and triton.restarts == 1, 20)
        wait_for(lambda: is_ready(triton), 30)
        second_pid = triton.pid
        command_line = Path(f"/proc/{second_pid}/cmdline")
        wait_for(lambda: triton.control.value.encode() not in command_line.read_bytes(), 5)
        region = triton._instance_name
    for group in (first_group, second_pid):
        wait_for(partial(has_ended, group), 5)  # init reaps killed stub processes
    assert not list(SHARED_MEMORY.glob(f"{region}*"))


def test_triton_restarts_when_a_backend_process_died(tmp_path: Path) -> None:
    with small_server(tmp_path) as triton:
        first_pid = triton.pid
        (stub,) = psutil.Process(first_pid).children()
        stub.kill()
        wait_for(lambda: triton.pid not in (0, first_pid) and triton.restarts == 1, 20)
        wait_for(lambda: is_ready(triton), 30)


def test_start_removes_what_a_killed_heartwood_left(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    folder = tmp_path / f"backends-heartwood-{dead.pid}-0"
    region = SHARED_MEMORY / f"heartwood-{dead.pid}-0-region"
    folder.mkdir()
    region.touch()
    with small_server(tmp_path):
        assert not folder.exists()
        assert not region.exists()


def test_a_broken_optional_model_does_not_prevent_the_start_and_is_refused_with_the_reason(tmp_path: Path) -> None:
    broken = tmp_path / "optional" / "sam2"
    (broken / "1").mkdir(parents=True)
    (broken / "1" / "model.onnx").write_bytes(b"half of the weights")
    (broken / "config.pbtxt").write_text('name: "sam2"\nbackend: "onnxruntime"\nmax_batch_size: 1\n')
    with small_server(tmp_path / "triton", tmp_path / "optional") as triton:
        assert is_ready(triton)
        client = TritonClient(triton.url, control=triton.control)
        assert client.in_repository("sam2")
        assert not client.in_repository("owlv2")
        with pytest.raises(CandidateRefused, match="Triton cannot load the model"):
            client.load_from_repository("sam2")
        client.close()
        assert is_ready(triton)


def test_server_whose_backends_together_pass_its_memory_limit_ends_and_is_not_restarted(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    limited = TritonServer(
        nothing,
        SETTINGS.triton_backends,
        tmp_path / "triton",
        optional_repository=SETTINGS.model_repository,
        memory_bytes=500 << 20,  # Triton takes 150 MB, and each model at least 150 MB
    )
    with limited as triton:
        client = TritonClient(triton.url, control=triton.control)
        for model in MODELS:
            with suppress(CandidateRefused):
                client.load_from_repository(model)
        wait_for(lambda: triton.failure, 5)
        assert "used more than 500 MB of memory" in str(triton.failure)
        wait_for(lambda: triton.pid == 0, 5)
        client.close()
        assert triton.restarts == 0


def test_two_servers_run_at_the_same_time(tmp_path: Path) -> None:
    with small_server(tmp_path / "a") as first, small_server(tmp_path / "b") as second:
        assert first.url != second.url
        assert is_ready(first)
        assert is_ready(second)


def test_model_that_cannot_be_loaded_raises_with_the_log(tmp_path: Path) -> None:
    model = tmp_path / "models" / "broken"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.onnx").write_bytes(b"not an onnx file")
    (model / "config.pbtxt").write_text('name: "broken"\nbackend: "onnxruntime"\nmax_batch_size: 4\n')
    triton = TritonServer(tmp_path / "models", SETTINGS.triton_backends, tmp_path / "work")
    with pytest.raises(ToolFailed, match="Triton ended"):
        triton.start()
    assert triton.pid == 0
