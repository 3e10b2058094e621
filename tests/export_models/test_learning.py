"""From scenes to served models, small but whole: render, learn, evaluate, export."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from export_models.dataset.generate import Set, describe
from export_models.dataset.samples import Sample, read
from export_models.export import CHECKOUT, LEARNED, NETWORKS, network_of
from export_models.networks.furniture import FurnitureNetwork
from export_models.train import CONFIG
from orchestrator.rollout.evaluation import Evaluation

SIDE = 96


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, "-m", f"export_models.{program}", *map(str, arguments)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small training pictures of made pieces."""
    folder = tmp_path_factory.mktemp("pictures")
    run("dataset.generate", "--out", folder, "--count", 8, "--size", SIDE, "--samples", 2, "--jobs", 1, "--made-only")
    return folder


@pytest.fixture(scope="module")
def learned(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that has taken a few steps, stopped and gone on, and then seen larger pictures."""
    out = tmp_path_factory.mktemp("learned")
    config = out / "config.toml"
    first, _, rest = CONFIG.read_text().partition("[[stages]]")
    for stages in ([(64, 1)], [(64, 2)], [(64, 2), (SIDE, 2)]):
        few = "".join(f"[[stages]]\nside = {side}\nbatch = 4\nsteps = {steps}\n" for side, steps in stages)
        config.write_text(first + few + rest[rest.index("[optimizer]") :])
        run("train", "--data", pictures, "--out", out, "--config", config, "--workers", 0)
    return out / "weights.pt"


@pytest.fixture(scope="module")
def exported(learned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with what was learned."""
    folder = tmp_path_factory.mktemp("repository")
    run("export", "--version", 2, "--weights", learned, "--repository", folder)
    return folder


def samples(pictures: Path) -> list[Sample]:
    return [read(file) for file in sorted(pictures.glob("*.npz"))]


def test_pictures_are_true_to_themselves(pictures: Path) -> None:
    found = samples(pictures)
    assert len(found) >= 6
    for sample in found:
        piece = sample.foreground
        assert 0.01 < piece.mean() < 0.98
        assert np.isfinite(sample.radiance).all()
        assert sample.radiance.max() > 0
        assert np.abs(np.linalg.norm(sample.normal[piece], axis=-1) - 1).max() < 0.02
        facing = (sample.normal[piece][:, 2] > -0.2).mean()
        assert facing > 0.97  # what is seen looks towards the camera
        assert (sample.albedo[piece].max(-1) > 0).all()
        assert sample.depth[piece].max() < sample.depth[~piece].max()
        assert (sample.material[piece] > 0).mean() > 0.99


def test_a_picture_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    wanted = Set("train", seed=7, size=SIDE, samples=2, models=(), package=tmp_path)
    first, again, other = (describe(wanted, number, tmp_path) for number in (3, 3, 4))
    assert first == again
    assert first["camera"] != other["camera"]


def test_a_second_call_renders_nothing_that_is_there(pictures: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in pictures.glob("*.npz")}
    said = run("dataset.generate", "--out", pictures, "--count", 8, "--size", SIDE, "--samples", 2, "--made-only")
    assert said.startswith("8 of 8 pictures are there already")
    assert {file: file.stat().st_mtime_ns for file in pictures.glob("*.npz")} == before


def test_training_goes_on_where_it_stopped(learned: Path) -> None:
    state = torch.load(learned.with_name("state.pt"), weights_only=True)
    assert state["step"] == 4
    assert all(torch.isfinite(value).all() for value in state["average"].values() if value.is_floating_point())


def test_what_was_learned_is_evaluated(pictures: Path, exported: Path, tmp_path: Path) -> None:
    told = tmp_path / "evaluation.json"
    run("evaluate", "--data", pictures, "--split", "train", "--repository", exported, "--json", told)
    figures = json.loads(told.read_text())["figures"]
    assert {"albedo_si_rmse", "normal_error_deg", "foreground_iou", "component_miou"} <= set(figures)
    assert all(np.isfinite(value) for value in figures.values())
    assert 0 < figures["normal_error_deg"] < 180


def test_a_deployment_can_read_the_figures_of_both_versions(pictures: Path, exported: Path) -> None:
    run("evaluate", "--data", pictures, "--split", "train", "--repository", exported, "--against", 2)
    for model in LEARNED:
        folder = exported / model / "2"
        sha256 = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
        told = Evaluation.read((folder / "evaluation.json").read_bytes(), model, sha256)
        assert "no better figure" in told.say_no(serving=2)  # as good as itself is not better


@pytest.mark.parametrize("model", LEARNED)
@pytest.mark.parametrize("shape", [(1, 512, 512), (2, 256, 384), (1, 1024, 768)])
def test_any_size_is_answered_at_its_size_as_torch_does(
    learned: Path, exported: Path, model: str, shape: tuple[int, int, int]
) -> None:
    batch, height, width = shape
    image = np.random.default_rng(1).random((batch, 3, height, width), dtype=np.float32)
    session = onnxruntime.InferenceSession(
        str(exported / model / "2" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    with torch.no_grad():
        expected = network_of(model, 2, learned)(torch.from_numpy(image))
    for name, theirs in zip(NETWORKS[model][1].OUTPUTS, expected, strict=True):
        (ours,) = session.run([name], {"image": image})
        assert ours.shape[-2:] == (height, width)
        assert np.abs(ours - theirs.numpy()).max() < 1e-3 * max(1.0, float(theirs.abs().max()))


def test_a_model_is_small_enough_to_commit() -> None:
    assert sum(weight.numel() for weight in FurnitureNetwork().parameters()) * 4 < 15e6
