"""What passes is repeated: a store for as long as the job may run, a model for minutes, and an endpoint for one."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.domain.jobs import JobRecord
from orchestrator.errors import (
    DetectorUnavailable,
    HeartwoodError,
    JobTakenOver,
    ModelFailed,
    ModelUnavailable,
    StorageUnavailable,
    ToolKilled,
)
from orchestrator.jobs import stage
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.lease_keeper import LeaseKeeper
from orchestrator.jobs.step import WHOLE, Step
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from orchestrator.store.database import WaitingPool
from orchestrator.store.leases import LEASE
from orchestrator.store.records import Records
from tests.support.records import job_record, photo_asset


class Waits(threading.Event):
    """An event that is never set, and counts the seconds that somebody waits for it instead of waiting."""

    seconds = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds += timeout or 0.0
        return False


@pytest.mark.parametrize(
    ("kind", "least_s", "most_s"),
    [
        (StorageUnavailable, 3600, 1e9),
        (ModelUnavailable, 300, 310),
        (DetectorUnavailable, 60, 70),
        (ToolKilled, 1, 2),
        (ModelFailed, 0, 0),
    ],
)
def test_an_error_is_repeated_for_as_long_as_its_kind_may_take(
    kind: type[HeartwoodError], least_s: float, most_s: float
) -> None:
    waits = Waits()

    def fail_for_an_hour() -> None:
        if waits.seconds < 3600:
            raise kind("the server does not answer")

    try:
        stage.until_available(fail_for_an_hour, waits)
    except kind:
        assert kind is not StorageUnavailable
    assert least_s <= waits.seconds <= most_s


def test_a_database_that_stands_still_is_unavailable() -> None:
    pool = WaitingPool(lambda: sa.create_engine("sqlite://").raw_connection(), pool_size=1, max_overflow=0, timeout=0.1)
    taken = pool.connect()
    with pytest.raises(StorageUnavailable, match="does not answer"):
        pool.connect()
    taken.close()
    pool.connect().close()


@pytest.fixture
def running(tmp_path: Path) -> tuple[Step, JobRecord]:
    """A step of a running job, and the job."""
    records = Records.open("", tmp_path / "records.sqlite")
    job, _ = records.add_job(job_record(), max_active=1)
    records.take_job(job.id, "host-1/first")
    blobs = Blobs.open("", {}, tmp_path / "blobs")
    dependencies = Dependencies(
        Settings(data_dir=tmp_path), records, blobs, models=None, quotas=None, executor_id="host-1"
    )
    return Step(dependencies, job, "stain", WHOLE, "host-1/first"), job


def test_a_program_runs_on_while_the_database_is_away_for_less_than_a_lease(
    running: tuple[Step, JobRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, _ = running

    def refuse(*_: object) -> None:
        raise StorageUnavailable("the database does not answer; try again later")

    monkeypatch.setattr(step.dependencies.records, "job", refuse)
    step.progress(0.5, "half")
    step = replace(step, _next_report=0.0, _last_answer=step._last_answer - LEASE.total_seconds())
    with pytest.raises(StorageUnavailable):
        step.progress(0.5, "half")


def test_an_earlier_execution_in_the_same_process_writes_nothing(running: tuple[Step, JobRecord]) -> None:
    step, job = running
    records = step.dependencies.records
    records.take_job(job.id, "host-1/second")
    with pytest.raises(JobTakenOver):
        step.progress(0.5, "half")
    with pytest.raises(JobTakenOver):
        records.add_asset(photo_asset("ab" * 32), job.id, step.owner)


def test_after_an_outage_of_the_database_a_process_lets_the_others_renew_their_leases() -> None:
    keeper = LeaseKeeper(lambda: None)
    for now in range(10):
        keeper.note_renewal(float(now))
    assert keeper.may_take_over(9.5)
    assert not keeper.may_take_over(17.0)  # the database has been down for 8 s
    keeper.note_renewal(17.0)
    assert not keeper.may_take_over(17.1)
    for now in range(18, 21):
        keeper.note_renewal(float(now))
    assert keeper.may_take_over(20.5)
