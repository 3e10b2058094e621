"""The table of commands, lazy imports, and errors."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from orchestrator.cli.main import COMMANDS, load
from orchestrator.protocol.heartwood.v1 import job_pb2
from tests.support.cli import Cli

MAX_HELP_RATIO = 5.0
"""Duration of ``heartwood --help`` relative to importing typer and rich, which it needs. It was 2 when measured, and
about 18 when every command imported everything."""
CLIENT_ONLY = {"numpy", "cv2", "scipy", "skimage", "PIL", "sqlalchemy", "dbos", "orchestrator.service"}


def seconds(*command: str) -> float:
    """Return the shortest of five durations of a program."""
    durations = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        durations.append(time.perf_counter() - start)
    return min(durations)


def modules_after(code: str, data_dir: Path) -> set[str]:
    """Return the modules that a new Python process has imported after running ``code``."""
    script = f"{code}\nimport sys\nprint('modules:', *sys.modules)"
    environment = {"HEARTWOOD_DATA_DIR": str(data_dir), "PATH": "/usr/bin:/bin"}
    completed = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    )
    return set(completed.stdout.rpartition("modules:")[2].split())


def run_code(*arguments: str) -> str:
    return f"from orchestrator.cli.main import app; app({list(arguments)!r}, standalone_mode=False)"


def test_help_lists_every_command_with_its_summary(cli: Cli) -> None:
    result = cli("--help", COLUMNS="160")
    assert result.exit_code == 0
    for name, command in COMMANDS.items():
        assert f"{name} {command.summary}" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_is_the_first_line_of_the_help_page(name: str) -> None:
    assert load(name).help.splitlines()[0] == COMMANDS[name].summary


@pytest.mark.parametrize("stage", [field.name for field in job_pb2.JobSpec.DESCRIPTOR.oneofs_by_name["stage"].fields])
def test_every_stage_has_a_command(stage: str) -> None:
    name = "run" if stage == "pipeline" else stage
    assert callable(load(name))
    assert name == "run" or callable(import_module(f"orchestrator.cli.{name}").table)


def test_help_is_fast() -> None:
    assert seconds("-m", "orchestrator.cli", "--help") < MAX_HELP_RATIO * seconds("-c", "import typer, rich.console")


def test_help_imports_no_command(tmp_path: Path) -> None:
    modules = modules_after(run_code("--help"), tmp_path)
    assert not modules & {*CLIENT_ONLY, "grpc", "pydantic_settings", "orchestrator.settings", "orchestrator.cli.stain"}


def test_stains_imports_neither_the_client_nor_numpy(tmp_path: Path) -> None:
    modules = modules_after(run_code("stains"), tmp_path)
    assert not modules & {*CLIENT_ONLY, "grpc", "google.protobuf", "pydantic_settings"}


def test_token_imports_neither_the_client_nor_the_service(tmp_path: Path) -> None:
    unused = {*CLIENT_ONLY, "grpc", "google.protobuf"} - {"sqlalchemy"}
    assert not modules_after(run_code("token", "create", "shop"), tmp_path) & unused


@pytest.mark.parametrize("name", ["run", "segment", "stain", "cutout", "reconstruct", "render", "export", "jobs"])
def test_client_commands_do_not_import_the_service(name: str, tmp_path: Path) -> None:
    assert not modules_after(run_code(name, "--help"), tmp_path) & CLIENT_ONLY


def test_heartwood_module_imports_only_the_client(tmp_path: Path) -> None:
    modules = modules_after("from heartwood import Heartwood, ApiError", tmp_path)
    assert not modules & {*CLIENT_ONLY, "typer", "rich", "pydantic_settings", "orchestrator.settings"}


def test_unknown_command_suggests_a_similar_one(cli: Cli) -> None:
    result = cli("segmnt")
    assert result.exit_code == 2
    assert "'segment'" in result.errors


def test_missing_photo_is_reported_before_a_service_starts(cli: Cli, tmp_path: Path) -> None:
    result = cli("segment", "no-such-photo.jpg")
    assert result.exit_code == 2
    assert "no-such-photo.jpg" in result.errors
    assert not (tmp_path / "data").exists()


def test_invalid_option_value_is_reported_in_one_line(cli: Cli, photo: Path) -> None:
    result = cli("segment", photo, "--detector", "magic")
    assert result.exit_code == 2
    assert result.errors == "error --detector: 'magic' is unknown; allowed values are local, openai, open_vocabulary"


def test_invalid_setting_is_reported_with_its_name(cli: Cli) -> None:
    result = cli("jobs", "list", HEARTWOOD_WORKERS="0")
    assert result.exit_code == 2
    assert result.errors.startswith("error settings: workers")


def test_setting_that_cannot_be_parsed_is_reported_with_its_name(cli: Cli) -> None:
    result = cli("jobs", "list", HEARTWOOD_BLOB_OPTIONS="abc")
    assert result.exit_code == 2
    assert "blob_options" in result.errors


def test_unreachable_service_is_reported_with_exit_code_1(cli: Cli) -> None:
    result = cli("jobs", "list", "--server", "127.0.0.1:1")
    assert result.exit_code == 1
    assert result.errors.startswith("error cannot reach the service:")
    assert "Traceback" not in result.errors
