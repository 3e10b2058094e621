"""The whole training pipeline on small images: render, train, export, evaluate."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from export_models.dataset.generate import DatasetSpec, describe_image
from export_models.dataset.samples import Sample, read_sample
from export_models.evaluate import simulate_photo
from export_models.export import CHECKOUT, MODELS, load_network
from export_models.networks.furniture import FurnitureNetwork
from export_models.train import CONFIG
from orchestrator.rollout.candidate import Evaluation

SIDE = 96


def run(program: str, *arguments: object) -> str:
    """Run a command of ``export_models`` and return its standard output."""
    command = [sys.executable, "-m", f"export_models.{program}", *map(str, arguments)]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stdout[-1500:] + result.stderr[-1500:]
    return result.stdout


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with eight small training images of generated pieces."""
    folder = tmp_path_factory.mktemp("images")
    run("dataset.generate", "--out", folder, "--count", 8, "--size", SIDE, "--samples", 2, "--jobs", 1, "--made-only")
    return folder


@pytest.fixture(scope="module")
def few_images(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with three of the images."""
    folder = tmp_path_factory.mktemp("few-images")
    for file in sorted(images.glob("*.npz"))[:3]:
        shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="module")
def weights(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a network that was trained in two runs: one step, then another one and a stage of larger images."""
    out = tmp_path_factory.mktemp("training")
    config = out / "config.toml"
    start, _, rest = CONFIG.read_text().partition("[[stages]]")
    for stages in ([(64, 1)], [(64, 2), (SIDE, 1)]):
        tables = "".join(f"[[stages]]\nside = {side}\nbatch = 4\nsteps = {steps}\n" for side, steps in stages)
        config.write_text(start + tables + rest[rest.index("[optimizer]") :])
        run("train", "--data", images, "--out", out, "--config", config, "--workers", 0)
    return out / "weights.pt"


@pytest.fixture(scope="module")
def repository(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model repository with the trained models."""
    folder = tmp_path_factory.mktemp("repository")
    run("export", "--version", 2, "--weights", weights, "--repository", folder)
    return folder


def samples(images: Path) -> list[Sample]:
    return [read_sample(file) for file in sorted(images.glob("*.npz"))]


def test_rendered_ground_truth_is_plausible(images: Path) -> None:
    rendered = samples(images)
    assert len(rendered) >= 6
    for sample in rendered:
        piece = sample.foreground
        assert 0.01 < piece.mean() < 0.98
        assert np.isfinite(sample.radiance).all()
        assert sample.radiance.max() > 0
        assert np.abs(np.linalg.norm(sample.normal[piece], axis=-1) - 1).max() < 0.02
        facing_share = (sample.normal[piece][:, 2] > -0.2).mean()
        assert facing_share > 0.97  # visible surfaces face the camera
        assert (sample.albedo[piece].max(-1) > 0).all()
        assert sample.depth[piece].max() < sample.depth[~piece].max()
    assert any(sample.in_catalogue for sample in rendered)


def test_most_catalogue_photos_have_a_white_backdrop(images: Path) -> None:
    # A close-up, which does not show the whole piece, also shows no backdrop.
    whole = [sample for sample in samples(images) if sample.in_catalogue and sample.meta["camera"]["fill"] < 1]
    photos = [simulate_photo(sample)[1] for sample in whole]
    corners = np.array([photo[[0, 0, -1, -1], [0, -1, 0, -1]] for photo in photos])
    assert np.median(corners) > 225
    assert corners.min() > 120  # a backdrop without light of its own is grey


def test_scene_descriptions_are_reproducible(tmp_path: Path) -> None:
    dataset = DatasetSpec("train", seed=7, size=SIDE, samples=2, meshes=(), package=tmp_path)
    first, again, other = (describe_image(dataset, number, tmp_path) for number in (3, 3, 4))
    assert first == again
    assert first["camera"] != other["camera"]


def test_existing_images_are_not_rendered_again(images: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in images.glob("*.npz")}
    output = run("dataset.generate", "--out", images, "--count", 8, "--size", SIDE, "--samples", 2, "--made-only")
    assert output.startswith("8 of 8 images exist already")
    assert {file: file.stat().st_mtime_ns for file in images.glob("*.npz")} == before


def test_training_resumes_where_it_stopped(weights: Path) -> None:
    state = torch.load(weights.with_name("state.pt"), weights_only=True)
    assert state["step"] == 3
    assert all(torch.isfinite(value).all() for value in state["average"].values() if value.is_floating_point())


def test_tuning_never_returns_weights_that_are_worse(few_images: Path, repository: Path) -> None:
    arguments = ("--data", few_images, "--split", "train", "--repository", repository, "--rounds", 1)
    lines = run("tune_surfaces", *arguments).splitlines()
    pattern = r"(?:whole_wood|whole_other|wood_iou) ([\d.]+)"
    scores = [[float(value) for value in re.findall(pattern, line)] for line in lines]
    objectives = [min(wood, other) + iou for wood, other, iou in scores]
    assert objectives == sorted(objectives)


def test_evaluation_writes_finite_metrics_that_a_rollout_can_read(
    few_images: Path, repository: Path, tmp_path: Path
) -> None:
    file = tmp_path / "evaluation.json"
    arguments = ("--split", "train", "--repository", repository, "--against", 2, "--json", file)
    run("evaluate", "--data", few_images, *arguments)
    figures = json.loads(file.read_text())["figures"]
    assert {"albedo_si_rmse", "normal_error_deg", "foreground_iou", "component_miou"} <= set(figures)
    assert all(np.isfinite(value) for value in figures.values())
    assert 0 < figures["normal_error_deg"] < 180
    for model in MODELS:
        folder = repository / model / "2"
        sha256 = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
        evaluation = Evaluation.read((folder / "evaluation.json").read_bytes(), model, sha256)
        assert "no better figure" in evaluation.objection(serving_version=2)  # a version is not better than itself


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [(1, 512, 512), (2, 256, 384), (1, 1024, 768)])
def test_exported_model_matches_torch_at_any_size(
    weights: Path, repository: Path, model: str, shape: tuple[int, int, int]
) -> None:
    batch, height, width = shape
    image = np.random.default_rng(1).random((batch, 3, height, width), dtype=np.float32)
    session = onnxruntime.InferenceSession(
        str(repository / model / "2" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    with torch.no_grad():
        expected = load_network(model, 2, weights)(torch.from_numpy(image))
    for name, torch_output in zip(MODELS[model].outputs, expected, strict=True):
        (onnx_output,) = session.run([name], {"image": image})
        assert onnx_output.shape[-2:] == (height, width)
        difference = np.abs(onnx_output - torch_output.numpy()).max()
        assert difference < 1e-3 * max(1.0, float(torch_output.abs().max()))


def test_the_network_is_small_enough_to_commit() -> None:
    assert sum(weight.numel() for weight in FurnitureNetwork().parameters()) * 4 < 15e6
