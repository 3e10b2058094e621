"""What was trained or written in torch is what onnxruntime and Triton answer."""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from numpy.typing import NDArray

from export_models.parity import TOLERANCE, difference, versions, with_onnxruntime, with_torch
from orchestrator.inference.launch import TritonServer


@pytest.mark.parametrize(("model", "version"), versions())
def test_onnxruntime_answers_as_torch_does(model: str, version: int) -> None:
    assert difference(model, version, with_torch, with_onnxruntime) <= TOLERANCE


@pytest.mark.parametrize(("model", "version"), versions())
def test_triton_answers_as_onnxruntime_does(triton: TritonServer, model: str, version: int) -> None:
    def with_triton(model: str, version: int, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        tensor = grpcclient.InferInput("image", image.shape, "FP32")
        tensor.set_data_from_numpy(image)
        with grpcclient.InferenceServerClient(triton.url) as client:
            answer = client.infer(model, [tensor], str(version))
        return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}

    assert difference(model, version, with_onnxruntime, with_triton) <= TOLERANCE
