"""Deletes assets, jobs, cached results and webhook deliveries. Nothing that an unfinished job uses is deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from orchestrator.domain.jobs import texts_in
from orchestrator.errors import FailedPrecondition, InUse
from orchestrator.store.blob_records import release
from orchestrator.store.database import writing
from orchestrator.store.schema import (
    FINAL_STATES,
    IS_ACTIVE,
    IS_RESULT,
    IS_UPLOAD,
    assets,
    cache,
    cache_blobs,
    cache_sources,
    jobs,
    webhook_deliveries,
)

BATCH = 100
"""Rows that one transaction deletes. It bounds the time for which SQLite is locked. Not tuned."""
Cursor: TypeAlias = tuple[datetime, str]
"""The time and the id of the last row of a batch."""


@dataclass(frozen=True)
class Tenants:
    """Some tenants: those with the ``names``, or all others."""

    names: Collection[str]
    others: bool = False

    def condition(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        return column.not_in(self.names) if self.others else column.in_(self.names)


@dataclass(frozen=True)
class Expired:
    """What one batch deleted, and where the next one starts; None if there is none."""

    count: int
    next: Cursor | None


class Deletions:
    """Each method is thread-safe, and deletes in one transaction. Files are only released; the sweeper removes them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def delete_asset(self, tenant: str, id: str) -> bool:
        """Delete an asset. Return False if the tenant has none with this id. Raises InUse."""
        return self._delete_assets(tenant, assets.c.id == id) > 0

    def delete_upload(self, tenant: str, upload_id: str) -> int:
        """Delete all files of an upload, or none. Return their number. Raises InUse."""
        return self._delete_assets(tenant, sa.and_(assets.c.group_id == upload_id, IS_UPLOAD))

    def delete_job(self, tenant: str, id: str) -> None:
        """Delete a finished job and its files. Raises InUse, or FailedPrecondition if the job has not ended."""
        with writing(self.engine) as connection:
            is_job = sa.and_(jobs.c.tenant == tenant, jobs.c.id == id)
            state = connection.scalar(sa.select(jobs.c.state).where(is_job).with_for_update())
            if state is not None and state not in FINAL_STATES:
                raise FailedPrecondition(f"the job is {state}; cancel it first", state=state)
            made = _locked_assets(connection, tenant, assets.c.job_id == id)
            users = _users(connection, tenant)
            uses = [(f"the result of job {id}", users[id])] if id in users else []
            _check_unused(uses + _uses(made, users))
            _delete_rows(connection, tenant, made)
            connection.execute(jobs.delete().where(is_job))

    def expire_assets(self, tenants: Tenants, *, uploads: bool, before: datetime, after: Cursor | None) -> Expired:
        """Delete a batch of the uploads or results that were created before a time, without those in use."""
        age = (assets.c.create_time, assets.c.id)
        is_old = sa.and_(IS_UPLOAD if uploads else IS_RESULT, assets.c.create_time < before)
        query = _batch(sa.select(*age, assets.c.tenant), age, is_old, tenants.condition(assets.c.tenant), after)
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        count = 0
        for tenant, ids in _by_tenant(rows).items():
            count += self._delete_assets(tenant, assets.c.id.in_(ids), skip_used=True)
        return Expired(count, _next(rows))

    def expire_cached(self, tenants: Tenants, *, before: datetime) -> int:
        """Delete a batch of the cached results that were created before a time. Return how many."""
        is_old = sa.and_(cache.c.create_time < before, tenants.condition(cache.c.tenant))
        query = sa.select(cache.c.tenant, cache.c.key).where(is_old).order_by(cache.c.create_time).limit(BATCH)
        with writing(self.engine) as connection:
            rows = connection.execute(query).all()
            keys = defaultdict(set)
            for row in rows:
                keys[row.tenant].add(row.key)
            for tenant in sorted(keys):
                delete_cached(connection, tenant, keys[tenant])
        return len(rows)

    def ended_jobs(
        self, tenants: Tenants, *, before: datetime, after: Cursor | None
    ) -> tuple[list[tuple[str, str]], Cursor | None]:
        """Return tenant and id of a batch of the jobs that ended before a time, and where the next batch starts."""
        age = (jobs.c.end_time, jobs.c.id)
        query = _batch(
            sa.select(*age, jobs.c.tenant), age, jobs.c.end_time < before, tenants.condition(jobs.c.tenant), after
        )
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [(row.tenant, row.id) for row in rows], _next(rows)

    def expire_deliveries(self, tenants: Tenants, *, before: datetime) -> int:
        """Delete a batch of the webhook deliveries that ended before a time. Return how many."""
        c = webhook_deliveries.c
        is_old = sa.and_(c.end_time < before, tenants.condition(c.tenant))
        ids = sa.select(c.id).where(is_old).order_by(c.end_time).limit(BATCH)
        with self.engine.begin() as connection:
            return connection.execute(webhook_deliveries.delete().where(c.id.in_(ids), is_old)).rowcount

    def _delete_assets(self, tenant: str, condition: sa.ColumnElement[bool], *, skip_used: bool = False) -> int:
        """Delete assets, and increment the ``revision`` of the finished jobs that made them: their results change."""
        with writing(self.engine) as connection:
            rows = _locked_assets(connection, tenant, condition)
            uses = _uses(rows, _users(connection, tenant))
            if skip_used:
                used = {name for name, _ in uses}
                rows = [row for row in rows if _name(row) not in used]
            else:
                _check_unused(uses)
            made_by = {row.job_id for row in rows if row.job_id}
            has_ended = (jobs.c.tenant == tenant, jobs.c.id.in_(made_by), jobs.c.state.in_(FINAL_STATES))
            connection.execute(jobs.update().where(*has_ended).values(revision=jobs.c.revision + 1))
            _delete_rows(connection, tenant, rows)
            return len(rows)


