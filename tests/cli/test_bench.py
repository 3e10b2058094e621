"""``heartwood bench models``: real sweeps with Triton's own load generator, and settings that reach the server."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from google.protobuf import text_format
from PIL import Image
from tritonclient.grpc import model_config_pb2
from typer.testing import CliRunner

from orchestrator.cli.bench_sweep import Tuning, tuned
from orchestrator.cli.main import app
from orchestrator.errors import ToolFailed
from orchestrator.inference.launch import TritonServer
from orchestrator.settings import load
from orchestrator.tools import perf_analyzer

PROFILES = load().triton_profiles


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    try:
        perf_analyzer.find(folder / perf_analyzer.FOLDER)
    except ToolFailed as error:
        pytest.skip(error.message)
    return folder


def bench(*arguments: object, data_dir: Path = Path("unused")) -> tuple[int, str]:
    found = CliRunner().invoke(
        app, ["bench", "models", *map(str, arguments)], env={"HEARTWOOD_DATA_DIR": str(data_dir), "COLUMNS": "200"}
    )
    return found.exit_code, " ".join(found.output.split())


def test_a_sweep_ends_in_figures_and_a_plot(data_dir: Path, triton: TritonServer, tmp_path: Path) -> None:
    options = ["--triton", triton.url, "--side", 64, "--requests", 8, "--concurrency", "1,2", "--out", tmp_path]
    code, said = bench("intrinsic_decomposition", *options, data_dir=data_dir)
    assert code == 0, said
    rows = list(csv.DictReader((tmp_path / "models.csv").open(encoding="utf-8")))
    assert [row["mode"] for row in rows] == ["concurrency", "concurrency", "rate", "rate", "rate"]
    for row in rows:
        assert float(row["per_s"]) > 0
        assert 0 < float(row["p50_ms"]) <= float(row["p99_ms"])
    with Image.open(tmp_path / "models.png") as plot:
        assert plot.width > 800


def test_photos_of_ones_own_go_through_the_ensemble(data_dir: Path, triton: TritonServer, tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), "peru").save(tmp_path / "own.jpg")
    options = ["--triton", triton.url, "--side", 64, "--requests", 8, "--concurrency", "1", "--rate", "5"]
    code, said = bench(
        "material_pipeline", *options, "--photo", tmp_path / "own.jpg", "--out", tmp_path / "new", data_dir=data_dir
    )
    assert code == 0, said
    assert "5 requests/s" in said


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
def test_what_is_not_allowed_is_named(arguments: list[str], field: str, tmp_path: Path) -> None:
    code, said = bench(*arguments, "--out", tmp_path / "out")
    assert code == 2
    assert field in said
    assert not (tmp_path / "out").exists()


def test_settings_that_are_tried_stand_above_the_profile(tmp_path: Path) -> None:
    folder = tuned(PROFILES / "cpu", Tuning(instances=3, delay_ms=5), tmp_path / "profile")
    assert folder is not None
    text = (folder / "onnxruntime.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert [group.count for group in config.instance_group] == [3]
    assert config.dynamic_batching.max_queue_delay_microseconds == 5000
    assert config.parameters["intra_op_thread_count"].string_value == "1"  # as the profile says
    assert tuned(PROFILES / "cpu", Tuning(), tmp_path / "unused") == PROFILES / "cpu"
