"""Creates, reads, cancels and deletes jobs."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.domain.assets import Asset
from orchestrator.domain.checks import Violations
from orchestrator.domain.jobs import Failure, JobChange, JobKey, JobRecord, JobRevision, JobState
from orchestrator.domain.webhooks import Delivery, DeliveryState, WebhookPolicy
from orchestrator.errors import AlreadyExists, InvalidInput, ResourceExhausted
from orchestrator.jobs.assets import AssetService, existing
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.documents import copy_fields
from orchestrator.jobs.job import PIPELINE, Job, JobRequest, options_document
from orchestrator.jobs.stage import JobInput
from orchestrator.jobs.stages import STAGES
from orchestrator.store.deletions import Deletions
from orchestrator.store.job_queue import JobQueue
from orchestrator.store.records import PageEnd
from orchestrator.store.webhook_records import WebhookRecords

if TYPE_CHECKING:
    from orchestrator.jobs.runner import Runner

RECENT = timedelta(minutes=2)
"""Age up to which a job counts as recent. ``WatchJobs`` looks for changes more often than that."""


class JobService:
    """The jobs of all tenants."""

    def __init__(self, dependencies: Dependencies, runner: Runner) -> None:
        self.dependencies = dependencies
        self._records = dependencies.records
        self._webhooks = WebhookRecords(dependencies.records.engine)
        self._deletions = Deletions(dependencies.records.engine)
        self._queue = JobQueue(dependencies.records.engine)
        self.runner = runner
        self.assets = AssetService(dependencies)

    def create(self, tenant: str, request: JobRequest) -> JobRecord:
        """Queue a job, or return the job that the same ``request_id`` created before.

        Raises InvalidInput, NotFound for the upload, mesh or texture set, AlreadyExists if the ``request_id`` was used
        for a different request, ResourceExhausted if the tenant has too many unfinished jobs, and QuotaExceeded if it
        has used up its storage or its budget for the detector.
        """
        job = self._records.job_of_request(tenant, request.request_id) if request.request_id else None
        if job is None:
            quotas = self.dependencies.quotas
            limit = quotas.of(tenant).active_jobs
            quotas.check_space(tenant, 0)
            job, is_new = self._records.add_job(self._new_record(tenant, request), limit)
            if job is None:
                reached = f"the tenant has {limit} queued or running jobs, which is the maximum"
                raise ResourceExhausted(f"{reached}; wait until one has ended", quota="active_jobs", most=limit)
            if is_new:
                self.runner.wake()
                return job
        if job.fingerprint != request.fingerprint:
            used_by = f"request_id {request.request_id!r} was used for another request, job {job.id}"
            raise AlreadyExists(used_by, job=job.id)
        return job

    def get(self, tenant: str, job_id: str) -> JobRecord:
        """The job. Raises NotFound if the tenant has no such job."""
        return existing(self._records.job(tenant, job_id), "job", job_id)

    def revision(self, tenant: str, job_id: str) -> JobRevision:
        """The revision and state of the job, which are cheaper to read than the whole job. Raises NotFound."""
        return existing(self._records.job_revision(tenant, job_id), "job", job_id)

    def recent_revisions(self, tenant: str) -> dict[str, int]:
        """Return the revision of each unfinished job, and of each job that was created in the last minutes, by id."""
        return self._records.recent_revisions(tenant, datetime.now(UTC) - RECENT)

    def revisions(self, tenant: str, job_ids: Collection[str]) -> dict[str, int]:
        """Return the revision of each of the jobs that exists, by id."""
        return self._records.revisions(tenant, job_ids)

    def page(
        self, tenant: str, states: Sequence[JobState], labels: Mapping[str, str], before: PageEnd | None, limit: int
    ) -> list[JobKey]:
        """Return the page of jobs after ``before``, the end of the previous page (None: the first page).

        See ``Records.list_jobs`` for the filters and the order.
        """
        return self._records.list_jobs(tenant, states, labels, before, limit)

    def load(self, tenant: str, job_ids: Sequence[str]) -> list[Job]:
        """Read jobs with their files, in a constant number of queries and in any order."""
        records = self._records.jobs_with_ids(tenant, job_ids)
        succeeded = [record.id for record in records if record.state is JobState.SUCCEEDED]
        assets = self._records.assets_of_jobs(tenant, succeeded)
        return [Job(record, assets) for record in records]

    def queue_positions(self, tenant: str, job_ids: Collection[str]) -> dict[str, int]:
        """For each of the jobs that is queued, return how many jobs of the tenant start before it."""
        return self._queue.positions(tenant, job_ids)

    def cancel(self, tenant: str, job_id: str) -> None:
        """Cancel a job. A queued job ends immediately, a running job as soon as its work has stopped."""
        self.get(tenant, job_id)
        end: JobChange = {"state": JobState.CANCELED, "cancel_requested": True, "end_time": datetime.now(UTC)}
        end["message"] = "canceled before it started"
        if self._records.change_job(job_id, (JobState.QUEUED,), **end):
            self.runner.drop(job_id)
        else:
            self._records.change_job(job_id, (JobState.RUNNING,), cancel_requested=True)

    def delete(self, tenant: str, job_id: str) -> None:
        """Delete a finished job, its history and its files.

        Raises FailedPrecondition if the job has not ended, and InUse if an unfinished job uses its result or a file.
        """
        self.get(tenant, job_id)
        self._deletions.delete_job(tenant, job_id)
        self.runner.forget([job_id])

    def expire(self) -> None:
        """Fail the queued jobs whose deadline has passed. Running jobs check their own deadline."""
        now = datetime.now(UTC)
        failure = Failure("DEADLINE_EXCEEDED", "the job's deadline passed before it could start")
        failed: JobChange = {"state": JobState.FAILED, "end_time": now, "failure": failure}
        for job in self._records.expired_jobs(now):
            if self._records.change_job(job.id, (JobState.QUEUED,), **failed):
                self.runner.drop(job.id)

    def deliveries(
        self,
        tenant: str,
        job_id: str,
        states: Sequence[DeliveryState],
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Delivery]:
        """Return webhook deliveries, newest first; see ``WebhookRecords.page``."""
        return self._webhooks.page(tenant, job_id, states, before, limit)

    def redeliver(self, tenant: str, delivery_id: str) -> Delivery:
        """Deliver a webhook again. Raises NotFound."""
        return self._webhooks.redeliver(tenant, delivery_id)

    def webhook_secret(self, tenant: str) -> str:
        """Return the newest secret with which the tenant's webhooks are signed."""
        return self._webhooks.secrets(tenant)[0]

    def rotate_webhook_secret(self, tenant: str, overlap: timedelta) -> str:
        """Create a new secret. Until ``overlap`` has passed, webhooks are signed with the earlier one, too."""
        return self._webhooks.rotate_secret(tenant, overlap)

    def _new_record(self, tenant: str, request: JobRequest) -> JobRecord:
        now = datetime.now(UTC)
        inputs: tuple[Asset, ...] = ()
        options: dict[str, Any] = {}
        with Violations() as violations:
            if request.deadline is not None:
                passed = f"{request.deadline.isoformat()} has passed; it is {now.isoformat()}"
                violations.check(request.deadline > now, "deadline", passed)
            if request.webhook_url:
                with violations.collect():
                    policy = WebhookPolicy(self.dependencies.settings.webhook_allow)
                    policy.check_url(request.webhook_url, "webhook_url")
            inputs = self._inputs(tenant, request)  # without them, the options cannot be checked
            job_input = JobInput(self.dependencies, tenant, inputs, request.options)
            for name, requested in request.options.items():
                with violations.collect():
                    options[name] = STAGES[name].check(requested, job_input)
        return copy_fields(
            JobRecord,
            request,
            id=str(uuid.uuid4()),
            tenant=tenant,
            state=JobState.QUEUED,
            inputs=tuple(asset.id for asset in inputs),
            options=options_document(request.kind, options),
            labels=dict(request.labels),
            request_id=request.request_id or None,
            create_time=now,
        )

    def _inputs(self, tenant: str, request: JobRequest) -> tuple[Asset, ...]:
        if request.kind != PIPELINE and STAGES[request.kind].takes_mesh:
            field = f"{request.kind}.model_id"
            if request.upload_id:
                rule = f"a {request.kind} job works on a 3D model"
                raise InvalidInput("upload_id", f"{rule}; leave upload_id empty and set {field}")
            return (self.assets.mesh(tenant, request.options[request.kind].model_id, field),)
        photos = self.assets.photos(tenant, request.upload_id)
        if not photos:
            raise InvalidInput("upload_id", f"the upload {request.upload_id!r} contains no photo")
        return tuple(photos)
