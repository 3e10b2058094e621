"""``heartwood doctor``."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli import doctor
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
