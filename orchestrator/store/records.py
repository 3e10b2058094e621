"""What the service knows of assets and jobs: one SQL database, SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, RowMapping

from orchestrator.domain.assets import Asset
from orchestrator.domain.jobs import JobState
from orchestrator.store.schema import assets, cache, cache_sources, jobs, metadata

ACTIVE = (JobState.QUEUED.value, JobState.RUNNING.value)


class Records:
    """Queries in the words of the domain. Every method is one transaction and safe from any thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        metadata.create_all(engine)
        _add_missing_column(engine, assets.c.model_versions)

    @classmethod
    def open(cls, url: str, default_file: Path) -> Records:
        """Open ``url``, or the SQLite file ``default_file`` when it is empty."""
        if not url:
            default_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            url = f"sqlite:///{default_file}"
        engine = sa.create_engine(url, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _prepare_sqlite)
        return cls(engine)

    def close(self) -> None:
        self.engine.dispose()

    # ---- assets

    def add_asset(self, asset: Asset, job_id: str = "") -> Asset:
        """Store ``asset``; one with the same id is replaced, so that a step may run twice."""
        row = {
            **{column.name: getattr(asset, column.name) for column in assets.columns if hasattr(asset, column.name)},
            "job_id": job_id,
            "create_time": asset.create_time or datetime.now(UTC),
            "model_versions": dict(asset.model_versions),
        }
        with self.engine.begin() as connection:
            connection.execute(assets.delete().where(assets.c.id == asset.id))
            connection.execute(assets.insert().values(row))
        return _asset(row)

    def asset(self, tenant: str, id: str) -> Asset | None:
        with self.engine.connect() as connection:
            row = connection.execute(_owned(assets, tenant, id)).mappings().first()
        return _asset(row) if row else None

    def group(self, tenant: str, group_id: str, kind: str) -> list[Asset]:
        """The assets of one upload (or texture, or mask set) in the order they came."""
        query = (
            sa.select(assets)
            .where(assets.c.tenant == tenant, assets.c.group_id == group_id, assets.c.kind == kind)
            .order_by(assets.c.create_time, assets.c.id)
        )
        with self.engine.connect() as connection:
            return [_asset(row) for row in connection.execute(query).mappings()]

    def list_assets(self, tenant: str, group_id: str, kind: str, after: str, limit: int) -> list[Asset]:
        """At most ``limit`` assets with an id above ``after``; empty ``group_id`` or ``kind`` mean any."""
        query = sa.select(assets).where(assets.c.tenant == tenant, assets.c.id > after)
        if group_id:
            query = query.where(assets.c.group_id == group_id)
        if kind:
            query = query.where(assets.c.kind == kind)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(assets.c.id).limit(limit)).mappings()
            return [_asset(row) for row in rows]

    def delete_asset(self, asset: Asset) -> list[str]:
        """Forget the asset and all that was cached from its bytes; return the blobs that nothing names any more."""
        with self.engine.begin() as connection:
            connection.execute(assets.delete().where(assets.c.id == asset.id, assets.c.tenant == asset.tenant))
            return self._forget(connection, asset.tenant, {asset.sha256})

    def _forget(self, connection: Connection, tenant: str, sources: set[str]) -> list[str]:
        loose = set(sources)
        still = connection.scalars(
            sa.select(assets.c.sha256).where(assets.c.tenant == tenant, assets.c.sha256.in_(sources))
        )
        gone = sources - set(still)
        made_of = sa.and_(cache_sources.c.tenant == tenant, cache_sources.c.source_sha256.in_(gone))
        keys = set(connection.scalars(sa.select(cache_sources.c.key).where(made_of)))
        mine = sa.and_(cache.c.tenant == tenant, cache.c.key.in_(keys))
        for value in connection.scalars(sa.select(cache.c.value).where(mine)):
            loose.update(value["blobs"])
        connection.execute(cache.delete().where(mine))
        connection.execute(
            cache_sources.delete().where(cache_sources.c.tenant == tenant, cache_sources.c.key.in_(keys))
        )
        named = sa.select(assets.c.sha256).where(assets.c.tenant == tenant, assets.c.sha256.in_(loose))
        kept = set(connection.scalars(named))
        for value in connection.scalars(sa.select(cache.c.value).where(cache.c.tenant == tenant)):
            kept.update(value["blobs"])
        return sorted(loose - kept)

    # ---- results kept by content

    def cached(self, tenant: str, key: str) -> dict[str, Any] | None:
        with self.engine.connect() as connection:
            return connection.scalar(sa.select(cache.c.value).where(cache.c.tenant == tenant, cache.c.key == key))

    def keep(self, tenant: str, key: str, sources: Collection[str], value: dict[str, Any]) -> None:
        """Remember ``value`` (with its blobs' SHA-256 under "blobs") until one of its ``sources`` is deleted.

        Args:
            sources: SHA-256 of the files that it was made of.
        """
        known = (cache, cache_sources)
        with self.engine.begin() as connection:
            for table in known:
                connection.execute(table.delete().where(table.c.tenant == tenant, table.c.key == key))
            connection.execute(
                cache.insert().values(tenant=tenant, key=key, value=value, create_time=datetime.now(UTC))
            )
            rows = [{"tenant": tenant, "key": key, "source_sha256": source} for source in sorted(set(sources))]
            connection.execute(cache_sources.insert(), rows)

    # ---- jobs

    def add_job(self, row: dict[str, Any], max_active: int) -> tuple[dict[str, Any], bool]:
        """Insert a QUEUED job, or return the tenant's job of the same ``request_id``.

        Returns:
            (row, True) when it is new, (the older row, False) when the request_id was known, and
            ({}, False) when the tenant has ``max_active`` jobs already.
        """
        try:
            with self.engine.begin() as connection:
                known = self._by_request(connection, row["tenant"], row["request_id"])
                if known:
                    return known, False
                active = sa.select(sa.func.count()).where(jobs.c.tenant == row["tenant"], jobs.c.state.in_(ACTIVE))
                if (connection.scalar(active) or 0) >= max_active:
                    return {}, False
                connection.execute(jobs.insert().values(**row))
            return self.job(row["tenant"], row["id"]) or row, True
        except sa.exc.IntegrityError:
            with self.engine.connect() as connection:  # another call with the same request_id won the race
                known = self._by_request(connection, row["tenant"], row["request_id"])
            if known is None:
                raise
            return known, False

    def job_of_request(self, tenant: str, request_id: str) -> dict[str, Any] | None:
        """The job that this ``request_id`` made."""
        with self.engine.connect() as connection:
            return self._by_request(connection, tenant, request_id)

    def _by_request(self, connection: Connection, tenant: str, request_id: str | None) -> dict[str, Any] | None:
        if request_id is None:
            return None
        query = sa.select(jobs).where(jobs.c.tenant == tenant, jobs.c.request_id == request_id)
        row = connection.execute(query).mappings().first()
        return dict(row) if row else None

    def job(self, tenant: str | None, id: str) -> dict[str, Any] | None:
        """The job's row; ``tenant`` None asks for the service itself."""
        query = sa.select(jobs).where(jobs.c.id == id) if tenant is None else _owned(jobs, tenant, id)
        with self.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return dict(row) if row else None

    def list_jobs(
        self,
        tenant: str,
        states: Sequence[str],
        labels: dict[str, str],
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """At most ``limit`` jobs, newest first, older than ``before`` (create_time, id)."""
        query = sa.select(jobs).where(jobs.c.tenant == tenant)
        if states:
            query = query.where(jobs.c.state.in_(states))
        for name, value in labels.items():
            query = query.where(jobs.c.labels[name].as_string() == value)
        if before is not None:
            query = query.where(sa.tuple_(jobs.c.create_time, jobs.c.id) < sa.tuple_(*before))
        query = query.order_by(jobs.c.create_time.desc(), jobs.c.id.desc()).limit(limit)
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def change_job(self, id: str, states: Sequence[JobState], **values: Any) -> bool:
        """Write ``values`` if the job is in one of ``states``; say whether it was. The only way a job changes."""
        query = (
            jobs.update()
            .where(jobs.c.id == id, jobs.c.state.in_([state.value for state in states]))
            .values(revision=jobs.c.revision + 1, **values)
        )
        with self.engine.begin() as connection:
            return bool(connection.execute(query).rowcount)

    def active_jobs(self) -> list[dict[str, Any]]:
        """Every queued or running job of every tenant, oldest first."""
        query = sa.select(jobs).where(jobs.c.state.in_(ACTIVE)).order_by(jobs.c.create_time)
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def jobs_to_announce(self) -> list[dict[str, Any]]:
        """Jobs that have ended and whose webhook is not on the queue yet."""
        waiting = sa.and_(jobs.c.webhook_url != "", jobs.c.announced.is_(False), jobs.c.state.not_in(ACTIVE))
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.select(jobs).where(waiting)).mappings()]

    def mark_announced(self, id: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(jobs.update().where(jobs.c.id == id).values(announced=True))

    def queue_position(self, row: dict[str, Any]) -> int:
        """How many queued jobs start before this one."""
        ahead = sa.or_(
            jobs.c.priority < row["priority"],
            sa.and_(jobs.c.priority == row["priority"], jobs.c.create_time < row["create_time"]),
        )
        query = sa.select(sa.func.count()).where(jobs.c.state == JobState.QUEUED.value, ahead)
        with self.engine.connect() as connection:
            return connection.scalar(query) or 0

    def delete_job(self, tenant: str, id: str) -> list[str]:
        """Forget a job and the assets it made; return the blobs that nothing names any more."""
        made = sa.and_(assets.c.tenant == tenant, assets.c.job_id == id)
        with self.engine.begin() as connection:
            blobs = set(connection.scalars(sa.select(assets.c.sha256).where(made)))
            connection.execute(assets.delete().where(made))
            connection.execute(jobs.delete().where(jobs.c.tenant == tenant, jobs.c.id == id))
            return self._forget(connection, tenant, blobs)


def _owned(table: sa.Table, tenant: str, id: str) -> sa.Select[Any]:
    return sa.select(table).where(table.c.tenant == tenant, table.c.id == id)


def _add_missing_column(engine: Engine, column: sa.Column[Any]) -> None:
    """Give a database of before the column to its table."""
    table = column.table.name
    if column.name not in {known["name"] for known in sa.inspect(engine).get_columns(table)}:
        kind = column.type.compile(engine.dialect)
        with engine.begin() as connection:
            connection.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN {column.name} {kind}"))


def _asset(row: RowMapping | dict[str, Any]) -> Asset:
    versions = row["model_versions"] or {}
    return Asset(**{**{name: row[name] for name in Asset.__dataclass_fields__}, "model_versions": versions})


def _prepare_sqlite(connection: Any, _: Any) -> None:
    for pragma in ("journal_mode=WAL", "busy_timeout=30000", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
