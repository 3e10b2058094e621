"""Makes a backup of a service, which may be running."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import structlog
from sqlalchemy.engine import Connection

from orchestrator.backup import sqlite
from orchestrator.backup.backup_folder import (
    FORMAT,
    KEYS,
    MANIFEST,
    Backup,
    BackupFolder,
    Manifest,
    create_private,
    create_private_folder,
    part_of,
    sync,
)
from orchestrator.backup.snapshot import referenced_blobs, row_counts, snapshots
from orchestrator.domain.progress import Progress
from orchestrator.errors import NotFound, StorageUnavailable
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from orchestrator.store.schema import REVISION

log = structlog.get_logger()

COPIES = 8
"""Blobs that are copied at a time, so that the latency of an object store does not add up. Not tuned."""
MAX_ATTEMPTS = 5
"""Snapshots of one backup. A further one is made if a blob was deleted after the snapshot; it needs only new blobs."""


def create_backup(settings: Settings, folder: BackupFolder, report: Progress) -> Backup:
    """Back up the databases and the blobs to which they refer.

    If the owner of a blob deletes it after the snapshot and before the copy, another snapshot is made. A blob that two
    snapshots refer to and that is missing both times is lost: the backup is made without it, and its manifest names it.

    Raises:
        FailedPrecondition: there is no database, or another command works on the folder.
        StorageUnavailable: a store does not answer, or the folder cannot be written, for example because it is full.
    """
    blobs = Blobs.open(settings.blob_url, settings.blob_options, settings.root / "blobs")
    with writing(folder.path), folder.locked():
        missing: set[str] = set()
        for attempt in range(1, MAX_ATTEMPTS + 1):
            with folder.scratch() as scratch:
                manifest, keys = _write_databases(settings, scratch)
                missing_before, missing = missing, _copy_blobs(blobs, keys, folder.path / "blobs", report)
                if missing - missing_before and attempt < MAX_ATTEMPTS:
                    log.info("backup_repeated", reason="files were deleted after the snapshot", files=len(missing))
                    continue
                return folder.complete(scratch, _with_parts(manifest, scratch, sorted(missing)))
    raise AssertionError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert the errors of files into StorageUnavailable, which names the folder to which the block writes."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise StorageUnavailable(f"the folder {path} cannot be written: {problem}", store="files") from error


def _write_databases(settings: Settings, scratch: Path) -> tuple[Manifest, list[str]]:
    with snapshots(settings) as (jobs, records):
        now = datetime.now(UTC)
        kinds = {"jobs": jobs.dialect.name, "records": records.dialect.name}
        is_one_file = jobs is records and kinds["jobs"] == "sqlite"
        for role, connection in (("jobs", jobs), ("records", records)):
            if role == "records" or not is_one_file:
                _dump(connection, role, scratch)
        keys, counts = referenced_blobs(records), row_counts(records)
    with create_private(scratch / KEYS) as file:
        file.write("".join(f"{key}\n" for key in keys).encode())
    jobs_kind = "" if is_one_file else kinds["jobs"]
    manifest = Manifest(
        FORMAT, version("heartwood"), now, REVISION, kinds["records"], jobs_kind, counts, len(keys), (), ()
    )
    return manifest, keys


def _dump(connection: Connection, role: str, scratch: Path) -> None:
    if connection.dialect.name == "sqlite":
        sqlite.dump(connection, scratch / f"{role}.sqlite")
        return
    from orchestrator.backup import postgresql  # needs the extra ``postgres``

    tables = postgresql.job_tables(connection) if role == "jobs" else postgresql.record_tables(connection)
    postgresql.dump(connection, tables, scratch / role)


def _with_parts(manifest: Manifest, scratch: Path, missing: list[str]) -> Manifest:
    files = [file for file in sorted(scratch.rglob("*")) if file.is_file() and file.name != MANIFEST]
    parts = tuple(part_of(scratch, file) for file in files)
    return replace(manifest, missing=tuple(missing), parts=parts)


def _copy_blobs(blobs: Blobs, keys: list[str], folder: Path, report: Progress) -> set[str]:
    """Copy the blobs that the folder does not contain yet. Return the keys of those that do not exist."""
    new = [key for key in keys if not (folder / key).exists()]
    missing = set()
    with ThreadPoolExecutor(COPIES, thread_name_prefix="backup") as threads:
        try:
            for number, (key, is_copied) in enumerate(
                zip(new, threads.map(lambda key: _copy_blob(blobs, key, folder / key), new), strict=True), 1
            ):
                if not is_copied:
                    missing.add(key)
                report(number / len(new), f"{number} of {len(new)} new files")
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return missing


def _copy_blob(blobs: Blobs, key: str, target: Path) -> bool:
    """Copy a blob. Return whether it exists with the content that its key names."""
    create_private_folder(target.parent)
    scratch = target.with_name(f".{target.name}.part")
    scratch.unlink(missing_ok=True)
    digest = hashlib.sha256()
    try:
        with create_private(scratch) as file:
            for chunk in blobs.read(key):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != target.name:
            log.warning("blob_damaged", key=key)
            return False
        sync(scratch)
        scratch.rename(target)
    except NotFound:
        return False
    finally:
        scratch.unlink(missing_ok=True)
    return True
