"""Two operators can't cross each other, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.domain.assets import Asset
from orchestrator.domain.model_versions import (
    CandidateReport,
    Latency,
    ModelVersion,
    Pointer,
    ShadowReport,
    Verdict,
    VersionState,
)
from orchestrator.store.model_records import ModelRecords
from orchestrator.store.records import Records

REPORT = CandidateReport(
    1, Verdict.AGREES, {"albedo": 0.001}, (Latency(512, 80.0, 81.0),), ShadowReport(5, {"albedo": 0.002}, 90.0, 88.0)
)


@pytest.fixture
def versions(records: Records) -> ModelRecords:
    return ModelRecords(records.engine)


def model() -> str:
    """A model of its own for each test: the PostgreSQL server is shared."""
    return f"model-{uuid.uuid4()}"


def candidate(of: str, version: int, operator: str = "ann") -> ModelVersion:
    return ModelVersion(of, version, VersionState.CHECKING, sha256=f"{version:064x}", size_bytes=3, operator=operator)


def ready(versions: ModelRecords, of: str, version: int) -> None:
    assert versions.claim(candidate(of, version), "one")
    assert versions.pass_candidate(of, version, REPORT)


def test_of_many_who_promote_what_they_saw_one_wins(versions: ModelRecords) -> None:
    name = model()
    for version in range(2, 10):
        ready(versions, name, version)
    for seen in (Pointer(1), None):
        now = seen or versions.pointers()[name]
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda version, now=now: versions.move(name, now, version, "ann"), range(2, 10)))
        assert sum(won) == 1
        after = versions.pointers()[name]
        assert after.version == won.index(True) + 2
        assert (after.previous, after.revision) == (now.version, now.revision + 1)


def test_one_candidate_of_a_model_is_checked_at_a_time(versions: ModelRecords) -> None:
    name, other = model(), model()
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda version: versions.claim(candidate(name, version), "one"), range(2, 10)))
    assert sum(won) == 1
    assert versions.claim(candidate(other, 2), "one")


def test_a_failed_number_may_come_again_and_a_ready_one_may_not(versions: ModelRecords) -> None:
    name = model()
    assert versions.claim(candidate(name, 2), "one")
    assert versions.fail(name, 2, "it is not finite")
    assert not versions.pass_candidate(name, 2, REPORT)
    assert versions.versions(name)[0].reason == "it is not finite"
    ready(versions, name, 2)
    assert not versions.claim(candidate(name, 2), "one")
    (one,) = versions.versions(name, [VersionState.READY])
    assert one.report == REPORT


def test_what_serves_is_not_retired_and_what_is_retired_is_not_promoted(versions: ModelRecords) -> None:
    name = model()
    for version in (2, 3, 4):
        ready(versions, name, version)
    assert versions.move(name, Pointer(1), 2, "ann")
    assert not versions.retire(name, 2)
    assert versions.move(name, versions.pointers()[name], 3, "ann")
    assert versions.retire(name, 2)
    pointer = versions.pointers()[name]
    assert (pointer.version, pointer.previous, pointer.revision) == (3, 0, 3)
    assert not versions.move(name, pointer, 2, "ann")


def test_a_candidate_that_nobody_works_on_is_found(versions: ModelRecords) -> None:
    name = model()
    assert versions.claim(candidate(name, 2), "one")

    def found(executor_id: str, silent_for: timedelta) -> bool:
        return name in [one.model for one in versions.abandoned(executor_id, silent_for)]

    assert found("one", timedelta(hours=1))  # the replica itself, after a restart
    assert not found("other", timedelta(hours=1))
    assert found("other", timedelta(seconds=-1))


def test_a_database_of_before_learns_which_versions_made_an_asset(tmp_path: Path) -> None:
    file = tmp_path / "old.sqlite"
    old = Records.open("", file)
    with old.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE assets DROP COLUMN model_versions"))
    old.close()
    records = Records.open("", file)
    facts = {"id": "a", "tenant": "shop", "group_id": "g", "kind": "mask", "name": "wood.png", "sha256": "0"}
    asset = Asset(**facts, media_type="image/png", size_bytes=1, model_versions={"segmentation": "2"})
    records.add_asset(asset)
    found = records.asset("shop", "a")
    assert found is not None
    assert found.model_versions == {"segmentation": "2"}
    records.close()
