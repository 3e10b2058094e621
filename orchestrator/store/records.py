"""Records of assets, cached results and jobs in one SQL database, SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias, Unpack, cast

import sqlalchemy as sa
from sqlalchemy.engine import Engine, RowMapping

from orchestrator.domain.assets import Asset
from orchestrator.domain.jobs import (
    Failure,
    JobChange,
    JobKey,
    JobRecord,
    JobRevision,
    JobState,
    JsonObject,
    PhotoFailure,
    Priority,
)
from orchestrator.domain.quality import Quality
from orchestrator.domain.segment import DetectorCost
from orchestrator.errors import JobTakenOver
from orchestrator.store.blob_records import release, use
from orchestrator.store.database import lock_tenant, open_database, writing
from orchestrator.store.deletions import delete_cached
from orchestrator.store.job_queue import QUEUE_ORDER
from orchestrator.store.schema import (
    FINAL_STATES,
    IS_ACTIVE,
    IS_QUEUED,
    IS_RELEASED,
    IS_UNANNOUNCED,
    assets,
    cache,
    cache_blobs,
    cache_sources,
    jobs,
)

IDS_PER_QUERY = 500
"""Job ids in one query of ``assets_of_jobs``. SQLite allows 32,766 parameters in a query. Not tuned."""
ASSET_FIELDS = tuple(field.name for field in fields(Asset))
JOB_FIELDS = tuple(field.name for field in fields(JobRecord))
PageEnd: TypeAlias = tuple[datetime, str]
"""The create_time and the id of the last job of a page of ``list_jobs``."""
JOB_CONVERTERS: dict[str, Callable[[Any], object]] = {
    "state": JobState,
    "quality": Quality,
    "priority": Priority,
    "inputs": tuple,
    "previews": tuple,
    "failure": lambda failure: _to_failure(failure) if failure else None,
    "photo_failures": lambda failures: tuple(_to_photo_failure(failure) for failure in failures or ()),
    "cost": lambda cost: DetectorCost(**cost) if cost else None,
}
"""Converts the columns of ``jobs`` whose values differ from the fields of a ``JobRecord``."""


class Records:
    """All queries on assets, cached results and jobs. Each method is thread-safe, and writes in one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str, default_file: Path) -> Records:
        """Open the database like ``open_database``."""
        return cls(open_database(url, default_file))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def add_asset(self, asset: Asset, job_id: str = "", owner: str = "") -> Asset:
        """Insert an asset of a job or an upload. Replaces an asset with the same id, because a step can run again.

        Raises JobTakenOver if ``owner`` is given and does not own the job any more, and StorageUnavailable if the file
        was removed after it was stored.
        """
        asset = replace(asset, create_time=asset.create_time or datetime.now(UTC))
        row = {**asdict(asset), "model_versions": dict(asset.model_versions)}
        with writing(self.engine) as connection:
            if owner:
                is_owned = sa.and_(jobs.c.id == job_id, jobs.c.owner == owner)
                if connection.scalar(sa.select(jobs.c.id).where(is_owned).with_for_update(read=True)) is None:
                    raise JobTakenOver("another process has taken over the job, or it was deleted", job=job_id)
            use(connection, asset.tenant, [asset.sha256])
            replaced = connection.scalar(sa.select(assets.c.sha256).where(assets.c.id == asset.id))
            connection.execute(assets.delete().where(assets.c.id == asset.id))
            connection.execute(assets.insert().values(**row, job_id=job_id))
            if replaced not in (None, asset.sha256):
                release(connection, asset.tenant, [replaced])
        return asset

    def add_upload(self, asset: Asset, most_bytes: float) -> Asset | None:
        """Insert an uploaded file, unless the files of its tenant would then have more than ``most_bytes``.

        Returns None in that case. Raises StorageUnavailable if the file was removed after it was stored.
        """
        asset = replace(asset, create_time=datetime.now(UTC))
        stored = sa.select(sa.func.coalesce(sa.func.sum(assets.c.size_bytes), 0)).where(assets.c.tenant == asset.tenant)
        with writing(self.engine) as connection:
            lock_tenant(connection, asset.tenant)
            if connection.execute(stored).scalar_one() + asset.size_bytes > most_bytes:
                return None
            use(connection, asset.tenant, [asset.sha256])
            connection.execute(assets.insert().values(**asdict(asset), job_id=""))
        return asset

    def asset(self, tenant: str, id: str) -> Asset | None:
        """Return the asset, or None if the tenant has no such asset."""
        query = sa.select(assets).where(assets.c.tenant == tenant, assets.c.id == id)
        return next(iter(self._assets(query)), None)

    def group(self, tenant: str, group_id: str, kind: str) -> list[Asset]:
        """Return the assets of one kind in an upload, texture, mask set or mesh, oldest first."""
        in_group = (assets.c.tenant == tenant, assets.c.group_id == group_id, assets.c.kind == kind)
        return self._assets(sa.select(assets).where(*in_group).order_by(assets.c.create_time, assets.c.id))

    def list_assets(self, tenant: str, group_id: str, kind: str, after: str, limit: int) -> list[Asset]:
        """Return up to ``limit`` assets whose ids follow ``after``; an empty ``group_id`` or ``kind`` means any."""
        query = sa.select(assets).where(assets.c.tenant == tenant, assets.c.id > after)
        filters = {name: value for name, value in (("group_id", group_id), ("kind", kind)) if value}
        return self._assets(query.filter_by(**filters).order_by(assets.c.id).limit(limit))

    def assets_of_jobs(self, tenant: str, job_ids: Collection[str]) -> dict[str, Asset]:
        """Return the assets that the jobs made, by asset id. Takes one query for every ``IDS_PER_QUERY`` jobs."""
        ids = sorted(set(job_ids))
        batches = [ids[start : start + IDS_PER_QUERY] for start in range(0, len(ids), IDS_PER_QUERY)]
        in_tenant = sa.select(assets).where(assets.c.tenant == tenant)
        found = (asset for batch in batches for asset in self._assets(in_tenant.where(assets.c.job_id.in_(batch))))
        return {asset.id: asset for asset in found}

    def _assets(self, query: sa.Select[tuple[object, ...]]) -> list[Asset]:
        with self.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        values = ({name: row[name] for name in ASSET_FIELDS} for row in rows)
        return [Asset(**value | {"model_versions": value["model_versions"] or {}}) for value in values]

    def cached(self, tenant: str, key: str) -> JsonObject | None:
        """Return the value that was cached under ``key``, or None."""
        query = sa.select(cache.c.value).where(cache.c.tenant == tenant, cache.c.key == key)
        with self.engine.connect() as connection:
            return cast(JsonObject | None, connection.scalar(query))

    def keep(self, tenant: str, key: str, sources: Collection[str], blobs: Collection[str], value: JsonObject) -> None:
        """Cache ``value`` under ``key``. It is deleted when no asset has the content of one of its ``sources``.

        ``sources`` and ``blobs`` are SHA-256. The value refers to the blobs, which are kept as long as the value.
        Raises StorageUnavailable if one of the blobs was removed after it was stored.
        """
        cached = {"tenant": tenant, "key": key}
        source_rows = [{**cached, "source_sha256": source} for source in sorted(set(sources))]
        blob_rows = [{**cached, "sha256": blob} for blob in sorted(set(blobs))]
        with suppress(sa.exc.IntegrityError), writing(self.engine) as connection:  # another job keeps the same value
            delete_cached(connection, tenant, {key})
            use(connection, tenant, blobs)
            connection.execute(cache.insert().values(**cached, value=value, create_time=datetime.now(UTC)))
            for table, rows in ((cache_sources, source_rows), (cache_blobs, blob_rows)):
                if rows:
                    connection.execute(table.insert(), rows)

    def forget(self, tenant: str, key: str) -> None:
        """Delete the value that was cached under ``key``."""
        with writing(self.engine) as connection:
            delete_cached(connection, tenant, {key})

    def add_job(self, record: JobRecord, max_active: int) -> tuple[JobRecord | None, bool]:
        """Insert a job, unless the tenant already has a job with the same ``request_id``.

        Returns (the record, True) if it was inserted, (the earlier job, False) if the ``request_id`` is known, and
        (None, False) if the tenant already has ``max_active`` active jobs.
        """
        earlier = self.job_of_request(record.tenant, record.request_id)
        if earlier is not None:
            return earlier, False
        active_jobs = sa.select(sa.func.count()).where(jobs.c.tenant == record.tenant, IS_ACTIVE)
        try:
            with writing(self.engine) as connection:
                lock_tenant(connection, record.tenant)
                if (connection.scalar(active_jobs) or 0) >= max_active:
                    return None, False
                connection.execute(jobs.insert().values(_to_row(vars(record))))
            return record, True
        except sa.exc.IntegrityError:  # a concurrent call with the same request_id came first
            earlier = self.job_of_request(record.tenant, record.request_id)
            if earlier is None:
                raise
            return earlier, False

    def change_job(self, id: str, states: Sequence[JobState], owner: str = "", **changes: Unpack[JobChange]) -> bool:
        """If a job is in one of ``states``, update it and increment its ``revision``. Return whether it was updated.

        If ``owner`` is given, the job is updated only if it has that owner.
        """
        conditions: list[sa.ColumnElement[bool]] = [jobs.c.state.in_([state.value for state in states])]
        if owner:
            conditions.append(jobs.c.owner == owner)
        changed = jobs.update().values(revision=jobs.c.revision + 1, **_to_row(changes))
        with self.engine.begin() as connection:
            return bool(connection.execute(changed.where(jobs.c.id == id, *conditions)).rowcount)

    def take_job(self, id: str, owner: str) -> None:
        """Make an execution the owner of an unfinished job. The former owner cannot write about it any more."""
        with self.engine.begin() as connection:
            connection.execute(jobs.update().where(jobs.c.id == id, IS_ACTIVE).values(owner=owner))

    def announce_again(self, id: str) -> None:
        """Let ``jobs_to_announce`` return a job once more."""
        with self.engine.begin() as connection:
            connection.execute(jobs.update().where(jobs.c.id == id).values(announced=False))

    def job(self, tenant: str | None, id: str) -> JobRecord | None:
        """Return the job, or None if the tenant has no such job. The tenant None finds the job of any tenant."""
        return next(iter(self._jobs(sa.select(jobs).where(jobs.c.id == id, _is_owner(tenant)))), None)

    def job_of_request(self, tenant: str, request_id: str | None) -> JobRecord | None:
        """Return the job that was created with ``request_id``, or None."""
        if request_id is None:
            return None
        query = sa.select(jobs).where(jobs.c.tenant == tenant, jobs.c.request_id == request_id)
        return next(iter(self._jobs(query)), None)

    def job_revision(self, tenant: str, id: str) -> JobRevision | None:
        """Return the job's revision, state and queue position, but no documents; None if the job is unknown."""
        query = sa.select(jobs.c.revision, jobs.c.state, *QUEUE_ORDER).where(jobs.c.tenant == tenant, jobs.c.id == id)
        with self.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            position = 0
            if row.state == JobState.QUEUED.value:
                starts_before = sa.tuple_(*QUEUE_ORDER) < sa.tuple_(row.priority, row.create_time)
                ahead = sa.select(sa.func.count()).where(IS_QUEUED, jobs.c.tenant == tenant, starts_before)
                position = connection.scalar(ahead) or 0
        return JobRevision(row.revision, JobState(row.state), position)

    def recent_revisions(self, tenant: str, created_since: datetime) -> dict[str, int]:
        """Return the revision of each unfinished job, and of each job created since a time, by id, oldest first."""
        columns = sa.select(jobs.c.id, jobs.c.revision).where(jobs.c.tenant == tenant).order_by(jobs.c.create_time)
        with self.engine.connect() as connection:
            unfinished = connection.execute(columns.where(IS_ACTIVE)).all()
            created = connection.execute(columns.where(jobs.c.create_time >= created_since)).all()
        return {row.id: row.revision for row in (*unfinished, *created)}

    def revisions(self, tenant: str, ids: Collection[str]) -> dict[str, int]:
        """Return the revision of each of the jobs that exists, by id."""
        query = sa.select(jobs.c.id, jobs.c.revision).where(jobs.c.tenant == tenant, jobs.c.id.in_(ids))
        with self.engine.connect() as connection:
            return {row.id: row.revision for row in connection.execute(query)}

    def list_jobs(
        self, tenant: str, states: Sequence[JobState], labels: Mapping[str, str], before: PageEnd | None, limit: int
    ) -> list[JobKey]:
        """Return jobs older than ``before``, in ``states`` (empty: any) and with all ``labels``, newest first."""
        query = sa.select(jobs.c.id, jobs.c.revision, jobs.c.create_time).where(jobs.c.tenant == tenant)
        if states:
            query = query.where(jobs.c.state.in_([state.value for state in states]))
        query = query.where(*(jobs.c.labels[name].as_string() == value for name, value in labels.items()))
        if before is not None:
            query = query.where(sa.tuple_(jobs.c.create_time, jobs.c.id) < sa.tuple_(*before))
        query = query.order_by(jobs.c.create_time.desc(), jobs.c.id.desc()).limit(limit)
        with self.engine.connect() as connection:
            return [JobKey(*row) for row in connection.execute(query)]

    def jobs_with_ids(self, tenant: str, ids: Sequence[str]) -> list[JobRecord]:
        """Return the jobs with these ids, in any order. Takes one query, so pass at most the ids of one page."""
        if not ids:
            return []
        return self._jobs(sa.select(jobs).where(jobs.c.tenant == tenant, jobs.c.id.in_(ids)))

    def known_jobs(self, ids: Collection[str]) -> set[str]:
        """Return which of the jobs exist."""
        with self.engine.connect() as connection:
            return set(connection.scalars(sa.select(jobs.c.id).where(jobs.c.id.in_(ids))))

    def active_jobs(self, tenant: str | None = None) -> list[JobRecord]:
        """Return the queued and running jobs of one tenant or of all, oldest first."""
        return self._jobs(sa.select(jobs).where(_is_owner(tenant), IS_ACTIVE).order_by(jobs.c.create_time))

    def released_before(self, time: datetime) -> list[JobRecord]:
        """Return the jobs of all tenants that were released before a time and have not started."""
        return self._jobs(sa.select(jobs).where(IS_RELEASED, IS_QUEUED, jobs.c.release_time < time))

    def running_jobs(self) -> list[JobRecord]:
        """Return the running jobs of all tenants."""
        return self._jobs(sa.select(jobs).where(jobs.c.state == JobState.RUNNING.value))

    def expired_jobs(self, now: datetime) -> list[JobRecord]:
        """Return the queued jobs of all tenants whose deadline has passed."""
        return self._jobs(sa.select(jobs).where(IS_QUEUED, jobs.c.deadline <= now))

    def jobs_to_announce(self) -> list[JobRecord]:
        """Return the jobs that have ended and whose webhook has not been created."""
        return self._jobs(sa.select(jobs).where(IS_UNANNOUNCED, jobs.c.state.in_(FINAL_STATES)))

    def _jobs(self, query: sa.Select[tuple[object, ...]]) -> list[JobRecord]:
        with self.engine.connect() as connection:
            return [_to_job(row) for row in connection.execute(query).mappings()]


def _is_owner(tenant: str | None) -> sa.ColumnElement[bool]:
    return sa.true() if tenant is None else jobs.c.tenant == tenant


def _to_row(values: Mapping[str, object]) -> dict[str, object]:
    """Convert fields of a ``JobRecord`` to column values."""
    row = {name: _to_column(value) for name, value in values.items()}
    if "cost" in row:
        row["cost"] = row["cost"] or {}  # the column is not nullable
    return row


def _to_column(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [_to_column(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _to_photo_failure(document: Mapping[str, Any]) -> PhotoFailure:
    return PhotoFailure(**{**document, "failure": _to_failure(document["failure"])})


def _to_failure(document: Mapping[str, Any]) -> Failure:
    violations = document.get("violations")
    if violations is None:  # written by an older version, whose message starts with the field
        field, message = document["field"], document["message"]
        violations = [(field, message.removeprefix(f"{field}: "))] if field else []
    return Failure(**{**document, "violations": tuple(map(tuple, violations))})


def _to_job(row: RowMapping) -> JobRecord:
    values = {name: row[name] for name in JOB_FIELDS}
    converted = {name: convert(row[name]) for name, convert in JOB_CONVERTERS.items()}
    return JobRecord(**(values | converted))
