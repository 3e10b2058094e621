"""Loads checkpoints of the Hub into networks of transformers."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from orchestrator.errors import InvalidInput


def load_pretrained(network: Any, config: Any, file: Path, title: str) -> nn.Module:
    """Load a safetensors file into a network of transformers, without network access.

    Raises:
        InvalidInput: the file is not ``title``: it lacks weights, or weights have another shape.
    """
    with TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        (Path(folder) / "model.safetensors").symlink_to(file.resolve())
        loaded, report = network.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    missing = [*report["missing_keys"], *report["mismatched_keys"]]
    if missing:
        raise InvalidInput("file", f"{file.name} is not {title}: it lacks {', '.join(map(str, missing[:3]))}")
    evaluated: nn.Module = loaded.eval()
    return evaluated
