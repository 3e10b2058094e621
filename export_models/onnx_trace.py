"""Writes a torch network as an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

OPSET = 17

Axes = dict[int, str]
"""Name of each dynamic axis, by index."""


def trace(
    network: nn.Module,
    examples: tuple[Tensor, ...],
    inputs: Mapping[str, Axes],
    outputs: Mapping[str, Axes],
    file: Path,
) -> None:
    """Write ``network`` as an ONNX file.

    Args:
        examples: the inputs with which the network is traced, in the order of ``inputs``.
        inputs, outputs: dynamic axes by name. All other axes have the sizes that ``examples`` give them.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        results = network.eval()(*examples)
        torch.onnx.export(
            network,
            examples,
            str(file),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**inputs, **outputs},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(str(file))
    for output, result, axes in zip(model.graph.output, results, outputs.values(), strict=True):
        for axis, size in enumerate(result.shape):
            if axis not in axes:  # the exporter loses the static sizes of resized outputs
                output.type.tensor_type.shape.dim[axis].dim_value = size
    onnx.save(model, str(file))
    onnx.checker.check_model(str(file), full_check=True)
