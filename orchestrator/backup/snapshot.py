"""Snapshots of the databases of a service, and what they refer to.

The durable jobs are read before the records. A step that ends between the two is in the records only, and runs again
after a restore, as after a crash. The reverse order would lose the files of that step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from orchestrator.domain.model_versions import MODEL_TENANT, VersionState
from orchestrator.errors import FailedPrecondition
from orchestrator.settings import Settings
from orchestrator.store.blobs import blob_key
from orchestrator.store.database import create_engine, schema_revision, sqlite_file
from orchestrator.store.schema import REVISION, assets, cache_blobs, jobs, model_versions, tokens


@contextmanager
def snapshots(settings: Settings) -> Iterator[tuple[Connection, Connection]]:
    """Yield connections to the durable jobs and to the records, which read one state of each during the block.

    If both are in one database, this is one connection.

    Raises:
        FailedPrecondition: there is no database, or it is of another version of Heartwood.
        StorageUnavailable: a database does not answer.
    """
    with _snapshot(settings.jobs_database_url) as durable_jobs:
        if settings.jobs_database_url == settings.records_database_url:
            _check_revision(durable_jobs)
            yield durable_jobs, durable_jobs
            return
        with _snapshot(settings.records_database_url) as records:
            _check_revision(records)
            yield durable_jobs, records


@contextmanager
def _snapshot(url: str) -> Iterator[Connection]:
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise FailedPrecondition(f"there is no database {file}; the service creates it when it starts")
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            if file is None:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                connection.execute(sa.text("SELECT 1"))
            else:
                connection.exec_driver_sql("BEGIN")  # the driver does not begin a transaction before SELECT
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            yield connection
    finally:
        engine.dispose()


def referenced_blobs(records: Connection) -> list[str]:
    """Return the keys of the blobs that assets, cached results and deployed model versions refer to, sorted."""
    queries = [sa.select(table.c.tenant, table.c.sha256).distinct() for table in (assets, cache_blobs)]
    is_stored = model_versions.c.state == VersionState.READY.value
    queries.append(sa.select(sa.literal(MODEL_TENANT), model_versions.c.sha256).where(is_stored))
    return sorted({blob_key(*row) for query in queries for row in records.execute(query)})


def row_counts(records: Connection) -> dict[str, int]:
    """Return the number of jobs, assets and tokens."""
    tables = (jobs, assets, tokens)
    return {table.name: records.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables}


def _check_revision(records: Connection) -> None:
    revision = schema_revision(records)
    if revision != REVISION:
        rule = f"this version of Heartwood has revision {REVISION}"
        remedy = "make the backup with the version that runs the service"
        raise FailedPrecondition(f"the database has schema revision {revision}, {rule}; {remedy}")
