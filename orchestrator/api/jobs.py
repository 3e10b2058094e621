"""``JobService``: creates, lists, watches, cancels and deletes jobs."""

from __future__ import annotations

import threading
from asyncio import sleep
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

from cachetools import TTLCache
from grpc.aio import ServicerContext

from orchestrator.api import fields
from orchestrator.api.auth import Tokens
from orchestrator.api.codecs import CODECS
from orchestrator.api.convert import Fields, from_proto, read_enum, to_proto
from orchestrator.api.job_replies import JobReplies
from orchestrator.api.limits import CallLimits
from orchestrator.api.servicer import Servicer, call, stream
from orchestrator.domain.checks import Violations
from orchestrator.domain.jobs import JobState
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.domain.tokens import Scope
from orchestrator.errors import InvalidInput
from orchestrator.jobs.assets import existing
from orchestrator.jobs.job import PIPELINE, JobRequest, check_labels
from orchestrator.jobs.service import JobService
from orchestrator.jobs.stages import STAGES
from orchestrator.protocol.heartwood.v1 import job_pb2, job_pb2_grpc, stain_pb2

WATCH_JOBS_INTERVAL_S = 0.5
"""Interval at which ``WatchJobs`` checks all jobs of a tenant for changes. Not tuned."""
JOBS_PER_READ = 100
"""Maximum number of jobs that ``WatchJobs`` reads at once."""
WATCH_INTERVAL_S = 0.1
"""Interval at which ``WatchJob`` checks a job for changes. Not tuned."""
ALWAYS_IN_PIPELINE = ("segment", "reconstruct")
"""Stages that every pipeline runs, with default options if the caller does not set them."""
CACHED_TENANTS = 1000
"""Maximum number of tenants whose last ``recent_revisions`` are kept in memory."""


class JobServicer(Servicer, job_pb2_grpc.JobServiceServicer):
    """Implements ``JobService`` of ``job.proto``."""

    def __init__(self, jobs: JobService, tokens: Tokens, limits: CallLimits) -> None:
        super().__init__(jobs, tokens, limits)
        self._replies = JobReplies(jobs)
        self._revisions: TTLCache[str, dict[str, int]] = TTLCache(CACHED_TENANTS, WATCH_JOBS_INTERVAL_S / 2)
        self._revisions_lock = threading.Lock()

    async def authorize(self, request: Any, context: ServicerContext) -> str:
        """See ``Servicer.authorize``. Jobs with the priority HIGH need a scope of their own."""
        caller = await self.caller(context)
        if isinstance(request, job_pb2.CreateJobRequest) and request.spec.priority == job_pb2.PRIORITY_HIGH:
            caller.require(Scope.URGENT_JOBS, "create jobs with the priority HIGH")
        return caller.tenant

    @call
    def CreateJob(self, request: job_pb2.CreateJobRequest, tenant: str) -> job_pb2.CreateJobResponse:
        try:
            record = self.jobs.create(tenant, _read_request(request))
        except InvalidInput as error:
            raise _with_full_path(error, request) from None
        return job_pb2.CreateJobResponse(job=self._reply(tenant, record.id))

    @call
    def GetJob(self, request: job_pb2.GetJobRequest, tenant: str) -> job_pb2.GetJobResponse:
        return job_pb2.GetJobResponse(job=self._reply(tenant, request.job_id))

    @call
    def ListJobs(self, request: job_pb2.ListJobsRequest, tenant: str) -> job_pb2.ListJobsResponse:
        size = fields.page_size(request.page_size)
        states = [read_enum(number, job_pb2.JobState.DESCRIPTOR, JobState, "states") for number in request.states]
        check_labels(request.labels)
        before = fields.read_page_token(request.page_token, tuple[datetime, str])
        page = self.jobs.page(tenant, states, dict(request.labels), before, size + 1)
        token = fields.next_page_token(page, size, lambda job: (job.create_time, job.id))
        replies = self._replies.of(tenant, {job.id: job.revision for job in page[:size]})
        return job_pb2.ListJobsResponse(jobs=replies, next_page_token=token)

    @stream
    async def WatchJob(
        self, request: job_pb2.WatchJobRequest, tenant: str
    ) -> AsyncGenerator[job_pb2.WatchJobResponse, None]:
        sent = None
        while True:
            revision = await self.limits.in_thread(tenant, self.jobs.revision, tenant, request.job_id)
            if revision != sent:
                job = await self.limits.in_thread(tenant, self._reply, tenant, request.job_id)
                yield job_pb2.WatchJobResponse(job=job)
                if read_enum(job.state, job_pb2.JobState.DESCRIPTOR, JobState, "state").is_final:
                    return
                sent = revision
            await sleep(WATCH_INTERVAL_S)

    @stream
    async def WatchJobs(
        self, request: job_pb2.WatchJobsRequest, tenant: str
    ) -> AsyncGenerator[job_pb2.WatchJobsResponse, None]:
        check_labels(request.labels)
        labels = dict(request.labels)
        sent: dict[str, int] = {}  # job id → revision; only of unfinished and of recently created jobs
        while True:
            revisions = await self.limits.in_thread(tenant, self._recent_revisions, tenant)
            ended = sent.keys() - revisions.keys()
            changed = {id: revision for id, revision in revisions.items() if sent.get(id) != revision}
            if ended:
                changed |= await self.limits.in_thread(tenant, self.jobs.revisions, tenant, sorted(ended))
            items = list(changed.items())
            for start in range(0, len(items), JOBS_PER_READ):
                page = dict(items[start : start + JOBS_PER_READ])
                for job in await self.limits.in_thread(tenant, self._replies.of, tenant, page):
                    if labels.items() <= dict(job.spec.labels).items():
                        yield job_pb2.WatchJobsResponse(job=job)
            sent = revisions
            await sleep(WATCH_JOBS_INTERVAL_S)

    @call
    def CancelJob(self, request: job_pb2.CancelJobRequest, tenant: str) -> job_pb2.CancelJobResponse:
        self.jobs.cancel(tenant, request.job_id)
        return job_pb2.CancelJobResponse(job=self._reply(tenant, request.job_id))

    @call
    def DeleteJob(self, request: job_pb2.DeleteJobRequest, tenant: str) -> job_pb2.DeleteJobResponse:
        self.jobs.delete(tenant, request.job_id)
        return job_pb2.DeleteJobResponse()

    @call
    def ListStains(self, _: job_pb2.ListStainsRequest, __: str) -> job_pb2.ListStainsResponse:
        stains = [to_proto(stain, stain_pb2.NamedStain) for stain in STAINS.values()]
        return job_pb2.ListStainsResponse(stains=stains)

    def _recent_revisions(self, tenant: str) -> dict[str, int]:
        """See ``JobService.recent_revisions``. The streams of a tenant share one query, which reads all active jobs."""
        with self._revisions_lock:
            remembered = self._revisions.get(tenant)
        if remembered is None:
            remembered = self.jobs.recent_revisions(tenant)
            with self._revisions_lock:
                self._revisions[tenant] = remembered
        return remembered

    def _reply(self, tenant: str, job_id: str) -> job_pb2.Job:
        """The reply for one job. Raises NotFound if the tenant has no such job."""
        replies = self._replies.of(tenant, self.jobs.revisions(tenant, [job_id]))
        return existing(next(iter(replies), None), "job", job_id)


