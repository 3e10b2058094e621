"""The waiting jobs of the tenants, on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.jobs import JobState, Priority
from orchestrator.domain.tenants import Quotas
from orchestrator.jobs.quotas import default_quotas
from orchestrator.settings import Settings
from orchestrator.store.job_queue import ACTIVE_FOR, JobQueue
from orchestrator.store.records import Records
from tests.support.records import NOON, job_record

DEFAULTS = default_quotas(Settings())
WORKERS = 2


@pytest.fixture
def queue(records: Records) -> JobQueue:
    return JobQueue(records.engine)


def defaults(_: str) -> Quotas:
    return DEFAULTS


def add(records: Records, tenant: str, count: int = 1, **changes: object) -> list[str]:
    ids = []
    for second in range(count):
        record = job_record(tenant, **{"create_time": NOON + timedelta(seconds=second), **changes})
        records.add_job(record, max_active=10_000)
        ids.append(record.id)
    return ids


def end(records: Records, id: str) -> None:
    records.change_job(id, (JobState.QUEUED,), state=JobState.SUCCEEDED, end_time=datetime.now(UTC))


def tenant_of(records: Records, id: str | None) -> str:
    job = records.job(None, id or "")
    assert job is not None
    return job.tenant


def test_a_flood_does_not_delay_the_first_job_of_another_tenant(records: Records, queue: JobQueue) -> None:
    flood = add(records, "flood", 300)
    running = [queue.release(WORKERS, defaults), queue.release(WORKERS, defaults)]
    assert running == flood[:2]
    (first,) = add(records, "shop")
    assert queue.release(WORKERS, defaults) is None
    end(records, flood[0])
    assert queue.release(WORKERS, defaults) == first


def test_a_worker_stays_free_for_a_moment_after_the_job_of_a_tenant(records: Records, queue: JobQueue) -> None:
    add(records, "flood", 10)
    add(records, "shop", state=JobState.SUCCEEDED, end_time=datetime.now(UTC))
    assert queue.release(WORKERS, defaults)
    assert queue.release(WORKERS, defaults) is None
    add(records, "gone", state=JobState.SUCCEEDED, end_time=datetime.now(UTC) - ACTIVE_FOR)
    (next_of_shop,) = add(records, "shop")
    assert queue.release(WORKERS, defaults) == next_of_shop


def test_tenants_take_turns_by_weight_and_idle_ones_gain_nothing(records: Records, queue: JobQueue) -> None:
    for tenant in ("a", "b"):
        add(records, tenant, 30)
    weighted = {"a": replace(DEFAULTS, weight=2.0)}

    def released(count: int) -> list[str]:
        tenants = []
        for _ in range(count):
            id = queue.release(1, lambda tenant: weighted.get(tenant, DEFAULTS))
            tenants.append(tenant_of(records, id))
            end(records, id or "")
        return tenants

    assert released(12).count("a") == 8
    add(records, "late", 30)
    assert released(12).count("late") in (2, 3, 4)  # its share is 1 in 4


def test_the_jobs_of_a_tenant_start_by_priority_and_age_and_urgent_ones_precede_all(
    records: Records, queue: JobQueue
) -> None:
    (low,) = add(records, "shop", priority=Priority.LOW)
    first, second = add(records, "shop", 2)
    (urgent,) = add(records, "other", priority=Priority.HIGH, create_time=NOON + timedelta(hours=1))
    assert [queue.release(9, defaults) for _ in range(5)] == [urgent, first, second, low, None]


def test_concurrent_releases_exceed_neither_the_workers_nor_the_limit_of_a_tenant(
    records: Records, queue: JobQueue
) -> None:
    if records.engine.dialect.name == "sqlite":
        pytest.skip("SQLite serves a single process, with a single dispatcher")
    add(records, "a", 40)
    add(records, "b", 40)
    limited = {"a": replace(DEFAULTS, running_jobs=2)}
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(queue.release, 7, lambda tenant: limited.get(tenant, DEFAULTS)) for _ in range(40)]
        ids = [id for call in calls if (id := call.result())]
    assert len(set(ids)) == len(ids)
    tenants = [tenant_of(records, id) for id in ids]
    assert (tenants.count("a"), tenants.count("b")) == (2, 5)


def test_a_released_job_can_return_to_the_queue_unless_it_has_started(records: Records, queue: JobQueue) -> None:
    add(records, "shop")
    id = queue.release(1, defaults)
    assert id
    assert not queue.has_waiting()
    assert queue.return_to_queue(id)
    assert queue.has_waiting()
    records.change_job(id, (JobState.QUEUED,), state=JobState.RUNNING)
    assert not queue.return_to_queue(id)
