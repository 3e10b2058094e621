"""Create the tables of Heartwood 0.1.0.

A database made before Heartwood used Alembic has some or all of these tables; only what it lacks is created.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)
CHECKING = sa.text("state = 'CHECKING'")


def upgrade() -> None:
    """Create the tables, the indexes and the column ``assets.model_versions`` unless they exist."""
    _create_assets()
    _create_cache()
    _create_jobs()
    _create_models()


def _create_assets() -> None:
    op.create_table(
        "assets",
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
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("model_versions", sa.JSON),
        if_not_exists=True,
    )
    columns = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("assets")}
    if "model_versions" not in columns:  # databases made by the first development versions
        op.add_column("assets", sa.Column("model_versions", sa.JSON))
    op.create_index("assets_by_group", "assets", ["tenant", "group_id"], if_not_exists=True)
    op.create_index("assets_by_content", "assets", ["tenant", "sha256"], if_not_exists=True)
    op.create_index("assets_by_job", "assets", ["job_id"], if_not_exists=True)


def _create_cache() -> None:
    op.create_table(
        "cache",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "cache_sources",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("source_sha256", sa.String, primary_key=True),
        if_not_exists=True,
    )
    op.create_index("cache_by_source", "cache_sources", ["tenant", "source_sha256"], if_not_exists=True)


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("upload_id", sa.String, nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("quality", sa.String, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("deadline", TIME),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("webhook_url", sa.String, nullable=False),
        sa.Column("announced", sa.Boolean, nullable=False),
        sa.Column("request_id", sa.String),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("fraction", sa.Float, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("previews", sa.JSON, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("failure", sa.JSON),
        sa.Column("cost", sa.JSON, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("start_time", TIME),
        sa.Column("end_time", TIME),
        sa.UniqueConstraint("tenant", "request_id"),
        if_not_exists=True,
    )
    op.create_index("ix_jobs_state", "jobs", ["state"], if_not_exists=True)
    op.create_index("jobs_by_age", "jobs", ["tenant", "create_time", "id"], if_not_exists=True)


def _create_models() -> None:
    op.create_table(
        "model_versions",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("report", sa.JSON),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("operator", sa.String, nullable=False),
        sa.Column("executor_id", sa.String, nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("beat_time", TIME, nullable=False),
        if_not_exists=True,
    )
    op.create_index(
        "one_candidate_a_model",
        "model_versions",
        ["model"],
        unique=True,
        sqlite_where=CHECKING,
        postgresql_where=CHECKING,
        if_not_exists=True,
    )
    op.create_table(
        "model_pointers",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("previous", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("operator", sa.String, nullable=False),
        sa.Column("change_time", TIME, nullable=False),
        if_not_exists=True,
    )
