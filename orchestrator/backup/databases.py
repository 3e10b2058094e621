"""Loads the databases of a backup so that they can be put in the place of the present ones at once.

PostgreSQL databases are loaded in one transaction, SQLite databases into files beside their place.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from orchestrator.backup import sqlite
from orchestrator.backup.backup_folder import Backup, Manifest, create_private
from orchestrator.domain.jobs import JobState
from orchestrator.errors import FailedPrecondition
from orchestrator.settings import Settings
from orchestrator.store.database import create_engine, lock_schema, sqlite_file, upgrade_schema
from orchestrator.store.schema import jobs, leases, metadata

IS_RUNNING = jobs.c.state == JobState.RUNNING.value


@dataclass(frozen=True)
class Target:
    """A database that is being loaded."""

    connection: Connection
    put_in_place: Callable[[], None]


@contextmanager
def loaded_databases(settings: Settings, backup: Backup, manifest: Manifest) -> Iterator[Callable[[], None]]:
    """Load the databases of a backup, and yield the function that puts them in place.

    If it is not called, the present databases stay as they are.
    """
    jobs_url, records_url = settings.jobs_database_url, settings.records_database_url
    with _target(jobs_url, backup.path / f"{'jobs' if manifest.jobs else 'records'}.sqlite") as first:
        second = nullcontext(first) if jobs_url == records_url else _target(records_url, backup.path / "records.sqlite")
        with second as records:
            if manifest.jobs == "postgresql":
                _load_jobs(first.connection, backup)
            if manifest.records == "postgresql":
                lock_schema(records.connection)  # a service that starts meanwhile waits
                _load_records(records.connection, backup, manifest)
            upgrade_schema(records.connection)
            _continue_jobs(first.connection, records.connection)

            def put_in_place() -> None:
                first.put_in_place()
                if records is not first:
                    records.put_in_place()

            yield put_in_place


@contextmanager
def _target(url: str, saved: Path) -> Iterator[Target]:
    """Yield a connection to the database, or to a copy of ``saved`` beside it if it is an SQLite file."""
    file = sqlite_file(url)
    if file is None:
        from dbos import DBOS  # imported here because it takes 0.5 s

        logging.getLogger("dbos").setLevel(logging.ERROR)
        DBOS.migrate(url)
        with _transaction(url) as connection:
            yield Target(connection, connection.commit)
        return
    scratch = file.with_name(f".restore-{file.name}")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    sqlite.delete(scratch)
    try:
        with saved.open("rb") as source, create_private(scratch) as target:
            shutil.copyfileobj(source, target)
        with _transaction(f"sqlite:///{scratch}") as connection:

            def put_in_place() -> None:
                connection.commit()
                connection.close()
                connection.engine.dispose()  # moves the write-ahead log into the file
                sqlite.move(scratch, file)

            yield Target(connection, put_in_place)
    finally:
        sqlite.delete(scratch)


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                lock_schema(connection)  # begins the transaction, which the driver does not do before DDL
            yield connection
    finally:
        engine.dispose()


def _load_jobs(connection: Connection, backup: Backup) -> None:
    from orchestrator.backup import postgresql

    tables = {table.name: table for table in postgresql.job_tables(connection)}
    versions = tables.pop("dbos_migrations")
    folder = backup.path / "jobs"
    saved, known = int(postgresql.first_row(versions, folder)), connection.scalar(sa.select(versions.c.version)) or 0
    if saved > known:
        problem = f"the durable jobs of the backup {backup.name} have schema version {saved}, DBOS here has {known}"
        raise FailedPrecondition(f"{problem}; install the version of DBOS that was used for the backup")
    postgresql.load(connection, list(tables.values()), folder)


def _load_records(connection: Connection, backup: Backup, manifest: Manifest) -> None:
    from orchestrator.backup import postgresql

    metadata.drop_all(connection)
    connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    upgrade_schema(connection, manifest.revision)
    tables = [table for table in postgresql.record_tables(connection) if table.name != "alembic_version"]
    postgresql.load(connection, tables, backup.path / "records")


def _continue_jobs(durable_jobs: Connection, records: Connection) -> None:
    """End the leases of the processes that ran the jobs, so that the next process continues them.

    A running job gets its time limit again. If it began between the snapshots of the two databases, it has no workflow
    and returns to the queue.
    """
    records.execute(leases.delete())
    records.execute(jobs.update().where(IS_RUNNING).values(start_time=datetime.now(UTC)))
    running = set(records.scalars(sa.select(jobs.c.id).where(IS_RUNNING)))
    schema = "dbos" if durable_jobs.dialect.name == "postgresql" else None
    id = sa.table("workflow_status", sa.column("workflow_uuid"), schema=schema).c.workflow_uuid
    known = set(durable_jobs.scalars(sa.select(id).where(id.in_(running))))
    is_lost = jobs.c.id.in_(running - known)
    records.execute(jobs.update().where(is_lost).values(state=JobState.QUEUED.value, start_time=None))
