"""Files are removed after a grace period, and never while something uses them or stores them again."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.domain.jobs import JobState
from orchestrator.errors import StorageUnavailable
from orchestrator.jobs.collector import Collector
from orchestrator.store.blob_records import BlobRecords, Removed
from orchestrator.store.blobs import Blobs, blob_key
from orchestrator.store.deletions import Deletions
from orchestrator.store.records import Records
from tests.support.records import job_record, photo_asset

CHAIR = b"chair"
SOON = timedelta(seconds=1)
ROUNDS = 20
"""Files that each thread of the race stores. Not tuned."""


@pytest.fixture
def stored(database_url: str, tmp_path: Path) -> Records:
    """Records that know which files exist, unlike those of the fixture ``records``."""
    return Records.open(database_url, tmp_path / "unused.sqlite")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs.open("", {}, tmp_path / "blobs")


def store(records: Records, blobs: Blobs, data: bytes = CHAIR, job_id: str = "") -> str:
    """Store a file as an upload or a step does."""
    sha256 = hashlib.sha256(data).hexdigest()
    BlobRecords(records.engine).register("shop", sha256, len(data), job_id)
    return blobs.put("shop", data)


def sweep(records: Records, blobs: Blobs, *, grace: timedelta = timedelta(0)) -> Removed:
    """Sweep twice: the first call marks, the second one removes."""
    collector = Collector(BlobRecords(records.engine), blobs, grace)
    return collector.collect() + collector.collect()


def test_an_unused_file_is_removed_after_the_grace_period(stored: Records, blobs: Blobs) -> None:
    sha256 = store(stored, blobs)
    assert sweep(stored, blobs, grace=timedelta(minutes=1)) == Removed()
    assert blobs.exists("shop", sha256)
    assert sweep(stored, blobs) == Removed(1, len(CHAIR))
    assert not blobs.exists("shop", sha256)


def test_a_file_that_an_asset_uses_is_kept_until_the_asset_is_deleted(stored: Records, blobs: Blobs) -> None:
    sha256 = store(stored, blobs)
    asset = stored.add_asset(photo_asset(sha256))
    assert sweep(stored, blobs) == Removed()
    Deletions(stored.engine).delete_asset("shop", asset.id)
    assert sweep(stored, blobs).count == 1


def test_a_file_is_kept_while_the_job_that_stored_it_has_not_ended(stored: Records, blobs: Blobs) -> None:
    job = job_record(state=JobState.RUNNING)
    stored.add_job(job, max_active=1)
    sha256 = store(stored, blobs, job_id=job.id)
    BlobRecords(stored.engine).release_holds()
    assert sweep(stored, blobs) == Removed()
    stored.change_job(job.id, (JobState.RUNNING,), state=JobState.CANCELED)
    BlobRecords(stored.engine).release_holds()
    sweep(stored, blobs)
    assert not blobs.exists("shop", sha256)


def test_no_asset_names_a_file_that_is_about_to_be_removed(stored: Records, blobs: Blobs) -> None:
    sha256 = store(stored, blobs)
    records = BlobRecords(stored.engine)
    records.mark(datetime.now(UTC) + SOON)
    with pytest.raises(StorageUnavailable):
        stored.add_asset(photo_asset(sha256))
    with pytest.raises(StorageUnavailable):
        stored.keep("shop", "key", [], [sha256], {})
    assert not records.hold("shop", [sha256], "job")
    store(stored, blobs)
    stored.add_asset(photo_asset(sha256))
    assert sweep(stored, blobs) == Removed()
    assert blobs.exists("shop", sha256)


def test_a_file_that_is_stored_again_during_its_removal_exists(stored: Records, blobs: Blobs) -> None:
    sha256 = store(stored, blobs)
    records = BlobRecords(stored.engine)
    later = datetime.now(UTC) + SOON
    records.mark(later)
    is_removing, may_remove = threading.Event(), threading.Event()

    def delete(tenant: str, sha256: str) -> None:
        is_removing.set()
        assert may_remove.wait(20)
        blobs.delete(tenant, sha256)

    def store_again() -> None:
        store(stored, blobs)
        stored.add_asset(photo_asset(sha256))

    with ThreadPoolExecutor() as threads:
        removal = threads.submit(records.remove, later, delete)
        assert is_removing.wait(20)
        storing = threads.submit(store_again)
        time.sleep(0.3)
        assert not storing.done()  # it waits for the removal, and does not rely on the file that still exists
        may_remove.set()
        assert removal.result()[1].count == 1
        storing.result()
    assert blobs.get("shop", sha256) == CHAIR


@pytest.mark.usefixtures("stored")
def test_no_file_of_an_asset_is_ever_missing_while_sweepers_and_uploads_race(
    database_url: str, blobs: Blobs, tmp_path: Path
) -> None:
    ended = threading.Event()

    def sweep_often() -> int:
        records = Records.open(database_url, tmp_path)  # each thread is like a replica
        removed = 0
        while not ended.is_set():
            removed += sweep(records, blobs).count
        records.close()
        return removed

    def store_often(number: int) -> None:
        records = Records.open(database_url, tmp_path)
        added = 0
        while added < ROUNDS:
            content = f"content {added % 3}".encode()  # all threads store the same contents
            sha256 = store(records, blobs, content)
            try:
                asset = records.add_asset(photo_asset(sha256, id=f"{number}-{added}"))
            except StorageUnavailable:
                continue  # a caller stores it again
            blobs.put("shop", content)  # as uploads do, because there is no grace period
            assert blobs.exists("shop", sha256)
            Deletions(records.engine).delete_asset("shop", asset.id)
            added += 1
        records.close()

    with ThreadPoolExecutor() as threads:
        sweepers = [threads.submit(sweep_often) for _ in range(2)]
        try:
            for upload in [threads.submit(store_often, number) for number in range(2)]:
                upload.result()
        finally:
            ended.set()
        assert sum(sweeper.result() for sweeper in sweepers)


def test_a_process_that_stops_does_not_finish_the_inventory(stored: Records, blobs: Blobs, tmp_path: Path) -> None:
    orphan = blobs.put("shop", b"old")
    os.utime(tmp_path / "blobs" / blob_key("shop", orphan), (0, 0))
    collector = Collector(BlobRecords(stored.engine), blobs, timedelta(minutes=30))
    collector.stopping.set()
    assert collector.check(remove=True).orphaned.count == 0
    assert blobs.exists("shop", orphan)


def test_orphaned_and_partial_files_are_found_and_removed(stored: Records, blobs: Blobs, tmp_path: Path) -> None:
    used = store(stored, blobs)
    stored.add_asset(photo_asset(used))
    orphan, fresh_orphan = blobs.put("shop", b"old"), blobs.put("shop", b"new")
    for tenant in ("gone", "@models"):  # the model rollout has its own records
        blobs.put(tenant, b"old")
    folder = tmp_path / "blobs"
    partial = (folder / blob_key("shop", used)).with_name(f"{used}#1")
    partial.write_bytes(b"half")
    folder.joinpath("README").write_bytes(b"of the operator")
    long_ago = time.time() - 3600
    orphans = [folder / blob_key(tenant, orphan) for tenant in ("shop", "gone", "@models")]
    for path in (partial, *orphans):
        os.utime(path, (long_ago, long_ago))
    collector = Collector(BlobRecords(stored.engine), blobs, timedelta(minutes=30))
    found = collector.check()
    assert (found.recorded.count, found.orphaned.count, found.partial, found.foreign) == (1, 2, Removed(1, 4), 1)
    assert found == collector.check(remove=True)
    assert not blobs.exists("shop", orphan)
    assert not blobs.exists("gone", orphan)
    assert not partial.exists()
    assert blobs.exists("shop", fresh_orphan)
    assert blobs.exists("@models", orphan)
    assert blobs.exists("shop", used)
    blobs.delete("shop", used)
    assert collector.check().missing == (used,)
