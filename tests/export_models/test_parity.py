"""Torch, onnxruntime and Triton give the same outputs for every exported model version."""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from numpy.typing import NDArray

from export_models.parity import TOLERANCE, exported_versions, max_difference, run_onnxruntime, run_torch
from orchestrator.inference.launch import TritonServer


@pytest.mark.parametrize(("model", "version"), exported_versions())
def test_onnxruntime_matches_torch(model: str, version: int) -> None:
    assert max_difference(model, version, run_onnxruntime, run_torch) <= TOLERANCE


@pytest.mark.parametrize(("model", "version"), exported_versions())
def test_triton_matches_onnxruntime(triton: TritonServer, model: str, version: int) -> None:
    def run_triton(model: str, version: int, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        tensor = grpcclient.InferInput("image", image.shape, "FP32")
        tensor.set_data_from_numpy(image)
        with grpcclient.InferenceServerClient(triton.url) as client:
            result = client.infer(model, [tensor], str(version))
        return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}

    assert max_difference(model, version, run_triton, run_onnxruntime) <= TOLERANCE
