"""Create the tables of Heartwood 0.1.0.

A database made before Heartwood used Alembic has some or all of these tables; only what it lacks is created.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.schema import keys, required

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)
IS_CHECKING = sa.text("state = 'CHECKING'")
metadata = sa.MetaData()
sa.Table(
    "assets",
    metadata,
    *keys("id"),
    *required(sa.String, "tenant", "group_id", "kind", "name", "media_type"),
    *required(sa.BigInteger, "size_bytes"),
    *required(sa.String, "sha256"),
    *required(sa.Integer, "width", "height"),
    *required(sa.String, "job_id"),
    *required(TIME, "create_time"),
    sa.Column("model_versions", sa.JSON),
    sa.Index("assets_by_group", "tenant", "group_id"),
    sa.Index("assets_by_content", "tenant", "sha256"),
    sa.Index("assets_by_job", "job_id"),
)
sa.Table("cache", metadata, *keys("tenant", "key"), *required(sa.JSON, "value"), *required(TIME, "create_time"))
SOURCE_INDEX = sa.Index("cache_by_source", "tenant", "source_sha256")
sa.Table("cache_sources", metadata, *keys("tenant", "key", "source_sha256"), SOURCE_INDEX)
sa.Table(
    "jobs",
    metadata,
    *keys("id"),
    *required(sa.String, "tenant", "kind", "state", "upload_id"),
    *required(sa.JSON, "inputs", "options"),
    *required(sa.String, "quality"),
    *required(sa.Integer, "priority"),
    sa.Column("deadline", TIME),
    *required(sa.JSON, "labels"),
    *required(sa.String, "webhook_url"),
    *required(sa.Boolean, "announced"),
    sa.Column("request_id", sa.String),
    *required(sa.String, "fingerprint"),
    *required(sa.Boolean, "cancel_requested"),
    *required(sa.Float, "fraction"),
    *required(sa.String, "stage", "message"),
    *required(sa.JSON, "previews"),
    *(sa.Column(name, sa.JSON) for name in ("result", "failure")),
    *required(sa.JSON, "cost"),
    *required(sa.Integer, "revision"),
    *required(TIME, "create_time"),
    *(sa.Column(name, TIME) for name in ("start_time", "end_time")),
    sa.UniqueConstraint("tenant", "request_id"),
    sa.Index("ix_jobs_state", "state"),
    sa.Index("jobs_by_age", "tenant", "create_time", "id"),
)
sa.Table(
    "model_versions",
    metadata,
    *keys("model"),
    sa.Column("version", sa.Integer, primary_key=True),
    *required(sa.String, "state", "sha256"),
    *required(sa.BigInteger, "size_bytes"),
    sa.Column("report", sa.JSON),
    *required(sa.String, "reason", "operator", "executor_id"),
    *required(TIME, "create_time", "beat_time"),
    sa.Index("one_candidate_a_model", "model", unique=True, sqlite_where=IS_CHECKING, postgresql_where=IS_CHECKING),
)
sa.Table(
    "model_pointers",
    metadata,
    *keys("model"),
    *required(sa.Integer, "version", "previous", "revision"),
    *required(sa.String, "operator"),
    *required(TIME, "change_time"),
)


def upgrade() -> None:
    """Create the tables, the indexes and the column ``assets.model_versions`` unless they exist."""
    connection = op.get_bind()
    metadata.create_all(connection)
    for index in (index for table in metadata.tables.values() for index in table.indexes):
        index.create(connection, checkfirst=True)
    if "model_versions" not in {column["name"] for column in sa.inspect(connection).get_columns("assets")}:
        op.add_column("assets", sa.Column("model_versions", sa.JSON))  # missing in databases of the first versions
