"""An HTTPS server of files on loopback, for tests of downloads."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import trustme


class FileServer:
    """An HTTPS server of files.

    Attributes:
        files: path, such as ``/file``, → content.
        stops_after: position in a file after which the server closes the connection.
        redirects: path → URL.
        ranges: Range header of each request.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.stops_after: int | None = None
        self.redirects: dict[str, str] = {}
        self.ranges: list[str | None] = []
        file_server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                file_server.ranges.append(self.headers["Range"])
                if self.path in file_server.redirects:
                    self.send_response(302)
                    self.send_header("Location", file_server.redirects[self.path])
                    self.end_headers()
                    return
                content = file_server.files[self.path]
                size = len(content)
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.headers["Range"] else 0
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
                self.send_header("Content-Length", str(size - start))
                self.end_headers()
                self.wfile.write(content[start : file_server.stops_after])

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        authority = trustme.CA()
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.client_context = ssl.create_default_context()
        authority.issue_cert("localhost").configure_cert(server_context)
        authority.configure_trust(self.client_context)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = server_context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str) -> str:
        """Return the URL of a file."""
        return f"https://localhost:{self.server.server_port}{path}"

    def client(self) -> httpx2.Client:
        """Return a client that trusts the server."""
        return httpx2.Client(verify=self.client_context, timeout=10)

    def close(self) -> None:
        """Stop the server."""
        self.server.shutdown()
        self.server.server_close()
