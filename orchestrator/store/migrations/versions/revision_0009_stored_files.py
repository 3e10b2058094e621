"""Add the stored files and who holds them, the retention of tenants, the turns of the sweeper, and indexes by age."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.schema import keys, required

revision = "0009"
down_revision = "0007"

TIME = sa.DateTime(timezone=True)
UPLOADED = sa.text("job_id = ''")
MADE = sa.text("job_id != ''")


def upgrade() -> None:
    """Create the tables, with a row for each file that an asset or a cached result uses."""
    op.create_table(
        "blobs",
        *keys("tenant", "sha256"),
        *required(sa.BigInteger, "size_bytes"),
        sa.Column("unused_time", TIME),
        *required(sa.Boolean, "marked"),
    )
    op.create_index("blobs_by_unused_time", "blobs", ["unused_time"])
    op.create_table("blob_holds", *keys("tenant", "sha256", "job_id"))
    op.create_table("tenant_retention", *keys("tenant", "kind"), *required(sa.Float, "days"))
    op.create_table("sweeps", *keys("name"), *required(TIME, "due_time"))
    for name, where in (("uploads_by_age", UPLOADED), ("results_by_age", MADE)):
        op.create_index(name, "assets", ["create_time", "id"], sqlite_where=where, postgresql_where=where)
    op.create_index("cache_by_age", "cache", ["create_time"])
    op.create_index("ended_jobs", "jobs", ["end_time", "id"])
    op.create_index("deliveries_by_end", "webhook_deliveries", ["end_time"])
    used = """
        SELECT tenant, sha256, size_bytes FROM assets
        UNION ALL SELECT tenant, sha256, 0 FROM cache_blobs
    """
    op.execute(
        f"INSERT INTO blobs (tenant, sha256, size_bytes, marked) "  # noqa: S608 - a constant
        f"SELECT tenant, sha256, MAX(size_bytes), false FROM ({used}) AS used GROUP BY tenant, sha256"
    )
