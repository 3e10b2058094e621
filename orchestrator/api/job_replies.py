"""Makes the replies about jobs, and keeps them, because lists and streams repeat them."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from cachetools import LRUCache

from orchestrator.api.codecs import CODECS
from orchestrator.api.convert import Fields, to_proto
from orchestrator.api.status import status
from orchestrator.jobs.job import PIPELINE, Job
from orchestrator.jobs.service import JobService
from orchestrator.protocol.heartwood.v1 import job_pb2, pipeline_pb2

KEPT_REPLIES = 4000
"""Maximum number of replies in memory. Each takes about 1 to 50 kB."""


class JobReplies:
    """The replies about jobs. A reply is converted once for each revision of its job. Thread-safe."""

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs
        self._kept: LRUCache[tuple[str, int], job_pb2.Job] = LRUCache(KEPT_REPLIES)  # by id and revision
        self._lock = threading.Lock()

    def of(self, tenant: str, revisions: Mapping[str, int]) -> list[job_pb2.Job]:
        """Return the reply about each job that still exists, in the order of ``revisions``: id → known revision."""
        with self._lock:
            kept = {id: self._kept.get((id, revision)) for id, revision in revisions.items()}
        replies = {id: reply for id, reply in kept.items() if reply is not None}
        for job in self._jobs.load(tenant, [id for id in revisions if id not in replies]):
            reply = replies[job.record.id] = _to_proto(job)
            with self._lock:
                self._kept[job.record.id, job.record.revision] = reply
        queued = [id for id, reply in replies.items() if reply.state == job_pb2.JOB_STATE_QUEUED]
        positions = self._jobs.queue_positions(tenant, queued)
        return [_at_position(replies[id], positions.get(id, 0)) for id in revisions if id in replies]


def _at_position(reply: job_pb2.Job, position: int) -> job_pb2.Job:
    """Return a reply with a position in the queue, which changes without the job."""
    if not position:
        return reply
    copy = job_pb2.Job()
    copy.CopyFrom(reply)
    copy.progress.queue_position = position
    return copy


def _to_proto(job: Job) -> job_pb2.Job:
    record, kind = job.record, job.record.kind
    options = {name: CODECS[name].write_options(value) for name, value in job.options.items()}
    spec = {kind: pipeline_pb2.PipelineOptions(**options) if kind == PIPELINE else options[kind]}
    converted: Fields = {
        "spec": to_proto(record, job_pb2.JobSpec, **spec),
        "progress": to_proto(record, job_pb2.Progress, preview_asset_ids=record.previews),
    }
    converted["photo_failures"] = [
        to_proto(failure, job_pb2.PhotoFailure, error=status(failure.failure)) for failure in record.photo_failures
    ]
    if record.failure:
        converted["error"] = status(record.failure)
    if job.results:
        results = {name: CODECS[name].write_result(result, job) for name, result in job.results.items()}
        converted[kind] = pipeline_pb2.PipelineResult(**results) if kind == PIPELINE else results[kind]
    return to_proto(record, job_pb2.Job, **converted)
