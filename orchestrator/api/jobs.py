"""JobService: create, look at, watch, cancel and delete jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from grpc.aio import ServicerContext

from orchestrator.api import requests, responses
from orchestrator.api.servicer import Servicer, call, in_thread, stream
from orchestrator.domain.jobs import JobState
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import job_pb2, job_pb2_grpc, stain_pb2

WATCH_INTERVAL_S = 0.1


class JobServicer(Servicer, job_pb2_grpc.JobServiceServicer):
    """See ``job.proto``."""

    @call
    async def CreateJob(
        self, request: job_pb2.CreateJobRequest, _: ServicerContext, tenant: str
    ) -> job_pb2.CreateJobResponse:
        asked = requests.job_request(request)
        try:
            row = await in_thread(self.jobs.create, tenant, asked)
        except InvalidInput as error:
            raise requests.in_spec(error, request.spec.WhichOneof("stage")) from None
        return job_pb2.CreateJobResponse(job=await self._job(tenant, row))

    @call
    async def GetJob(self, request: job_pb2.GetJobRequest, _: ServicerContext, tenant: str) -> job_pb2.GetJobResponse:
        row = await in_thread(self.jobs.get, tenant, request.job_id)
        return job_pb2.GetJobResponse(job=await self._job(tenant, row))

    @call
    async def ListJobs(
        self, request: job_pb2.ListJobsRequest, _: ServicerContext, tenant: str
    ) -> job_pb2.ListJobsResponse:
        size = requests.page_size(request.page_size)
        states = requests.states(request.states)
        before = _read_place(request.page_token)
        rows = await in_thread(self.parts.records.list_jobs, tenant, states, dict(request.labels), before, size + 1)
        token = ""
        if len(rows) > size:
            last = rows[size - 1]
            token = requests.page_token([last["create_time"].isoformat(), last["id"]])
        return job_pb2.ListJobsResponse(
            jobs=[await self._job(tenant, row) for row in rows[:size]], next_page_token=token
        )

    @stream
    async def WatchJob(
        self, request: job_pb2.WatchJobRequest, _: ServicerContext, tenant: str
    ) -> AsyncIterator[job_pb2.WatchJobResponse]:
        seen: Any = None
        while True:
            row = await in_thread(self.jobs.get, tenant, request.job_id)
            made = await self._job(tenant, row)
            if made != seen:
                yield job_pb2.WatchJobResponse(job=made)
                seen = made
            if JobState(row["state"]).is_final:
                return
            await asyncio.sleep(WATCH_INTERVAL_S)

    @call
    async def CancelJob(
        self, request: job_pb2.CancelJobRequest, _: ServicerContext, tenant: str
    ) -> job_pb2.CancelJobResponse:
        row = await in_thread(self.jobs.cancel, tenant, request.job_id)
        return job_pb2.CancelJobResponse(job=await self._job(tenant, row))

    @call
    async def DeleteJob(
        self, request: job_pb2.DeleteJobRequest, _: ServicerContext, tenant: str
    ) -> job_pb2.DeleteJobResponse:
        await in_thread(self.jobs.delete, tenant, request.job_id)
        return job_pb2.DeleteJobResponse()

    @call
    async def ListStains(
        self, _: job_pb2.ListStainsRequest, __: ServicerContext, ___: str
    ) -> job_pb2.ListStainsResponse:
        return job_pb2.ListStainsResponse(
            stains=[
                stain_pb2.NamedStain(
                    name=stain.name, label=stain.label, color=stain.color.hex, description=stain.description
                )
                for stain in STAINS.values()
            ]
        )

    async def _job(self, tenant: str, row: dict[str, Any]) -> job_pb2.Job:
        def make() -> job_pb2.Job:
            records = self.parts.records
            queued = row["state"] == JobState.QUEUED.value
            position = records.queue_position(row) if queued else 0
            return responses.job(row, position, lambda id: records.asset(tenant, id))

        made: job_pb2.Job = await in_thread(make)
        return made


def _read_place(token: str) -> tuple[datetime, str] | None:
    values = requests.read_page_token(token, 2)
    if not values:
        return None
    try:
        return datetime.fromisoformat(values[0]), values[1]
    except ValueError:
        raise InvalidInput(
            "page_token", "it is not one that this service gave; leave it empty for the first page"
        ) from None
