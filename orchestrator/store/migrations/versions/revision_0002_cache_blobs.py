"""Index the cached results by their blobs, and add indexes for queries that read whole tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.schema import keys

revision = "0002"
down_revision = "0001"

CACHE = sa.table("cache", sa.column("tenant"), sa.column("key"), sa.column("value", sa.JSON))
IS_ACTIVE = sa.column("state").in_([sa.literal_column("'QUEUED'"), sa.literal_column("'RUNNING'")])
HAS_WEBHOOK = sa.column("webhook_url") != sa.literal_column("''")
IS_UNANNOUNCED = sa.and_(HAS_WEBHOOK, sa.column("announced", sa.Boolean).is_(False))
OLD_INDEXES = {"cache_by_source": "cache_sources", "assets_by_job": "assets", "ix_jobs_state": "jobs"}


def upgrade() -> None:
    """Create ``cache_blobs``, fill it from the cached values, and create the indexes."""
    _fill(op.create_table("cache_blobs", *keys("tenant", "key", "sha256")))
    for name, table in OLD_INDEXES.items():
        op.drop_index(name, table)
    op.create_index("cache_by_blob", "cache_blobs", ["tenant", "sha256"])
    op.create_index("cache_by_source", "cache_sources", ["tenant", "source_sha256", "key"])
    op.create_index("assets_by_job", "assets", ["tenant", "job_id"])
    op.create_index("jobs_by_queue_order", "jobs", ["state", "priority", "create_time"])
    op.create_index("jobs_by_deadline", "jobs", ["state", "deadline"])
    for name, columns, where in (
        ("active_jobs", ["tenant", "create_time"], IS_ACTIVE),
        ("jobs_to_announce", ["state"], IS_UNANNOUNCED),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)


def _fill(cache_blobs: sa.Table) -> None:
    connection = op.get_bind()
    for batch in connection.execute(sa.select(CACHE), execution_options={"stream_results": True}).partitions(500):
        blobs = ((row.tenant, row.key, sha256) for row in batch for sha256 in sorted(set(row.value["blobs"])))
        rows = [{"tenant": tenant, "key": key, "sha256": sha256} for tenant, key, sha256 in blobs]
        if rows:
            connection.execute(cache_blobs.insert(), rows)
