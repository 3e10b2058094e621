"""Health, reflection, error codes, TLS, and start and stop of the server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from orchestrator import errors
from orchestrator.api.status import CODES
from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for


def test_health_is_serving(service: RunningService) -> None:
    with grpc.insecure_channel(service.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "heartwood.v1.JobService", "heartwood.v1.AssetService"):
            response = health.Check(health_pb2.HealthCheckRequest(service=name))
            assert response.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_services(service: RunningService) -> None:
    with grpc.insecure_channel(service.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (response,) = stub.ServerReflectionInfo(requests)
    names = {service.name for service in response.list_services_response.service}
    assert {"heartwood.v1.JobService", "heartwood.v1.AssetService", "grpc.health.v1.Health"} <= names


def test_every_error_has_a_grpc_code() -> None:
    def tree(kind: type[errors.HeartwoodError]) -> list[type[errors.HeartwoodError]]:
        return [kind, *(error for child in kind.__subclasses__() for error in tree(child))]

    assert {kind.reason for kind in tree(errors.HeartwoodError)} == set(CODES)


def test_a_second_service_on_the_same_data_folder_is_refused(service: RunningService) -> None:
    environment = {**os.environ, "HEARTWOOD_DATA_DIR": str(service.data_dir), "HEARTWOOD_LISTEN": "127.0.0.1:0"}
    command = [sys.executable, "-m", "orchestrator.cli", "up"]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert "another Heartwood service" in second.stderr


def _wait_until_ended(client: Heartwood, job_id: str) -> None:
    with pytest.raises(ApiError):
        client.wait(job_id)


def test_listening_beyond_loopback_requires_tls(tmp_path: Path, triton_url: str) -> None:
    with pytest.raises(AssertionError, match="HEARTWOOD_TLS_CERTIFICATE"):
        RunningService(tmp_path, triton_url, listen="0.0.0.0:0")


def test_a_job_interrupted_by_sigterm_continues_at_the_next_start(tmp_path: Path, triton_url: str) -> None:
    service = RunningService(tmp_path, triton_url, drain_s=1)
    with service.client() as client:
        upload = client.upload_bytes(jpeg(wood_photo(4000, 3000, seed=30)), "large.jpg").group_id
        job = client.stain(upload, stain="walnut")
        wait_for(lambda: client.job(job.id).progress.fraction > 0, 30)
        watching = threading.Thread(target=_wait_until_ended, args=(client, job.id))
        watching.start()
        started = time.monotonic()
        assert service.stop() == 0
        # 1 s to drain, and the rest for Triton, the exit of Python and a step that reports its progress rarely.
        assert time.monotonic() - started < 12
        assert "Traceback" not in service.log.read_text()
        watching.join(20)  # the client tries for about 7 s to connect again
        assert not watching.is_alive()
    service.start()
    with service.client() as client:
        assert client.wait(job.id).stain.photos
    assert service.stop() == 0
