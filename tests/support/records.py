"""Records of jobs and assets for tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from orchestrator.domain.assets import Asset
from orchestrator.domain.jobs import JobRecord, JobState, Priority
from orchestrator.domain.quality import Quality

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
