"""The records keep their promises on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.domain.assets import Asset
from orchestrator.domain.jobs import JobState
from orchestrator.store.records import Records

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def tenant() -> str:
    """A tenant of its own for each test: the PostgreSQL server is shared."""
    return f"shop-{uuid.uuid4()}"


def job(owner: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "tenant": owner,
        "kind": "stain",
        "state": "QUEUED",
        "upload_id": "upload",
        "inputs": [],
        "options": {},
        "quality": "final",
        "priority": 100,
        "labels": {},
        "webhook_url": "",
        "request_id": None,
        "fingerprint": "",
        "create_time": NOON,
        **changes,
    }


def asset(owner: str, sha256: str, **changes: Any) -> Asset:
    facts = {"id": str(uuid.uuid4()), "group_id": "group", "kind": "photo", "name": "chair.jpg"}
    return Asset(**{**facts, **changes}, tenant=owner, media_type="image/jpeg", size_bytes=3, sha256=sha256)


def test_one_request_id_makes_one_job_however_many_ask_at_once(records: Records) -> None:
    owner = tenant()
    with ThreadPoolExecutor(8) as pool:
        asked = [job(owner, request_id="same") for _ in range(8)]
        made = list(pool.map(lambda row: records.add_job(row, max_active=100), asked))
    assert len({row["id"] for row, _ in made}) == 1
    assert sum(is_new for _, is_new in made) == 1


def test_an_ended_job_never_changes_again(records: Records) -> None:
    row, _ = records.add_job(job(tenant()), max_active=10)
    assert records.change_job(row["id"], (JobState.QUEUED,), state="CANCELED")
    assert not records.change_job(row["id"], (JobState.QUEUED, JobState.RUNNING), state="SUCCEEDED")
    ended = records.job(None, row["id"])
    assert ended is not None
    assert (ended["state"], ended["revision"]) == ("CANCELED", row["revision"] + 1)


def test_a_tenant_sees_only_its_own_newest_first_and_by_label(records: Records) -> None:
    owner, other = tenant(), tenant()
    for hour in range(4):
        label = {"room": "hall"} if hour % 2 else {}
        records.add_job(job(owner, create_time=NOON + timedelta(hours=hour), labels=label), max_active=10)
    hers, _ = records.add_job(job(other), max_active=10)
    listed = records.list_jobs(owner, (), {}, None, 10)
    assert [row["create_time"] for row in listed] == [NOON + timedelta(hours=hour) for hour in (3, 2, 1, 0)]
    last = listed[1]
    assert records.list_jobs(owner, (), {}, (last["create_time"], last["id"]), 10) == listed[2:]
    assert records.list_jobs(owner, (), {"room": "hall"}, None, 10) == listed[::2]
    assert records.job(owner, hers["id"]) is None


def test_the_limit_of_active_jobs_counts_one_tenant(records: Records) -> None:
    owner = tenant()
    for _ in range(2):
        assert records.add_job(job(owner), max_active=2)[1]
    assert records.add_job(job(owner), max_active=2) == ({}, False)
    assert records.add_job(job(tenant()), max_active=2)[1]


def test_deleting_a_photo_frees_its_bytes_and_what_was_made_of_them_unless_named_elsewhere(records: Records) -> None:
    owner = tenant()
    first, twin = asset(owner, "photo"), asset(owner, "photo")
    for one in (first, twin):
        records.add_asset(one)
    records.keep(owner, "analysis", ["photo"], {"blobs": ["maps", "shared"]})
    records.add_asset(asset(owner, "shared", kind="texture"))
    assert records.delete_asset(first) == []
    assert records.cached(owner, "analysis") is not None
    assert records.delete_asset(twin) == ["maps", "photo"]
    assert records.cached(owner, "analysis") is None
