"""Only the holder of the secret header can change what Triton serves; everybody on the machine can infer."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from orchestrator.domain.model_versions import MODELS
from orchestrator.errors import FailedPrecondition
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.models import TritonModels
from orchestrator.inference.triton_client import TritonClient
from orchestrator.inference.triton_control import ControlHeader
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService

MODEL = MODELS[0]
TRACES = {"trace_file": "/tmp/a"}  # noqa: S108 - is never written
CALLS: dict[str, Callable[[Any, dict[str, str] | None], object]] = {
    "load": lambda client, headers: client.load_model(MODEL, headers=headers),
    "unload": lambda client, headers: client.unload_model(MODEL, headers=headers),
    "index": lambda client, headers: client.get_model_repository_index(headers=headers),
    "trace": lambda client, headers: client.update_trace_settings(settings=TRACES, headers=headers),
    "log": lambda client, headers: client.update_log_settings({"log_verbose_level": 9}, headers=headers),
}
PATHS = (
    f"v2/repository/models/{MODEL}/unload",
    "v2/repository/index",
    "v2/trace/setting",
    f"v2/models/{MODEL}/trace/setting",
    "v2/logging",
)


@pytest.fixture
def outsider(triton: TritonServer) -> Iterator[grpcclient.InferenceServerClient]:
    with grpcclient.InferenceServerClient(triton.url) as client:
        yield client


@pytest.mark.parametrize("name", CALLS)
def test_control_call_without_the_secret_is_refused(outsider: grpcclient.InferenceServerClient, name: str) -> None:
    for control in (None, ControlHeader("heartwood-control", "guess"), ControlHeader("heartwood-control", "")):
        with pytest.raises(InferenceServerException, match="restricted"):
            CALLS[name](outsider, control.metadata if control else None)


@pytest.mark.parametrize("path", PATHS)
def test_http_control_call_without_the_secret_is_refused(triton: TritonServer, path: str) -> None:
    request = urllib.request.Request(f"http://{triton.http_url}/{path}", b"{}", method="POST")
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)  # noqa: S310 - http
    refused.value.close()
    assert refused.value.code == 403


def test_the_shared_memory_of_a_service_is_closed_to_others(tmp_path: Path) -> None:
    service = RunningService(tmp_path)
    with service.client() as client, grpcclient.InferenceServerClient(service.own_triton_url) as outsider:
        with pytest.raises(InferenceServerException, match="restricted"):
            outsider.register_system_shared_memory("guess", "/guess", 4096)
        client.wait(client.segment(client.upload_bytes(jpeg(wood_photo(640, 480)), "board.jpg").group_id).id)
        assert service.events("shared_memory_unused") == []  # the service itself used it
        with pytest.raises(InferenceServerException, match="restricted"):
            outsider.get_system_shared_memory_status()
    assert service.stop() == 0


def test_the_orchestrator_controls_triton_and_everybody_can_infer(triton: TritonServer) -> None:
    orchestrator, other = TritonClient(triton.url, control=triton.control), TritonModels(triton.url)
    assert orchestrator.in_repository(MODEL)
    assert other.analyze(wood_photo(64, 64)).albedo_linear.shape == (64, 64, 3)
    with pytest.raises(FailedPrecondition, match="HEARTWOOD_TRITON_CONTROL_HEADER"):
        other.triton.unload(MODEL)
    orchestrator.close()
    other.close()


def test_the_secret_is_in_no_command_line_and_no_log(triton: TritonServer) -> None:
    command_line = Path(f"/proc/{triton.pid}/cmdline").read_bytes().decode()
    assert "--grpc-restricted-protocol" in command_line
    log = Path(command_line.partition("--backend-directory=")[2].partition("\0")[0]).parent / "triton.log"
    assert triton.control.value not in command_line + log.read_text() + repr(triton.control)
