"""The image-to-3D client against a server on loopback that speaks the protocol."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from orchestrator.errors import Canceled, DeadlineExceeded, InvalidInput, ModelUnavailable, ToolFailed
from orchestrator.tools.trellis import TrellisSettings, generate_glb, ready
from tests.support.trellis_server import KEY, TrellisServer, made, said, trellis_server

PHOTO = np.full((60, 100, 3), (200, 120, 40), np.uint8)
MASK = np.zeros((60, 100), np.uint8)
MASK[10:50, 30:50] = 255
BUSY = said(503, {"detail": "one request at a time"})


@pytest.fixture
def server() -> Iterator[TrellisServer]:
    with trellis_server() as running:
        yield running


def test_the_model_comes_back_as_it_was_sent(server: TrellisServer) -> None:
    server.answers = [made(b"glTF and more")]
    assert generate_glb(PHOTO, MASK, server.settings()) == b"glTF and more"
    assert server.paths == ["/v1/infer"]
    assert server.tokens == [f"Bearer {KEY}"]


def test_the_request_has_the_shape_that_the_nim_documents(server: TrellisServer) -> None:
    server.answers = [made(b"glTF")]
    generate_glb(PHOTO, MASK, server.settings())
    (call,) = server.calls
    assert call["mode"] == "image"
    assert call["output_format"] == "glb"
    assert call["samples"] == 1
    assert call["seed"] > 0
    assert 10 <= call["ss_sampling_steps"] <= 50
    assert 10 <= call["slat_sampling_steps"] <= 50
    assert 1 < call["ss_cfg_scale"] <= 10
    assert 1 < call["slat_cfg_scale"] <= 10


def test_the_piece_is_sent_alone_in_the_middle_of_a_square(server: TrellisServer) -> None:
    server.answers = [made(b"glTF")]
    generate_glb(PHOTO, MASK, server.settings())
    head, data = server.calls[0]["image"].split(",")
    assert head == "data:image/png;base64"
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert picture.shape == (48, 48, 4)
    rows, columns = np.nonzero(picture[..., 3])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 43, 14, 33)
    assert (picture[picture[..., 3] > 0][:, :3] == (200, 120, 40)).all()
    assert not picture[picture[..., 3] == 0].any()


def test_a_busy_server_is_asked_again(server: TrellisServer) -> None:
    server.answers = [BUSY, BUSY, made(b"glTF")]
    assert generate_glb(PHOTO, MASK, server.settings()) == b"glTF"
    assert len(server.calls) == 3


def test_a_server_that_stays_busy_is_unavailable(server: TrellisServer) -> None:
    server.answers = [BUSY]
    with pytest.raises(ModelUnavailable, match="busy") as caught:
        generate_glb(PHOTO, MASK, server.settings())
    assert caught.value.retryable
    assert len(server.calls) == 3


@pytest.mark.parametrize("status", [400, 401, 422, 500, 301])
def test_a_refusal_is_told_once_and_without_what_the_server_says(server: TrellisServer, status: int) -> None:
    server.answers = [said(status, {"detail": f"wrong key {KEY}"})]
    with pytest.raises(ToolFailed, match=f"HTTP {status}") as caught:
        generate_glb(PHOTO, MASK, server.settings())
    assert len(server.calls) == 1
    assert KEY not in str(caught.value)
    assert str(server.http.server_port) not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, b"<html>hello</html>", 0.0), "protocol"),
        (said(200, {"artifacts": []}), "protocol"),
        (said(200, {"detail": "still starting"}), "protocol"),
        (said(200, [1, 2]), "protocol"),
        (said(200, {"artifacts": [{"base64": "§§", "finishReason": "SUCCESS"}]}), "base64"),
        (made(b"glTF", finish="CONTENT_FILTERED"), "CONTENT_FILTERED"),
    ],
)
def test_an_answer_that_is_no_model_is_named(
    server: TrellisServer, answer: tuple[int, bytes, float], words: str
) -> None:
    server.answers = [answer]
    with pytest.raises(ToolFailed, match=words):
        generate_glb(PHOTO, MASK, server.settings())


def test_an_endless_answer_is_cut_off(server: TrellisServer) -> None:
    server.answers = [made(bytes(2_000_000))]
    with pytest.raises(ToolFailed, match="larger than 1000000 bytes"):
        generate_glb(PHOTO, MASK, server.settings(max_answer_bytes=1_000_000))


def test_a_server_that_takes_too_long_is_given_up(server: TrellisServer) -> None:
    server.answers = [made(b"glTF", wait_s=3.0)]
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"longer than 0\.3 s"):
        generate_glb(PHOTO, MASK, server.settings(timeout_s=0.3))
    assert time.monotonic() - start < 2.5


def test_a_job_that_is_canceled_does_not_wait_for_the_server(server: TrellisServer) -> None:
    server.answers = [made(b"glTF", wait_s=5.0)]

    def cancel(fraction: float, message: str) -> None:
        raise Canceled(f"{fraction} {message}")

    start = time.monotonic()
    with pytest.raises(Canceled):
        generate_glb(PHOTO, MASK, server.settings(), cancel)
    assert time.monotonic() - start < 2.0


def test_no_server_is_unavailable(server: TrellisServer) -> None:
    settings = server.settings()
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ModelUnavailable, match="does not answer") as caught:
        generate_glb(PHOTO, MASK, settings)
    assert str(server.http.server_port) not in str(caught.value)
    assert not ready(settings)


def test_the_server_says_whether_it_is_ready(server: TrellisServer) -> None:
    assert ready(server.settings())
    server.healthy = False
    assert not ready(server.settings())
    assert server.paths == ["/v1/health/ready"] * 2


def test_the_key_stays_out_of_what_is_printed() -> None:
    assert KEY not in repr(TrellisSettings("https://gpu.example", KEY))


@pytest.mark.parametrize("url", ["", "ftp://gpu.example", "gpu.example", "https://me:secret@gpu.example", "https://"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidInput, match="http") as caught:
        TrellisSettings(url, KEY)
    assert "secret" not in str(caught.value)
