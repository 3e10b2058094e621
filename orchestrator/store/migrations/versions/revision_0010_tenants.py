"""Add the queues, turns, quotas and spending of tenants, and the number of workers to the leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.schema import keys, required

revision = "0010"
down_revision = "0009"

IS_QUEUED = sa.text("state = 'QUEUED'")
IS_RELEASED = sa.text("state IN ('QUEUED', 'RUNNING') AND release_time IS NOT NULL")


def upgrade() -> None:
    """Create the tables, columns and indexes. Jobs that run have been released; queued ones wait again."""
    op.create_table("tenant_quotas", *keys("tenant", "quota"), *required(sa.Float, "value"))
    op.create_table("tenant_turns", *keys("tenant"), *required(sa.Float, "turn"))
    op.create_table("detector_spending", *keys("tenant", "month"), *required(sa.Float, "usd"))
    op.add_column("leases", sa.Column("workers", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("release_time", sa.DateTime(timezone=True)))
    op.execute("UPDATE jobs SET release_time = create_time WHERE state = 'RUNNING'")
    for name in ("jobs_by_queue_order", "jobs_by_deadline"):
        op.drop_index(name, "jobs")
    op.create_index("assets_by_size", "assets", ["tenant", "size_bytes"])
    order = ["tenant", "priority", "create_time", "release_time", "state"]
    for name, columns, where in (
        ("queued_jobs", order, IS_QUEUED),
        ("jobs_by_deadline", ["deadline"], IS_QUEUED),
        ("released_jobs", ["tenant"], IS_RELEASED),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)
