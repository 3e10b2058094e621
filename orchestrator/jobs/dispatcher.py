"""Lets waiting jobs start in a fair order when workers are free."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestrator.background import attempt
from orchestrator.jobs.quotas import TenantQuotas
from orchestrator.store.job_queue import JobQueue
from orchestrator.store.leases import Leases

INTERVAL_S = 0.1
"""Interval at which the dispatcher looks for jobs of other processes. It learns about its own at once. Not tuned."""


class Dispatcher:
    """Releases waiting jobs, as many as the workers of all replicas can run.

    DBOS runs the released jobs. Its own queues cannot share one set of workers by weight: it visits the partitions of a
    queue in random order, and all of them have the same limit.

    Args:
        version: of the job workflow; only workers of this version can run what this process releases.
        enqueue: gives a released job to DBOS.
    """

    def __init__(
        self, queue: JobQueue, leases: Leases, quotas: TenantQuotas, version: str, enqueue: Callable[[str], None]
    ) -> None:
        self._queue, self._leases, self._quotas = queue, leases, quotas
        self._version, self._enqueue = version, enqueue
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="job-dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to release jobs."""
        self._thread.start()

    def stop(self) -> None:
        """Release no more jobs."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Look for waiting jobs now: one was created, or one has ended."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(INTERVAL_S)
            self._wake.clear()
            if not attempt(self._release_all, "release_failed"):
                self._stopping.wait(INTERVAL_S)

    def _release_all(self) -> None:
        """Release jobs until all workers are in use, or no job may start."""
        while self._queue.has_waiting() and not self._stopping.is_set():
            id = self._queue.release(self._leases.workers(self._version), self._quotas.of)
            if id is None:
                return
            self._enqueue(id)
