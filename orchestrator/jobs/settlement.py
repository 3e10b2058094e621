"""Finds running jobs that no workflow will end, and ends or restarts them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from dbos import DBOS, WorkflowStatus

from orchestrator.domain.jobs import Failure, JobChange, JobRecord, JobState
from orchestrator.domain.untrusted_folder import remove_untrusted
from orchestrator.errors import DeadlineExceeded
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.history import find_workflows
from orchestrator.jobs.job import internal_failure
from orchestrator.jobs.step import remaining_s

log = structlog.get_logger()

WAITING = ("ENQUEUED", "DELAYED")
FAILED = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
"""The states of a workflow that would fail again."""


class Settlement:
    """The rules for jobs whose workflow does not work on them.

    Args:
        restart: starts the workflow of a job from its first step, whose results are cached.
    """

    def __init__(self, dependencies: Dependencies, restart: Callable[[str], None]) -> None:
        self._dependencies, self._records, self._restart = dependencies, dependencies.records, restart

    def settle(self) -> None:
        """Settle the running jobs of all processes.

        A running job returns to the queue when its process dies. While it waits there, a cancellation or a passed
        deadline ends it. A job whose workflow has failed fails; one whose workflow is missing, or has ended without
        ending the job, starts again.
        """
        ids = [job.id for job in self._records.running_jobs()]
        found = find_workflows(DBOS, workflow_ids=ids) if ids else []
        workflows = {workflow.workflow_id: workflow for workflow in found}
        for id in ids:
            job = self._records.job(None, id)  # read after the workflow, which ends after its job
            if job is not None and job.state is JobState.RUNNING:
                self._settle(job, workflows.get(id))

    def _settle(self, job: JobRecord, workflow: WorkflowStatus | None) -> None:
        status = workflow.status if workflow else "missing"
        if status == "PENDING":
            return
        if status in WAITING:
            self._end_if_due(job)
            return
        log.warning("job_abandoned", job=job.id, workflow=status)
        if status in FAILED:
            self._end(job, JobState.FAILED, internal_failure("job"))
        else:
            self._restart(job.id)

    def _end_if_due(self, job: JobRecord) -> None:
        """End a job that waits for a worker if it was canceled, or if its deadline has passed."""
        if job.cancel_requested:
            self._end(job, JobState.CANCELED, None)
            return
        try:
            remaining_s(job, self._dependencies.settings)
        except DeadlineExceeded as error:
            self._end(job, JobState.FAILED, Failure(error.reason, error.message, facts=error.facts))

    def _end(self, job: JobRecord, state: JobState, failure: Failure | None) -> None:
        message = failure.message if failure else "the job was canceled"
        end: JobChange = {"state": state, "end_time": datetime.now(UTC), "failure": failure, "message": message}
        if self._records.change_job(job.id, (JobState.RUNNING,), **end):
            DBOS.cancel_workflow(job.id)

    def remove_folders(self) -> None:
        """Remove the working folders of jobs that have ended, such as in another process that took them over."""
        for folder in self._dependencies.work_folder("").glob("*"):
            job = self._records.job(None, folder.name)
            if job is None or job.state.is_final:
                remove_untrusted(folder)
