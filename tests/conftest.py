from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.inference.launch import TritonServer
from orchestrator.settings import load


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """The real Triton, with the committed models."""
    settings = load()
    workdir = tmp_path_factory.mktemp("triton")
    with TritonServer(settings.model_repository, settings.triton_backends, workdir) as server:
        yield server


@pytest.fixture(scope="session")
def triton_url(triton: TritonServer) -> str:
    return triton.url
