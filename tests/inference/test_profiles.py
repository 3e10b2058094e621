"""Tuning overrides the settings of a profile. The profiles themselves are tested in ``tests/triton_config``."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from orchestrator.errors import InvalidInput
from orchestrator.inference.profiles import Tuning, tune_profile
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
