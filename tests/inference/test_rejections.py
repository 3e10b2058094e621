"""A model is at fault only if it rejects the same input repeatedly while it answers others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from orchestrator.errors import HeartwoodError, ModelFailed, ModelUnavailable
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.rejections import repeat_rejected
from orchestrator.inference.triton_client import InferenceResult, TritonClient, heartwood_errors
from orchestrator.settings import Settings

MODEL = '''
import os
import sys

sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)  # Triton's stub ignores PYTHONPATH

import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    """Answers 0; rejects 1 twice and then answers it; always rejects 2; rejects everything after it has seen 3."""

    def initialize(self, args):
        self.rejections, self.is_broken = 0, False

    def execute(self, requests):
        return [self.respond(request) for request in requests]

    def respond(self, request):
        value = int(pb_utils.get_input_tensor_by_name(request, "image").as_numpy().max())
        self.is_broken |= value == 3
        if self.is_broken or value == 2 or (value == 1 and self.rejections < 2):
            self.rejections += 1
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("onnx runtime error 2: bad node"))
        return pb_utils.InferenceResponse([pb_utils.Tensor("answer", np.array([value], np.float32))])
'''
CONFIG = """
name: "moody"
backend: "python"
input [ { name: "image" data_type: TYPE_FP32 dims: [ 3, -1, -1 ] } ]
output [ { name: "answer" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TritonClient]:
    """A client of a Triton that serves MODEL."""
    folder = tmp_path / "repository" / "moody"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text(MODEL)
    (folder / "config.pbtxt").write_text(CONFIG)
    with TritonServer(folder.parent, Settings().triton_backends, tmp_path / "triton") as server:
        client = TritonClient(server.url, control=server.control)
        yield client
        client.close()


def test_a_model_is_at_fault_only_if_it_rejects_one_input_and_answers_others(client: TritonClient) -> None:
    def send(value: int) -> InferenceResult:
        return client.infer("moody", "1", {"image": np.full((3, 8, 8), value, np.float32)}, timeout_s=10.0)

    def infer(value: int) -> InferenceResult:
        return repeat_rejected("moody", lambda: send(value), lambda: send(value), probe=lambda: send(0))

    assert infer(1).outputs["answer"] == [1]
    with pytest.raises(ModelFailed, match="bad node"):
        infer(2)
    with pytest.raises(ModelUnavailable, match="rejects every input"):
        infer(3)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        ("INTERNAL", "Stub process 'segmentation_0_1' is not healthy.", ModelUnavailable),
        ("INTERNAL", "Failed to obtain the health mutex.", ModelUnavailable),
        ("INTERNAL", "Failed to process the request(s) for model instance 'a_0', message: …", ModelUnavailable),
        ("INTERNAL", "Failed to increase the shared memory pool size to 64 bytes. …", ModelUnavailable),
        ("INTERNAL", "onnx runtime error 6: Failed to allocate memory for requested buffer", ModelUnavailable),
        ("INTERNAL", "std::bad_alloc", ModelUnavailable),
        ("INTERNAL", "CUDA error: out of memory", ModelUnavailable),
        ("UNAVAILABLE", "Request timeout expired", ModelUnavailable),
        ("UNAVAILABLE", "[request id: <id_unknown>] Exceeds maximum queue size", ModelUnavailable),
        ("UNAVAILABLE", "Server is stopping, scheduler for model has stopped accepting new requests", ModelUnavailable),
        ("CANCELLED", "", ModelUnavailable),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", ModelUnavailable),
        ("NOT_FOUND", "Request for unknown model: 'x' is not found", ModelUnavailable),
        ("INVALID_ARGUMENT", "unexpected shape for input 'image' for model 'segmentation'", ModelFailed),
        ("INTERNAL", "onnx runtime error 2: Non-zero status code returned while running Concat node", ModelFailed),
    ],
)
def test_errors_of_triton_are_temporary_or_rejections(
    status: str, message: str, expected: type[HeartwoodError]
) -> None:
    with pytest.raises(expected), heartwood_errors("segmentation", 1.0):
        raise InferenceServerException(message, status=f"StatusCode.{status}")
