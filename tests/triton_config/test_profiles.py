"""A profile changes where and how a model runs, and nothing of what it takes and gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from orchestrator.errors import InvalidInput
from orchestrator.inference.profiles import derive, pick, profiles
from orchestrator.settings import load

SETTINGS = load()
ModelConfig = model_config_pb2.ModelConfig


def read(repository: Path, model: str) -> ModelConfig:
    return text_format.Parse((repository / model / "config.pbtxt").read_text(), ModelConfig())


@pytest.mark.parametrize("profile", profiles(SETTINGS.triton_profiles))
def test_a_derived_repository_keeps_every_model_file_and_tensor(profile: str, tmp_path: Path) -> None:
    derived = derive(SETTINGS.model_repository, SETTINGS.triton_profiles / profile, tmp_path / "models")
    for folder in SETTINGS.model_repository.iterdir():
        before, after = read(SETTINGS.model_repository, folder.name), read(derived, folder.name)
        assert (after.input, after.output, after.max_batch_size) == (before.input, before.output, before.max_batch_size)
        for file in folder.rglob("model.*"):
            assert (derived / file.relative_to(SETTINGS.model_repository)).read_bytes() == file.read_bytes()
        if before.backend == "onnxruntime":
            assert after.instance_group[0].count >= 1


def test_no_committed_config_says_where_a_model_runs() -> None:
    for folder in SETTINGS.model_repository.iterdir():
        config = read(SETTINGS.model_repository, folder.name)
        assert not config.instance_group
        assert not config.HasField("optimization")


def test_the_automatic_profile_is_one_that_is_there() -> None:
    chosen = pick(SETTINGS.triton_profiles, "auto")
    assert chosen is not None
    assert chosen.is_dir()
    assert pick(SETTINGS.triton_profiles, "none") is None


def test_an_unknown_profile_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'tpu' is not known; allowed are cpu, gpu, tensorrt"):
        derive(SETTINGS.model_repository, SETTINGS.triton_profiles / "tpu", tmp_path / "models")
    with pytest.raises(InvalidInput, match="is there already"):
        derive(SETTINGS.model_repository, SETTINGS.triton_profiles / "cpu", tmp_path)
