"""Webhooks are signed and reach only https servers on public addresses."""

from __future__ import annotations

import hashlib
import hmac
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme

from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.jobs.webhooks import SIGNATURE_HEADER, check_webhook_url, post, public_address


class Receiver(BaseHTTPRequestHandler):
    """Records requests; responds with 204, or with a redirect on /moved."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, dict(self.headers), body))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "https://127.0.0.1/inside")
        else:
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Suppress the log of requests."""


@pytest.fixture
def receiver() -> Iterator[tuple[HTTPServer, ssl.SSLContext]]:
    """A TLS server on loopback for the name hooks.example, and a context that trusts it."""
    authority = trustme.CA()
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.received = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    yield server, trust
    server.shutdown()
    server.server_close()


def test_a_webhook_is_signed_and_delivered_once(receiver: tuple[HTTPServer, ssl.SSLContext]) -> None:
    server, trust = receiver
    url = f"https://hooks.example:{server.server_port}/done?shop=1"
    assert post(url, b"{}", "secret", address="127.0.0.1", trust=trust) == 204
    ((path, headers, body),) = server.received
    assert (path, body) == ("/done?shop=1", b"{}")
    expected = hmac.new(b"secret", b"{}", hashlib.sha256).hexdigest()
    assert headers[SIGNATURE_HEADER] == f"sha256={expected}"


def test_a_redirect_is_not_followed(receiver: tuple[HTTPServer, ssl.SSLContext]) -> None:
    server, trust = receiver
    url = f"https://hooks.example:{server.server_port}/moved"
    assert post(url, b"{}", "", address="127.0.0.1", trust=trust) == 302
    assert len(server.received) == 1


def test_a_certificate_for_another_name_is_refused(receiver: tuple[HTTPServer, ssl.SSLContext]) -> None:
    server, trust = receiver
    with pytest.raises(ToolFailed, match="did not respond"):
        post(f"https://other.example:{server.server_port}/", b"{}", "", address="127.0.0.1", trust=trust)
    assert server.received == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.8", "169.254.169.254", "::1", "0.0.0.0"])
def test_a_private_address_is_refused_when_connecting(host: str) -> None:
    with pytest.raises(ToolFailed, match="not on a public address"):
        public_address(host, 443)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "ftp://hooks.example/",
        "https://",
        "https://user:pass@hooks.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://localhost/",
        "https://db.internal/",
        "https://hooks.example:0/",
        "https://hooks.example:99999/",
        "https://hooks.example/" + "a" * 2048,
    ],
)
def test_an_invalid_webhook_url_is_refused_before_the_job_is_created(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_webhook_url(url, "webhook_url")
    assert caught.value.field == "webhook_url"


def test_a_public_https_url_is_accepted() -> None:
    check_webhook_url("https://hooks.example:8443/heartwood?shop=1", "webhook_url")
    check_webhook_url("https://93.184.216.34/", "webhook_url")
