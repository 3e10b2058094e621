"""Limits on the calls of a caller, at a time and per second, so that none takes the place of all others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar
from weakref import WeakValueDictionary

from cachetools import LRUCache

from orchestrator.errors import ResourceExhausted

ALL = ""
"""The key under which the calls of all tenants are counted."""


REQUEST_RATE = "requests_per_s"
"""The name of the quota of calls per second."""
BURST_S = 2.0
"""Calls that a tenant may make at once after a pause, as seconds of its permitted rate. Not tuned."""
MAX_BUCKETS = 10_000
"""Tenants whose rate of calls is remembered."""
MAX_REST_S = 0.5
"""Maximum time for which a thread serves only other tenants. A call that waits for the database takes long."""
THREADS_PER_TENANT = 2
"""Threads that the calls of one tenant occupy at a time. All threads share one interpreter. Not tuned."""

Result = TypeVar("Result")


class CallLimits:
    """Counts the calls of tenants, and the open streams of unauthenticated peers, of this process.

    Its methods must be called on the event loop of the server.

    Args:
        total: maximum running calls of all tenants.
        per_tenant: maximum running calls of one tenant.
        per_peer: maximum open health and reflection streams of one network address.
    """

    def __init__(self, total: int, per_tenant: int, per_peer: int) -> None:
        self._total, self._per_tenant, self._per_peer = total, per_tenant, per_peer
        self._of_tenants: Counter[str] = Counter()
        self._uploads: Counter[str] = Counter()
        self._of_peers: Counter[str] = Counter()
        self._threads: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(MAX_BUCKETS)  # tenant → permitted calls, time

    def count_request(self, tenant: str, most_per_s: float) -> None:
        """Count a call of a tenant, in a token bucket. Raises ResourceExhausted if its rate exceeds ``most_per_s``."""
        now, size = time.monotonic(), max(1.0, BURST_S * most_per_s)
        permitted, last = self._buckets.get(tenant, (size, now))
        permitted = min(size, permitted + (now - last) * most_per_s)
        if permitted < 1.0 or not most_per_s:
            problem = f"the tenant makes more than {most_per_s:g} calls per second, which is the maximum"
            remedy = "call less often; WatchJobs replaces repeated calls of GetJob and ListJobs"
            raise ResourceExhausted(f"{problem}; {remedy}", quota=REQUEST_RATE, most=f"{most_per_s:g}")
        self._buckets[tenant] = (permitted - 1.0, now)

    async def in_thread(self, tenant: str, function: Callable[..., Result], *arguments: object) -> Result:
        """Run a function in a thread. The calls of a tenant beyond ``THREADS_PER_TENANT`` wait without a thread.

        A thread then serves other tenants for as long as it served this one. Calls one after the other find the other
        thread free, so only a tenant that keeps all of its threads busy is slowed down, to the time of one thread.
        A call that its caller cancels occupies its thread until the function has returned.
        """
        threads = self._threads.setdefault(tenant, asyncio.Semaphore(THREADS_PER_TENANT))
        await threads.acquire()
        loop, started = asyncio.get_running_loop(), time.monotonic()
        future = loop.run_in_executor(None, copy_context().run, function, *arguments)

        def release(done: asyncio.Future[Result]) -> None:
            loop.call_later(min(MAX_REST_S, time.monotonic() - started), threads.release)
            if not done.cancelled():
                done.exception()  # nobody else reads it if the call was canceled

        future.add_done_callback(release)
        return await asyncio.shield(future)

    @contextmanager
    def upload(self, tenant: str, most: int) -> Iterator[None]:
        """Count an upload of a tenant while the block runs. Raises ResourceExhausted if it would exceed ``most``."""
        message = f"the tenant has {most} running uploads, which is the maximum; wait until one has ended"
        with _counted(self._uploads, tenant, most, message, quota="uploads"):
            yield

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
def _counted(counter: Counter[str], key: str, maximum: int, message: str, **facts: str) -> Iterator[None]:
    if counter[key] >= maximum:
        raise ResourceExhausted(message, most=maximum, **facts)
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]
