"""Deletes the records of a tenant in every table. Its files are only released; the collector removes them."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from orchestrator.domain.jobs import JobChange, JobState
from orchestrator.store.leases import Leases, executor_of
from orchestrator.store.records import Records
from orchestrator.store.schema import blobs, jobs, metadata, tokens

BATCH = 500
"""Rows that one transaction deletes. Not tuned."""
OF_TENANTS = [table for table in metadata.sorted_tables if "tenant" in table.c and table not in (blobs, jobs)]
"""Every table with records of tenants, except those of files and jobs, which are deleted after the others."""


class TenantDeletion:
    """Each method is thread-safe."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._engine: Engine = records.engine

    def delete_tokens(self, tenant: str) -> int:
        """Delete the tokens of a tenant. Return their number."""
        return self._delete(tenant, tokens)

    def cancel_jobs(self, tenant: str) -> list[str]:
        """Cancel the unfinished jobs of a tenant. Return those that ended at once: they waited, or their owner died."""
        live = Leases(self._engine).live()
        end: JobChange = {"state": JobState.CANCELED, "cancel_requested": True, "end_time": datetime.now(UTC)}
        end["message"] = "canceled because the tenant is being deleted"
        ended = []
        for job in self._records.active_jobs(tenant):
            states = (JobState.QUEUED,) if executor_of(job.owner) in live else (JobState.QUEUED, JobState.RUNNING)
            if self._records.change_job(job.id, states, **end):
                ended.append(job.id)
            else:
                self._records.change_job(job.id, (JobState.RUNNING,), cancel_requested=True)
        return ended

    def job_ids(self, tenant: str) -> list[str]:
        """Return up to ``BATCH`` jobs of a tenant."""
        with self._engine.connect() as connection:
            return list(connection.scalars(sa.select(jobs.c.id).where(jobs.c.tenant == tenant).limit(BATCH)))

    def delete_jobs(self, tenant: str, ids: list[str]) -> int:
        """Delete the records of jobs, but not their files. Return their number."""
        with self._engine.begin() as connection:
            return connection.execute(jobs.delete().where(jobs.c.tenant == tenant, jobs.c.id.in_(ids))).rowcount

    def delete_records(self, tenant: str) -> dict[str, int]:
        """Delete all records except those of jobs, and release all files. Return the number of rows by table."""
        counts = {table.name: self._delete(tenant, table) for table in OF_TENANTS}
        with self._engine.begin() as connection:
            connection.execute(blobs.update().where(blobs.c.tenant == tenant).values(unused_time=datetime.now(UTC)))
        return counts

    def _delete(self, tenant: str, table: sa.Table) -> int:
        key = list(table.primary_key.columns)
        batch = sa.select(*key).where(table.c.tenant == tenant).limit(BATCH)
        is_in_batch = sa.tuple_(*key).in_(batch) if len(key) > 1 else key[0].in_(batch)
        total, count = 0, BATCH
        while count == BATCH:
            with self._engine.begin() as connection:
                count = connection.execute(table.delete().where(is_in_batch)).rowcount
            total += count
        return total
