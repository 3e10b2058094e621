"""Delivers webhooks: a signed POST per finished job, retried for over half an hour, to https URLs on public addresses.

The address is checked when connecting, so that a name cannot resolve to a private address after the check (DNS
rebinding). Redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import ssl
from dataclasses import asdict
from urllib.parse import urlsplit

import structlog
from dbos import DBOS, DBOSConfiguredInstance

from orchestrator.domain.jobs import JobRecord
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.jobs.dependencies import Dependencies

log = structlog.get_logger()

TIMEOUT_S = 10.0
MAX_URL = 2048
SIGNATURE_HEADER = "Heartwood-Signature"
ALLOWED = "allowed is https://HOST[:PORT]/PATH on a public address"
PRIVATE_SUFFIXES = (".localhost", ".local", ".internal")


def check_webhook_url(url: str, field: str) -> None:
    """Raise InvalidInput if the URL is not https, contains a password, or names a private address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidInput(field, f"{url[:80]!r} is not a URL; {ALLOWED}") from None
    if parts.scheme != "https" or not host or parts.username or parts.password or port == 0 or len(url) > MAX_URL:
        raise InvalidInput(field, f"{url[:80]!r} is not allowed; {ALLOWED}")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host == "localhost" or host.endswith(PRIVATE_SUFFIXES):
            raise InvalidInput(field, f"{host!r} is a private name; {ALLOWED}") from None
        return
    if not address.is_global:
        raise InvalidInput(field, f"{host!r} is a private address; {ALLOWED}")


def public_address(host: str, port: int) -> str:
    """An address of ``host``. Raises ToolFailed if it does not resolve, or one of its addresses is private."""
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise ToolFailed(f"the webhook host {host!r} does not resolve: {error.strerror}") from None
    if not addresses or not all(ipaddress.ip_address(address).is_global for address in addresses):
        raise ToolFailed(f"the webhook host {host!r} is not on a public address")
    return min(addresses)


def post(url: str, body: bytes, secret: str, address: str | None = None, trust: ssl.SSLContext | None = None) -> int:
    """POST ``body`` to ``url`` and return the HTTP status. Raises ToolFailed if there is no response.

    Args:
        address: connect to this address instead of resolving the name. The certificate must still match the name.
        trust: the TLS context with the trusted certificates; default: the certificates of the system.
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
        raise ToolFailed(f"the webhook at {host}:{port} did not respond: {type(error).__name__}") from None
    finally:
        connection.close()


def payload(job: JobRecord) -> bytes:
    """The JSON body of a webhook."""
    document = {
        "job_id": job.id,
        "kind": job.kind,
        "state": job.state.value,
        "upload_id": job.upload_id,
        "labels": dict(job.labels),
        "error": asdict(job.failure) if job.failure else None,
        "end_time": job.end_time.isoformat() if job.end_time else None,
    }
    return json.dumps(document, sort_keys=True).encode()


@DBOS.dbos_class("Webhooks")
class Webhooks(DBOSConfiguredInstance):
    """The durable delivery of webhooks."""

    def __init__(self, dependencies: Dependencies) -> None:
        super().__init__("heartwood")
        self.dependencies = dependencies

    @DBOS.workflow(name="webhook")
    def deliver(self, job_id: str) -> None:
        """Deliver the webhook of one job. After the last attempt the failure is logged."""
        try:
            self.send(job_id)
        except Exception as error:  # noqa: BLE001 - the job has ended; only its webhook is lost
            log.warning("webhook_lost", job=job_id, error=str(error))

    @DBOS.step(retries_allowed=True, interval_seconds=2.0, backoff_rate=2.0, max_attempts=11)
    def send(self, job_id: str) -> None:
        """POST once. DBOS retries every error, including a status other than 2xx."""
        job = self.dependencies.records.job(None, job_id)
        if job is None:
            return
        status = post(job.webhook_url, payload(job), self.dependencies.settings.webhook_secret.get_secret_value())
        if not 200 <= status < 300:
            raise ToolFailed(f"the webhook responded with HTTP {status}", status=status)
