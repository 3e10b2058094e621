"""The Python-based backends on the real Triton batch requests, and a failed request does not affect the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from orchestrator.inference.launch import TritonServer


@pytest.fixture(scope="module")
def client(triton: TritonServer) -> Iterator[grpcclient.InferenceServerClient]:
    with grpcclient.InferenceServerClient(triton.url) as connected:
        yield connected


def decode(client: grpcclient.InferenceServerClient, data: bytes, height: int, width: int) -> np.ndarray:
    encoded = np.frombuffer(data, np.uint8)[None]
    inputs = [grpcclient.InferInput("encoded", encoded.shape, "UINT8"), grpcclient.InferInput("size", [1, 2], "INT32")]
    inputs[0].set_data_from_numpy(encoded)
    inputs[1].set_data_from_numpy(np.array([[height, width]], np.int32))
    return client.infer("image_preprocess", inputs).as_numpy("image")


def test_preprocessing_matches_opencv_within_one_8_bit_step(client: grpcclient.InferenceServerClient) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    data = cv2.imencode(".png", image)[1].tobytes()
    expected = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)[None] / 255
    assert np.abs(decode(client, data, 64, 96) - expected).max() <= 1 / 255


def test_a_request_with_an_undecodable_image_fails_alone(client: grpcclient.InferenceServerClient) -> None:
    good = cv2.imencode(".png", np.full((64, 64, 3), 128, np.uint8))[1].tobytes()
    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(decode, client, b"no image" if index == 3 else good, 64, 64) for index in range(8)]
    for index, result in enumerate(results):
        if index == 3:
            with pytest.raises(InferenceServerException):
                result.result()
        else:
            assert result.result().shape == (1, 3, 64, 64)


def test_concurrent_requests_are_batched(client: grpcclient.InferenceServerClient) -> None:
    def counts() -> tuple[int, int]:
        """Return the number of inferences and of executions, over all versions."""
        statistics = client.get_inference_statistics("intrinsic_decomposition").model_stats
        return sum(one.inference_count for one in statistics), sum(one.execution_count for one in statistics)

    def infer(seed: int) -> np.ndarray:
        image = np.random.default_rng(seed).random((1, 3, 256, 256), np.float32)
        tensor = grpcclient.InferInput("image", image.shape, "FP32")
        tensor.set_data_from_numpy(image)
        return client.infer("intrinsic_decomposition", [tensor]).as_numpy("albedo")

    before = counts()
    single = infer(0)
    with ThreadPoolExecutor(16) as pool:
        concurrent = list(pool.map(infer, [0] * 32))
    deadline = time.monotonic() + 10
    while (after := counts())[0] - before[0] < 33 and time.monotonic() < deadline:
        time.sleep(0.05)  # Triton updates its statistics after the response
    assert after[0] - before[0] == 33
    assert after[1] - before[1] < 33, "no requests were batched"
    # Batching must not change the results, except for the order of float32 sums.
    assert max(np.abs(albedo - single).max() for albedo in concurrent) <= 1e-4


def test_the_served_config_has_the_outputs_of_the_onnx_file(client: grpcclient.InferenceServerClient) -> None:
    config = client.get_model_config("surface_estimation").config
    assert config.max_batch_size == 8
    assert [output.name for output in config.output] == ["normal", "roughness", "ambient_occlusion", "depth"]
