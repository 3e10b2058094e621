"""One model of others as Triton takes it: ONNX, config and card."""

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
"""The largest difference between torch and onnxruntime that is let through, relative to an output's largest value."""
TRITON_TYPES = {torch.float32: "TYPE_FP32", torch.int32: "TYPE_INT32"}


@dataclass(frozen=True)
class Slot:
    """An input or output, without its batch.

    Attributes:
        dims: its sizes, -1 where it is free.
        free: names of the free ones.
    """

    name: str
    dims: tuple[int, ...]
    meaning: str
    free: tuple[str, ...] = ()

    @property
    def axes(self) -> dict[int, str]:
        """What ONNX leaves free: the batch, and each -1."""
        places = [place for place, size in enumerate(self.dims, start=1) if size == -1]
        return {0: "batch", **dict(zip(places, self.free, strict=True))}


@dataclass(frozen=True)
class Entry:
    """A model to be written.

    Attributes:
        network: takes the inputs in their order, gives the outputs in theirs.
        examples: a batch of two of each input. The first is traced; both are held against torch afterwards.
        limits: what a user must know.
    """

    name: str
    network: nn.Module
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    examples: tuple[Tensor, ...]
    max_batch: int
    limits: str


def architecture(module: str, install: str) -> Any:
    """The module that holds a network's architecture.

    Raises:
        FailedPrecondition: it is not installed, or does not load.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        raise FailedPrecondition(f"the conversion needs {module} ({error}); {install}") from error


def write(entry: Entry, repository: Path, source: str) -> tuple[Path, float]:
    """Write ``entry`` into a model repository; return its folder and how far onnxruntime is from torch.

    Args:
        source: where it comes from and its licence, for the card.

    Raises:
        InvalidInput: the repository has a model of this name.
        ToolFailed: ONNX answers otherwise than torch; nothing is written.
    """
    target = repository / entry.name
    if target.exists():
        raise InvalidInput("out", f"{entry.name!r} is there already; remove it, or name another folder")
    repository.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=repository.parent, prefix=".pull.") as scratch:
        folder = Path(scratch) / entry.name
        (folder / "1").mkdir(parents=True)
        trace(
            entry.network,
            tuple(example[:1] for example in entry.examples),
            {slot.name: slot.axes for slot in entry.inputs},
            {slot.name: slot.axes for slot in entry.outputs},
            folder / "1" / "model.onnx",
        )
        apart = difference(entry, folder / "1" / "model.onnx")
        if not apart <= TOLERANCE:
            raise ToolFailed(f"{entry.name}: ONNX and torch differ by {apart:.1e}; at most {TOLERANCE:.0e} is allowed")
        (folder / "config.pbtxt").write_text(config_of(entry), encoding="utf-8")
        (folder / "README.md").write_text(card_of(entry, source, apart), encoding="utf-8")
        shutil.move(folder, target)
    return target, apart


def difference(entry: Entry, file: Path, examples: tuple[Tensor, ...] | None = None) -> float:
    """The largest difference between torch and onnxruntime, relative to each output's largest value."""
    given = examples or entry.examples
    with torch.no_grad():
        wanted = entry.network.eval()(*given)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [slot.name for slot in entry.inputs]
    got = session.run(None, dict(zip(names, (example.numpy() for example in given), strict=True)))
    return max(
        float(np.abs(one.numpy() - other).max()) / max(float(one.abs().max()), 1e-6)
        for one, other in zip(wanted, got, strict=True)
    )


def config_of(entry: Entry) -> str:
    """The Triton config; it says nothing of where the model runs, as all committed ones."""
    kinds = {slot.name: TRITON_TYPES[example.dtype] for slot, example in zip(entry.inputs, entry.examples, strict=True)}

    def listed(slots: tuple[Slot, ...]) -> str:
        lines = (
            f'  {{ name: "{slot.name}" data_type: {kinds.get(slot.name, "TYPE_FP32")} '
            f"dims: [ {', '.join(map(str, slot.dims))} ] }}"
            for slot in slots
        )
        return ",\n".join(lines)

    return (
        f'name: "{entry.name}"\nbackend: "onnxruntime"\nmax_batch_size: {entry.max_batch}\n'
        f"input [\n{listed(entry.inputs)}\n]\noutput [\n{listed(entry.outputs)}\n]\n"
        "dynamic_batching { max_queue_delay_microseconds: 2000 }\n"
        "version_policy { latest { num_versions: 2 } }\n"
    )


def card_of(entry: Entry, source: str, apart: float) -> str:
    """The model card."""
    rows = [("in", slot) for slot in entry.inputs] + [("out", slot) for slot in entry.outputs]
    table = "\n".join(
        f"| {way} | `{slot.name}` | {' × '.join(['B', *map(str, slot.dims)])} | {slot.meaning} |" for way, slot in rows
    )
    return (
        f"# {entry.name}\n\n{source}\n\n"
        f"| | name | shape, -1 is free | meaning |\n|---|---|---|---|\n{table}\n\n{entry.limits}\n\n"
        f"onnxruntime and torch differed by {apart:.1e} of an output's largest value when this was converted.\n"
    )
