"""Tells the caller how far a job is, and the work when to stop."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.domain.jobs import JobState
from orchestrator.errors import Canceled, DeadlineExceeded
from orchestrator.store.records import Records

Span = tuple[float, float]
"""The part of a job's fraction that some work covers: where it starts and ends."""
WHOLE: Span = (0.0, 1.0)

INTERVAL_S = 0.2
"""A step asks the database at most this often; a cancel is seen within it."""


def part(span: Span, start: float, end: float) -> Span:
    """The part [start, end] of a span."""
    width = span[1] - span[0]
    return span[0] + start * width, span[0] + end * width


class Reporter:
    """The ``Progress`` of one step, which covers ``span`` of its job's fraction."""

    def __init__(self, records: Records, job: dict[str, Any], stage: str, span: Span, timeout_s: float):
        self._records = records
        self._job_id: str = job["id"]
        self._stage = stage
        self._span = span
        self._deadline: datetime = job["deadline"] or job["start_time"] + timedelta(seconds=timeout_s)
        self._next = 0.0

    def __call__(self, fraction: float, message: str) -> None:
        """Note the progress; stop the work if the job is canceled or late.

        Raises:
            Canceled: somebody asked for it, or deleted the job.
            DeadlineExceeded: the job's deadline has passed.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + INTERVAL_S
        row = self._records.job(None, self._job_id)
        if row is None or row["cancel_requested"]:
            raise Canceled("the job was canceled")
        self.remaining_s()
        whole = part(self._span, 0.0, min(max(fraction, 0.0), 1.0))[1]
        values = {"fraction": max(row["fraction"], whole), "stage": self._stage, "message": message}
        if any(row[name] != value for name, value in values.items()):
            self._records.change_job(self._job_id, (JobState.RUNNING,), **values)

    def remaining_s(self) -> float:
        """Seconds to the deadline.

        Raises:
            DeadlineExceeded: there are none left.
        """
        left = (self._deadline - datetime.now(UTC)).total_seconds()
        if left <= 0:
            raise DeadlineExceeded(
                f"the job was not done by its deadline, {self._deadline.isoformat(timespec='seconds')}",
                deadline=self._deadline.isoformat(),
            )
        return left
