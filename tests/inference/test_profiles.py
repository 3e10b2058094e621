"""Tuning overrides the settings of a profile. The profiles themselves are tested in ``tests/triton_config``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from orchestrator.errors import InvalidInput
from orchestrator.inference.profiles import MAX_INSTANCES, Tuning, apply_profile, tune_profile
from orchestrator.settings import Settings

CPU_PROFILE = Settings().triton_profiles / "cpu"


def test_tuning_overrides_the_profile_and_keeps_its_other_settings(tmp_path: Path) -> None:
    folder = tune_profile(CPU_PROFILE, Tuning(instances=3, delay_ms=5), tmp_path / "profile")
    assert folder is not None
    text = (folder / "onnxruntime.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert [group.count for group in config.instance_group] == [3]
    assert config.dynamic_batching.max_queue_delay_microseconds == 5000
    assert config.parameters["intra_op_thread_count"].string_value == "1"  # set by the profile


def test_tuning_keeps_the_settings_of_other_backends(tmp_path: Path) -> None:
    profile = Settings().triton_profiles / "gpu"
    folder = tune_profile(profile, Tuning(instances=2), tmp_path / "profile")
    assert folder is not None
    others = [file.name for file in profile.iterdir() if file.name != "onnxruntime.pbtxt"]
    assert others
    for name in others:
        assert (folder / name).read_bytes() == (profile / name).read_bytes()


def test_tuning_of_an_unknown_profile_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"'fast' is not known; allowed are cpu"):
        tune_profile(CPU_PROFILE.with_name("fast"), Tuning(instances=2), tmp_path / "profile")


def test_no_tuning_returns_the_profile_itself(tmp_path: Path) -> None:
    assert tune_profile(CPU_PROFILE, Tuning(), tmp_path / "unused") == CPU_PROFILE


def write_model(repository: Path, name: str, parameters: str = "") -> None:
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(b"weights")
    (folder / "config.pbtxt").write_text(f'name: "{name}"\nbackend: "onnxruntime"\n{parameters}')


def adapted_config(folder: Path) -> model_config_pb2.ModelConfig:
    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def test_a_model_that_needs_much_memory_gets_few_instances_that_share_the_cores(tmp_path: Path) -> None:
    limit = f'parameters {{ key: "{MAX_INSTANCES}" value {{ string_value: "1" }} }}'
    write_model(tmp_path / "models", "large", limit)
    write_model(tmp_path / "models", "small")
    for profile in ("cpu", "gpu"):
        adapted = apply_profile(tmp_path / "models", Settings().triton_profiles / profile, tmp_path / profile)
        assert [group.count for group in adapted_config(adapted / "large").instance_group] == [1]
    cores = os.cpu_count() or 1
    parameters = adapted_config(tmp_path / "cpu" / "large").parameters
    assert parameters["intra_op_thread_count"].string_value == str(cores)
    assert adapted_config(tmp_path / "cpu" / "small").instance_group[0].count == min(cores, 4)


def test_a_linked_copy_shares_the_weights_and_leaves_the_configs_unchanged(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "small")
    before = (tmp_path / "models" / "small" / "config.pbtxt").read_text()
    adapted = apply_profile(tmp_path / "models", CPU_PROFILE, tmp_path / "adapted", link=True)
    weights = adapted / "small" / "1" / "model.onnx"
    assert weights.is_symlink()
    assert weights.read_bytes() == b"weights"
    assert (tmp_path / "models" / "small" / "config.pbtxt").read_text() == before
    assert adapted_config(adapted / "small").instance_group
