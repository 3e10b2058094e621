"""Fixtures: a real service and a client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.client.client import Heartwood
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> Iterator[RunningService]:
    """A service shared by all tests that do not change its state for others."""
    running_service = RunningService(tmp_path_factory.mktemp("service"), triton_url)
    yield running_service
    assert running_service.stop() == 0, running_service.log.read_text()


@pytest.fixture(scope="session")
def client(service: RunningService) -> Iterator[Heartwood]:
    with service.client("shop") as shop_client:
        yield shop_client


@pytest.fixture(scope="session")
def upload_id(client: Heartwood) -> str:
    """An upload of one small photo of a wooden board."""
    return client.upload_bytes(jpeg(wood_photo()), "board.jpg").group_id
