"""Fits a model repository to a machine: the committed configs, and on top of each what a profile says.

A profile is a folder of ``triton_config/profiles/``: per backend one file ``BACKEND.pbtxt``, a partial ModelConfig.
"""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from orchestrator.errors import InvalidInput

MAX_CPU_INSTANCES = 4
"""Each instance holds the activations of a whole batch: at 1024² and batch 8 about 2 GB."""


def pick(folder: Path, name: str) -> Path | None:
    """The profile's folder: ``auto`` is ``gpu`` where onnxruntime can use one, else ``cpu``; ``none`` is None."""
    if name == "none":
        return None
    if name == "auto":
        name = "gpu" if shutil.which("nvidia-smi") and _installed("onnxruntime-gpu") else "cpu"
    return folder / name


def _installed(distribution: str) -> bool:
    try:
        return bool(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return False


def profiles(folder: Path) -> list[str]:
    """The profiles that there are."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def derive(repository: Path, profile: Path, target: Path) -> Path:
    """Copy ``repository`` to ``target``, each config merged with what ``profile`` says of its backend.

    A CPU instance group without a count gets one instance a core, at most 4.

    Raises:
        InvalidInput: there is no such profile, or ``target`` is there already.
    """
    if not profile.is_dir():
        known = ", ".join(profiles(profile.parent))
        raise InvalidInput("profile", f"{profile.name!r} is not known; allowed are {known}")
    if target.exists():
        raise InvalidInput("out", f"{target.name!r} is there already; name a new folder")
    shutil.copytree(repository, target)
    for config in sorted(target.glob("*/config.pbtxt")):
        model = text_format.Parse(config.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
        change = profile / f"{model.backend}.pbtxt"
        if change.exists():
            model.MergeFrom(text_format.Parse(change.read_text(encoding="utf-8"), model_config_pb2.ModelConfig()))
            for group in model.instance_group:
                if group.kind == model_config_pb2.ModelInstanceGroup.KIND_CPU and not group.count:
                    group.count = min(os.cpu_count() or 1, MAX_CPU_INSTANCES)
            config.write_text(text_format.MessageToString(model), encoding="utf-8")
    return target
