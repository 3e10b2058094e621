"""Runs work in a few threads that are shared fairly among tenants, and limits the work that waits."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from orchestrator.errors import ResourceExhausted

Result = TypeVar("Result")
Work = Callable[[], Any]

TENANT_SHARE = 2
"""One tenant has at most one TENANT_SHARE-th of the threads and of the places in the queue."""


class FairQueue:
    """Threads that take work of the tenants in turn.

    Args:
        name: of what waits, in plural, for messages.
        threads: number of threads; they start when there is work.
        places: maximum number of items that wait.
    """

    def __init__(self, name: str, threads: int, places: int) -> None:
        self._name, self._threads, self._places = name, threads, places
        self._tenant_threads, self._tenant_places = (max(1, number // TENANT_SHARE) for number in (threads, places))
        self._waiting: OrderedDict[str, deque[tuple[Work, Future[Any]]]] = OrderedDict()  # the next tenant is first
        self._running: Counter[str] = Counter()
        self._started = 0
        self._changed = threading.Condition()

    def submit(self, tenant: str, work: Callable[[], Result], *, limited: bool = True) -> Future[Result]:
        """Queue ``work`` of a tenant. Cancelling the future removes it, unless it runs.

        Args:
            limited: whether the number of places applies. Jobs do not need it: each waits for one result at a time.

        Raises:
            ResourceExhausted: no place is left.
        """
        future: Future[Result] = Future()
        with self._changed:
            if limited:
                self._check_places(tenant)
            self._waiting.setdefault(tenant, deque()).append((work, future))
            if self._started < self._threads:
                self._started += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()
            self._changed.notify()
        return future

    def _check_places(self, tenant: str) -> None:
        queues = {name: sum(not future.cancelled() for _, future in queue) for name, queue in self._waiting.items()}
        count, total = queues.get(tenant, 0), sum(queues.values())
        if count >= self._tenant_places:
            problem = f"{count} {self._name} of the tenant wait to be checked, which is the maximum"
            raise ResourceExhausted(f"{problem}; try again when some are done", most=self._tenant_places)
        if total >= self._places:
            raise ResourceExhausted(f"too many {self._name} wait to be checked; try again later", most=self._places)

    def _run(self) -> None:
        while True:
            with self._changed:
                while (item := self._next()) is None:
                    self._changed.wait()
                tenant, work, future = item
                self._running[tenant] += 1
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - whoever waits for the future receives it
                future.set_exception(error)
            with self._changed:
                self._running[tenant] -= 1
                if not self._running[tenant]:
                    del self._running[tenant]
                self._changed.notify_all()
            del item, work, future  # the result may be large

    def _next(self) -> tuple[str, Work, Future[Any]] | None:
        """Take the oldest item of the next tenant that may use one more thread. The tenant becomes the last one."""
        for tenant in list(self._waiting):
            if self._running[tenant] >= self._tenant_threads:
                continue
            queue = self._waiting.pop(tenant)
            while queue:
                work, future = queue.popleft()
                if future.set_running_or_notify_cancel():
                    if queue:
                        self._waiting[tenant] = queue
                    return tenant, work, future
        return None


class Budget:
    """An amount that several threads share. They receive their parts in the order in which they ask."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._tickets: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def part(self, amount: int) -> Iterator[None]:
        """Use ``amount`` while the block runs. A part that exceeds the total waits until it can be the only one."""
        ticket = object()
        amount = min(amount, self._total)
        with self._changed:
            self._tickets.append(ticket)
            self._changed.wait_for(lambda: self._tickets[0] is ticket and self._used + amount <= self._total)
            self._tickets.popleft()
            self._used += amount
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._used -= amount
                self._changed.notify_all()
