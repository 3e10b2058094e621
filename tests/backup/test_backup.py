"""Backups contain what the databases refer to, are verified before they are restored, and are restored whole."""

from __future__ import annotations

import hashlib
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from dbos import DBOS

from orchestrator.backup import create, snapshot
from orchestrator.backup.backup_folder import BackupFolder
from orchestrator.backup.create import create_backup
from orchestrator.backup.restore import restore_backup
from orchestrator.backup.verify import prune, verify
from orchestrator.domain.assets import Asset
from orchestrator.domain.jobs import JobState, Priority
from orchestrator.domain.quality import Quality
from orchestrator.errors import FailedPrecondition
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs, blob_key
from orchestrator.store.database import create_engine, upgrade_schema
from orchestrator.store.deletions import Deletions
from orchestrator.store.locks import check_restored, exclusive_use, restoring
from orchestrator.store.records import Records
from tests.support.cli import run_in_process
from tests.support.postgresql import new_database
from tests.support.records import RecordsWithFiles, job_record, photo_asset
from tests.support.stores import settings_of

NewStores = Callable[[str], dict[str, str]]
FILE_LIMIT = 65_536
"""Bytes; less than an SQLite database with the tables, but enough for the 32 KiB of its shared memory."""
MESSAGE = "a\tb\\n\nü"
"""With characters that the format of COPY escapes."""
on_sqlite = pytest.mark.parametrize("new_stores", ["sqlite"], indirect=True)
"""For what does not depend on the kind of the database."""


def ignore(*_: object) -> None:
    """Ignore a progress report."""


def blobs_of(settings: Settings) -> Blobs:
    return Blobs.open(settings.blob_url, settings.blob_options, settings.root / "blobs")


def records_of(settings: Settings) -> Records:
    settings.root.mkdir(exist_ok=True)
    return RecordsWithFiles.open(settings.records_database_url, Path())


def add_photo(settings: Settings, content: bytes) -> Asset:
    records = records_of(settings)
    asset = records.add_asset(photo_asset(blobs_of(settings).put("shop", content), size_bytes=len(content)))
    records.close()
    return asset


def photos_of(settings: Settings) -> dict[str, bytes]:
    """The content of each photo of the tenant, by asset id."""
    records, blobs = records_of(settings), blobs_of(settings)
    photos = {asset.id: blobs.get("shop", asset.sha256) for asset in records.list_assets("shop", "", "", "", 100)}
    records.close()
    return photos


@pytest.fixture
def source(new_stores: NewStores) -> Settings:
    """Stores with two photos and no job."""
    settings = settings_of(new_stores("source"))
    add_photo(settings, b"chair")
    add_photo(settings, b"table")
    DBOS.migrate(settings.jobs_database_url)
    return settings


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    return BackupFolder(tmp_path / "backups")


def files_in(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and file.name != ".lock"]


def test_a_second_backup_copies_only_new_files(source: Settings, folder: BackupFolder, new_stores: NewStores) -> None:
    first = create_backup(source, folder, ignore)
    inodes = {file: file.stat().st_ino for file in files_in(first.blobs)}
    add_photo(source, b"lamp")
    second = create_backup(source, folder, ignore)
    assert {file: file.stat().st_ino for file in inodes} == inodes
    assert len(files_in(second.blobs)) == 3
    assert folder.backups() == [second, first]
    for backup, count in ((first, 2), (second, 3)):
        target = settings_of(new_stores(f"target-{count}"))
        restore_backup(target, backup, replace=False, report=ignore)
        assert len(photos_of(target)) == count


def test_a_restore_replaces_records_only_if_it_is_told_to(source: Settings, folder: BackupFolder) -> None:
    photos = photos_of(source)
    backup = create_backup(source, folder, ignore)
    lamp = add_photo(source, b"lamp")
    with pytest.raises(FailedPrecondition, match="--replace"):
        restore_backup(source, backup, replace=False, report=ignore)
    assert lamp.id in photos_of(source)
    restore_backup(source, backup, replace=True, report=ignore)
    assert photos_of(source) == photos


