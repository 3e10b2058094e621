"""Tells a caller's server that a job has ended: one signed POST, tried again for about an hour.

Only https to public addresses: the address is checked when connecting, so a name that changes its mind
between two look-ups reaches nothing inside. Redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import structlog
from dbos import DBOS, DBOSConfiguredInstance

from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.jobs.dependencies import Parts

log = structlog.get_logger()

TIMEOUT_S = 10.0
SIGNATURE_HEADER = "Heartwood-Signature"
ALLOWED = "allowed is https://HOST[:PORT]/PATH on a public address"


def check_webhook_url(url: str, field: str) -> None:
    """Refuse what can't be called, before the job is made.

    Raises:
        InvalidInput: the URL is not https, carries a password, or names a private address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidInput(field, f"{url[:80]!r} is not a URL; {ALLOWED}") from None
    if parts.scheme != "https" or not host or parts.username or parts.password or port == 0 or len(url) > 2048:
        raise InvalidInput(field, f"{url[:80]!r} is not allowed; {ALLOWED}")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
            raise InvalidInput(field, f"{host!r} is a private name; {ALLOWED}") from None
        return
    if not address.is_global:
        raise InvalidInput(field, f"{host!r} is a private address; {ALLOWED}")


def public_address(host: str, port: int) -> str:
    """Resolve ``host`` to a public address.

    Raises:
        ToolFailed: it has none, or one of its addresses is private.
    """
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise ToolFailed(f"webhook host {host!r} can't be resolved: {error.strerror}") from None
    private = sorted(address for address in found if not ipaddress.ip_address(address).is_global)
    if private or not found:
        raise ToolFailed(f"webhook host {host!r} is not on a public address")
    return sorted(found)[0]


def post(url: str, body: bytes, secret: str, address: str | None = None, trust: ssl.SSLContext | None = None) -> int:
    """POST ``body`` to ``url`` and return the HTTP status.

    Args:
        address: connect here instead of looking the name up (the name is still checked in the certificate).
        trust: the certificates to trust; the system's by default.

    Raises:
        ToolFailed: nobody answered.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    target = address or public_address(host, port)
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S)
    headers = {"Content-Type": "application/json", "User-Agent": "heartwood"}
    if secret:
        headers[SIGNATURE_HEADER] = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    try:
        raw = socket.create_connection((target, port), timeout=TIMEOUT_S)
        connection.sock = (trust or ssl.create_default_context()).wrap_socket(raw, server_hostname=host)
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise ToolFailed(f"webhook at {host}:{port} did not answer: {type(error).__name__}") from None
    finally:
        connection.close()


def notice(row: dict[str, Any]) -> bytes:
    """The JSON that a webhook receives."""
    end = row["end_time"].isoformat() if row["end_time"] else None
    document = {
        "job_id": row["id"],
        "kind": row["kind"],
        "state": row["state"],
        "upload_id": row["upload_id"],
        "labels": row["labels"],
        "error": row["failure"],
        "end_time": end,
    }
    return json.dumps(document, sort_keys=True).encode()


@DBOS.dbos_class("Webhooks")
class Webhooks(DBOSConfiguredInstance):
    """The durable delivery of webhooks."""

    def __init__(self, parts: Parts) -> None:
        super().__init__("heartwood")
        self.parts = parts

    @DBOS.workflow(name="webhook")
    def deliver(self, job_id: str) -> None:
        """Tell the caller of one job; give up after the last try, with a line in the log."""
        try:
            self.send(job_id)
        except Exception as error:  # noqa: BLE001 - the job itself has ended well; only the notice is lost
            log.warning("webhook_lost", job=job_id, error=str(error))

    @DBOS.step(retries_allowed=True, interval_seconds=2.0, backoff_rate=2.0, max_attempts=11)
    def send(self, job_id: str) -> None:
        """POST once; any answer but 2xx is an error that is tried again."""
        row = self.parts.records.job(None, job_id)
        if row is None:
            return
        status = post(row["webhook_url"], notice(row), self.parts.settings.webhook_secret.get_secret_value())
        if not 200 <= status < 300:
            raise ToolFailed(f"webhook answered {status}", status=status)
