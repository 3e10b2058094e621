"""The tables. Times are UTC; ``revision`` counts a job's changes, so that a watcher sees each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

metadata = sa.MetaData()


class Time(sa.TypeDecorator[datetime]):
    """An aware UTC datetime in and out, also on SQLite, which forgets the zone."""

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
    sa.Column("model_versions", sa.JSON),  # model → version of what made it; none for what no model made
    sa.Index("assets_by_group", "tenant", "group_id"),
    sa.Index("assets_by_content", "tenant", "sha256"),
    sa.Index("assets_by_job", "job_id"),
)

cache = sa.Table(
    "cache",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("create_time", Time, nullable=False),
)

cache_sources = sa.Table(  # the contents that a kept result was made of: it goes with the first of them that goes
    "cache_sources",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("source_sha256", sa.String, primary_key=True),
    sa.Index("cache_by_source", "tenant", "source_sha256"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("upload_id", sa.String, nullable=False),
    sa.Column("inputs", sa.JSON, nullable=False),  # ids of the photos, or of the model, when the job was created
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("quality", sa.String, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("deadline", Time),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("webhook_url", sa.String, nullable=False),
    sa.Column("announced", sa.Boolean, nullable=False, default=False),  # its webhook is on the queue
    sa.Column("request_id", sa.String),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("fraction", sa.Float, nullable=False, default=0.0),
    sa.Column("stage", sa.String, nullable=False, default=""),
    sa.Column("message", sa.String, nullable=False, default=""),
    sa.Column("previews", sa.JSON, nullable=False, default=list),  # asset ids, as they appear
    sa.Column("result", sa.JSON),
    sa.Column("failure", sa.JSON),
    sa.Column("cost", sa.JSON, nullable=False, default=dict),
    sa.Column("revision", sa.Integer, nullable=False, default=1),
    sa.Column("create_time", Time, nullable=False),
    sa.Column("start_time", Time),
    sa.Column("end_time", Time),
    sa.UniqueConstraint("tenant", "request_id"),
    sa.Index("jobs_by_age", "tenant", "create_time", "id"),
)

model_versions = sa.Table(  # the versions that operators deployed; the repository's own are known by Triton
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
    sa.Column("executor_id", sa.String, nullable=False),  # the replica that checks it
    sa.Column("create_time", Time, nullable=False),
    sa.Column("beat_time", Time, nullable=False),  # when that replica last said that it works on it
)
sa.Index(
    "one_candidate_a_model",
    model_versions.c.model,
    unique=True,
    sqlite_where=model_versions.c.state == "CHECKING",
    postgresql_where=model_versions.c.state == "CHECKING",
)

model_pointers = sa.Table(  # which version serves; a model without a row is served by the repository's newest
    "model_pointers",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("previous", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("operator", sa.String, nullable=False),
    sa.Column("change_time", Time, nullable=False),
)
