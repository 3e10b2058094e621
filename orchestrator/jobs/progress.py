"""Writes the progress of a running step to its job, and stops the step when the job is canceled or late."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from orchestrator.domain.jobs import JobRecord, JobState
from orchestrator.errors import Canceled, DeadlineExceeded
from orchestrator.store.records import Records

Span: TypeAlias = tuple[float, float]
"""The interval of a job's progress that some work covers."""
WHOLE: Span = (0.0, 1.0)

INTERVAL_S = 0.2
"""Minimum time between two database accesses of one step. A cancellation is noticed within this time."""


def subspan(span: Span, start: float, end: float) -> Span:
    """The interval [start, end] of ``span``, both given as fractions of it."""
    width = span[1] - span[0]
    return span[0] + start * width, span[0] + end * width


class Reporter:
    """The ``Progress`` callback of one step, which covers ``span`` of its job's progress."""

    def __init__(self, records: Records, job: JobRecord, step: str, span: Span, timeout_s: float) -> None:
        self._records = records
        self._job_id = job.id
        self._step = step
        self._span = span
        started = job.start_time or datetime.now(UTC)
        self._deadline = job.deadline or started + timedelta(seconds=timeout_s)
        self._next_report = 0.0

    def __call__(self, fraction: float, message: str) -> None:
        """Write the progress to the job. Raises Canceled or DeadlineExceeded if the job must stop."""
        if time.monotonic() < self._next_report:
            return
        self._next_report = time.monotonic() + INTERVAL_S
        job = self._records.job(None, self._job_id)
        if job is None or job.cancel_requested:
            raise Canceled("the job was canceled")
        self.remaining_s()
        done = max(job.fraction, subspan(self._span, 0.0, min(max(fraction, 0.0), 1.0))[1])
        if (job.fraction, job.stage, job.message) != (done, self._step, message):
            self._records.change_job(job.id, (JobState.RUNNING,), fraction=done, stage=self._step, message=message)

    def remaining_s(self) -> float:
        """Seconds until the deadline. Raises DeadlineExceeded if it has passed."""
        remaining = (self._deadline - datetime.now(UTC)).total_seconds()
        if remaining <= 0:
            missed = f"the job was not done by its deadline, {self._deadline.isoformat(timespec='seconds')}"
            raise DeadlineExceeded(missed, deadline=self._deadline.isoformat())
        return remaining
