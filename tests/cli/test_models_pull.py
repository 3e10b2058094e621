"""``heartwood models pull`` shows what a model costs before the download, and downloads nothing without consent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from export_models.pull.checkpoints import CHECKPOINTS, SETS
from orchestrator.domain.model_roles import Role


def pull(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``heartwood models pull ARGUMENTS…`` in ``folder``."""
    command = [sys.executable, "-m", "orchestrator.cli", "models", "pull", *arguments]
    environment = {**os.environ, "HOME": str(folder), "HEARTWOOD_DATA_DIR": str(folder / "data"), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_model_is_listed_with_role_licence_size_hash_memory_and_time(tmp_path: Path) -> None:
    listed = pull(tmp_path, "--list")
    assert listed.returncode == 0, listed.stderr
    for checkpoint in CHECKPOINTS.values():
        for text in (
            f"{checkpoint.name}: {checkpoint.title}",
            f"role     {checkpoint.role.value}",
            f"{checkpoint.licence}, {checkpoint.licence_url}",
            f"{checkpoint.pins.size / 1e6:.0f} MB",
            f"CPU      {checkpoint.cpu.seconds:g} s for a photo, {checkpoint.cpu.memory_gb:g} GB of memory",
            f"GPU      {checkpoint.gpu.seconds:g} s for a photo, {checkpoint.gpu.memory_gb:g} GB of memory",
            checkpoint.url,
            checkpoint.pins.sha256,
        ):
            assert text in listed.stdout
    assert not list(tmp_path.rglob("*.part"))


def test_every_checkpoint_is_permissive_pinned_and_downloaded_over_https() -> None:
    for checkpoint in CHECKPOINTS.values():
        assert checkpoint.url.startswith("https://")
        assert len(bytes.fromhex(checkpoint.pins.sha256)) == 32
        assert checkpoint.licence.startswith(("Apache-2.0", "MIT"))
        for cost in (checkpoint.cpu, checkpoint.gpu):
            assert cost.source.startswith(("measured: ", "estimate: "))


@pytest.mark.parametrize("name", SETS)
def test_a_set_has_one_model_for_each_role(name: str) -> None:
    assert [CHECKPOINTS[member].role for member in SETS[name]] == list(Role)


def test_nothing_is_downloaded_before_the_licences_are_accepted(tmp_path: Path) -> None:
    refused = pull(tmp_path, "recommended")
    assert refused.returncode == 1
    assert "read the licences and pass --accept-licence (birefnet: MIT, https://github.com/ZhengPeng7" in refused.stderr
    assert not (tmp_path / ".cache" / "heartwood").exists()
    assert not (tmp_path / "data").exists()


def test_a_dry_run_shows_the_files_and_writes_nothing(tmp_path: Path) -> None:
    shown = pull(tmp_path, "sam2", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert (
        f"would download 156 MB to {tmp_path}/.cache/heartwood/checkpoints/48c14467e5cf-model.safetensors"
        in shown.stdout
    )
    assert f"would write a version of {tmp_path}/data/models/sam2" in shown.stdout
    assert not (tmp_path / ".cache" / "heartwood").exists()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["sam3"], "NAME: 'sam3' is not known; allowed are recommended, light, birefnet,"),
        (["recommended", "--file", "weights.bin"], "--file: needs exactly one NAME"),
        (["sam2", "--accept-licence", "--file", "weights.bin"], "weights.bin is not a file"),
    ],
)
def test_unusable_arguments_are_refused(tmp_path: Path, arguments: list[str], problem: str) -> None:
    refused = pull(tmp_path, *arguments)
    assert refused.returncode == 1
    assert problem in refused.stderr
    assert "Traceback" not in refused.stderr
