"""``heartwood doctor``."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import service
from orchestrator.cli import doctor
from orchestrator.errors import FailedPrecondition
from orchestrator.settings import Settings
from orchestrator.tools.sandbox import Barriers, supported_barriers
from tests.support.cli import Cli


def test_doctor_passes_when_everything_required_is_installed(cli: Cli) -> None:
    result = cli("doctor")
    assert result.exit_code == 0, result.output
    assert "intrinsic_decomposition" in result.output


def test_doctor_fails_when_the_model_repository_is_empty(cli: Cli, tmp_path: Path) -> None:
    result = cli("doctor", HEARTWOOD_MODEL_REPOSITORY=str(tmp_path))
    assert result.exit_code == 1
    assert "set HEARTWOOD_MODEL_REPOSITORY" in result.output


def test_doctor_names_the_missing_package_and_its_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_importable", lambda module: module not in ("onnxruntime", "torch"))
    result = cli("doctor")
    assert result.exit_code == 1
    assert "✗ onnxruntime missing pip install 'heartwood[local]'" in result.output
    assert "– torch missing pip install 'heartwood[nerf]' (for --mode nerf)" in result.output


def test_doctor_does_not_check_local_inference_when_triton_runs_elsewhere(cli: Cli) -> None:
    result = cli("doctor", HEARTWOOD_TRITON_URL="triton:8001")
    assert "external, triton:8001" in result.output
    assert "onnxruntime" not in result.output


def test_doctor_reports_each_barrier_around_external_programs(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    result = cli("doctor")
    for protected, active in supported_barriers().described.items():
        assert f"{'✓' if active else '–'} sandbox: {protected} {active.split(' ')[0]}" in result.output
    monkeypatch.setattr(doctor, "supported_barriers", lambda: Barriers(0, False, False, False, False))
    result = cli("doctor", HEARTWOOD_SANDBOX="require")
    assert result.exit_code == 1
    assert "✗ sandbox: files no barrier needs Landlock" in result.output


def test_service_does_not_start_without_the_barriers_that_it_requires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "supported_barriers", lambda: Barriers(0, True, True, True, True))
    settings = Settings(data_dir=tmp_path, sandbox="require")
    with pytest.raises(FailedPrecondition, match=r"without Landlock .* HEARTWOOD_SANDBOX=prefer accepts that"):
        service.run(settings, print)
    assert not (tmp_path / "heartwood.sqlite").exists()
