"""Runs the durable jobs of one process: the DBOS engine, its queue, and what picks up after a crash."""

from __future__ import annotations

import shutil
import threading
from typing import Any

import structlog
from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID

from orchestrator.domain.jobs import JobState
from orchestrator.jobs.dependencies import Parts
from orchestrator.jobs.service import Jobs
from orchestrator.jobs.spec import Kind
from orchestrator.jobs.webhook import Webhooks
from orchestrator.jobs.workflows import APPLICATION_VERSION, Workflows

log = structlog.get_logger()

QUEUE = "jobs"
WEBHOOK_QUEUE = "webhooks"
SWEEP_INTERVAL_S = 1.0


class Runner:
    """Starts the engine, puts jobs on its queue, and stops it. One in a process, as DBOS is."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        settings = parts.settings
        _ = parts.trellis  # an address that is none is the operator's error: told now, not to a caller
        config: DBOSConfig = {
            "name": "heartwood",
            "system_database_url": settings.dbos_database_url or f"sqlite:///{settings.root / 'jobs.sqlite'}",
            "application_version": APPLICATION_VERSION,
            "executor_id": settings.executor_id,
            "log_level": "ERROR",
            "enable_otlp": False,
        }
        DBOS(config=config)
        self._workflows = Workflows(parts)
        self._webhooks = Webhooks(parts)
        self.jobs = Jobs(parts, self)
        self._stopping = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="job-sweeper", daemon=True)

    def start(self) -> None:
        """Launch the engine: jobs that a crash interrupted go on at the step that was running."""
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=self.parts.settings.workers, polling_interval_sec=0.1)
        DBOS.register_queue(WEBHOOK_QUEUE, worker_concurrency=4, polling_interval_sec=0.5)
        active = self.parts.records.active_jobs()
        self._clear_work({row["id"] for row in active})
        for row in active:
            if row["state"] == JobState.QUEUED.value:  # a crash may have come between record and queue
                self.enqueue(row)
        self._sweeper.start()

    def stop(self) -> None:
        """Take no more jobs and let the running ones work for ``drain_s``; what is left resumes at the next start."""
        self._stopping.set()
        DBOS.destroy(workflow_completion_timeout_sec=int(self.parts.settings.drain_s))

    def enqueue(self, job: dict[str, Any]) -> None:
        """Put a job on the queue; its id is the workflow's, so that doing so twice is harmless."""
        workflow = getattr(self._workflows, Kind(job["kind"]).value)
        with SetWorkflowID(job["id"]), SetEnqueueOptions(priority=job["priority"]):
            DBOS.enqueue_workflow(QUEUE, workflow, job["id"])

    def drop(self, job_id: str) -> None:
        """Take a job that has not begun off the queue."""
        DBOS.cancel_workflow(job_id)

    def _clear_work(self, active: set[str]) -> None:
        """Take away what programs left of jobs that ended while this process was down."""
        folder = self.parts.work("")
        for left in folder.iterdir() if folder.is_dir() else ():
            if left.name not in active:
                shutil.rmtree(left, ignore_errors=True)

    def _sweep(self) -> None:
        while not self._stopping.wait(SWEEP_INTERVAL_S):
            try:
                self.jobs.expire()
                for row in self.parts.records.jobs_to_announce():
                    with SetWorkflowID(f"webhook-{row['id']}"):
                        DBOS.enqueue_workflow(WEBHOOK_QUEUE, self._webhooks.deliver, row["id"])
                    self.parts.records.mark_announced(row["id"])
            except Exception:
                log.exception("sweep_failed")
