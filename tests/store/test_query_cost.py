"""The work of frequent queries does not depend on the number of unrelated records.

The work is measured as the number of instructions of SQLite's virtual machine, which grows with every row that a query
visits. PostgreSQL is not measured: it has statistics, and prefers to scan tables as small as these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator.domain.jobs import JobState
from orchestrator.jobs.quotas import default_quotas
from orchestrator.settings import Settings
from orchestrator.store.blob_records import BlobRecords
from orchestrator.store.deletions import Deletions, Tenants
from orchestrator.store.job_queue import JobQueue
from orchestrator.store.records import Records
from orchestrator.store.tenant_records import TenantRecords
from orchestrator.store.webhook_records import WebhookRecords
from tests.support.records import NOON, RecordsWithFiles, job_record, photo_asset

UNRELATED_JOBS = 200
TOLERANCE = 30
"""Instructions. Visiting each unrelated record once would take at least ``UNRELATED_JOBS``."""

HOOK = "https://shop.example/hook"
JOB = job_record(id="job", state=JobState.SUCCEEDED, webhook_url=HOOK)
QUEUED_JOB = job_record(id="queued", deadline=NOON)
MASK = photo_asset("mask", id="mask", kind="mask")

EVERYONE = Tenants([], others=True)
LONG_AGO = NOON - timedelta(days=2)


def expire_assets(records: Records, *, uploads: bool) -> object:
    return Deletions(records.engine).expire_assets(EVERYONE, uploads=uploads, before=LONG_AGO, after=None)


OPERATIONS: dict[str, Callable[[Records], object]] = {
    "add_job": lambda records: records.add_job(job_record(), max_active=10),
    "change_job": lambda records: records.change_job(QUEUED_JOB.id, (JobState.QUEUED,), fraction=0.5),
    "job_revision": lambda records: records.job_revision("shop", QUEUED_JOB.id),
    "queue_positions": lambda records: JobQueue(records.engine).positions("shop", [QUEUED_JOB.id]),
    "release": lambda records: JobQueue(records.engine).release(2, lambda _: default_quotas(Settings())),
    "usage": lambda records: TenantRecords(records.engine).usage("nobody", NOON),
    "list_jobs": lambda records: records.list_jobs("shop", (), {}, None, 1),
    "jobs_with_ids": lambda records: records.jobs_with_ids("shop", [JOB.id]),
    "active_jobs": lambda records: records.active_jobs(),
    "active_jobs_of": lambda records: records.active_jobs("shop"),
    "expired_jobs": lambda records: records.expired_jobs(NOON),
    "jobs_to_announce": lambda records: records.jobs_to_announce(),
    "assets_of_jobs": lambda records: records.assets_of_jobs("shop", [JOB.id, QUEUED_JOB.id]),
    "delete_job": lambda records: Deletions(records.engine).delete_job("shop", JOB.id),
    "expire_uploads": lambda records: expire_assets(records, uploads=True),
    "expire_results": lambda records: expire_assets(records, uploads=False),
    "expire_cached": lambda records: Deletions(records.engine).expire_cached(EVERYONE, before=LONG_AGO),
    "expire_deliveries": lambda records: Deletions(records.engine).expire_deliveries(EVERYONE, before=LONG_AGO),
    "expire_jobs": lambda records: Deletions(records.engine).ended_jobs(EVERYONE, before=LONG_AGO, after=None),
    "mark_files": lambda records: BlobRecords(records.engine).mark(LONG_AGO),
    "delete_asset": lambda records: Deletions(records.engine).delete_asset("shop", MASK.id),
}


class InstructionCounter:
    """Counts the instructions that SQLite executes on the connections of one engine."""

    def __init__(self, records: Records) -> None:
        self.instructions = 0
        sa.event.listen(records.engine, "checkout", self._count_on)

    def _count_on(self, connection: Any, *_: Any) -> None:
        connection.set_progress_handler(self._count, 1)

    def _count(self) -> int:
        self.instructions += 1
        return 0


@pytest.fixture
def sqlite_records(tmp_path: Path) -> Iterator[Records]:
    records = RecordsWithFiles.open("", tmp_path / "records.sqlite")
    records.add_job(JOB, max_active=10)
    records.add_job(QUEUED_JOB, max_active=10)
    records.add_asset(MASK, JOB.id)
    records.keep("shop", "outlines", ["mask"], ["outline"], {})
    yield records
    records.close()


def add_unrelated(records: Records) -> None:
    """Add finished jobs that are older, were announced, made a file, and left a cached result."""
    for index in range(UNRELATED_JOBS):
        job = job_record(
            state=JobState.SUCCEEDED, create_time=NOON - timedelta(days=1), webhook_url=HOOK, deadline=NOON
        )
        records.add_job(job, max_active=10)
        WebhookRecords(records.engine).announce(job)
        records.add_asset(photo_asset(f"mask-{index}"), job.id)
        records.keep("shop", f"outlines-{index}", [f"mask-{index}"], [f"outline-{index}"], {})


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_work_of_a_query_does_not_depend_on_unrelated_records(
    sqlite_records: Records, tmp_path: Path, name: str
) -> None:
    def work(records: Records) -> int:
        counter = InstructionCounter(records)
        OPERATIONS[name](records)
        return counter.instructions

    copy = tmp_path / "with_unrelated_records.sqlite"
    with sqlite_records.engine.connect() as connection:
        connection.execute(sa.text("VACUUM INTO :copy"), {"copy": str(copy)})
    crowded_records = RecordsWithFiles.open("", copy)
    add_unrelated(crowded_records)
    assert work(crowded_records) <= work(sqlite_records) + TOLERANCE
    crowded_records.close()
