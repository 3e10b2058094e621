from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.client.client import Heartwood
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> Iterator[RunningService]:
    """One service for all tests that leave it as they found it."""
    running = RunningService(tmp_path_factory.mktemp("service"), triton_url)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def client(service: RunningService) -> Iterator[Heartwood]:
    with service.client("shop") as opened:
        yield opened


@pytest.fixture(scope="session")
def upload_id(client: Heartwood) -> str:
    """An upload of one small photo of a wooden board."""
    return client.upload_bytes(jpeg(wood_photo()), "board.jpg").group_id
