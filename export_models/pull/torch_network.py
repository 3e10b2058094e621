"""Makes the repository entry of a torch network."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from export_models.onnx_trace import trace
from export_models.pull.repository_entry import RepositoryEntry, TensorSpec
from orchestrator.domain.model_roles import ROLE_MODELS, Role
from orchestrator.errors import FailedPrecondition

TOOLS = ("torch", "onnx", "transformers", "dlr-moge")
"""Packages that take part in a conversion."""


def import_architecture(module: str, install: str) -> Any:
    """Import the module that defines the architecture of a network.

    Raises:
        FailedPrecondition: it is not installed or cannot be imported; the message contains ``install``.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        raise FailedPrecondition(f"the conversion requires {module} ({error}); install it with: {install}") from error


def tool_versions() -> dict[str, str]:
    """Return the versions of the installed TOOLS."""
    installed = {tool for tool in TOOLS if any(metadata.distributions(name=tool))}
    return {tool: metadata.version(tool) for tool in sorted(installed)}


class Normalization(nn.Module):
    """Subtracts the mean of each channel, and divides by its standard deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Normalise [B, C, H, W]."""
        return (image - self.mean) / self.std


def network_entry(
    role: Role,
    network: nn.Module,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    examples: tuple[Tensor, ...],
    limits: str,
) -> RepositoryEntry:
    """Return the entry of a network for a role; see ``exporter`` and ``RepositoryEntry``."""
    export = exporter(network.eval(), inputs, outputs, examples)
    return RepositoryEntry(ROLE_MODELS[role], inputs, outputs, export, limits, tool_versions())


def exporter(
    network: nn.Module, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], examples: tuple[Tensor, ...]
) -> Callable[[Path], float]:
    """Return the function ``export`` of a ``RepositoryEntry``.

    Args:
        network: takes ``inputs`` and returns ``outputs``, in the given order.
        examples: two examples of each input, as a batch. The network is traced with the first; ONNX and torch are
            compared on both.
    """

    def export(file: Path) -> float:
        trace(
            network,
            tuple(example[:1] for example in examples),
            {tensor.name: tensor.axes for tensor in inputs},
            {tensor.name: tensor.axes for tensor in outputs},
            file,
        )
        return max_difference(network, inputs, file, examples)

    return export


def max_difference(network: nn.Module, inputs: Sequence[TensorSpec], file: Path, examples: tuple[Tensor, ...]) -> float:
    """Return the largest difference between torch and onnxruntime, relative to the largest value of each output."""
    with torch.no_grad():
        expected = network.eval()(*examples)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in inputs]
    outputs = session.run(None, dict(zip(names, (example.numpy() for example in examples), strict=True)))
    return max(
        float(np.abs(torch_output.numpy() - onnx_output).max()) / max(float(torch_output.abs().max()), 1e-6)
        for torch_output, onnx_output in zip(expected, outputs, strict=True)
    )