def _read_request(request: job_pb2.CreateJobRequest) -> JobRequest:
    """The requested job. Raises InvalidInput, whose field path ``_with_full_path`` completes."""
    spec = request.spec
    kind = spec.WhichOneof("stage")
    if kind is None:
        raise InvalidInput("stage", f"no stage is set; set one of {', '.join(STAGES)} or {PIPELINE}")
    takes_mesh = kind != PIPELINE and STAGES[kind].takes_mesh
    converted: Fields = {"kind": kind, "options": {}, "deadline": None, "labels": dict(spec.labels)}
    with Violations() as violations:
        violations.check(takes_mesh or bool(spec.upload_id), "upload_id", "it is empty; a value is required")
        with violations.collect():
            converted["options"] = _read_options(kind, spec)
        with violations.collect():
            if spec.HasField("deadline"):
                converted["deadline"] = fields.read_time("deadline", spec.deadline)
        return from_proto(spec, JobRequest, "", request_id=request.request_id, **converted)


def _with_full_path(error: InvalidInput, request: job_pb2.CreateJobRequest) -> InvalidInput:
    """Return the error with field paths that start at the request. Its own start at the spec or at a stage."""

    def full(field: str) -> str:
        if field == "request_id":
            return field
        in_pipeline = request.spec.WhichOneof("stage") == PIPELINE and field.partition(".")[0] in STAGES
        return f"spec.{PIPELINE}.{field}" if in_pipeline else f"spec.{field}"

    return InvalidInput.listing([(full(field), text) for field, text in error.violations], error.facts)


def _read_options(kind: str, spec: job_pb2.JobSpec) -> dict[str, Any]:
    """The options of each requested stage, by name."""
    if kind != PIPELINE:
        return {kind: CODECS[kind].read_options(getattr(spec, kind))}
    pipeline = spec.pipeline
    requested = {field.name for field, _ in pipeline.ListFields()} | set(ALWAYS_IN_PIPELINE)
    options = {}
    with Violations() as violations:
        for name, stage in STAGES.items():
            message = getattr(pipeline, name)
            names_mesh = stage.takes_mesh and bool(message.model_id)
            rule = "a pipeline works on the 3D model that it makes; leave model_id empty"
            violations.check(not names_mesh, f"{name}.model_id", rule)
            if name in requested:
                with violations.collect():
                    options[name] = CODECS[name].read_options(message)
    return options
