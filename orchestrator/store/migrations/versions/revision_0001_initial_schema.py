"""Create the tables of Heartwood 0.1.0.

A database made before Heartwood used Alembic has some or all of these tables; only what it lacks is created.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)
CHECKING = sa.text("state = 'CHECKING'")


def upgrade() -> None:
    """Create the tables, the indexes and the column ``assets.model_versions`` unless they exist."""
    _create_table(
        "assets",
        *_keys("id"),
        *_required(sa.String, "tenant", "group_id", "kind", "name", "media_type"),
        *_required(sa.BigInteger, "size_bytes"),
        *_required(sa.String, "sha256"),
        *_required(sa.Integer, "width", "height"),
        *_required(sa.String, "job_id"),
        *_required(TIME, "create_time"),
        sa.Column("model_versions", sa.JSON),
    )
    columns = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("assets")}
    if "model_versions" not in columns:  # databases made by the first development versions
        op.add_column("assets", sa.Column("model_versions", sa.JSON))
    _create_index("assets_by_group", "assets", "tenant", "group_id")
    _create_index("assets_by_content", "assets", "tenant", "sha256")
    _create_index("assets_by_job", "assets", "job_id")

    _create_table("cache", *_keys("tenant", "key"), *_required(sa.JSON, "value"), *_required(TIME, "create_time"))
    _create_table("cache_sources", *_keys("tenant", "key", "source_sha256"))
    _create_index("cache_by_source", "cache_sources", "tenant", "source_sha256")

    _create_table(
        "jobs",
        *_keys("id"),
        *_required(sa.String, "tenant", "kind", "state", "upload_id"),
        *_required(sa.JSON, "inputs", "options"),
        *_required(sa.String, "quality"),
        *_required(sa.Integer, "priority"),
        sa.Column("deadline", TIME),
        *_required(sa.JSON, "labels"),
        *_required(sa.String, "webhook_url"),
        *_required(sa.Boolean, "announced"),
        sa.Column("request_id", sa.String),
        *_required(sa.String, "fingerprint"),
        *_required(sa.Boolean, "cancel_requested"),
        *_required(sa.Float, "fraction"),
        *_required(sa.String, "stage", "message"),
        *_required(sa.JSON, "previews"),
        sa.Column("result", sa.JSON),
        sa.Column("failure", sa.JSON),
        *_required(sa.JSON, "cost"),
        *_required(sa.Integer, "revision"),
        *_required(TIME, "create_time"),
        sa.Column("start_time", TIME),
        sa.Column("end_time", TIME),
        sa.UniqueConstraint("tenant", "request_id"),
    )
    _create_index("ix_jobs_state", "jobs", "state")
    _create_index("jobs_by_age", "jobs", "tenant", "create_time", "id")

    _create_table(
        "model_versions",
        *_keys("model"),
        sa.Column("version", sa.Integer, primary_key=True),
        *_required(sa.String, "state", "sha256"),
        *_required(sa.BigInteger, "size_bytes"),
        sa.Column("report", sa.JSON),
        *_required(sa.String, "reason", "operator", "executor_id"),
        *_required(TIME, "create_time", "beat_time"),
    )
    where = {"sqlite_where": CHECKING, "postgresql_where": CHECKING}
    _create_index("one_candidate_a_model", "model_versions", "model", unique=True, **where)
    _create_table(
        "model_pointers",
        *_keys("model"),
        *_required(sa.Integer, "version", "previous", "revision"),
        *_required(sa.String, "operator"),
        *_required(TIME, "change_time"),
    )


def _keys(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String, primary_key=True) for name in names]


def _required(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def _create_table(name: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(name, *columns, if_not_exists=True)


def _create_index(name: str, table: str, *columns: str, **options: Any) -> None:
    op.create_index(name, table, list(columns), if_not_exists=True, **options)
