"""Webhooks: where they may be sent, their deliveries, and when a failed attempt is repeated."""

from __future__ import annotations

import base64
import ipaddress
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import SplitResult, urlsplit

from orchestrator.errors import InvalidInput

MAX_URL = 2048
PRIVATE_SUFFIXES = (".localhost", ".local", ".internal")
EMBEDDED_IPV4 = tuple(
    IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
)
"""Networks whose addresses contain an IPv4 address, which may be private. Python counts some of them as public."""
PUBLIC_IPV6 = IPv6Network("2000::/3")
"""The only IPv6 addresses that are assigned to the public (RFC 4291, section 2.4)."""
NOT_PUBLIC = tuple(ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20"))
"""Networks for protocols and documentation that Python counts as public (IANA's special-purpose registries)."""
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST_NAME = re.compile(rf"(?:{LABEL}\.)*(?!(?:\d+|0x[0-9a-f]*)\.?\Z){LABEL}\.?")
"""A DNS name. Resolvers read a name that ends in a number as an IPv4 address: 127.1 and 2130706433 are 127.0.0.1."""
RETRY_DELAYS = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000))
"""Delay after each failed attempt but the last, 52 hours in total."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - of Standard Webhooks
SECRET_BYTES = 32


class DeliveryState(str, Enum):
    """PENDING until an attempt succeeds or the last one fails."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Delivery:
    """One webhook of one job."""

    id: str  # the header webhook-id
    tenant: str
    job_id: str
    url: str
    event: str  # such as "job.succeeded"
    create_time: datetime
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0  # that were started
    due_time: datetime | None = None  # of the next attempt; None if there is none
    end_time: datetime | None = None
    status_code: int = 0  # of the last reply; 0 without a reply
    error: str = ""  # why the last attempt failed


def new_secret() -> str:
    """Return a new secret with which the webhooks of a tenant are signed."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


@dataclass(frozen=True)
class WebhookPolicy:
    """Which receivers are allowed: public addresses over https, and the ``allowed`` private hosts and networks.

    Raises InvalidInput if an entry of ``allowed`` is neither a name nor a network.
    """

    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _ = self._networks

    @cached_property
    def _networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(_network(entry) for entry in self.allowed if _is_address(entry))

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(entry.lower() for entry in self.allowed if not _is_address(entry))

    def check_url(self, url: str, field: str) -> None:
        """Raise InvalidInput unless webhooks may be sent to the URL, as far as the URL alone shows."""
        parts = check_syntax(url, field)
        host = (parts.hostname or "").removesuffix(".")
        is_private = self.allows_name(host) or (_is_address(host) and self._in_networks(ipaddress.ip_address(host)))
        if parts.scheme == "http" and not is_private:
            raise InvalidInput(field, f"{url[:80]!r} is not allowed; only a private host that is allowed may use http")
        if _is_address(host):
            if not self.allows_address(host):
                raise InvalidInput(field, f"{host!r} is a private address, which HEARTWOOD_WEBHOOK_ALLOW does not name")
        elif (host == "localhost" or host.endswith(PRIVATE_SUFFIXES)) and not is_private:
            raise InvalidInput(field, f"{host!r} is a private name, which HEARTWOOD_WEBHOOK_ALLOW does not name")

    def allows_name(self, host: str) -> bool:
        """Return whether the operator allows this host, whatever its address is."""
        return host.lower().removesuffix(".") in self._names

    def allows_address(self, address: str) -> bool:
        """Return whether webhooks may be sent to an IP address: a public one, or one in an allowed network."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        is_special = any(ip in network for network in (*EMBEDDED_IPV4, *NOT_PUBLIC))
        is_public = ip.is_global and not ip.is_multicast and not is_special and (ip.version == 4 or ip in PUBLIC_IPV6)
        return self._in_networks(ip) or is_public

    def _in_networks(self, ip: IPv4Address | IPv6Address) -> bool:
        return any(ip in network for network in self._networks)


def check_syntax(url: str, field: str) -> SplitResult:
    """Return the parts of a URL. Raises InvalidInput if it is not http(s)://HOST[:PORT]/PATH without a password."""
    allowed = "allowed is https://HOST[:PORT]/PATH"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInput(field, f"{url[:80]!r} is not a URL; {allowed}") from None
    host = parts.hostname or ""
    if host and not HOST_NAME.fullmatch(host) and not _is_address(host):
        raise InvalidInput(field, f"the host {host[:80]!r} is neither a name nor an IP address in its usual spelling")
    is_valid = parts.scheme in ("http", "https") and host and not parts.username and not parts.password
    if not is_valid or port == 0 or len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput(field, f"{url[:80]!r} is not allowed; {allowed}")
    return parts


def _is_address(text: str) -> bool:
    try:
        _network(text)
    except InvalidInput:
        return False
    return True


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidInput("webhook_allow", f"{text[:80]!r} is not a network") from None
