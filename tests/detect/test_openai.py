"""The openai detector against a server on loopback that speaks the chat-completions protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestrator.detect.openai import detect
from orchestrator.domain.segment import OpenAISettings
from orchestrator.errors import DetectorFailed, DetectorUnavailable
from tests.support.pictures import wood_photo

KEY = "sk-secret-of-the-test"
LEG = {"name": "Legs", "material": "Wood", "confidence": 0.9, "left": 0.1, "top": 0.5, "right": 0.2, "bottom": 1.3}


class Endpoint:
    """Answers each call with the next of ``answers``: (HTTP status, JSON), the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.calls: list[dict[str, Any]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.calls.append(json.loads(body))
                status, answer = endpoint.answers[min(len(endpoint.calls), len(endpoint.answers)) - 1]
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def settings(self) -> OpenAISettings:
        url = f"http://127.0.0.1:{self.server.server_port}/v1"
        return OpenAISettings(url, KEY, "vision", 5.0, 2, usd_per_million_input=1.0, usd_per_million_output=10.0)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


def said(content: str | None, refusal: str | None = None) -> tuple[int, dict[str, Any]]:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "vision",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }


BUSY = (429, {"error": {"message": "slow down"}})


def test_named_boxes_come_back_clipped_to_the_photo_with_their_cost(endpoint: Endpoint) -> None:
    endpoint.answers = [said(json.dumps({"components": [LEG]}))]
    found = detect(wood_photo(640, 480), endpoint.settings)
    (leg,) = found.prompts
    assert (leg.name, leg.material, leg.confidence) == ("leg", "wood", 0.9)
    assert leg.box is not None
    assert (leg.box.left, leg.box.top, leg.box.right, leg.box.bottom) == (64, 240, 128, 480)
    assert (found.cost.prompt_tokens, found.cost.completion_tokens) == (1000, 100)
    assert found.cost.usd == pytest.approx(0.002)
    (call,) = endpoint.calls
    assert call["response_format"]["json_schema"]["strict"] is True
    assert call["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_a_busy_endpoint_is_asked_again(endpoint: Endpoint) -> None:
    endpoint.answers = [BUSY, said(json.dumps({"components": [LEG]}))]
    assert detect(wood_photo(), endpoint.settings).prompts
    assert len(endpoint.calls) == 2


def test_an_endpoint_that_stays_busy_is_unavailable(endpoint: Endpoint) -> None:
    endpoint.answers = [BUSY]
    with pytest.raises(DetectorUnavailable):
        detect(wood_photo(), endpoint.settings)
    assert len(endpoint.calls) == 3


@pytest.mark.parametrize(
    "answer",
    [
        said(None, refusal="I can't look at this."),
        said("not json"),
        said(json.dumps({"components": [{"name": "leg"}]})),
        said(json.dumps({"components": [{**LEG, "confidence": 7}]})),
        (401, {"error": {"message": f"wrong key {KEY}"}}),
    ],
)
def test_a_useless_answer_fails_without_a_second_try_and_without_the_key(
    endpoint: Endpoint, answer: tuple[int, dict[str, Any]]
) -> None:
    endpoint.answers = [answer]
    with pytest.raises(DetectorFailed) as failed:
        detect(wood_photo(), endpoint.settings)
    assert len(endpoint.calls) == 1
    assert KEY not in str(failed.value)
    assert KEY not in repr(endpoint.settings)
