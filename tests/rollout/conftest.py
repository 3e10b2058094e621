from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from orchestrator.client.client import Heartwood
from orchestrator.errors import HeartwoodError
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.models import TritonModels
from orchestrator.rollout.follower import Follower
from orchestrator.store.blobs import Blobs
from orchestrator.store.leases import Leases
from orchestrator.store.model_records import ModelRecords
from orchestrator.store.records import Records
from tests.support.pictures import wood_photo
from tests.support.running_service import RunningService, wait_for

PAUSE_S = 0.1
"""Pause between two requests of the traffic."""
CANDIDATE_MEMORY_GB = 2
"""The committed models need 0.9 GB at 1024²."""


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with its own Triton, because these tests replace the models."""
    running = RunningService(tmp_path_factory.mktemp("rollout"), candidate_memory_gb=CANDIDATE_MEMORY_GB)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def operator(service: RunningService) -> Iterator[Heartwood]:
    """A client of an operator."""
    with service.client("local") as client:
        yield client


@dataclass
class Traffic:
    """The outcomes of live requests to the Triton of the service."""

    failures: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    def wait_for_version(self, version: str) -> None:
        """Wait until ``version`` has processed a request."""
        start = len(self.versions)
        wait_for(lambda: version in self.versions[start:], 30)


class Replica:
    """A second process of the service, reduced to its models. It has the same database and a Triton of its own.

    Attributes:
        models: the models on its own Triton.
        service_models: the models on the Triton of the service, without access to its control API.
    """

    def __init__(self, service: RunningService, triton: TritonServer) -> None:
        self.records = Records.open("", service.data_dir / "heartwood.sqlite")
        self.model_records = ModelRecords(self.records.engine)
        self.models = TritonModels(triton.url, control=triton.control)
        self.service_models = TritonModels(service.own_triton_url)
        blobs = Blobs.open("", {}, service.data_dir / "blobs")
        self.follower = Follower(self.model_records, blobs, self.models, "replica", Leases(self.records.engine).live)

    @contextmanager
    def traffic(self, model: str) -> Iterator[Traffic]:
        """Send one request after the other while the block runs. The test fails if a request fails."""
        traffic, stop, photo = Traffic(), threading.Event(), wood_photo(256, 192)

        def send_requests() -> None:
            while not stop.is_set():
                self.service_models.serving = self.models.serving
                try:
                    traffic.versions.append(self.service_models.analyze(photo).model_versions[model])
                except HeartwoodError as error:
                    traffic.failures.append(repr(error))
                stop.wait(PAUSE_S)

        thread = threading.Thread(target=send_requests)
        thread.start()
        try:
            wait_for(lambda: traffic.versions or traffic.failures, 30)
            yield traffic
        finally:
            stop.set()
            thread.join()
        assert traffic.failures == []


@pytest.fixture(scope="session")
def replica(service: RunningService, triton: TritonServer) -> Iterator[Replica]:
    replica = Replica(service, triton)
    replica.follower.start()
    yield replica
    replica.follower.stop()
    for version in replica.model_records.versions():  # other tests use this Triton
        if replica.models.triton.ready(version.triton_name):
            replica.models.triton.unload(version.triton_name)
    replica.models.close()
    replica.service_models.close()
    replica.records.close()
