"""The mixed-precision graph keeps FP32 inputs and outputs and nearly the same results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from export_models.baselines.segmentation import INPUTS, OUTPUTS
from export_models.export import export_onnx
from export_models.half_precision import to_half_precision
from export_models.networks.served_models import Segmentation


def test_half_precision_is_smaller_and_gives_nearly_the_same_fp32_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    export_onnx(Segmentation(), INPUTS, OUTPUTS, tmp_path / "model.onnx")
    full = onnx.load(str(tmp_path / "model.onnx"))
    half = to_half_precision(onnx.load(str(tmp_path / "model.onnx")))
    types = {value.type.tensor_type.elem_type for value in (*half.graph.input, *half.graph.output)}
    assert types == {onnx.TensorProto.FLOAT}
    assert half.ByteSize() < 0.6 * full.ByteSize()
    image = np.random.default_rng(0).random((1, 3, 128, 160), np.float32)
    full_outputs, half_outputs = (
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"image": image}
        )
        for model in (full, half)
    )
    for full_output, half_output in zip(full_outputs, half_outputs, strict=True):
        assert float(np.abs(full_output - half_output).max()) <= 0.02 * float(np.abs(full_output).max())
