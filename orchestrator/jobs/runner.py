"""Runs the durable jobs of one process: the DBOS engine, its queues, and recovery after a crash or an upgrade."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowStatus
from dbos import error as dbos_error

from orchestrator.background import attempt
from orchestrator.domain.webhooks import WebhookPolicy
from orchestrator.errors import StorageUnavailable
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.dispatcher import Dispatcher
from orchestrator.jobs.history import find_workflows, forget_jobs, forget_lost
from orchestrator.jobs.housekeeping import Housekeeping
from orchestrator.jobs.lease_keeper import LeaseKeeper
from orchestrator.jobs.service import JobService
from orchestrator.jobs.settlement import Settlement
from orchestrator.jobs.webhooks import Webhooks
from orchestrator.jobs.workflow import APPLICATION_VERSION, JobWorkflow
from orchestrator.store.database import connection_limits, make_private
from orchestrator.store.job_queue import JobQueue
from orchestrator.store.leases import Leases

log = structlog.get_logger()

JOB_QUEUE = "jobs"
DBOS_NAME = {"application_name": "dbos_transact"}
"""Name of its connections in PostgreSQL. The default of DBOS, which other ``connect_args`` replace."""
WEBHOOK_ID_PREFIX = "webhook-"
"""Up to version 5, a webhook was a workflow whose id was this prefix and the job id."""
INTERRUPTION_S = 1.0
"""Time that interrupted steps and their programs have to end, as a part of ``drain_s``."""
LOST_AFTER = timedelta(seconds=10)
"""Time since its release after which a job without a workflow is enqueued again. Enqueueing takes far less."""
LOST_HISTORY_AGE = timedelta(hours=1)
"""Age from which history without a job is deleted. Not tuned."""
SWEEP_INTERVAL_S = 1.0
"""Interval of the sweeper. Not tuned."""


class Runner:
    """The DBOS engine, its queue, and the takeover of the jobs of dead processes.

    New jobs wait in the records database. The dispatcher releases them to the queue of DBOS as workers become free.

    A process can have only one runner, because it can have only one DBOS. Each process renews a lease. DBOS records
    which process runs a workflow; the workflows of a process without a valid lease return to the queue, and the process
    that takes one continues it at the interrupted step. DBOS and the records refuse what the former one still writes.

    Args:
        is_alone: no other process uses the databases, so that all leases of earlier processes have ended.
    """

    def __init__(self, dependencies: Dependencies, *, is_alone: bool) -> None:
        self.dependencies = dependencies
        self._is_alone = is_alone
        self._leases = Leases(dependencies.records.engine)
        settings = dependencies.settings
        _ = dependencies.trellis  # raises InvalidInput at startup if the TRELLIS URL is invalid
        make_private(settings.jobs_database_url)
        config: DBOSConfig = {
            "name": "heartwood",
            "system_database_url": settings.jobs_database_url,
            "db_engine_kwargs": {"connect_args": {**DBOS_NAME, **connection_limits(settings.jobs_database_url)}},
            "application_version": APPLICATION_VERSION,
            "executor_id": dependencies.executor_id,
            "log_level": "ERROR",
            "enable_otlp": False,
        }
        DBOS(config=config)
        logging.getLogger("dbos").addFilter(_is_worth_logging)
        self._queue = JobQueue(dependencies.records.engine)
        self._dispatcher = Dispatcher(
            self._queue, self._leases, dependencies.quotas, APPLICATION_VERSION, self._enqueue
        )
        self._workflow = JobWorkflow(dependencies, on_end=self._dispatcher.wake)
        self._webhooks = Webhooks(dependencies.records, WebhookPolicy(settings.webhook_allow))
        self.jobs = JobService(dependencies, self)
        self._housekeeping = Housekeeping(dependencies, self.forget, self._forget_lost)
        self._settlement = Settlement(dependencies, self._start_again)
        self._unstarted: set[str] = set()
        self._stopping = threading.Event()
        self._keeper = LeaseKeeper(self._renew_lease)
        self._sweeper = threading.Thread(target=self._sweep, name="job-sweeper", daemon=True)

    def start(self) -> None:
        """Launch the engine. Jobs of processes that have ended continue at the interrupted step."""
        if self._is_alone:
            self._leases.release_all()
        self._keeper.start()
        DBOS.launch()
        workers = self.dependencies.settings.workers
        DBOS.register_queue(JOB_QUEUE, worker_concurrency=workers, polling_interval_sec=0.1)
        self._settlement.remove_folders()
        self._take_over()
        self._restart_stranded()
        self._enqueue_lost(datetime.now(UTC))
        self._dispatcher.start()
        self._sweeper.start()
        self._webhooks.start()
        self._housekeeping.start()

    def stop(self) -> None:
        """Wait at most ``drain_s`` for the running jobs to end, then interrupt them. Has no effect if called again.

        Interrupted steps run again in another process, or at the next start.
        """
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._dispatcher.stop()
        drain_s = self.dependencies.settings.drain_s
        interrupt = threading.Timer(max(0.0, drain_s - INTERRUPTION_S), self.dependencies.stopping.set)
        interrupt.start()
        self._webhooks.stop()
        self._housekeeping.stop()
        DBOS.destroy(workflow_completion_timeout_sec=math.ceil(drain_s))
        # A step that has not seen the interruption yet will fail because DBOS has ended. It runs again elsewhere.
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        interrupt.cancel()
        self.dependencies.stopping.set()
        self._keeper.stop()  # until now, the lease protects the jobs that were still running
        with suppress(StorageUnavailable):  # then the lease expires
            self._leases.release(self.dependencies.executor_id)

    def wake(self) -> None:
        """Look for waiting jobs now, because one was created."""
        self._dispatcher.wake()

    def drop(self, job_id: str) -> None:
        """Remove a job that has not started from DBOS, in case it was released."""
        DBOS.cancel_workflow(job_id)

    def forget(self, job_ids: Sequence[str]) -> None:
        """Delete the history of jobs that have ended and whose records were deleted."""
        forget_jobs(DBOS, job_ids)

    def _forget_lost(self) -> int:
        """Delete the history of jobs whose records were deleted while their workflows had not ended."""
        return forget_lost(DBOS, self.dependencies.records.known_jobs, LOST_HISTORY_AGE)

    def _enqueue(self, job_id: str) -> None:
        """Let the next free worker run a released job. The workflow id is the job id, so repeating it has no effect."""
        with SetWorkflowID(job_id):
            DBOS.enqueue_workflow(JOB_QUEUE, self._workflow.run, job_id)

    def _renew_lease(self) -> None:
        """Renew the lease. A process that stops runs no further jobs, so it has no workers."""
        workers = 0 if self._stopping.is_set() else self.dependencies.settings.workers
        self._leases.renew(self.dependencies.executor_id, APPLICATION_VERSION, workers)

    def _sweep(self) -> None:
        """Fail expired jobs, announce finished ones, take over those of dead processes, and settle abandoned ones."""
        last_check = 0.0
        while not self._stopping.wait(SWEEP_INTERVAL_S):
            tasks: list[Callable[[], None]] = [self.jobs.expire, self._webhooks.announce_finished_jobs]
            if self._keeper.may_take_over(time.monotonic()):
                tasks.insert(0, self._take_over)
            if time.monotonic() - last_check > LOST_AFTER.total_seconds():
                last_check = time.monotonic()
                tasks += [self._restart_stranded, lambda: self._enqueue_lost(datetime.now(UTC) - LOST_AFTER)]
                tasks += [self._resume_unstarted, self._settlement.settle, self._settlement.remove_folders]
            for task in tasks:
                attempt(task, "sweep_failed")

    def _take_over(self) -> None:
        """Return the workflows of processes without a valid lease to the queue, and restart those of older versions."""
        live = {*self._leases.live(), self.dependencies.executor_id}
        pending = find_workflows(DBOS, status=["PENDING"])
        orphaned = [workflow for workflow in pending if workflow.executor_id not in live]
        dead = {workflow.executor_id or "" for workflow in orphaned if workflow.app_version == APPLICATION_VERSION}
        if dead:
            log.info("jobs_taken_over", processes=sorted(dead))
            DBOS._recover_pending_workflows(sorted(dead))
        for workflow in filter(_is_older, orphaned):
            self._restart(workflow)

    def _resume_unstarted(self) -> None:
        """Return to the queue what this process took from it and never started.

        This happens if the connection to the database is lost when DBOS takes a workflow.
        """
        own = self.dependencies.executor_id
        pending = find_workflows(DBOS, status=["PENDING"], executor_id=own)
        unstarted = {workflow.workflow_id for workflow in pending} - set(self._workflow.running)
        for id in unstarted & self._unstarted:
            log.warning("unstarted_job_returned", job=id)
            DBOS.resume_workflow(id, queue_name=JOB_QUEUE)
        self._unstarted = unstarted

    def _restart_stranded(self) -> None:
        """Restart the queued workflows of older versions of which no process is left."""
        live_versions = set(self._leases.live().values())
        for workflow in find_workflows(DBOS, status=["ENQUEUED"]):
            if _is_older(workflow) and workflow.app_version not in live_versions:
                self._restart(workflow)

    def _restart(self, workflow: WorkflowStatus) -> None:
        """Start an unfinished workflow of an older version, whose steps may differ, again from its first step."""
        log.info("workflow_restarted", workflow=workflow.workflow_id, version=workflow.app_version)
        DBOS.delete_workflow(workflow.workflow_id)
        if workflow.workflow_id.startswith(WEBHOOK_ID_PREFIX):
            self.dependencies.records.announce_again(workflow.workflow_id.removeprefix(WEBHOOK_ID_PREFIX))
        elif not self._queue.return_to_queue(workflow.workflow_id) and self.dependencies.records.job(
            None, workflow.workflow_id
        ):
            self._enqueue(workflow.workflow_id)

    def _start_again(self, job_id: str) -> None:
        """Start the workflow of a job from its first step."""
        DBOS.delete_workflow(job_id)
        self._enqueue(job_id)

    def _enqueue_lost(self, released_before: datetime) -> None:
        """Enqueue the released jobs without a workflow: a process released them, and ended before it enqueued them."""
        released = {job.id for job in self.dependencies.records.released_before(released_before)}
        if not released:
            return
        known = find_workflows(DBOS, workflow_ids=list(released))
        for id in released - {workflow.workflow_id for workflow in known}:
            log.info("lost_job_enqueued", job=id)
            self._enqueue(id)


def _is_older(workflow: WorkflowStatus) -> bool:
    """Return whether a workflow is of an older version. Those of newer versions are left to their processes."""
    return _number(workflow.app_version or "") < _number(APPLICATION_VERSION)


def _number(version: str) -> int:
    number = version.rpartition("-")[2]
    return int(number) if number.isdigit() else 0


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Return False for the traceback that DBOS logs when a job is canceled just before its workflow starts."""
    return not (record.exc_info and isinstance(record.exc_info[1], dbos_error.DBOSAwaitedWorkflowCancelledError))
