"""The models on a real Triton, for benchmarks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.domain.material_maps import MaterialModels
from orchestrator.inference.models import TritonModels
from orchestrator.local_triton import local_triton
from orchestrator.settings import Settings


@contextmanager
def triton_models() -> Iterator[MaterialModels]:
    """Run Triton with the model repository of this checkout while the block runs; yield its models."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=folder)
        with local_triton(settings) as server:
            yield TritonModels(server.url, timeout_s=settings.triton_timeout_s)