def test_only_the_owner_may_read_a_backup(source: Settings, folder: BackupFolder) -> None:
    backup = create_backup(source, folder, ignore)
    for path in (folder.path, *folder.path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert verify(backup, ignore).counts["assets"] == 2


def test_jobs_that_ran_get_their_time_limit_again_or_return_to_the_queue(
    source: Settings, folder: BackupFolder, new_stores: NewStores
) -> None:
    """The workflow of the second job is not in the snapshot of the durable jobs, which is older than the records."""
    records = records_of(source)
    known, unknown = (job_record(state=JobState.RUNNING, start_time=datetime(2020, 1, 1, tzinfo=UTC)) for _ in range(2))
    for job in (known, unknown):
        records.add_job(job, max_active=10)
    records.close()
    add_workflow(source, known.id)
    target = settings_of(new_stores("target"))
    restore_backup(target, create_backup(source, folder, ignore), replace=False, report=ignore)
    records = records_of(target)
    continued, queued = records.job(None, known.id), records.job(None, unknown.id)
    records.close()
    assert continued.state is JobState.RUNNING
    assert (datetime.now(UTC) - continued.start_time).total_seconds() < 60
    assert (queued.state, queued.start_time) == (JobState.QUEUED, None)


def add_workflow(settings: Settings, id: str) -> None:
    engine = create_engine(settings.jobs_database_url)
    schema = "dbos." if engine.dialect.name == "postgresql" else ""
    row = "(workflow_uuid, status, name, created_at, updated_at, priority) VALUES (:id, 'PENDING', 'job', 1, 1, 0)"
    with engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO {schema}workflow_status {row}"), {"id": id})
    engine.dispose()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def change(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


@on_sqlite
@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("*/manifest.json", truncate),
        ("*/blobs.txt", truncate),
        ("*/jobs*", change),
        ("*/records*", truncate),
        ("blobs/*/*/*", change),
        ("blobs/*/*/*", Path.unlink),
    ],
)
def test_a_damaged_backup_is_refused_by_name(
    source: Settings, folder: BackupFolder, new_stores: NewStores, pattern: str, damage: Callable[[Path], None]
) -> None:
    backup = create_backup(source, folder, ignore)
    damaged = next(iter(sorted(folder.path.glob(pattern))))
    if damaged.is_dir():
        damaged = sorted(damaged.iterdir())[0]
    damage(damaged)
    target = settings_of(new_stores("target"))
    with pytest.raises(FailedPrecondition, match=f"{backup.name} is damaged: .*{damaged.name}"):
        restore_backup(target, backup, replace=False, report=ignore)
    assert not target.root.exists()


