"""Index cached results by their blobs, and jobs by deadline, queue order and state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BATCH_ROWS = 500
CACHE = sa.table("cache", sa.column("tenant"), sa.column("key"), sa.column("value", sa.JSON))
UNANNOUNCED = sa.and_(
    sa.column("webhook_url") != sa.literal_column("''"), sa.column("announced", sa.Boolean).is_(False)
)


def upgrade() -> None:
    """Create ``cache_blobs``, fill it from the cached values, and replace the job indexes."""
    cache_blobs = op.create_table(
        "cache_blobs",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("sha256", sa.String, primary_key=True),
    )
    _fill(cache_blobs)
    op.create_index("cache_by_blob", "cache_blobs", ["tenant", "sha256"])

    op.drop_index("ix_jobs_state", "jobs")
    op.create_index("jobs_by_deadline", "jobs", ["state", "deadline"])
    op.create_index("jobs_by_queue_order", "jobs", ["state", "priority", "create_time"])
    op.create_index("jobs_by_state", "jobs", ["tenant", "state", "create_time", "id"])
    op.create_index("jobs_to_announce", "jobs", ["id"], sqlite_where=UNANNOUNCED, postgresql_where=UNANNOUNCED)


def _fill(cache_blobs: sa.Table) -> None:
    connection = op.get_bind()
    cached = connection.execution_options(stream_results=True).execute(sa.select(CACHE))
    for batch in cached.mappings().partitions(BATCH_ROWS):
        rows = [
            {"tenant": row["tenant"], "key": row["key"], "sha256": sha256}
            for row in batch
            for sha256 in sorted(set(row["value"]["blobs"]))
        ]
        if rows:
            connection.execute(cache_blobs.insert(), rows)
