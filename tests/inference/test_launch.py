"""The launcher: Triton comes back when it dies, and leaves nothing behind when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from orchestrator.errors import ToolFailed
from orchestrator.inference.launch import SHARED_MEMORY, TritonServer
from orchestrator.settings import load
from tests.support.running_service import wait_for

SETTINGS = load()


def server(workdir: Path) -> TritonServer:
    return TritonServer(SETTINGS.model_repository, SETTINGS.triton_backends, workdir, models=["image_preprocess"])


def serves(triton: TritonServer) -> bool:
    with grpcclient.InferenceServerClient(triton.url) as client:
        try:
            return bool(client.is_model_ready("image_preprocess"))
        except InferenceServerException:
            return False


def test_a_killed_triton_comes_back_on_the_same_port_and_a_stopped_one_leaves_nothing(tmp_path: Path) -> None:
    with server(tmp_path) as triton:
        first = triton.pid
        group = os.getpgid(first)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: triton.pid not in (0, first) and triton.restarts == 1, 20)
        wait_for(lambda: serves(triton), 30)
        second = triton.pid
        region = triton._region
    for number in (group, second):
        with pytest.raises(ProcessLookupError):
            os.killpg(number, 0)
    assert not list(SHARED_MEMORY.glob(f"{region}*"))


def test_what_a_killed_heartwood_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = [tmp_path / f"backends-heartwood-{gone.pid}-0", SHARED_MEMORY / f"heartwood-{gone.pid}-0-region"]
    left[0].mkdir()
    left[1].touch()
    with server(tmp_path):
        assert not any(path.exists() for path in left)


def test_two_servers_run_side_by_side(tmp_path: Path) -> None:
    with server(tmp_path / "a") as one, server(tmp_path / "b") as other:
        assert one.url != other.url
        for each in (one, other):
            assert serves(each)


def test_a_model_that_does_not_load_is_told_with_the_log(tmp_path: Path) -> None:
    model = tmp_path / "models" / "broken"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.onnx").write_bytes(b"not an onnx file")
    (model / "config.pbtxt").write_text('name: "broken"\nbackend: "onnxruntime"\nmax_batch_size: 4\n')
    triton = TritonServer(tmp_path / "models", SETTINGS.triton_backends, tmp_path / "work")
    with pytest.raises(ToolFailed, match="Triton ended"):
        triton.start()
    assert triton.pid == 0
