from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.domain.jobs import Failure, JobRevision, JobState, Priority
from orchestrator.domain.segment import DetectorCost
from orchestrator.errors import InUse
from orchestrator.store.deletions import Deletions
from orchestrator.store.job_queue import JobQueue
from orchestrator.store.records import Records
from orchestrator.store.webhook_records import WebhookRecords
from tests.support.records import NOON, job_record, marked, photo_asset


def test_a_job_is_read_as_it_was_added(records: Records) -> None:
    record = job_record(
        request_id="first",
        deadline=NOON + timedelta(hours=1),
        labels={"room": "hall"},
        webhook_url="https://shop.example/hook",
        priority=Priority.HIGH,
        inputs=("photo-1", "photo-2"),
    )
    assert records.add_job(record, max_active=10) == (record, True)
    assert records.job("shop", record.id) == record
    assert records.job_of_request("shop", "first") == record
    assert records.job("other", record.id) is None
    assert records.job_of_request("other", "first") is None


def test_concurrent_jobs_can_cache_the_same_value(records: Records) -> None:
    with ThreadPoolExecutor(2) as pool:
        for key in map(str, range(30)):
            list(pool.map(lambda _, key=key: records.keep("shop", key, ["photo"], [], {"key": key}), range(2)))
            assert records.cached("shop", key) == {"key": key}


def test_concurrent_calls_with_one_request_id_create_one_job(records: Records) -> None:
    candidates = [job_record(request_id="same") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda record: records.add_job(record, max_active=100), candidates))
    assert len({record.id for record, _ in added if record is not None}) == 1
    assert sum(is_new for _, is_new in added) == 1


def test_the_limit_of_active_jobs_applies_to_each_tenant(records: Records) -> None:
    for _ in range(2):
        assert records.add_job(job_record(), max_active=2)[1]
    assert records.add_job(job_record(), max_active=2) == (None, False)
    assert records.add_job(job_record(tenant="other"), max_active=2)[1]


def test_concurrent_calls_do_not_exceed_the_limit_of_active_jobs(records: Records) -> None:
    candidates = [job_record() for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda record: records.add_job(record, max_active=3), candidates))
    assert sum(is_new for _, is_new in added) == len(records.active_jobs("shop")) == 3


def test_a_change_writes_every_given_field_and_increments_the_revision(records: Records) -> None:
    record = job_record()
    records.add_job(record, max_active=10)
    assert records.change_job(
        record.id,
        (JobState.QUEUED,),
        state=JobState.SUCCEEDED,
        start_time=NOON,
        end_time=NOON + timedelta(minutes=1),
        cancel_requested=True,
        fraction=1.0,
        stage="done",
        message="done",
        previews=("overlay",),
        result={"stain": {"photos": []}},
        cost=DetectorCost(120, 30, 0.5),
    )
    assert records.job("shop", record.id) == replace(
        record,
        state=JobState.SUCCEEDED,
        start_time=NOON,
        end_time=NOON + timedelta(minutes=1),
        cancel_requested=True,
        fraction=1.0,
        stage="done",
        message="done",
        previews=("overlay",),
        result={"stain": {"photos": []}},
        cost=DetectorCost(120, 30, 0.5),
        revision=2,
    )


def test_a_failure_is_read_as_it_was_written(records: Records) -> None:
    record = job_record()
    records.add_job(record, max_active=10)
    failure = Failure("NO_WOOD_FOUND", "no wood", "stain", {"share": "0.001"})
    records.change_job(record.id, (JobState.QUEUED,), state=JobState.FAILED, failure=failure)
    failed = records.job("shop", record.id)
    assert failed is not None
    assert failed.failure == failure


def test_a_final_state_never_changes(records: Records) -> None:
    record = job_record()
    records.add_job(record, max_active=10)
    assert records.change_job(record.id, (JobState.QUEUED,), state=JobState.CANCELED, failure=None)
    assert not records.change_job(record.id, (JobState.QUEUED, JobState.RUNNING), state=JobState.SUCCEEDED)
    assert records.job("shop", record.id) == replace(record, state=JobState.CANCELED, revision=2)


def test_a_tenant_lists_its_own_jobs_newest_first_by_state_and_label(records: Records) -> None:
    for hour in range(4):
        labels = {"room": "hall"} if hour % 2 else {}
        state = JobState.RUNNING if hour == 3 else JobState.QUEUED
        record = job_record(create_time=NOON + timedelta(hours=hour), labels=labels, state=state)
        records.add_job(record, max_active=10)
    records.add_job(job_record(tenant="other"), max_active=10)
    jobs = records.list_jobs("shop", (), {}, None, 10)
    assert [job.create_time for job in jobs] == [NOON + timedelta(hours=hour) for hour in (3, 2, 1, 0)]
    assert records.list_jobs("shop", (), {}, None, 2) == jobs[:2]
    assert records.list_jobs("shop", (), {}, (jobs[1].create_time, jobs[1].id), 10) == jobs[2:]
    assert records.list_jobs("shop", (), {"room": "hall"}, None, 10) == jobs[::2]
    assert records.list_jobs("shop", (JobState.RUNNING,), {}, None, 10) == jobs[:1]
    assert records.list_jobs("shop", (JobState.FAILED,), {}, None, 10) == []


