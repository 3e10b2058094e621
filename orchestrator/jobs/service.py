"""Creates, reads, cancels and deletes jobs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from orchestrator.domain.assets import Asset
from orchestrator.domain.jobs import Failure, JobRecord, JobRevision, JobState
from orchestrator.errors import AlreadyExists, FailedPrecondition, InvalidInput, NotFound, ResourceExhausted
from orchestrator.jobs.assets import AssetService
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.job import Job
from orchestrator.jobs.plan import PIPELINE, options_document, options_of, results_of
from orchestrator.jobs.request import JobRequest
from orchestrator.jobs.stage import JobInput, StageInput
from orchestrator.jobs.stages import STAGES
from orchestrator.jobs.webhooks import check_webhook_url

MAX_LABELS = 32
MAX_LABEL_KEY = 63
MAX_LABEL_VALUE = 255
MAX_REQUEST_ID = 128


class Queue(Protocol):
    """The queue of jobs to run. ``jobs.runner.Runner`` implements it."""

    def enqueue(self, job: JobRecord) -> None:
        """Enqueue the job. Enqueueing it twice has no effect."""

    def drop(self, job_id: str) -> None:
        """Remove a job that has not started."""


class JobService:
    """The jobs of all tenants."""

    def __init__(self, dependencies: Dependencies, queue: Queue) -> None:
        self.dependencies = dependencies
        self.queue = queue
        self.assets = AssetService(dependencies)

    def create(self, tenant: str, request: JobRequest) -> JobRecord:
        """Queue a job, or return the job that the same ``request_id`` created before.

        Raises:
            InvalidInput: a value of the request is not allowed.
            NotFound: the tenant has no such upload, mesh or texture set.
            AlreadyExists: the ``request_id`` was used for a different request.
            ResourceExhausted: the tenant has too many unfinished jobs.
        """
        if len(request.request_id) > MAX_REQUEST_ID:
            raise InvalidInput("request_id", f"{len(request.request_id)} characters; at most {MAX_REQUEST_ID}")
        records = self.dependencies.records
        job = records.job_of_request(tenant, request.request_id) if request.request_id else None
        if job is None:
            most = self.dependencies.settings.max_active_jobs
            job, is_new = records.add_job(self._new_record(tenant, request), most)
            if job is None:
                raise ResourceExhausted(
                    f"the tenant has {most} queued or running jobs, which is the maximum; wait until one has ended",
                    most=most,
                )
            if is_new:
                self.queue.enqueue(job)
                return job
        if job.fingerprint != request.fingerprint:
            raise AlreadyExists(
                f"request_id {request.request_id!r} was used for another request, job {job.id}", job=job.id
            )
        return job

    def get(self, tenant: str, job_id: str) -> JobRecord:
        """The job.

        Raises:
            NotFound: the tenant has no such job.
        """
        job = self.dependencies.records.job(tenant, job_id)
        if job is None:
            raise NotFound("job", job_id)
        return job

    def page(
        self,
        tenant: str,
        states: Sequence[JobState],
        labels: Mapping[str, str],
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> list[JobRecord]:
        """At most ``limit`` jobs, newest first, older than ``before`` (create_time, id)."""
        return self.dependencies.records.list_jobs(tenant, states, dict(labels), before, limit)

    def revision(self, tenant: str, job_id: str) -> JobRevision:
        """The revision and state of the job, which is cheaper than the whole job.

        Raises:
            NotFound: the tenant has no such job.
        """
        revision = self.dependencies.records.job_revision(tenant, job_id)
        if revision is None:
            raise NotFound("job", job_id)
        return revision

    def load(self, tenant: str, records: Sequence[JobRecord]) -> list[Job]:
        """Add options, results, files and queue positions to jobs, in a constant number of queries."""
        queued = [record.id for record in records if record.state is JobState.QUEUED]
        succeeded = [record.id for record in records if record.state is JobState.SUCCEEDED]
        positions = self.dependencies.records.queue_positions(queued) if queued else {}
        assets = self.dependencies.records.assets_of_jobs(tenant, succeeded) if succeeded else {}
        return [
            Job(
                record,
                options_of(record),
                results_of(record) if record.state is JobState.SUCCEEDED else {},
                assets,
                positions.get(record.id, 0),
            )
            for record in records
        ]

    def cancel(self, tenant: str, job_id: str) -> JobRecord:
        """Request the end of a job: a queued job ends at once, a running job when its work has stopped.

        Raises:
            NotFound: the tenant has no such job.
        """
        self.get(tenant, job_id)
        records = self.dependencies.records
        canceled = records.change_job(
            job_id,
            (JobState.QUEUED,),
            state=JobState.CANCELED,
            cancel_requested=True,
            end_time=datetime.now(UTC),
            message="canceled before it started",
        )
        if canceled:
            self.queue.drop(job_id)
        else:
            records.change_job(job_id, (JobState.RUNNING,), cancel_requested=True)
        return self.get(tenant, job_id)

    def delete(self, tenant: str, job_id: str) -> None:
        """Delete a finished job and its files.

        Raises:
            NotFound: the tenant has no such job.
            FailedPrecondition: the job has not ended.
        """
        job = self.get(tenant, job_id)
        if not job.state.is_final:
            raise FailedPrecondition(f"the job is {job.state.value}; cancel it first", state=job.state.value)
        for sha256 in self.dependencies.records.delete_job(tenant, job_id):
            self.dependencies.blobs.delete(tenant, sha256)

    def expire(self) -> None:
        """Fail the queued jobs whose deadline has passed. Running jobs check their own deadline."""
        now = datetime.now(UTC)
        failure = Failure("DEADLINE_EXCEEDED", "the job's deadline passed before it could start")
        for job in self.dependencies.records.expired_jobs(now):
            if self.dependencies.records.change_job(
                job.id, (JobState.QUEUED,), state=JobState.FAILED, end_time=now, failure=failure
            ):
                self.queue.drop(job.id)

    def _new_record(self, tenant: str, request: JobRequest) -> JobRecord:
        now = datetime.now(UTC)
        if request.deadline is not None and request.deadline <= now:
            raise InvalidInput("deadline", f"{request.deadline.isoformat()} has passed; it is {now.isoformat()}")
        _check_labels(request.labels)
        if request.webhook_url:
            check_webhook_url(request.webhook_url, "webhook_url")
        inputs = self._inputs(tenant, request)
        options = _checked_options(request, JobInput(self.dependencies, tenant, inputs))
        return JobRecord(
            id=str(uuid.uuid4()),
            tenant=tenant,
            kind=request.kind,
            state=JobState.QUEUED,
            upload_id=request.upload_id,
            inputs=tuple(asset.id for asset in inputs),
            options=options_document(request.kind, options),
            quality=request.quality,
            priority=request.priority,
            deadline=request.deadline,
            labels=dict(request.labels),
            webhook_url=request.webhook_url,
            request_id=request.request_id or None,
            fingerprint=request.fingerprint,
            create_time=now,
        )

    def _inputs(self, tenant: str, request: JobRequest) -> tuple[Asset, ...]:
        if request.kind != PIPELINE and STAGES[request.kind].input is StageInput.MESH:
            field = f"{request.kind}.model_id"
            if request.upload_id:
                raise InvalidInput(
                    "upload_id", f"a {request.kind} job works on a 3D model; leave upload_id empty and set {field}"
                )
            return (self.assets.mesh(tenant, request.options[request.kind].model_id, field),)
        photos = self.assets.photos(tenant, request.upload_id)
        if not photos:
            raise InvalidInput("upload_id", f"the upload {request.upload_id!r} contains no photo")
        return tuple(photos)


def _checked_options(request: JobRequest, job: JobInput) -> dict[str, Any]:
    return {name: STAGES[name].check(options, job) for name, options in request.options.items()}


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > MAX_LABELS:
        raise InvalidInput("labels", f"{len(labels)} labels; at most {MAX_LABELS} are allowed")
    for key, value in labels.items():
        if not key or len(key) > MAX_LABEL_KEY:
            raise InvalidInput(
                "labels", f"the key {key[:80]!r} has {len(key)} characters; allowed are 1 to {MAX_LABEL_KEY}"
            )
        if len(value) > MAX_LABEL_VALUE:
            raise InvalidInput("labels", f"the value of {key!r} has {len(value)} characters; at most {MAX_LABEL_VALUE}")
