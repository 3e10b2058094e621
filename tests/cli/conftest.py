"""Fixtures that run commands of the command line in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.client.client import Heartwood
from orchestrator.errors import FailedPrecondition
from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2
from tests.support.cli import Cli, CommandResult, Submit, run_in_process
from tests.support.running_service import RunningService


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs a command with a data folder of its own."""

    def run(*arguments: object, **environment: str) -> CommandResult:
        result = run_in_process(*arguments, **{"HEARTWOOD_DATA_DIR": str(tmp_path / "data"), **environment})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return CommandResult(result.exit_code, " ".join(result.stdout.split()), " ".join(result.stderr.split()))

    return run


@pytest.fixture
def submit(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """Records the job that a command creates instead of sending it to a service."""

    def run(*arguments: object) -> job_pb2.JobSpec:
        specs: list[job_pb2.JobSpec] = []

        def upload_bytes(_client: Heartwood, _data: bytes, filename: str, **_options: object) -> asset_pb2.Asset:
            return asset_pb2.Asset(id=f"asset of {filename}", group_id="the-upload")

        def create_job(_client: Heartwood, spec: job_pb2.JobSpec, upload_id: str = "", **settings: object) -> None:
            spec.upload_id = upload_id
            spec.quality = settings.get("quality", job_pb2.QUALITY_UNSPECIFIED)
            specs.append(spec)
            raise FailedPrecondition("recorded")

        monkeypatch.setattr(Heartwood, "upload_bytes", upload_bytes)
        monkeypatch.setattr(Heartwood, "create_job", create_job)
        result = cli(*arguments, "--server", "127.0.0.1:1")
        assert "recorded" in result.errors, result
        return specs[0]

    return run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photo file."""
    file = tmp_path / "photo.jpg"
    Image.new("RGB", (64, 48), "peru").save(file)
    return file


@pytest.fixture
def mesh_file(tmp_path: Path) -> Path:
    """A file with the name of a 3D model. No test reads its content."""
    file = tmp_path / "chair.glb"
    file.write_bytes(b"glTF")
    return file


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> Iterator[RunningService]:
    """A running service that uses the session's Triton."""
    running_service = RunningService(tmp_path_factory.mktemp("cli-service"), triton_url)
    yield running_service
    running_service.stop()
