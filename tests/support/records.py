"""Records of jobs and assets for tests."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from orchestrator.domain.assets import Asset
from orchestrator.domain.jobs import JobRecord, JobState, JsonObject, Priority
from orchestrator.domain.quality import Quality
from orchestrator.store.blob_records import BlobRecords
from orchestrator.store.records import Records
from orchestrator.store.schema import blobs

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def job_record(tenant: str = "shop", **changes: Any) -> JobRecord:
    """A queued stain job, created at ``NOON``."""
    record = JobRecord(
        id=str(uuid.uuid4()),
        tenant=tenant,
        kind="stain",
        state=JobState.QUEUED,
        upload_id="upload",
        inputs=("photo",),
        options={"target": "walnut"},
        quality=Quality.FINAL,
        priority=Priority.NORMAL,
        fingerprint="",
        create_time=NOON,
    )
    return replace(record, **changes)


def photo_asset(sha256: str, tenant: str = "shop", **changes: Any) -> Asset:
    """An uploaded photo with the content ``sha256``."""
    asset = Asset(
        id=str(uuid.uuid4()),
        tenant=tenant,
        group_id="upload",
        kind="photo",
        name="chair.jpg",
        media_type="image/jpeg",
        size_bytes=3,
        sha256=sha256,
    )
    return replace(asset, **changes)


class RecordsWithFiles(Records):
    """Records that accept assets and cached results whose files were not stored."""

    def add_asset(self, asset: Asset, job_id: str = "", owner: str = "") -> Asset:
        BlobRecords(self.engine).register(asset.tenant, asset.sha256, asset.size_bytes)
        return super().add_asset(asset, job_id, owner)

    def add_upload(self, asset: Asset, most_bytes: float) -> Asset | None:
        BlobRecords(self.engine).register(asset.tenant, asset.sha256, asset.size_bytes)
        return super().add_upload(asset, most_bytes)

    def keep(self, tenant: str, key: str, sources: Collection[str], blobs: Collection[str], value: JsonObject) -> None:
        for sha256 in blobs:
            BlobRecords(self.engine).register(tenant, sha256, 1)
        super().keep(tenant, key, sources, blobs, value)


def marked(records: Records, tenant: str = "shop") -> list[str]:
    """The contents of a tenant that nothing uses, and that the sweeper would remove after the grace period."""
    BlobRecords(records.engine).mark(datetime.now(UTC) + timedelta(seconds=1))
    query = sa.select(blobs.c.sha256).where(blobs.c.tenant == tenant, blobs.c.marked).order_by(blobs.c.sha256)
    with records.engine.connect() as connection:
        return list(connection.scalars(query))


@contextmanager
def executed_statements(engine: Engine) -> Iterator[list[str]]:
    """The SQL statements that ``engine`` executes inside the block."""
    statements: list[str] = []

    def record(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    sa.event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        sa.event.remove(engine, "before_cursor_execute", record)
