"""Runs the durable jobs of one process: the DBOS engine, its queues, and recovery after a crash or an upgrade."""

from __future__ import annotations

import shutil
import threading

import structlog
from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID

from orchestrator.domain.jobs import JobRecord
from orchestrator.domain.webhooks import WebhookPolicy
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.service import JobService
from orchestrator.jobs.webhooks import Webhooks
from orchestrator.jobs.workflow import APPLICATION_VERSION, JobWorkflow

log = structlog.get_logger()

JOB_QUEUE = "jobs"
WEBHOOK_ID_PREFIX = "webhook-"
"""Up to version 5, a webhook was a workflow whose id was this prefix and the job id."""
SWEEP_INTERVAL_S = 1.0
"""Interval at which expired jobs are failed and the webhooks of finished jobs are created. Not tuned."""


class Runner:
    """The DBOS engine and its queues. A process can have only one runner, because it can have only one DBOS."""

    def __init__(self, dependencies: Dependencies) -> None:
        self.dependencies = dependencies
        settings = dependencies.settings
        _ = dependencies.trellis  # raises InvalidInput at startup if the TRELLIS URL is invalid
        config: DBOSConfig = {
            "name": "heartwood",
            "system_database_url": settings.dbos_database_url or f"sqlite:///{settings.root / 'jobs.sqlite'}",
            "application_version": APPLICATION_VERSION,
            "executor_id": settings.executor_id,
            "log_level": "ERROR",
            "enable_otlp": False,
        }
        DBOS(config=config)
        self._workflow = JobWorkflow(dependencies)
        self._webhooks = Webhooks(dependencies.records, WebhookPolicy(settings.webhook_allow))
        self.jobs = JobService(dependencies, self)
        self._stopping = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="job-sweeper", daemon=True)

    def start(self) -> None:
        """Launch the engine. Interrupted jobs continue at the interrupted step."""
        DBOS.launch()
        workers = self.dependencies.settings.workers
        DBOS.register_queue(JOB_QUEUE, worker_concurrency=workers, polling_interval_sec=0.1)
        active = self.dependencies.records.active_jobs()
        active_ids = {job.id for job in active}
        for folder in self.dependencies.work_folder("").glob("*"):
            if folder.name not in active_ids:  # the job ended while this process was down
                shutil.rmtree(folder, ignore_errors=True)
        self._restart_older_workflows()
        for job in active:
            if DBOS.get_workflow_status(job.id) is None:  # never enqueued because of a crash, or deleted above
                self.enqueue(job)
        self._sweeper.start()
        self._webhooks.start()

    def stop(self) -> None:
        """Wait at most ``drain_s`` for the running jobs to end, then stop. Unfinished jobs resume at the next start."""
        self._stopping.set()
        self._webhooks.stop()
        DBOS.destroy(workflow_completion_timeout_sec=int(self.dependencies.settings.drain_s))

    def enqueue(self, job: JobRecord) -> None:
        """Enqueue a job. The workflow id is the job id, so that enqueueing twice has no effect."""
        with SetWorkflowID(job.id), SetEnqueueOptions(priority=int(job.priority)):
            DBOS.enqueue_workflow(JOB_QUEUE, self._workflow.run, job.id)

    def drop(self, job_id: str) -> None:
        """Remove a job that has not started from the queue."""
        DBOS.cancel_workflow(job_id)

    def _restart_older_workflows(self) -> None:
        """Delete unfinished workflows of other versions. Announce their jobs again; ``start`` re-enqueues jobs."""
        for workflow in DBOS.list_workflows(status=["PENDING", "ENQUEUED"], load_input=False, load_output=False):
            is_ours = workflow.status == "ENQUEUED" or workflow.executor_id == self.dependencies.settings.executor_id
            if workflow.app_version == APPLICATION_VERSION or not is_ours:
                continue
            log.info("workflow_restarted", workflow=workflow.workflow_id, version=workflow.app_version)
            DBOS.delete_workflow(workflow.workflow_id)
            if workflow.workflow_id.startswith(WEBHOOK_ID_PREFIX):
                self.dependencies.records.announce_again(workflow.workflow_id.removeprefix(WEBHOOK_ID_PREFIX))

    def _sweep(self) -> None:
        while not self._stopping.wait(SWEEP_INTERVAL_S):
            try:
                self.jobs.expire()
                self._webhooks.announce_finished_jobs()
            except Exception:
                log.exception("sweep_failed")
