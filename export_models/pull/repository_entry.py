"""Writes a third-party network as an entry of a model repository: ONNX file, Triton config and model card."""

from __future__ import annotations

import importlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from export_models.export import trace
from orchestrator.errors import FailedPrecondition, InvalidInput, ToolFailed

TOLERANCE = 1e-3
"""Largest allowed difference between torch and onnxruntime, relative to the largest value of an output."""
TRITON_TYPES = {torch.float32: "TYPE_FP32", torch.int32: "TYPE_INT32"}


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model.

    Attributes:
        dims: shape without the batch, -1 for dynamic axes.
        dynamic: names of the dynamic axes.
    """

    name: str
    dims: tuple[int, ...]
    meaning: str
    dynamic: tuple[str, ...] = ()

    @property
    def axes(self) -> dict[int, str]:
        """Names of the dynamic axes by index, including the batch."""
        indices = [index for index, size in enumerate(self.dims, start=1) if size == -1]
        return {0: "batch", **dict(zip(indices, self.dynamic, strict=True))}


@dataclass(frozen=True)
class RepositoryEntry:
    """A model to write.

    Attributes:
        network: takes ``inputs`` and returns ``outputs``, in the given order.
        examples: two examples of each input, as a batch. The network is traced with the first; ONNX and torch are
            compared on both.
        limits: paragraph of the model card on use and limits.
    """

    name: str
    network: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    examples: tuple[Tensor, ...]
    max_batch: int
    limits: str


def import_architecture(module: str, install: str) -> Any:
    """Import the module that defines the architecture of a network.

    Raises:
        FailedPrecondition: it is not installed or cannot be imported; the message contains ``install``.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        raise FailedPrecondition(f"the conversion requires {module} ({error}); install it with: {install}") from error


def write_entry(entry: RepositoryEntry, repository: Path, source: str) -> tuple[Path, float]:
    """Write ``entry`` to a model repository.

    Args:
        source: origin and licence, for the model card.

    Returns:
        The folder of the model, and the result of ``max_difference``.

    Raises:
        InvalidInput: the repository contains a model of this name.
        ToolFailed: the outputs of ONNX and torch differ; nothing is written.
    """
    target = repository / entry.name
    if target.exists():
        raise InvalidInput("out", f"{repository} contains {entry.name!r} already; remove it or choose another folder")
    repository.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=repository.parent, prefix=".pull.") as scratch:
        folder = Path(scratch) / entry.name
        file = folder / "1" / "model.onnx"
        trace(
            entry.network,
            tuple(example[:1] for example in entry.examples),
            {tensor.name: tensor.axes for tensor in entry.inputs},
            {tensor.name: tensor.axes for tensor in entry.outputs},
            file,
        )
        difference = max_difference(entry, file)
        if not difference <= TOLERANCE:  # also rejects NaN
            raise ToolFailed(
                f"{entry.name}: the outputs of ONNX and torch differ by {difference:.1e}; at most {TOLERANCE:.0e} is "
                "allowed"
            )
        (folder / "config.pbtxt").write_text(triton_config(entry), encoding="utf-8")
        (folder / "README.md").write_text(model_card(entry, source, difference), encoding="utf-8")
        shutil.move(folder, target)
    return target, difference


def max_difference(entry: RepositoryEntry, file: Path, examples: tuple[Tensor, ...] | None = None) -> float:
    """Return the largest difference between torch and onnxruntime, relative to the largest value of each output.

    Args:
        file: the ONNX file of the entry.
        examples: inputs for both. Default: the examples of the entry.
    """
    inputs = examples or entry.examples
    with torch.no_grad():
        expected = entry.network.eval()(*inputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in entry.inputs]
    outputs = session.run(None, dict(zip(names, (tensor.numpy() for tensor in inputs), strict=True)))
    return max(
        float(np.abs(torch_output.numpy() - onnx_output).max()) / max(float(torch_output.abs().max()), 1e-6)
        for torch_output, onnx_output in zip(expected, outputs, strict=True)
    )


def triton_config(entry: RepositoryEntry) -> str:
    """Return the content of ``config.pbtxt``. Like the committed configs, it has no instance groups."""
    types = {
        tensor.name: TRITON_TYPES[example.dtype] for tensor, example in zip(entry.inputs, entry.examples, strict=True)
    }

    def tensors(specs: tuple[TensorSpec, ...]) -> str:
        lines = (
            f'  {{ name: "{spec.name}" data_type: {types.get(spec.name, "TYPE_FP32")} '
            f"dims: [ {', '.join(map(str, spec.dims))} ] }}"
            for spec in specs
        )
        return ",\n".join(lines)

    return (
        f'name: "{entry.name}"\nbackend: "onnxruntime"\nmax_batch_size: {entry.max_batch}\n'
        f"input [\n{tensors(entry.inputs)}\n]\noutput [\n{tensors(entry.outputs)}\n]\n"
        "dynamic_batching { max_queue_delay_microseconds: 2000 }\n"
        "version_policy { latest { num_versions: 2 } }\n"
    )


def model_card(entry: RepositoryEntry, source: str, difference: float) -> str:
    """Return the content of ``README.md``."""
    rows = [("in", tensor) for tensor in entry.inputs] + [("out", tensor) for tensor in entry.outputs]
    table = "\n".join(
        f"| {direction} | `{tensor.name}` | {' × '.join(['B', *map(str, tensor.dims)])} | {tensor.meaning} |"
        for direction, tensor in rows
    )
    return (
        f"# {entry.name}\n\n{source}\n\n"
        f"| | name | shape (-1 is dynamic) | meaning |\n|---|---|---|---|\n{table}\n\n{entry.limits}\n\n"
        f"At conversion, onnxruntime and torch differed by at most {difference:.1e} of an output's largest value.\n"
    )
