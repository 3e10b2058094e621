"""``heartwood bench models`` runs real sweeps with Triton's perf_analyzer."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.errors import ToolFailed
from orchestrator.inference.launch import TritonServer
from orchestrator.tools import perf_analyzer
from tests.support.cli import run_in_process


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    try:
        perf_analyzer.find(folder / perf_analyzer.FOLDER)
    except ToolFailed as error:
        pytest.skip(error.message)
    return folder


def bench(*arguments: object, data_dir: Path = Path("unused")) -> tuple[int, str]:
    """Run the command; return its exit code and its output."""
    result = run_in_process("bench", "models", *arguments, HEARTWOOD_DATA_DIR=str(data_dir))
    return result.exit_code, " ".join(result.output.split())


def test_sweep_writes_figures_and_a_plot(data_dir: Path, triton: TritonServer, tmp_path: Path) -> None:
    options = ["--triton", triton.url, "--side", 64, "--requests", 8, "--concurrency", "1,2", "--out", tmp_path]
    code, output = bench("intrinsic_decomposition", *options, data_dir=data_dir)
    assert code == 0, output
    rows = list(csv.DictReader((tmp_path / "models.csv").open(encoding="utf-8")))
    assert [row["mode"] for row in rows] == ["concurrency", "concurrency", "rate", "rate", "rate"]
    for row in rows:
        assert float(row["per_s"]) > 0
        assert 0 < float(row["p50_ms"]) <= float(row["p99_ms"])
    with Image.open(tmp_path / "models.png") as plot:
        assert plot.width > 800


def test_sweep_sends_the_users_photos_through_the_ensemble(
    data_dir: Path, triton: TritonServer, tmp_path: Path
) -> None:
    Image.new("RGB", (90, 60), "peru").save(tmp_path / "own.jpg")
    options = ["--triton", triton.url, "--side", 64, "--requests", 8, "--concurrency", "1", "--rate", "5"]
    code, output = bench(
        "material_pipeline", *options, "--photo", tmp_path / "own.jpg", "--out", tmp_path / "new", data_dir=data_dir
    )
    assert code == 0, output
    assert "5 requests/s" in output


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["chairs"], "MODEL"),
        (["--side", "100"], "--side"),
        (["--concurrency", "1,two"], "--concurrency"),
        (["--concurrency", "0"], "--concurrency"),
        (["--rate", "-3"], "--rate"),
        (["--concurrency", ""], "--concurrency"),
        (["--triton", "127.0.0.1:1", "--instances", "2"], "--triton"),
        (["--photo", "no-such-file.jpg"], "no-such-file.jpg"),
    ],
)
def test_invalid_argument_is_named_and_nothing_is_written(arguments: list[str], field: str, tmp_path: Path) -> None:
    code, output = bench(*arguments, "--out", tmp_path / "out")
    assert code == 2
    assert field in output
    assert not (tmp_path / "out").exists()
