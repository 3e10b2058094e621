"""Records of assets, and of cached results that depend on the content of assets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from orchestrator.domain.assets import Asset
from orchestrator.domain.jobs import JobState, JsonObject
from orchestrator.store.schema import assets, cache, cache_blobs, cache_sources, jobs

IDS_PER_QUERY = 500
"""Job ids in one query of ``assets_of_jobs``. SQLite allows 32,766 parameters in a query. Not tuned."""

ASSET_FIELDS = tuple(field.name for field in fields(Asset))
FINAL_STATES = [state.value for state in JobState if state.is_final]


class AssetRecords:
    """Queries on assets and cached results. Each method runs in one transaction and is thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def add_asset(self, asset: Asset, job_id: str = "") -> Asset:
        """Insert an asset of a job, or of an upload. It replaces one with the same id: a step can run again."""
        asset = replace(asset, create_time=asset.create_time or datetime.now(UTC))
        row = {**asdict(asset), "model_versions": dict(asset.model_versions)}
        with self.engine.begin() as connection:
            connection.execute(assets.delete().where(assets.c.id == asset.id))
            connection.execute(assets.insert().values(**row, job_id=job_id))
        return asset

    def asset(self, tenant: str, id: str) -> Asset | None:
        """The asset, or None if the tenant has no such asset."""
        query = sa.select(assets).where(assets.c.tenant == tenant, assets.c.id == id)
        return next(iter(self._assets(query)), None)

    def group(self, tenant: str, group_id: str, kind: str) -> list[Asset]:
        """The assets of one kind in an upload, texture, mask set or mesh, oldest first."""
        in_group = (assets.c.tenant == tenant, assets.c.group_id == group_id, assets.c.kind == kind)
        return self._assets(sa.select(assets).where(*in_group).order_by(assets.c.create_time, assets.c.id))

    def list_assets(self, tenant: str, group_id: str, kind: str, after: str, limit: int) -> list[Asset]:
        """At most ``limit`` assets in the order of their ids, starting after the id ``after``.

        An empty ``group_id`` or ``kind`` does not restrict the list.
        """
        query = sa.select(assets).where(assets.c.tenant == tenant, assets.c.id > after)
        filters = {name: value for name, value in (("group_id", group_id), ("kind", kind)) if value}
        return self._assets(query.filter_by(**filters).order_by(assets.c.id).limit(limit))

    def assets_of_jobs(self, tenant: str, job_ids: Collection[str]) -> dict[str, Asset]:
        """The assets that the jobs made, by asset id. Takes one query for every ``IDS_PER_QUERY`` jobs."""
        ids = sorted(set(job_ids))
        result: dict[str, Asset] = {}
        for start in range(0, len(ids), IDS_PER_QUERY):
            batch = ids[start : start + IDS_PER_QUERY]
            query = sa.select(assets).where(assets.c.tenant == tenant, assets.c.job_id.in_(batch))
            result.update((asset.id, asset) for asset in self._assets(query))
        return result

    def delete_asset(self, asset: Asset) -> list[str]:
        """Delete an asset and the cached results that were computed from its content.

        If a job made the asset and has ended, its ``revision`` is incremented, because its result has changed.
        Returns the SHA-256 of the blobs that nothing refers to any more.
        """
        is_asset = sa.and_(assets.c.id == asset.id, assets.c.tenant == asset.tenant)
        job_id = sa.select(assets.c.job_id).where(is_asset).scalar_subquery()
        with self.engine.begin() as connection:
            connection.execute(
                jobs.update()
                .where(jobs.c.id == job_id, jobs.c.tenant == asset.tenant, jobs.c.state.in_(FINAL_STATES))
                .values(revision=jobs.c.revision + 1)
            )
            connection.execute(assets.delete().where(is_asset))
            return release_blobs(connection, asset.tenant, {asset.sha256})

    def _assets(self, query: sa.Select[tuple[object, ...]]) -> list[Asset]:
        with self.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Asset(**{**{name: row[name] for name in ASSET_FIELDS}, "model_versions": row["model_versions"] or {}})
            for row in rows
        ]

    def cached(self, tenant: str, key: str) -> JsonObject | None:
        """The value that was kept under ``key``, or None."""
        query = sa.select(cache.c.value).where(cache.c.tenant == tenant, cache.c.key == key)
        with self.engine.connect() as connection:
            value: JsonObject | None = connection.scalar(query)
        return value

    def keep(self, tenant: str, key: str, sources: Collection[str], blobs: Collection[str], value: JsonObject) -> None:
        """Cache ``value`` under ``key`` until the last asset of one of its ``sources`` is deleted.

        ``sources`` and ``blobs`` are SHA-256. The blobs, to which the value refers, are kept as long as the value.
        """
        cached = {"tenant": tenant, "key": key}
        source_rows = [{**cached, "source_sha256": source} for source in sorted(set(sources))]
        blob_rows = [{**cached, "sha256": blob} for blob in sorted(set(blobs))]
        with self.engine.begin() as connection:
            _delete_cached(connection, tenant, {key})
            connection.execute(cache.insert().values(**cached, value=value, create_time=datetime.now(UTC)))
            for table, rows in ((cache_sources, source_rows), (cache_blobs, blob_rows)):
                if rows:
                    connection.execute(table.insert(), rows)


def release_blobs(connection: Connection, tenant: str, blobs: set[str]) -> list[str]:
    """Delete the cached results whose sources are gone, after assets with the content ``blobs`` have been deleted.

    Returns the SHA-256 of the blobs, of the deleted assets and cached results, that nothing refers to any more.
    """
    in_assets = sa.select(assets.c.sha256).where(assets.c.tenant == tenant, assets.c.sha256.in_(blobs))
    gone = blobs - set(connection.scalars(in_assets))
    stale = sa.and_(cache_sources.c.tenant == tenant, cache_sources.c.source_sha256.in_(gone))
    keys = set(connection.scalars(sa.select(cache_sources.c.key).where(stale)))
    cached = sa.and_(cache_blobs.c.tenant == tenant, cache_blobs.c.key.in_(keys))
    released = blobs | set(connection.scalars(sa.select(cache_blobs.c.sha256).where(cached)))
    _delete_cached(connection, tenant, keys)
    referenced: set[str] = set()
    for table in (assets, cache_blobs):
        query = sa.select(table.c.sha256).where(table.c.tenant == tenant, table.c.sha256.in_(released))
        referenced.update(connection.scalars(query))
    return sorted(released - referenced)


def _delete_cached(connection: Connection, tenant: str, keys: set[str]) -> None:
    for table in (cache, cache_sources, cache_blobs):
        connection.execute(table.delete().where(table.c.tenant == tenant, table.c.key.in_(keys)))