def test_the_queue_position_counts_only_the_jobs_of_the_tenant_that_start_before(records: Records) -> None:
    low = job_record(priority=Priority.LOW)
    late = job_record(create_time=NOON + timedelta(minutes=1))
    early = job_record()
    for number in range(5):
        records.add_job(job_record(tenant="other", create_time=NOON - timedelta(minutes=number)), max_active=10)
    high = job_record(priority=Priority.HIGH, create_time=NOON + timedelta(hours=1))
    running = job_record(state=JobState.RUNNING)
    for record in (low, late, early, high, running):
        records.add_job(record, max_active=10)
    ids = [record.id for record in (low, late, early, high, running)]
    queue = JobQueue(records.engine)
    assert queue.positions("shop", ids) == {high.id: 0, early.id: 1, late.id: 2, low.id: 3}
    assert queue.positions("shop", [late.id]) == {late.id: 2}
    assert queue.positions("shop", []) == queue.positions("nobody", ids) == {}
    assert records.job_revision("shop", late.id) == JobRevision(1, JobState.QUEUED, 2)
    assert records.job_revision("shop", running.id) == JobRevision(1, JobState.RUNNING, 0)
    assert records.job_revision("other", early.id) is None


def test_active_jobs_are_listed_oldest_first(records: Records) -> None:
    running = job_record(state=JobState.RUNNING, create_time=NOON + timedelta(minutes=1))
    queued = job_record()
    of_other_tenant = job_record(tenant="other", create_time=NOON + timedelta(minutes=2))
    finished = job_record(state=JobState.SUCCEEDED)
    for record in (running, queued, of_other_tenant, finished):
        records.add_job(record, max_active=10)
    assert records.active_jobs() == [queued, running, of_other_tenant]
    assert records.active_jobs("shop") == [queued, running]


def test_only_queued_jobs_whose_deadline_has_passed_are_expired(records: Records) -> None:
    expired = job_record(deadline=NOON)
    later = job_record(deadline=NOON + timedelta(seconds=1))
    running = job_record(deadline=NOON, state=JobState.RUNNING)
    for record in (expired, later, running, job_record()):
        records.add_job(record, max_active=10)
    assert records.expired_jobs(NOON) == [expired]


def test_each_finished_job_with_a_webhook_is_announced_once(records: Records) -> None:
    hook = "https://shop.example/hook"
    finished = job_record(webhook_url=hook, state=JobState.FAILED)
    for record in (finished, job_record(webhook_url=hook), job_record(state=JobState.SUCCEEDED)):
        records.add_job(record, max_active=10)
    assert records.jobs_to_announce() == [finished]
    webhooks = WebhookRecords(records.engine)
    for _ in range(2):  # as two replicas would
        webhooks.announce(finished)
    assert records.jobs_to_announce() == []
    assert [delivery.job_id for delivery in webhooks.page("shop", "", (), None, 10)] == [finished.id]


def test_deleting_a_job_deletes_its_assets_and_releases_their_files(records: Records) -> None:
    record = job_record(state=JobState.SUCCEEDED)
    records.add_job(record, max_active=10)
    for sha256 in ("mask", "shared"):
        records.add_asset(photo_asset(sha256, kind="mask"), record.id)
    uploaded = records.add_asset(photo_asset("shared"))
    Deletions(records.engine).delete_job("shop", record.id)
    assert marked(records) == ["mask"]
    assert records.job("shop", record.id) is None
    assert records.list_assets("shop", "", "", "", 10) == [uploaded]


def test_deleting_an_asset_changes_the_revision_of_the_finished_job_that_made_it(records: Records) -> None:
    record, unrelated = job_record(state=JobState.SUCCEEDED), job_record(state=JobState.SUCCEEDED)
    for added in (record, unrelated):
        records.add_job(added, max_active=10)
    mask = records.add_asset(photo_asset("mask", kind="mask"), record.id)
    Deletions(records.engine).delete_asset("shop", mask.id)
    assert records.job("shop", record.id) == replace(record, revision=2)
    assert records.job("shop", unrelated.id) == unrelated


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_a_file_that_an_unfinished_job_made_is_in_use(records: Records, state: JobState) -> None:
    record = job_record(state=state)
    records.add_job(record, max_active=10)
    mask = records.add_asset(photo_asset("mask", kind="mask"), record.id)
    with pytest.raises(InUse, match=record.id):
        Deletions(records.engine).delete_asset("shop", mask.id)
    assert records.job("shop", record.id) == record
    assert records.asset("shop", mask.id) == mask
