"""A loopback server with the HTTP API of NVIDIA's TRELLIS NIM. The test sets its responses."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orchestrator.domain.reconstruct import TrellisSettings

API_KEY = "nvapi-secret-of-the-test"
Response = tuple[int, bytes, float]
"""HTTP status, body, and delay in seconds."""


class TrellisServer:
    """Returns the next of ``responses`` to each request. The last one repeats.

    Attributes:
        requests: the JSON bodies of the POST requests.
        paths: the path of every request.
        tokens: the Authorization header of the POST requests.
        healthy: whether the readiness check succeeds.
    """

    def __init__(self) -> None:
        self.responses: list[Response] = []
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.tokens: list[str | None] = []
        self.healthy = True
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.paths.append(self.path)
                self.send_response(200 if server.healthy else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                server.paths.append(self.path)
                server.tokens.append(self.headers["Authorization"])
                server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                number = min(len(server.requests), len(server.responses)) - 1
                status, body, delay_s = server.responses[number]
                time.sleep(delay_s)
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # some tests let the client close the connection

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def settings(self, **changes: Any) -> TrellisSettings:
        """Return settings for this server with short timeouts."""
        url = f"http://127.0.0.1:{self.http.server_port}"
        return TrellisSettings(url, API_KEY, **({"timeout_s": 10.0, "waits_s": (0.01, 0.01)} | changes))


@contextmanager
def trellis_server() -> Iterator[TrellisServer]:
    """Run a server during the ``with`` block."""
    server = TrellisServer()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()


def glb_response(glb: bytes, finish_reason: str = "SUCCESS", delay_s: float = 0.0) -> Response:
    """Return the response of a server that generated ``glb``."""
    artifact = {"base64": base64.b64encode(glb).decode(), "finishReason": finish_reason, "seed": 1}
    return 200, json.dumps({"artifacts": [artifact]}).encode(), delay_s


def json_response(status: int, body: object) -> Response:
    return status, json.dumps(body).encode(), 0.0
