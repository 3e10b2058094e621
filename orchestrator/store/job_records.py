"""Records of jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from enum import Enum
from typing import Any, Unpack

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, RowMapping

from orchestrator.domain.jobs import Failure, JobChange, JobRecord, JobRevision, JobState, Priority
from orchestrator.domain.quality import Quality
from orchestrator.domain.segment import DetectorCost
from orchestrator.store.asset_records import FINAL_STATES, release_blobs
from orchestrator.store.schema import IS_ACTIVE, IS_UNANNOUNCED, assets, jobs

JOB_FIELDS = tuple(field.name for field in fields(JobRecord))
IS_QUEUED = jobs.c.state == JobState.QUEUED.value
QUEUE_ORDER = (jobs.c.priority, jobs.c.create_time)
"""Queued jobs start in this order."""

FROM_COLUMN: dict[str, Callable[[Any], object]] = {
    "state": JobState,
    "quality": Quality,
    "priority": Priority,
    "inputs": tuple,
    "previews": tuple,
    "failure": lambda failure: Failure(**failure) if failure else None,
    "cost": lambda cost: DetectorCost(**cost) if cost else None,
}
"""Conversions of the columns whose values differ from the fields of a ``JobRecord``."""


class JobRecords:
    """Queries on jobs. Each method runs in one transaction and is thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def add_job(self, record: JobRecord, max_active: int) -> tuple[JobRecord | None, bool]:
        """Insert a job, unless the tenant already has a job with the same ``request_id``.

        Returns (the record, True) if it was inserted, (the earlier job, False) if the ``request_id`` is known, and
        (None, False) if the tenant already has ``max_active`` active jobs.
        """
        active_jobs = sa.select(sa.func.count()).where(jobs.c.tenant == record.tenant, IS_ACTIVE)
        try:
            with self.engine.begin() as connection:
                earlier = _job_of_request(connection, record.tenant, record.request_id)
                if earlier is not None:
                    return earlier, False
                if (connection.scalar(active_jobs) or 0) >= max_active:
                    return None, False
                connection.execute(jobs.insert().values(_to_row(vars(record))))
            return record, True
        except sa.exc.IntegrityError:
            with self.engine.connect() as connection:  # a concurrent call with the same request_id came first
                earlier = _job_of_request(connection, record.tenant, record.request_id)
            if earlier is None:
                raise
            return earlier, False

    def change_job(self, id: str, states: Sequence[JobState], **changes: Unpack[JobChange]) -> bool:
        """Update a job and increment its ``revision`` if it is in one of ``states``; return whether it was."""
        in_states = jobs.c.state.in_([state.value for state in states])
        changed = jobs.update().values(revision=jobs.c.revision + 1, **_to_row(changes))
        with self.engine.begin() as connection:
            return bool(connection.execute(changed.where(jobs.c.id == id, in_states)).rowcount)

    def mark_announced(self, id: str) -> None:
        """Record that the job's webhook has been enqueued."""
        with self.engine.begin() as connection:
            connection.execute(jobs.update().where(jobs.c.id == id).values(announced=True))

    def delete_job(self, tenant: str, id: str) -> list[str]:
        """Delete a job and the assets it made; return the SHA-256 of the blobs that nothing refers to any more."""
        made_by_job = sa.and_(assets.c.tenant == tenant, assets.c.job_id == id)
        with self.engine.begin() as connection:
            blobs = set(connection.scalars(sa.select(assets.c.sha256).where(made_by_job)))
            connection.execute(assets.delete().where(made_by_job))
            connection.execute(jobs.delete().where(jobs.c.tenant == tenant, jobs.c.id == id))
            return release_blobs(connection, tenant, blobs)

    def job(self, tenant: str | None, id: str) -> JobRecord | None:
        """The job, or None if the tenant has no such job. The tenant None finds the job of any tenant."""
        owner = sa.true() if tenant is None else jobs.c.tenant == tenant
        return next(iter(self._jobs(sa.select(jobs).where(jobs.c.id == id, owner))), None)

    def job_of_request(self, tenant: str, request_id: str) -> JobRecord | None:
        """The job that was created with ``request_id``, or None."""
        with self.engine.connect() as connection:
            return _job_of_request(connection, tenant, request_id)

    def job_revision(self, tenant: str, id: str) -> JobRevision | None:
        """The job's revision, state and queue position, without its documents; None if the tenant has no such job."""
        query = sa.select(jobs.c.revision, jobs.c.state, *QUEUE_ORDER).where(jobs.c.tenant == tenant, jobs.c.id == id)
        with self.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            state = JobState(row.state)
            if state is not JobState.QUEUED:
                return JobRevision(row.revision, state, 0)
            starts_before = sa.tuple_(*QUEUE_ORDER) < sa.tuple_(row.priority, row.create_time)
            position = connection.scalar(sa.select(sa.func.count()).where(IS_QUEUED, starts_before))
            return JobRevision(row.revision, state, position or 0)

    def list_jobs(
        self,
        tenant: str,
        states: Sequence[JobState],
        labels: Mapping[str, str],
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> list[JobRecord]:
        """At most ``limit`` jobs that are in one of ``states`` (empty: any) and have all ``labels``, newest first.

        Args:
            before: create_time and id of the last job of the previous page.
        """
        query = sa.select(jobs).where(jobs.c.tenant == tenant)
        if states:
            query = query.where(jobs.c.state.in_([state.value for state in states]))
        for name, value in labels.items():
            query = query.where(jobs.c.labels[name].as_string() == value)
        if before is not None:
            query = query.where(sa.tuple_(jobs.c.create_time, jobs.c.id) < sa.tuple_(*before))
        return self._jobs(query.order_by(jobs.c.create_time.desc(), jobs.c.id.desc()).limit(limit))

    def queue_positions(self, ids: Collection[str]) -> dict[str, int]:
        """For each of ``ids`` that is queued, how many jobs of all tenants start before it."""
        if not ids:
            return {}
        ahead = sa.func.rank().over(order_by=QUEUE_ORDER) - 1
        queue = sa.select(jobs.c.id, ahead.label("ahead")).where(IS_QUEUED).subquery()
        query = sa.select(queue.c.id, queue.c.ahead).where(queue.c.id.in_(ids))
        with self.engine.connect() as connection:
            return {row.id: row.ahead for row in connection.execute(query)}

    def active_jobs(self, tenant: str | None = None) -> list[JobRecord]:
        """The queued and running jobs of one tenant or of all, oldest first."""
        owner = sa.true() if tenant is None else jobs.c.tenant == tenant
        return self._jobs(sa.select(jobs).where(owner, IS_ACTIVE).order_by(jobs.c.create_time))

    def expired_jobs(self, now: datetime) -> list[JobRecord]:
        """The queued jobs of all tenants whose deadline has passed."""
        return self._jobs(sa.select(jobs).where(IS_QUEUED, jobs.c.deadline <= now))

    def jobs_to_announce(self) -> list[JobRecord]:
        """Jobs that have ended and whose webhook has not been enqueued."""
        return self._jobs(sa.select(jobs).where(IS_UNANNOUNCED, jobs.c.state.in_(FINAL_STATES)))

    def _jobs(self, query: sa.Select[tuple[object, ...]]) -> list[JobRecord]:
        with self.engine.connect() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]


def _job_of_request(connection: Connection, tenant: str, request_id: str | None) -> JobRecord | None:
    if request_id is None:
        return None
    query = sa.select(jobs).where(jobs.c.tenant == tenant, jobs.c.request_id == request_id)
    row = connection.execute(query).mappings().first()
    return _job(row) if row else None


def _to_row(values: Mapping[str, object]) -> dict[str, object]:
    """Column values of fields of a ``JobRecord``."""
    row = {name: _to_column(value) for name, value in values.items()}
    return row | {"cost": row["cost"] or {}} if "cost" in row else row  # the column is not nullable


def _to_column(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Failure | DetectorCost):
        return asdict(value)
    return dict(value) if isinstance(value, Mapping) else value


def _job(row: RowMapping) -> JobRecord:
    converted = {name: convert(row[name]) for name, convert in FROM_COLUMN.items()}
    return JobRecord(**{**{name: row[name] for name in JOB_FIELDS}, **converted})
