"""The image-to-3D client against a loopback server with the same HTTP API."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from orchestrator.domain.reconstruct import TrellisSettings
from orchestrator.errors import Canceled, DeadlineExceeded, InvalidInput, ModelUnavailable, ToolFailed
from orchestrator.tools.trellis import generate_glb, is_ready
from tests.support.trellis_server import API_KEY, Response, TrellisServer, glb_response, json_response, trellis_server

PHOTO = np.full((60, 100, 3), (200, 120, 40), np.uint8)
MASK = np.zeros((60, 100), np.uint8)
MASK[10:50, 30:50] = 255
BUSY = json_response(503, {"detail": "one request at a time"})


@pytest.fixture
def server() -> Iterator[TrellisServer]:
    with trellis_server() as running:
        yield running


def test_generated_glb_is_returned_unchanged(server: TrellisServer) -> None:
    server.responses = [glb_response(b"glTF and more")]
    assert generate_glb(PHOTO, MASK, server.settings()) == b"glTF and more"
    assert server.paths == ["/v1/infer"]
    assert server.tokens == [f"Bearer {API_KEY}"]


def test_request_follows_the_documented_schema(server: TrellisServer) -> None:
    server.responses = [glb_response(b"glTF")]
    generate_glb(PHOTO, MASK, server.settings())
    (request,) = server.requests
    assert request["mode"] == "image"
    assert request["output_format"] == "glb"
    assert request["samples"] == 1
    assert request["seed"] > 0
    assert 10 <= request["ss_sampling_steps"] <= 50
    assert 10 <= request["slat_sampling_steps"] <= 50
    assert 1 < request["ss_cfg_scale"] <= 10
    assert 1 < request["slat_cfg_scale"] <= 10


def test_uploaded_image_contains_only_the_piece_in_a_square(server: TrellisServer) -> None:
    server.responses = [glb_response(b"glTF")]
    generate_glb(PHOTO, MASK, server.settings())
    header, data = server.requests[0]["image"].split(",")
    assert header == "data:image/png;base64"
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert image.shape == (48, 48, 4)
    rows, columns = np.nonzero(image[..., 3])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 43, 14, 33)
    assert (image[image[..., 3] > 0][:, :3] == (200, 120, 40)).all()
    assert not image[image[..., 3] == 0].any()


def test_busy_server_is_retried(server: TrellisServer) -> None:
    server.responses = [BUSY, BUSY, glb_response(b"glTF")]
    assert generate_glb(PHOTO, MASK, server.settings()) == b"glTF"
    assert len(server.requests) == 3


def test_server_that_stays_busy_is_unavailable(server: TrellisServer) -> None:
    server.responses = [BUSY]
    with pytest.raises(ModelUnavailable, match="busy") as caught:
        generate_glb(PHOTO, MASK, server.settings())
    assert caught.value.retryable
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 422, 500, 301])
def test_rejection_is_not_retried_and_the_error_omits_the_servers_text(server: TrellisServer, status: int) -> None:
    server.responses = [json_response(status, {"detail": f"wrong key {API_KEY}"})]
    with pytest.raises(ToolFailed, match=f"HTTP {status}") as caught:
        generate_glb(PHOTO, MASK, server.settings())
    assert len(server.requests) == 1
    assert API_KEY not in str(caught.value)
    assert str(server.http.server_port) not in str(caught.value)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ((200, b"<html>hello</html>", 0.0), "protocol"),
        (json_response(200, {"artifacts": []}), "protocol"),
        (json_response(200, {"detail": "still starting"}), "protocol"),
        (json_response(200, [1, 2]), "protocol"),
        (json_response(200, {"artifacts": [{"base64": "§§", "finishReason": "SUCCESS"}]}), "base64"),
        (glb_response(b"glTF", finish_reason="CONTENT_FILTERED"), "CONTENT_FILTERED"),
    ],
)
def test_response_without_a_3d_model_is_reported(server: TrellisServer, response: Response, message: str) -> None:
    server.responses = [response]
    with pytest.raises(ToolFailed, match=message):
        generate_glb(PHOTO, MASK, server.settings())


def test_too_large_response_is_rejected(server: TrellisServer) -> None:
    server.responses = [glb_response(bytes(2_000_000))]
    with pytest.raises(ToolFailed, match="larger than 1000000 bytes"):
        generate_glb(PHOTO, MASK, server.settings(max_answer_bytes=1_000_000))


def test_slow_server_exceeds_the_deadline(server: TrellisServer) -> None:
    server.responses = [glb_response(b"glTF", delay_s=3.0)]
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"longer than 0\.3 s"):
        generate_glb(PHOTO, MASK, server.settings(timeout_s=0.3))
    assert time.monotonic() - start < 2.5


def test_cancel_does_not_wait_for_the_server(server: TrellisServer) -> None:
    server.responses = [glb_response(b"glTF", delay_s=5.0)]

    def cancel(fraction: float, message: str) -> None:
        raise Canceled(f"{fraction} {message}")

    start = time.monotonic()
    with pytest.raises(Canceled):
        generate_glb(PHOTO, MASK, server.settings(), cancel)
    assert time.monotonic() - start < 2.0


def test_unreachable_server_is_unavailable(server: TrellisServer) -> None:
    settings = server.settings()
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ModelUnavailable, match="does not answer") as caught:
        generate_glb(PHOTO, MASK, settings)
    assert str(server.http.server_port) not in str(caught.value)
    assert not is_ready(settings)


def test_readiness_is_that_of_the_health_check(server: TrellisServer) -> None:
    assert is_ready(server.settings())
    server.healthy = False
    assert not is_ready(server.settings())
    assert server.paths == ["/v1/health/ready"] * 2


def test_repr_of_the_settings_omits_the_key() -> None:
    assert API_KEY not in repr(TrellisSettings("https://gpu.example", API_KEY))


@pytest.mark.parametrize("url", ["", "ftp://gpu.example", "gpu.example", "https://me:secret@gpu.example", "https://"])
def test_invalid_url_is_rejected_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidInput, match="http") as caught:
        TrellisSettings(url, API_KEY)
    assert "secret" not in str(caught.value)
