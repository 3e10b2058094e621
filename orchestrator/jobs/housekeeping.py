"""The thread of one process that removes what has expired and what nothing uses. Replicas take turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from orchestrator.errors import HeartwoodError
from orchestrator.jobs.collector import Collector
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.retention import Retention
from orchestrator.store.retention_records import RetentionRecords

log = structlog.get_logger()

CHECK_INTERVAL_S = 1.0
"""Interval at which a process checks whether a task is due."""
SWEEP_INTERVAL = timedelta(seconds=2)
"""Interval of the sweeper. A sweep without work takes a few queries on indexes."""
EXPIRY_INTERVAL = timedelta(minutes=1)
"""Interval at which retention is applied, whose unit is days. A tenant with a retention of its own costs a look at
everything of other tenants that is older."""
STOP_TIMEOUT_S = 2.0
"""Time that the current batch has to end when the process stops. Not tuned."""
INVENTORY_INTERVAL = timedelta(days=1)
"""Interval at which the object store is listed for files without a record. S3 charges for each 1000 files."""


class Housekeeping:
    """Starts the periodic tasks.

    Args:
        forget_jobs: deletes the history of jobs.
        forget_lost: deletes history without a job, and returns how much.
    """

    def __init__(
        self, dependencies: Dependencies, forget_jobs: Callable[[Sequence[str]], None], forget_lost: Callable[[], int]
    ) -> None:
        settings, records = dependencies.settings, dependencies.records
        self._dependencies = dependencies
        self._forget_lost = forget_lost
        self._stopping = threading.Event()
        grace = timedelta(seconds=settings.blob_grace_s)
        self._collector = Collector(dependencies.blob_records, dependencies.blobs, grace, self._stopping)
        self._retention = Retention(records.engine, settings, forget_jobs, self._stopping)
        self._turns = RetentionRecords(records.engine)
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the current batch. A batch that waits for the object store ends with the process."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopping.wait(CHECK_INTERVAL_S):
            try:
                if self._turns.take_turn("sweep", SWEEP_INTERVAL):
                    self._sweep()
                if self._turns.take_turn("expiry", EXPIRY_INTERVAL):
                    self._expire()
                if self._turns.take_turn("inventory", INVENTORY_INTERVAL):
                    self._take_inventory()
            except HeartwoodError as error:
                log.warning("housekeeping_failed", reason=error.reason)
            except Exception:
                if not self._stopping.is_set():  # otherwise the database is closed already
                    log.exception("housekeeping_failed")

    def _expire(self) -> None:
        expired = {kind.value: count for kind, count in self._retention.expire().items() if count}
        if expired:
            log.info("expired", **expired)

    def _sweep(self) -> None:
        self._dependencies.blob_records.release_holds()
        removed = self._collector.collect()
        if removed.count:
            log.info("files_removed", files=removed.count, bytes=removed.size_bytes)

    def _take_inventory(self) -> None:
        found = self._collector.check(remove=True)
        if self._stopping.is_set():
            return
        log.info("inventory", orphaned=found.orphaned.count, partial=found.partial.count, missing=len(found.missing))
        if lost := self._forget_lost():
            log.info("history_deleted", workflows=lost)