def delete_cached(connection: Connection, tenant: str, keys: Collection[str]) -> None:
    """Delete cached results, and release their files."""
    if not keys:
        return
    refers = sa.and_(cache_blobs.c.tenant == tenant, cache_blobs.c.key.in_(keys))
    released = set(connection.scalars(sa.select(cache_blobs.c.sha256).where(refers)))
    for table in (cache, cache_sources, cache_blobs):
        connection.execute(table.delete().where(table.c.tenant == tenant, table.c.key.in_(keys)))
    release(connection, tenant, released)


def _locked_assets(connection: Connection, tenant: str, condition: sa.ColumnElement[bool]) -> list[Row[Any]]:
    """Lock assets, so that no two deletions take the same ones. A job that is created meanwhile fails without them."""
    columns = sa.select(assets.c.id, assets.c.name, assets.c.group_id, assets.c.job_id, assets.c.sha256)
    query = columns.where(assets.c.tenant == tenant, condition).order_by(assets.c.id).with_for_update()
    return [*connection.execute(query)]


def _users(connection: Connection, tenant: str) -> dict[str, str]:
    """Return each id that an unfinished job of the tenant uses, with the id of the job. A job uses its own files."""
    active = sa.select(jobs.c.id, jobs.c.inputs, jobs.c.options).where(jobs.c.tenant == tenant, IS_ACTIVE)
    users: dict[str, str] = {}
    for row in connection.execute(active):
        for used in (row.id, *row.inputs, *texts_in(row.options)):
            users.setdefault(used, row.id)
    return users


def _uses(rows: Sequence[Row[Any]], users: dict[str, str]) -> list[tuple[str, str]]:
    """Return which of the assets jobs use, by their ids or by the ids of their group or of the job that made them."""
    jobs_of = ((row, [users[id] for id in (row.id, row.group_id, row.job_id) if id in users]) for row in rows)
    return [(_name(row), using[0]) for row, using in jobs_of if using]


def _name(row: Row[Any]) -> str:
    return f"{row.name} ({row.id})"


def _check_unused(uses: Sequence[tuple[str, str]]) -> None:
    if uses:
        raise InUse(uses)


def _delete_rows(connection: Connection, tenant: str, rows: Sequence[Row[Any]]) -> None:
    """Delete assets, and the cached results that were computed from contents that no asset has any more."""
    contents = {row.sha256 for row in rows}
    connection.execute(assets.delete().where(assets.c.id.in_([row.id for row in rows])))
    left = sa.select(assets.c.sha256).where(assets.c.tenant == tenant, assets.c.sha256.in_(contents))
    gone = contents - set(connection.scalars(left))
    stale = sa.and_(cache_sources.c.tenant == tenant, cache_sources.c.source_sha256.in_(gone))
    delete_cached(connection, tenant, set(connection.scalars(sa.select(cache_sources.c.key).where(stale))))
    release(connection, tenant, contents)


def _batch(
    query: sa.Select[Any],
    age: tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]],
    is_old: sa.ColumnElement[bool],
    is_of_tenants: sa.ColumnElement[bool],
    after: Cursor | None,
) -> sa.Select[Any]:
    if after is not None:
        query = query.where(sa.tuple_(*age) > sa.tuple_(*after))
    return query.where(is_old, is_of_tenants).order_by(*age).limit(BATCH)


def _next(rows: Sequence[Row[Any]]) -> Cursor | None:
    last = tuple(rows[-1])[:2] if len(rows) == BATCH else None
    return cast(Cursor | None, last)


def _by_tenant(rows: Sequence[Row[Any]]) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        ids[row.tenant].append(row.id)
    return ids
