"""A profile changes where and how a model runs, but not its files, inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from orchestrator.errors import InvalidInput
from orchestrator.inference.profiles import apply_profile, list_profiles, select_profile
from orchestrator.settings import Settings

SETTINGS = Settings()
ModelConfig = model_config_pb2.ModelConfig


def read_config(repository: Path, model: str) -> ModelConfig:
    return text_format.Parse((repository / model / "config.pbtxt").read_text(), ModelConfig())


@pytest.mark.parametrize("profile", list_profiles(SETTINGS.triton_profiles))
def test_an_adapted_repository_keeps_every_model_file_and_tensor(profile: str, tmp_path: Path) -> None:
    adapted = apply_profile(SETTINGS.model_repository, SETTINGS.triton_profiles / profile, tmp_path / "models")
    for folder in SETTINGS.model_repository.iterdir():
        before, after = read_config(SETTINGS.model_repository, folder.name), read_config(adapted, folder.name)
        assert (after.input, after.output, after.max_batch_size) == (before.input, before.output, before.max_batch_size)
        for file in folder.rglob("model.*"):
            assert (adapted / file.relative_to(SETTINGS.model_repository)).read_bytes() == file.read_bytes()
        if before.backend == "onnxruntime":
            assert after.instance_group[0].count >= 1


def test_committed_configs_do_not_depend_on_the_machine() -> None:
    for folder in SETTINGS.model_repository.iterdir():
        config = read_config(SETTINGS.model_repository, folder.name)
        assert not config.instance_group
        assert not config.HasField("optimization")


def test_the_automatic_profile_exists() -> None:
    profile = select_profile(SETTINGS.triton_profiles, "auto")
    assert profile is not None
    assert profile.is_dir()
    assert select_profile(SETTINGS.triton_profiles, "none") is None


def test_an_unknown_profile_and_an_existing_folder_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'tpu' is not known; allowed are cpu, gpu, tensorrt"):
        apply_profile(SETTINGS.model_repository, SETTINGS.triton_profiles / "tpu", tmp_path / "models")
    with pytest.raises(InvalidInput, match="exists already"):
        apply_profile(SETTINGS.model_repository, SETTINGS.triton_profiles / "cpu", tmp_path)
