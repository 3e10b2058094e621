"""Limits on the calls that run at the same time, so that no caller takes the place of all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.errors import ResourceExhausted

ALL = ""
"""The key under which the calls of all tenants are counted."""


class CallLimits:
    """Counts the running calls of tenants, and the open streams of unauthenticated peers.

    Its methods must be called on the event loop of the server.

    Args:
        total: maximum running calls of all tenants.
        per_tenant: maximum running calls of one tenant.
        per_peer: maximum open health and reflection streams of one network address.
    """

    def __init__(self, total: int, per_tenant: int, per_peer: int) -> None:
        self._total, self._per_tenant, self._per_peer = total, per_tenant, per_peer
        self._of_tenants: Counter[str] = Counter()
        self._of_peers: Counter[str] = Counter()

    @contextmanager
    def call(self, tenant: str) -> Iterator[None]:
        """Count a call of a tenant while the block runs. Raises ResourceExhausted if it would exceed a limit."""
        problem = f"the tenant has {self._per_tenant} running calls, which is the maximum"
        remedy = "wait until one has ended, and watch many jobs with one WatchJobs call"
        with (
            _counted(self._of_tenants, tenant, self._per_tenant, f"{problem}; {remedy}"),
            _counted(self._of_tenants, ALL, self._total, "the service is busy; try again later"),
        ):
            yield

    @contextmanager
    def stream_of_peer(self, peer: str) -> Iterator[None]:
        """Count a stream of an unauthenticated peer, such as "ipv4:10.0.0.7:5000", while the block runs."""
        address = peer.rpartition(":")[0] or peer
        message = f"this address has {self._per_peer} open health and reflection streams, which is the maximum"
        with _counted(self._of_peers, address, self._per_peer, message):
            yield


@contextmanager
def _counted(counter: Counter[str], key: str, maximum: int, message: str) -> Iterator[None]:
    if counter[key] >= maximum:
        raise ResourceExhausted(message, most=maximum)
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]
