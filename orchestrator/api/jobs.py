"""``JobService``: creates, lists, watches, cancels and deletes jobs."""

from __future__ import annotations

import threading
from asyncio import sleep, to_thread
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from cachetools import LRUCache

from orchestrator.api import fields, messages
from orchestrator.api.auth import Tokens
from orchestrator.api.convert import read_enum, to_proto
from orchestrator.api.servicer import Servicer, call, stream
from orchestrator.domain.jobs import JobRecord, JobState
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import InvalidInput
from orchestrator.jobs.service import JobService
from orchestrator.protocol.heartwood.v1 import job_pb2, job_pb2_grpc, stain_pb2

WATCH_INTERVAL_S = 0.1
CACHED_REPLIES = 2000
"""Finished jobs whose replies are kept in memory, each of about 1 to 50 kB."""


class JobServicer(Servicer, job_pb2_grpc.JobServiceServicer):
    """Implements ``JobService`` of ``job.proto``."""

    def __init__(self, jobs: JobService, tokens: Tokens) -> None:
        super().__init__(jobs, tokens)
        self._replies: LRUCache[tuple[str, int], job_pb2.Job] = LRUCache(CACHED_REPLIES)
        self._replies_lock = threading.Lock()

    @call
    def CreateJob(self, request: job_pb2.CreateJobRequest, tenant: str) -> job_pb2.CreateJobResponse:
        try:
            record = self.jobs.create(tenant, messages.read_job_request(request))
        except InvalidInput as error:
            raise messages.from_request(error, request) from None
        return job_pb2.CreateJobResponse(job=self._reply(tenant, record))

    @call
    def GetJob(self, request: job_pb2.GetJobRequest, tenant: str) -> job_pb2.GetJobResponse:
        return job_pb2.GetJobResponse(job=self._reply(tenant, self.jobs.get(tenant, request.job_id)))

    @call
    def ListJobs(self, request: job_pb2.ListJobsRequest, tenant: str) -> job_pb2.ListJobsResponse:
        size = fields.page_size(request.page_size)
        states = [read_enum(number, job_pb2.JobState.DESCRIPTOR, JobState, "states") for number in request.states]
        before = fields.read_page_token(request.page_token, tuple[datetime, str])
        page = self.records.list_jobs(tenant, states, dict(request.labels), before, size + 1)
        last = page[size - 1] if len(page) > size else None
        token = fields.write_page_token(last.create_time, last.id) if last else ""
        return job_pb2.ListJobsResponse(jobs=self._replies_to(tenant, page[:size]), next_page_token=token)

    @stream
    async def WatchJob(self, request: job_pb2.WatchJobRequest, tenant: str) -> AsyncIterator[job_pb2.WatchJobResponse]:
        sent = None
        while True:
            revision = await to_thread(self.jobs.revision, tenant, request.job_id)
            if revision != sent:
                record = await to_thread(self.jobs.get, tenant, request.job_id)
                yield job_pb2.WatchJobResponse(job=await to_thread(self._reply, tenant, record))
                if record.state.is_final:
                    return
                sent = revision
            await sleep(WATCH_INTERVAL_S)

    @call
    def CancelJob(self, request: job_pb2.CancelJobRequest, tenant: str) -> job_pb2.CancelJobResponse:
        return job_pb2.CancelJobResponse(job=self._reply(tenant, self.jobs.cancel(tenant, request.job_id)))

    @call
    def DeleteJob(self, request: job_pb2.DeleteJobRequest, tenant: str) -> job_pb2.DeleteJobResponse:
        self.jobs.delete(tenant, request.job_id)
        return job_pb2.DeleteJobResponse()

    @call
    def ListStains(self, _: job_pb2.ListStainsRequest, __: str) -> job_pb2.ListStainsResponse:
        stains = [to_proto(stain, stain_pb2.NamedStain, color=stain.color.hex) for stain in STAINS.values()]
        return job_pb2.ListStainsResponse(stains=stains)

    def _reply(self, tenant: str, record: JobRecord) -> job_pb2.Job:
        return self._replies_to(tenant, [record])[0]

    def _replies_to(self, tenant: str, records: Sequence[JobRecord]) -> list[job_pb2.Job]:
        """The protos of jobs. Those of finished jobs come from memory unless the job's revision has changed."""
        with self._replies_lock:
            known = [(record.id, self._replies.get((record.id, record.revision))) for record in records]
        replies = {id: reply for id, reply in known if reply is not None}
        missing = [record for record in records if record.id not in replies]
        for job in self.jobs.load(tenant, missing):
            reply = messages.write_job(job)
            replies[job.record.id] = reply
            if job.record.state.is_final:
                with self._replies_lock:
                    self._replies[job.record.id, job.record.revision] = reply
        return [replies[record.id] for record in records]
