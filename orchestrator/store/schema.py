"""The tables of the records database. All times are UTC.

The migrations in ``store/migrations`` create these tables; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from orchestrator.domain.jobs import JobState

metadata = sa.MetaData()

REVISION = "0003"
"""The newest revision in ``store/migrations/versions``."""


class Time(sa.TypeDecorator[datetime]):
    """A timezone-aware UTC datetime. SQLite does not store the zone, so it is added when a value is read."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        aware: datetime | None = value.replace(tzinfo=UTC) if value and value.tzinfo is None else value
        return aware


assets = sa.Table(
    "assets",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("group_id", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("media_type", sa.String, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("job_id", sa.String, nullable=False),
    sa.Column("create_time", Time, nullable=False),
    sa.Column("model_versions", sa.JSON),  # model name → version that produced the file; empty or NULL: no model did
    sa.Index("assets_by_group", "tenant", "group_id"),
    sa.Index("assets_by_content", "tenant", "sha256"),
    sa.Index("assets_by_job", "tenant", "job_id"),
)

cache = sa.Table(
    "cache",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("create_time", Time, nullable=False),
)

cache_sources = sa.Table(  # the files that a cached value was computed from; deleting any of them deletes the value
    "cache_sources",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("source_sha256", sa.String, primary_key=True),
    sa.Index("cache_by_source", "tenant", "source_sha256", "key"),
)

cache_blobs = sa.Table(  # the blobs that a cached value refers to
    "cache_blobs",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("sha256", sa.String, primary_key=True),
    sa.Index("cache_by_blob", "tenant", "sha256"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("upload_id", sa.String, nullable=False),
    sa.Column("inputs", sa.JSON, nullable=False),  # asset ids of the photos, or of the mesh, at creation
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("quality", sa.String, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("deadline", Time),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("webhook_url", sa.String, nullable=False),
    sa.Column("announced", sa.Boolean, nullable=False, default=False),  # the webhook has been enqueued
    sa.Column("request_id", sa.String),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("fraction", sa.Float, nullable=False, default=0.0),
    sa.Column("stage", sa.String, nullable=False, default=""),
    sa.Column("message", sa.String, nullable=False, default=""),
    sa.Column("previews", sa.JSON, nullable=False, default=list),  # asset ids, in order of appearance
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("failure", sa.JSON(none_as_null=True)),
    sa.Column("cost", sa.JSON, nullable=False, default=dict),
    sa.Column("revision", sa.Integer, nullable=False, default=1),  # incremented by every change of the row
    sa.Column("create_time", Time, nullable=False),
    sa.Column("start_time", Time),
    sa.Column("end_time", Time),
    sa.UniqueConstraint("tenant", "request_id"),
    sa.Index("jobs_by_age", "tenant", "create_time", "id"),
    sa.Index("jobs_by_queue_order", "state", "priority", "create_time"),
    sa.Index("jobs_by_deadline", "state", "deadline"),
)

# The conditions of partial indexes. SQLite uses such an index only if a query repeats its condition with literals.
IS_ACTIVE = jobs.c.state.in_([sa.literal_column(f"'{state.value}'") for state in JobState if not state.is_final])
IS_UNANNOUNCED = sa.and_(jobs.c.webhook_url != sa.literal_column("''"), jobs.c.announced.is_(False))
sa.Index("active_jobs", jobs.c.tenant, jobs.c.create_time, sqlite_where=IS_ACTIVE, postgresql_where=IS_ACTIVE)
sa.Index("jobs_to_announce", jobs.c.state, sqlite_where=IS_UNANNOUNCED, postgresql_where=IS_UNANNOUNCED)

model_versions = sa.Table(  # the versions that operators deployed; those in model_repository/ have no row
    "model_versions",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("report", sa.JSON),
    sa.Column("reason", sa.String, nullable=False, default=""),
    sa.Column("operator", sa.String, nullable=False),
    sa.Column("executor_id", sa.String, nullable=False),  # the replica that evaluates the candidate
    sa.Column("create_time", Time, nullable=False),
    sa.Column("beat_time", Time, nullable=False),  # last heartbeat of that replica
)
sa.Index(
    "one_candidate_a_model",
    model_versions.c.model,
    unique=True,
    sqlite_where=model_versions.c.state == "CHECKING",
    postgresql_where=model_versions.c.state == "CHECKING",
)

model_pointers = sa.Table(  # the serving version; without a row, the newest in model_repository/ serves
    "model_pointers",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("previous", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("operator", sa.String, nullable=False),
    sa.Column("change_time", Time, nullable=False),
)
