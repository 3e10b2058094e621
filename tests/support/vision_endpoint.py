"""A chat-completions server on the loopback interface, in place of a paid vision endpoint."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orchestrator.domain.segment import OpenAISettings

KEY = "sk-secret-of-the-test"
LEG = {"name": "Legs", "material": "Wood", "confidence": 0.9, "left": 0.1, "top": 0.5, "right": 0.2, "bottom": 1.3}


class Endpoint:
    """Returns the next of ``answers``, (HTTP status, JSON), for each call, and repeats the last one."""

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
                """Write no access log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def settings(self) -> OpenAISettings:
        url = f"http://127.0.0.1:{self.server.server_port}/v1"
        return OpenAISettings(url, KEY, "vision", 5.0, 2, usd_per_million_input=1.0, usd_per_million_output=10.0)


def completion(content: str | None, refusal: str | None = None) -> tuple[int, dict[str, Any]]:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "vision",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }
