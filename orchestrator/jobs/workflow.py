"""The durable workflow of a job. Steps exchange ids, hashes and small typed results; images stay in the blob store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from dbos import DBOS, DBOSConfiguredInstance

from orchestrator.domain.file_names import folder_names
from orchestrator.domain.jobs import JobChange, JobRecord, JobState, PhotoFailure
from orchestrator.domain.segment import DetectorCost
from orchestrator.domain.untrusted_folder import remove_untrusted
from orchestrator.errors import Canceled, JobTakenOver
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.documents import to_json
from orchestrator.jobs.job import PlannedStage, failure_of, options_of, planned_stages
from orchestrator.jobs.stage import PhotoError, StageRun, durable, until_available
from orchestrator.store.leases import new_owner

log = structlog.get_logger()

APPLICATION_VERSION = "heartwood-jobs-7"
"""DBOS recovers only workflows of its own version. Increment it when steps change their order, arguments or results:
the runner then restarts unfinished jobs of the older version from their first step."""


@dataclass(frozen=True)
class BegunJob:
    """The state of a job when it begins."""

    inputs: tuple[str, ...]  # asset ids of the photos, or of the mesh
    options: Mapping[str, Any]  # options of each requested stage, by name
    versions: Mapping[str, str]  # model → version that the job uses, whatever is promoted later
    folders: tuple[str, ...]  # of the results of each photo; empty if the input is a mesh


@DBOS.dbos_class("JobWorkflow")
class JobWorkflow(DBOSConfiguredInstance):
    """The workflow of all jobs of one service.

    Args:
        on_end: called when a job has ended.

    Attributes:
        running: the ids of the jobs that run in this process.
    """

    def __init__(self, dependencies: Dependencies, on_end: Callable[[], None]) -> None:
        super().__init__("heartwood")
        self.dependencies = dependencies
        self._on_end = on_end
        self.running: list[str] = []

    @DBOS.workflow(name="job")
    def run(self, job_id: str) -> None:
        """Run the stages of the job one after the other."""
        self.running.append(job_id)
        try:
            self._run(job_id)
        finally:
            self.running.remove(job_id)

    def _run(self, job_id: str) -> None:
        errors: dict[int, PhotoError] = {}
        # Not a step: it also happens when this process takes over the job.
        records, stopping = self.dependencies.records, self.dependencies.stopping
        owner = new_owner(self.dependencies.executor_id)
        until_available(lambda: records.take_job(job_id, owner), stopping)
        try:
            job = durable("begin", lambda: self._begin(job_id), stopping)
            plan = planned_stages(job.options)
            begun = (job.inputs, job.versions, job.folders)
            run = StageRun[Any](
                self.dependencies, job_id, *begun, options=None, owner=owner, mesh=job.inputs[0], photo_errors=errors
            )
            for planned in plan:
                stage = planned.stage
                result = stage.run(replace(run, options=planned.options, span=planned.span, stage=stage.name))
                mesh = stage.output_mesh(result) if stage.output_mesh else run.mesh
                run = replace(run, results={**run.results, stage.name: result}, mesh=mesh)
            durable("succeed", lambda: self._succeed(job_id, owner, plan, run.results, errors), stopping)
        except JobTakenOver:
            return  # the new owner continues
        except Exception as error:  # noqa: BLE001 - any error ends the job with a reason
            cause = error
            durable("fail", lambda: self._fail(job_id, owner, cause, errors), stopping)
        self._on_end()

    def _begin(self, job_id: str) -> BegunJob:
        """Change QUEUED to RUNNING, and return what the workflow needs to know. Raises Canceled."""
        records = self.dependencies.records
        records.change_job(job_id, (JobState.QUEUED,), state=JobState.RUNNING, start_time=datetime.now(UTC))
        job = records.job(None, job_id)
        if job is None or job.state is not JobState.RUNNING:
            raise Canceled("the job was canceled before it started")
        options = options_of(job)
        if all(planned.stage.takes_mesh for planned in planned_stages(options)):
            return BegunJob(job.inputs, options, versions={}, folders=())
        folders = folder_names(self._photo_names(job))
        return BegunJob(job.inputs, options, self.dependencies.models.versions(), tuple(folders))

    def _succeed(
        self,
        job_id: str,
        owner: str,
        plan: list[PlannedStage],
        results: Mapping[str, Any],
        errors: Mapping[int, PhotoError],
    ) -> None:
        """Change RUNNING to SUCCEEDED, and write the results of the requested stages and the photos that failed."""
        remove_untrusted(self.dependencies.work_folder(job_id))
        result = {planned.stage.name: to_json(results[planned.stage.name]) for planned in plan if planned.requested}
        cost = sum((planned.stage.cost(results[planned.stage.name]) for planned in plan), DetectorCost())
        end: JobChange = {"state": JobState.SUCCEEDED, "end_time": datetime.now(UTC), "result": result, "cost": cost}
        failures = self._photo_failures(job_id, errors)
        message = f"done; photos left out: {len(failures)}" if failures else "done"
        end |= {"fraction": 1.0, "stage": "done", "message": message, "photo_failures": failures}
        changed = self.dependencies.records.change_job(job_id, (JobState.RUNNING,), owner, **end)
        log.info("job_ended", job=job_id, state="SUCCEEDED", changed=changed)

    def _fail(self, job_id: str, owner: str, error: BaseException, errors: Mapping[int, PhotoError]) -> None:
        """Change an unfinished job to CANCELED or FAILED, with the reason."""
        state = JobState.CANCELED if isinstance(error, Canceled) else JobState.FAILED
        failure = failure_of(error, "job")
        if failure.reason == "INTERNAL":
            log.error("job_failed", job=job_id, exc_info=error)
        remove_untrusted(self.dependencies.work_folder(job_id))
        end: JobChange = {"state": state, "end_time": datetime.now(UTC), "message": failure.message}
        end["failure"] = None if state is JobState.CANCELED else failure
        end["photo_failures"] = self._photo_failures(job_id, errors)
        unfinished = (JobState.QUEUED, JobState.RUNNING)
        changed = self.dependencies.records.change_job(job_id, unfinished, owner, **end)
        log.info("job_ended", job=job_id, state=state.value, reason=failure.reason, changed=changed)

    def _photo_failures(self, job_id: str, errors: Mapping[int, PhotoError]) -> list[PhotoFailure]:
        """Return the reason why the job left out each photo with an error, by index."""
        job = self.dependencies.records.job(None, job_id) if errors else None
        if job is None:
            return []
        names, failures = self._photo_names(job), []
        for index, failed in sorted(errors.items()):
            failure = failure_of(failed.error, "work on the photo")
            if failure.reason == "INTERNAL":
                log.error("photo_failed", job=job_id, photo=index, exc_info=failed.error)
            failures.append(PhotoFailure(index, job.inputs[index], names[index], failed.stage, failure))
        return failures

    def _photo_names(self, job: JobRecord) -> list[str]:
        """Return the file name of each photo of a job; empty for a photo that was deleted."""
        photos = self.dependencies.records.group(job.tenant, job.upload_id, "photo")
        names = {photo.id: photo.name for photo in photos}
        return [names.get(id, "") for id in job.inputs]
