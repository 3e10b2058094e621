"""Concurrent operators cannot overwrite each other's changes, on SQLite and on PostgreSQL."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

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
REPLICA = "replica-1"
OTHER_REPLICA = "replica-2"


@pytest.fixture
def model_records(records: Records) -> ModelRecords:
    return ModelRecords(records.engine)


def unique_model() -> str:
    """Return a new model name, because tests share the PostgreSQL server."""
    return f"model-{uuid.uuid4()}"


def candidate(model: str, version: int) -> ModelVersion:
    return ModelVersion(model, version, VersionState.CHECKING, sha256=f"{version:064x}", size_bytes=3, operator="ann")


def add_ready_version(model_records: ModelRecords, model: str, version: int) -> None:
    assert model_records.add_candidate(candidate(model, version), REPLICA)
    assert model_records.mark_ready(model, version, REPORT)


def test_only_one_of_several_concurrent_promotions_succeeds(model_records: ModelRecords) -> None:
    model = unique_model()
    for version in range(2, 10):
        add_ready_version(model_records, model, version)
    for initial in (Pointer(1), None):
        expected = initial or model_records.pointers()[model]
        with ThreadPoolExecutor(8) as pool:
            moved = list(
                pool.map(
                    lambda version, expected=expected: model_records.move_pointer(model, expected, version, "ann"),
                    range(2, 10),
                )
            )
        assert sum(moved) == 1
        after = model_records.pointers()[model]
        assert after.version == moved.index(True) + 2
        assert (after.previous, after.revision) == (expected.version, expected.revision + 1)


def test_only_one_candidate_of_a_model_is_checked_at_a_time(model_records: ModelRecords) -> None:
    model, other_model = unique_model(), unique_model()
    with ThreadPoolExecutor(8) as pool:
        added = list(
            pool.map(lambda version: model_records.add_candidate(candidate(model, version), REPLICA), range(2, 10))
        )
    assert sum(added) == 1
    assert model_records.add_candidate(candidate(other_model, 2), REPLICA)


def test_number_of_a_failed_version_can_be_reused_and_that_of_a_ready_one_cannot(model_records: ModelRecords) -> None:
    model = unique_model()
    assert model_records.add_candidate(candidate(model, 2), REPLICA)
    assert model_records.mark_failed(model, 2, "it is not finite")
    assert not model_records.mark_ready(model, 2, REPORT)
    assert model_records.versions(model)[0].reason == "it is not finite"
    add_ready_version(model_records, model, 2)
    assert not model_records.add_candidate(candidate(model, 2), REPLICA)
    (version,) = model_records.versions(model, [VersionState.READY])
    assert version.report == REPORT


def test_serving_version_cannot_be_retired_and_retired_version_cannot_be_promoted(model_records: ModelRecords) -> None:
    model = unique_model()
    for version in (2, 3, 4):
        add_ready_version(model_records, model, version)
    assert model_records.move_pointer(model, Pointer(1), 2, "ann")
    assert not model_records.retire(model, 2)
    assert model_records.move_pointer(model, model_records.pointers()[model], 3, "ann")
    assert model_records.retire(model, 2)
    pointer = model_records.pointers()[model]
    assert (pointer.version, pointer.previous, pointer.revision) == (3, 0, 3)
    assert not model_records.move_pointer(model, pointer, 2, "ann")


def test_candidate_is_orphaned_without_its_replica_or_without_heartbeats(
    model_records: ModelRecords,
) -> None:
    model = unique_model()
    assert model_records.add_candidate(candidate(model, 2), REPLICA)

    def is_orphaned(live: str, heartbeat_timeout: timedelta) -> bool:
        orphaned = model_records.orphaned_candidates([live], heartbeat_timeout)
        return model in [version.model for version in orphaned]

    assert is_orphaned(OTHER_REPLICA, timedelta(hours=1))
    assert not is_orphaned(REPLICA, timedelta(hours=1))
    assert is_orphaned(REPLICA, timedelta(seconds=-1))
