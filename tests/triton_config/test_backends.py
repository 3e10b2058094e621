"""The Python-based backends on the real Triton: they batch, and one bad request harms no other."""

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
    with grpcclient.InferenceServerClient(triton.url) as opened:
        yield opened


def decode(client: grpcclient.InferenceServerClient, data: bytes, height: int, width: int) -> np.ndarray:
    encoded = np.frombuffer(data, np.uint8)[None]
    inputs = [grpcclient.InferInput("encoded", encoded.shape, "UINT8"), grpcclient.InferInput("size", [1, 2], "INT32")]
    inputs[0].set_data_from_numpy(encoded)
    inputs[1].set_data_from_numpy(np.array([[height, width]], np.int32))
    return client.infer("image_preprocess", inputs).as_numpy("image")


def test_preprocessing_agrees_with_opencv_within_one_step(client: grpcclient.InferenceServerClient) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    data = cv2.imencode(".png", picture)[1].tobytes()
    expected = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)[None] / 255
    assert np.abs(decode(client, data, 64, 96) - expected).max() <= 1 / 255


def test_a_picture_that_can_not_be_decoded_fails_alone(client: grpcclient.InferenceServerClient) -> None:
    good = cv2.imencode(".png", np.full((64, 64, 3), 128, np.uint8))[1].tobytes()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(decode, client, b"no picture" if index == 3 else good, 64, 64) for index in range(8)]
    for index, answer in enumerate(answers):
        if index == 3:
            with pytest.raises(InferenceServerException):
                answer.result()
        else:
            assert answer.result().shape == (1, 3, 64, 64)


def test_requests_that_come_together_run_together(client: grpcclient.InferenceServerClient) -> None:
    def counts() -> tuple[int, int]:
        versions = client.get_inference_statistics("intrinsic_decomposition").model_stats
        return sum(one.inference_count for one in versions), sum(one.execution_count for one in versions)

    def infer(seed: int) -> np.ndarray:
        image = np.random.default_rng(seed).random((1, 3, 256, 256), np.float32)
        tensor = grpcclient.InferInput("image", image.shape, "FP32")
        tensor.set_data_from_numpy(image)
        answer = client.infer("intrinsic_decomposition", [tensor])
        return answer.as_numpy("albedo")

    before = counts()
    alone = infer(0)
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(infer, [0] * 32))
    give_up = time.monotonic() + 10
    while (after := counts())[0] - before[0] < 33 and time.monotonic() < give_up:
        time.sleep(0.05)  # Triton counts a request after it has answered it
    assert after[0] - before[0] == 33
    assert after[1] - before[1] < 33, "nothing was batched"
    # Batching must not change an answer; float32 sums may be ordered differently.
    assert max(np.abs(answer - alone).max() for answer in together) <= 1e-4


def test_the_config_names_what_the_onnx_file_holds(client: grpcclient.InferenceServerClient) -> None:
    config = client.get_model_config("surface_estimation").config
    assert config.max_batch_size == 8
    assert [output.name for output in config.output] == ["normal", "roughness", "ambient_occlusion", "depth"]
