"""The models behind a real Triton, for as long as a benchmark runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.domain import MaterialModels
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.models import TritonModels
from orchestrator.settings import load


@contextmanager
def triton_models() -> Iterator[MaterialModels]:
    """Start the Triton from pip on this checkout's model repository."""
    settings = load()
    with (
        tempfile.TemporaryDirectory() as folder,
        TritonServer(settings.model_repository, settings.triton_backends, Path(folder)) as server,
    ):
        yield TritonModels(server.url, timeout_s=settings.triton_timeout_s)
