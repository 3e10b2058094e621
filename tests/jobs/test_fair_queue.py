"""A tenant with a long queue does not delay the first job of another one, on two replicas."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.domain.jobs import JobState
from orchestrator.protocol.heartwood.v1 import job_pb2
from orchestrator.store.records import Records
from tests.support.pictures import jpeg, wood_photo
from tests.support.postgresql import new_database
from tests.support.running_service import RunningService, wait_for

FLOOD = 1000
PHOTO = jpeg(wood_photo(640, 480, seed=43))


def test_a_thousand_queued_jobs_delay_another_tenant_by_at_most_one_job(
    tmp_path: Path, triton_url: str, postgresql: str
) -> None:
    (tmp_path / "blobs").mkdir()
    database_url = new_database(postgresql)
    stores = {"database_url": database_url, "blob_url": f"file://{tmp_path / 'blobs'}"}
    first, second = (RunningService(tmp_path / name, triton_url, **stores, workers=1) for name in ("first", "second"))
    records = Records.open(database_url, Path())
    with first.client("flood") as flood, second.client("shop") as shop:
        job = flood.segment(flood.upload_bytes(PHOTO, "board.jpg").group_id)
        template = records.job("flood", job.id)
        assert template is not None
        for number in range(FLOOD):
            created = datetime.now(UTC) + timedelta(microseconds=number)
            fields = {"id": str(uuid.uuid4()), "state": JobState.QUEUED, "request_id": None, "create_time": created}
            records.add_job(replace(template, **fields, release_time=None, start_time=None, owner=None), FLOOD + 1)
        wait_for(lambda: len(records.list_jobs("flood", (JobState.RUNNING,), {}, None, 9)) == 2, 60)
        upload = shop.upload_bytes(PHOTO, "board.jpg").group_id
        own = shop.segment(upload)
        assert own.progress.queue_position == 0
        assert shop.wait(own.id).state == job_pb2.JOB_STATE_SUCCEEDED
        mine = records.job("shop", own.id)
        assert mine is not None
        assert mine.release_time is not None
        active = records.active_jobs("flood")
        assert len(active) > FLOOD * 0.9
        between = [
            job
            for key in records.list_jobs("flood", (), {}, None, FLOOD + 1)
            if (job := records.job("flood", key.id)) and job.release_time
            if mine.create_time < job.release_time < mine.release_time
        ]
        assert between == []
        longest_running = max(
            (job.end_time or datetime.now(UTC)) - job.start_time
            for key in records.list_jobs("flood", (JobState.SUCCEEDED, JobState.RUNNING), {}, None, FLOOD)
            if (job := records.job("flood", key.id)) and job.start_time
        )
        assert mine.start_time is not None
        assert mine.start_time - mine.create_time < longest_running + timedelta(seconds=1)
    records.close()
    for replica in (first, second):
        replica.kill()  # instead of waiting for a job of the flood