@on_sqlite
def test_a_file_that_is_deleted_after_the_snapshot_does_not_break_the_backup(
    source: Settings, folder: BackupFolder, new_stores: NewStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, deleted = Blobs.read, []

    def delete_then_read(blobs: Blobs, key: str) -> object:
        if not deleted:
            deleted.append(key)
            records = records_of(source)
            (asset,) = [asset for asset in records.list_assets("shop", "", "", "", 9) if key.endswith(asset.sha256)]
            Deletions(records.engine).delete_asset("shop", asset.id)
            blobs.delete("shop", asset.sha256)
            records.close()
        return read(blobs, key)

    monkeypatch.setattr(Blobs, "read", delete_then_read)
    monkeypatch.setattr(create, "COPIES", 1)
    backup = create_backup(source, folder, ignore)
    target = settings_of(new_stores("target"))
    restore_backup(target, backup, replace=False, report=ignore)
    assert photos_of(target) == photos_of(source)
    assert backup.manifest().missing == ()


@on_sqlite
def test_a_file_that_the_object_store_lost_is_named_and_does_not_prevent_the_backup(
    source: Settings, folder: BackupFolder, new_stores: NewStores
) -> None:
    lost = add_photo(source, b"lamp")
    blobs_of(source).delete("shop", lost.sha256)
    backup = create_backup(source, folder, ignore)
    assert backup.manifest().missing == (blob_key("shop", lost.sha256),)
    target = settings_of(new_stores("target"))
    restore_backup(target, backup, replace=False, report=ignore)
    records = records_of(target)
    assert len(records.list_assets("shop", "", "", "", 9)) == 3
    records.close()


@on_sqlite
def test_pruning_keeps_the_newest_backups_and_their_files(source: Settings, folder: BackupFolder) -> None:
    create_backup(source, folder, ignore)
    records = records_of(source)
    for asset in records.list_assets("shop", "", "", "", 9):
        Deletions(records.engine).delete_asset("shop", asset.id)
    records.close()
    add_photo(source, b"lamp")
    newest = create_backup(source, folder, ignore)
    assert prune(folder, keep=1) == (1, 2)
    assert folder.backups() == [newest]
    assert verify(newest, ignore).blobs == 1


def run_on_full_disk(*arguments: object, stores: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command that cannot write files of more than ``FILE_LIMIT`` bytes."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *map(str, arguments)],
        env={**os.environ, **stores},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_full_disk_leaves_no_incomplete_backup_and_nothing_half_restored(
    new_stores: NewStores, folder: BackupFolder
) -> None:
    stores = new_stores("source")
    source = settings_of(stores)
    add_photo(source, b"chair")
    DBOS.migrate(source.jobs_database_url)
    create_backup(source, folder, ignore)
    add_photo(source, os.urandom(2 * FILE_LIMIT))  # does not fit
    before = files_in(folder.path)

    failed = run_on_full_disk("backup", "create", folder.path, stores=stores)
    assert failed.returncode == 1
    assert "cannot be written" in failed.stderr
    assert files_in(folder.path) == before

    full = create_backup(source, folder, ignore)
    for sha256 in map(hashlib.sha256, photos_of(source).values()):
        blobs_of(source).delete("shop", sha256.hexdigest())
    photos = photo_ids(source)
    failed = run_on_full_disk("restore", full.path, "--replace", stores=stores)
    assert failed.returncode == 1
    assert photo_ids(source) == photos
    check_restored(source)


def photo_ids(settings: Settings) -> set[str]:
    records = records_of(settings)
    ids = {asset.id for asset in records.list_assets("shop", "", "", "", 100)}
    records.close()
    return ids


def test_a_backup_of_an_older_version_is_upgraded(
    new_stores: NewStores, folder: BackupFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = settings_of(new_stores("source")), settings_of(new_stores("target"))
    source.root.mkdir()
    DBOS.migrate(source.jobs_database_url)
    engine = create_engine(source.records_database_url)
    with engine.begin() as connection:
        upgrade_schema(connection, "0006")  # without the column ``owner`` and the table ``leases``
    with engine.begin() as connection:
        jobs = sa.Table("jobs", sa.MetaData(), autoload_with=connection)
        row = dict.fromkeys(("upload_id", "quality", "webhook_url", "fingerprint", "stage"), "")
        row |= {
            "id": "j",
            "tenant": "shop",
            "kind": "stain",
            "state": "QUEUED",
            "quality": Quality.FINAL.value,
            "message": MESSAGE,
        }
        row |= {
            "inputs": [],
            "options": {},
            "labels": {},
            "previews": [],
            "cost": {},
            "priority": Priority.NORMAL.value,
            "revision": 1,
        }
        row |= {"fraction": 0, "announced": False, "cancel_requested": False, "create_time": datetime.now(UTC)}
        connection.execute(jobs.insert(), row)
    engine.dispose()
    with monkeypatch.context() as older:
        older.setattr(snapshot, "REVISION", "0006")
        older.setattr(create, "REVISION", "0006")
        backup = create_backup(source, folder, ignore)
    restore_backup(target, backup, replace=False, report=ignore)
    records = records_of(target)
    job = records.job(None, "j")
    records.close()
    assert (job.state, job.message) == (JobState.QUEUED, MESSAGE)


@on_sqlite
def test_a_backup_of_a_newer_version_is_refused(
    source: Settings, folder: BackupFolder, new_stores: NewStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create, "REVISION", "9999")
    backup = create_backup(source, folder, ignore)
    with pytest.raises(FailedPrecondition, match="newer"):
        restore_backup(settings_of(new_stores("target")), backup, replace=False, report=ignore)


def test_the_service_does_not_start_after_an_interrupted_restore(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with pytest.raises(KeyboardInterrupt), exclusive_use(settings), restoring(settings):
        raise KeyboardInterrupt
    result = run_in_process("up", HEARTWOOD_DATA_DIR=str(settings.root))
    assert result.exit_code == 1
    assert "a restore into the data folder" in result.stderr


def test_a_backup_of_another_kind_of_database_is_refused(
    source: Settings, folder: BackupFolder, tmp_path: Path, postgresql: str
) -> None:
    backup = create_backup(source, folder, ignore)
    is_sqlite = not source.database_url
    other = Settings(data_dir=tmp_path / "other", database_url=new_database(postgresql) if is_sqlite else "")
    with pytest.raises(FailedPrecondition, match="the settings name"):
        restore_backup(other, backup, replace=False, report=ignore)


def test_the_commands_list_verify_and_restore_backups(new_stores: NewStores, tmp_path: Path) -> None:
    stores, folder = new_stores("source"), tmp_path / "backups"
    source = settings_of(stores)
    add_photo(source, b"chair")
    DBOS.migrate(source.jobs_database_url)
    assert run_in_process("backup", "create", folder, **stores).exit_code == 0
    (backup,) = BackupFolder(folder).backups()
    assert backup.name in run_in_process("backup", "list", folder, **stores).stdout
    assert f"{backup.name} is complete" in run_in_process("backup", "verify", backup.path, **stores).stdout
    restored = run_in_process("restore", folder, "--replace", **stores)
    assert "0 jobs and 1 files" in restored.stdout, restored.stderr
    none = run_in_process("restore", folder / "blobs", **stores)
    assert none.exit_code == 2
    assert "is no backup" in none.stderr
