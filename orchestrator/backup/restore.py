"""Restores a backup into the stores of the settings, while no service uses them.

The blobs are stored first, because they change nothing for the records, then the databases are replaced. A mark in the
data folder keeps the service from starting if this was interrupted between two databases.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from orchestrator.backup.backup_folder import Backup, Manifest
from orchestrator.backup.create import COPIES, writing
from orchestrator.backup.databases import loaded_databases
from orchestrator.backup.verify import verify
from orchestrator.domain.progress import Progress
from orchestrator.errors import FailedPrecondition
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from orchestrator.store.database import create_engine, is_known_revision, sqlite_file
from orchestrator.store.leases import Leases
from orchestrator.store.locks import exclusive_use, restoring
from orchestrator.store.schema import jobs, leases


def restore_backup(settings: Settings, backup: Backup, *, replace: bool, report: Progress) -> Manifest:
    """Restore a backup, after every file of it has been verified.

    Unfinished jobs continue when the service starts, and the time limit of running ones begins again.

    Args:
        replace: replace the records that exist. Otherwise, their existence is an error.

    Raises:
        FailedPrecondition: the backup is damaged, of a newer version or of another kind of database; a service is
            running; or there are records and ``replace`` is False.
        StorageUnavailable: a store does not answer, or the data folder cannot be written.
    """
    manifest = verify(backup, report)
    if not is_known_revision(manifest.revision):
        remedy = "restore it with that version or a newer one"
        raise FailedPrecondition(f"the backup {backup.name} was made by Heartwood {manifest.heartwood}; {remedy}")
    _check_kinds(settings, manifest)
    with writing(settings.root), exclusive_use(settings):
        _check_unused(settings, replace=replace)
        _restore_blobs(settings, backup, manifest, report)
        with loaded_databases(settings, backup, manifest) as put_in_place, restoring(settings):
            shutil.rmtree(settings.root / "work", ignore_errors=True)  # files of the jobs that are replaced
            put_in_place()
    return manifest


def _check_kinds(settings: Settings, manifest: Manifest) -> None:
    records, durable_jobs = settings.records_database_url, settings.jobs_database_url
    is_one_file = records == durable_jobs and sqlite_file(records) is not None
    kinds = ("sqlite" if sqlite_file(url) else "postgresql" for url in (records, durable_jobs))
    expected = (next(kinds), "" if is_one_file else next(kinds))
    if expected != (manifest.records, manifest.jobs):
        names = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "": "the file of the records"}
        saved = f"records on {names[manifest.records]} and durable jobs on {names[manifest.jobs]}"
        target = f"{names[expected[0]]} and {names[expected[1]]}"
        remedy = "set HEARTWOOD_DATABASE_URL and HEARTWOOD_DBOS_DATABASE_URL as for the service that was backed up"
        raise FailedPrecondition(f"the backup has {saved}, but the settings name {target}; {remedy}")


def _check_unused(settings: Settings, *, replace: bool) -> None:
    """Raise FailedPrecondition if there are records, or if processes on other machines use them."""
    file = sqlite_file(settings.records_database_url)
    if file is not None:
        is_empty = not file.exists()
    else:
        engine = create_engine(settings.records_database_url)
        try:
            tables = sa.inspect(engine).get_table_names()
            is_empty = jobs.name not in tables
            live = Leases(engine).live() if leases.name in tables else {}
        finally:
            engine.dispose()
        if live:
            raise FailedPrecondition(f"a service uses the database: {', '.join(sorted(live))}; stop it first")
    if not is_empty and not replace:
        raise FailedPrecondition("the database already contains records; --replace deletes and replaces them")


def _restore_blobs(settings: Settings, backup: Backup, manifest: Manifest, report: Progress) -> None:
    blobs = Blobs.open(settings.blob_url, settings.blob_options, settings.root / "blobs")
    keys = sorted(set(backup.blob_keys()) - set(manifest.missing))
    with ThreadPoolExecutor(COPIES, thread_name_prefix="restore") as threads:
        try:
            for number, _ in enumerate(threads.map(lambda key: blobs.write(key, backup.blobs / key), keys), 1):
                report(number / len(keys), f"{number} of {len(keys)} files stored")
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
