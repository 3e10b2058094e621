"""A server on loopback that speaks the protocol of NVIDIA's TRELLIS NIM; what it makes is up to the test."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orchestrator.tools.trellis import TrellisSettings

KEY = "nvapi-secret-of-the-test"
Answer = tuple[int, bytes, float]
"""HTTP status, body, and how many seconds it takes."""


class TrellisServer:
    """Answers each call with the next of ``answers``, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.calls: list[dict[str, Any]] = []
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
                server.calls.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                status, body, wait_s = server.answers[min(len(server.calls), len(server.answers)) - 1]
                time.sleep(wait_s)
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client has given up, as some tests want

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def settings(self, **changed: Any) -> TrellisSettings:
        url = f"http://127.0.0.1:{self.http.server_port}"
        return TrellisSettings(url, KEY, **({"timeout_s": 10.0, "waits_s": (0.01, 0.01)} | changed))


@contextmanager
def trellis_server(prepare: Callable[[TrellisServer], None] | None = None) -> Iterator[TrellisServer]:
    """Serve for as long as the block runs."""
    server = TrellisServer()
    if prepare:
        prepare(server)
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()


def made(glb: bytes, finish: str = "SUCCESS", wait_s: float = 0.0) -> Answer:
    """The answer of a server that made ``glb``."""
    artifact = {"base64": base64.b64encode(glb).decode(), "finishReason": finish, "seed": 1}
    return 200, json.dumps({"artifacts": [artifact]}).encode(), wait_s


def said(status: int, body: object) -> Answer:
    return status, json.dumps(body).encode(), 0.0
