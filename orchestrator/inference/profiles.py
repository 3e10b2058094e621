"""Adapts a model repository to a machine: merges a profile into the committed model configs.

A profile is a folder in ``triton_config/profiles/``. Each of its files ``BACKEND.pbtxt`` is a partial ModelConfig that
is merged into the config of every model of that backend.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from orchestrator.errors import InvalidInput

MAX_CPU_INSTANCES = 4
"""Limits the memory use: each instance holds the activations of a whole batch, about 2 GB at 1024² and batch 8."""
TUNED_BACKEND = "onnxruntime"
MAX_INSTANCES = "max_instances"
"""Parameter of a model config: maximum number of instances, for models that need much memory. On a CPU, the instances
share the cores."""


@dataclass(frozen=True)
class Tuning:
    """Settings that override those of a profile for the ONNX models; None keeps the profile's setting."""

    instances: int | None = None  # of each model
    threads: int | None = None  # of each instance
    delay_ms: float | None = None  # time that a request may wait to be batched with others

    def __str__(self) -> str:
        settings = [(name.replace("_", " "), value) for name, value in vars(self).items() if value is not None]
        return ", ".join(f"{name} {value:g}" for name, value in settings)


def select_profile(folder: Path, name: str) -> Path | None:
    """Return a profile folder; None for ``none``. ``auto`` is ``gpu`` if onnxruntime supports it, else ``cpu``."""
    if name == "none":
        return None
    if name == "auto":
        is_installed = any(metadata.distributions(name="onnxruntime-gpu"))
        name = "gpu" if shutil.which("nvidia-smi") and is_installed else "cpu"
    return folder / name


def list_profiles(folder: Path) -> list[str]:
    """Return the names of the profiles in ``folder``."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def apply_profile(repository: Path, profile: Path, target: Path, *, link: bool = False) -> Path:
    """Copy ``repository`` to ``target`` and merge ``profile`` into the configs of the copy.

    A CPU instance group without a count gets one instance per core, at most MAX_CPU_INSTANCES and at most the model's
    parameter MAX_INSTANCES. Raises InvalidInput if the profile does not exist, or ``target`` exists already.

    Args:
        link: link the files instead of copying them, except the configs.
    """
    _check_exists(profile)
    if target.exists():
        raise InvalidInput("out", f"{target.name!r} exists already; name a new folder")
    shutil.copytree(repository, target, copy_function=_link_file if link else shutil.copy2)
    for config_file in sorted(target.glob("*/config.pbtxt")):
        config = _read_config(config_file)
        overrides = profile / f"{config.backend}.pbtxt"
        if overrides.exists():
            config.MergeFrom(_read_config(overrides))
            _set_instances(config)
            config_file.write_text(text_format.MessageToString(config), encoding="utf-8")
    return target


def _set_instances(config: model_config_pb2.ModelConfig) -> None:
    """Set the number of instances of each group; see ``apply_profile``."""
    cores = os.cpu_count() or 1
    limit = int(config.parameters[MAX_INSTANCES].string_value) if MAX_INSTANCES in config.parameters else 0
    for group in config.instance_group:
        is_cpu = group.kind == model_config_pb2.ModelInstanceGroup.KIND_CPU
        if is_cpu and not group.count:
            group.count = min(cores, MAX_CPU_INSTANCES)
        if limit:
            group.count = min(group.count, limit)
            if is_cpu:
                config.parameters["intra_op_thread_count"].string_value = str(max(1, cores // group.count))


def _link_file(source: str, target: str) -> None:
    """Link a file. Configs are copied, because they are changed."""
    if Path(source).name == "config.pbtxt":
        shutil.copy2(source, target)
    else:
        Path(target).symlink_to(Path(source).resolve())


def tune_profile(profile: Path | None, tuning: Tuning, folder: Path) -> Path | None:
    """Write a tuned copy to ``folder`` and return it, or ``profile`` without tuning. Raises InvalidInput if unknown."""
    if tuning == Tuning():
        return profile
    if profile:
        _check_exists(profile)
        shutil.copytree(profile, folder)
    overrides = folder / f"{TUNED_BACKEND}.pbtxt"
    config = _read_config(overrides) if overrides.exists() else model_config_pb2.ModelConfig()
    if tuning.instances is not None:
        if not config.instance_group:
            config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU)
        for group in config.instance_group:
            group.count = tuning.instances
    if tuning.threads is not None:
        config.parameters["intra_op_thread_count"].string_value = str(tuning.threads)
    if tuning.delay_ms is not None:
        config.dynamic_batching.max_queue_delay_microseconds = round(1000 * tuning.delay_ms)
    folder.mkdir(parents=True, exist_ok=True)
    overrides.write_text(text_format.MessageToString(config), encoding="utf-8")
    return folder


def _check_exists(profile: Path) -> None:
    """Raise InvalidInput if there is no such profile."""
    if not profile.is_dir():
        known = ", ".join(list_profiles(profile.parent))
        raise InvalidInput("profile", f"{profile.name!r} is not known; allowed are {known}")


def _read_config(file: Path) -> model_config_pb2.ModelConfig:
    return text_format.Parse(file.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
