"""Files, jobs and records expire by policy; nothing in use does. A tenant can be deleted completely."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.domain.jobs import JobState
from orchestrator.domain.retention import Kept
from orchestrator.domain.webhooks import DeliveryState
from orchestrator.jobs.retention import Retention
from orchestrator.settings import Settings
from orchestrator.store.records import Records
from orchestrator.store.retention_records import RetentionRecords
from orchestrator.store.schema import cache
from orchestrator.store.webhook_records import WebhookRecords
from tests.support.postgresql import new_database
from tests.support.records import RecordsWithFiles, job_record, photo_asset

NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=10)
HOOK = "https://shop.example/hook"


@pytest.fixture(params=["sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Records:
    url = new_database(request.getfixturevalue("postgresql")) if request.param == "postgresql" else ""
    return RecordsWithFiles.open(url, tmp_path / "records.sqlite")


def expire(records: Records, forgotten: list[str] | None = None, **days: float) -> dict[str, int]:
    """Apply the retention once. Return what was deleted."""

    def forget(job_ids: Sequence[str]) -> None:
        if forgotten is not None:
            forgotten.extend(job_ids)

    counts = Retention(
        records.engine, Settings(**{f"keep_{kind}_days": value for kind, value in days.items()}), forget
    ).expire()
    return {kind.value: count for kind, count in counts.items() if count}


def names(records: Records, tenant: str = "shop") -> set[str]:
    return {asset.name for asset in records.list_assets(tenant, "", "", "", 1000)}


def add_files(records: Records, tenant: str = "shop") -> None:
    """Add an old and a new upload, and an old and a new result."""
    for age, time in (("old", OLD), ("new", NOW)):
        for origin, job_id in (("upload", ""), ("result", "job")):
            name = f"{age} {origin}"
            asset = photo_asset(name, tenant, name=name, id=f"{tenant} {name}", create_time=time)
            records.add_asset(asset, job_id)


def test_nothing_expires_by_default(records: Records) -> None:
    add_files(records)
    assert expire(records) == {}
    assert len(names(records)) == 4


def test_each_kind_expires_by_its_own_age(records: Records) -> None:
    add_files(records)
    assert expire(records, uploads=7) == {"uploads": 1}
    assert names(records) == {"new upload", "old result", "new result"}
    assert expire(records, uploads=7, results=7) == {"results": 1}
    assert names(records) == {"new upload", "new result"}


def test_a_tenant_can_have_its_own_retention(records: Records) -> None:
    for tenant in ("shop", "archive", "brief"):
        add_files(records, tenant)
    own = RetentionRecords(records.engine)
    own.set("archive", {Kept.UPLOADS: 0.0})
    own.set("brief", {Kept.UPLOADS: 1.0, Kept.RESULTS: 1.0})
    assert expire(records, uploads=7) == {"uploads": 2, "results": 1}
    assert "old upload" in names(records, "archive")
    assert names(records, "brief") == {"new upload", "new result"}
    own.set("archive", {Kept.UPLOADS: None})
    assert expire(records, uploads=7) == {"uploads": 1}


def test_a_file_that_an_unfinished_job_uses_does_not_expire(records: Records) -> None:
    for number in range(130):  # more than one batch
        records.add_asset(photo_asset(f"{number}", name=f"{number}", id=f"{number}", create_time=OLD))
    job = job_record(inputs=tuple(map(str, range(120))), state=JobState.RUNNING, create_time=OLD)
    records.add_job(job, max_active=1)
    assert expire(records, uploads=7) == {"uploads": 10}
    assert names(records) == set(job.inputs)
    records.change_job(job.id, (JobState.RUNNING,), state=JobState.SUCCEEDED)
    assert expire(records, uploads=7) == {"uploads": 120}


def test_an_old_job_expires_with_its_results_and_history_unless_another_job_uses_it(records: Records) -> None:
    ended = {"state": JobState.SUCCEEDED, "create_time": OLD, "end_time": OLD}
    segment, unused = job_record(kind="segment", **ended), job_record(**ended)
    recent = job_record(**{**ended, "end_time": NOW})
    stain = job_record(options={"segment_job_id": segment.id})
    for job in (segment, unused, recent, stain):
        records.add_job(job, max_active=10)
        records.add_asset(photo_asset(job.id, name=job.id), job.id)
    forgotten: list[str] = []
    assert expire(records, forgotten, jobs=7) == {"jobs": 1}
    assert forgotten == [unused.id]
    assert records.job("shop", unused.id) is None
    assert names(records) == {segment.id, recent.id, stain.id}


def test_old_cached_results_and_webhook_deliveries_expire(records: Records) -> None:
    for key in ("old", "new"):
        records.keep("shop", key, [], [f"{key} file"], {})
    with records.engine.begin() as connection:
        connection.execute(cache.update().where(cache.c.key == "old").values(create_time=OLD))
    webhooks = WebhookRecords(records.engine)
    delivered, pending = (job_record(state=JobState.FAILED, webhook_url=HOOK) for _ in range(2))
    for job in (delivered, pending):
        records.add_job(job, max_active=10)
        webhooks.announce(job)
    by_job = {delivery.job_id: delivery for delivery in webhooks.page("shop", "", (), None, 10)}
    webhooks.finish_attempt(by_job[delivered.id], DeliveryState.DELIVERED, 200, "", None)
    assert expire(records, cache=7, webhooks=1e-9) == {"cache": 1, "webhooks": 1}
    assert records.cached("shop", "old") is None
    assert records.cached("shop", "new") == {}
    assert [delivery.job_id for delivery in webhooks.page("shop", "", (), None, 10)] == [pending.id]


def test_a_periodic_task_is_done_by_one_process(records: Records) -> None:
    replicas = [RetentionRecords(records.engine), RetentionRecords(sa.create_engine(records.engine.url))]
    turns = [replica.take_turn("sweep", timedelta(minutes=1)) for replica in replicas * 2]
    assert turns == [True, False, False, False]
    assert replicas[1].take_turn("other", timedelta(minutes=1))
