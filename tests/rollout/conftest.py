from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from orchestrator.client.client import Heartwood
from orchestrator.errors import HeartwoodError
from orchestrator.inference.models import TritonModels
from orchestrator.rollout.follower import Follower
from orchestrator.store.blobs import Blobs
from orchestrator.store.model_records import ModelRecords
from orchestrator.store.records import Records
from tests.support.pictures import wood_photo
from tests.support.running_service import RunningService, wait_for

PAUSE_S = 0.1
"""Between two requests of the traffic."""


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with a Triton of its own, whose models these tests replace."""
    running = RunningService(tmp_path_factory.mktemp("rollout"))
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def operator(service: RunningService) -> Iterator[Heartwood]:
    with service.client("local") as opened:
        yield opened


def triton_of(service: RunningService) -> str:
    """Where the service's own Triton listens, as it told last."""
    return re.findall(r"serves the models on (\S+)", service.log.read_text())[-1]


@dataclass
class Traffic:
    """What live requests of another process of the service came to."""

    failures: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    def until(self, version: str) -> None:
        """Wait until a request was answered by ``version``."""
        seen = len(self.versions)
        wait_for(lambda: version in self.versions[seen:], 30)


class Replica:
    """A second process of the service, as far as the models go: on the same database and the same Triton."""

    def __init__(self, service: RunningService) -> None:
        self.records = Records.open("", service.data_dir / "heartwood.sqlite")
        self.versions = ModelRecords(self.records.engine)
        self.models = TritonModels(triton_of(service))
        blobs = Blobs.open("", {}, service.data_dir / "blobs")
        self.follower = Follower(self.versions, blobs, self.models, "replica")

    @contextmanager
    def traffic(self, model: str) -> Iterator[Traffic]:
        """One request after the other while the block runs; none may fail."""
        seen, over, photo = Traffic(), threading.Event(), wood_photo(256, 192)

        def work() -> None:
            while not over.is_set():
                try:
                    seen.versions.append(self.models.analyze(photo).model_versions[model])
                except HeartwoodError as error:
                    seen.failures.append(repr(error))
                over.wait(PAUSE_S)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            wait_for(lambda: seen.versions or seen.failures, 30)
            yield seen
        finally:
            over.set()
            thread.join()
        assert seen.failures == []


@pytest.fixture(scope="session")
def replica(service: RunningService) -> Iterator[Replica]:
    made = Replica(service)
    made.follower.start()
    yield made
    made.follower.stop()
    made.models.close()
    made.records.close()
