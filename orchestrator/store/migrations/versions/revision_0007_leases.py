"""Add the leases of the running processes, and the owner of each job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.schema import keys, required

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create ``leases``, and add the column ``owner`` to ``jobs``."""
    op.create_table(
        "leases",
        *keys("executor_id"),
        *required(sa.String, "version"),
        *required(sa.DateTime(timezone=True), "start_time", "expire_time"),
    )
    op.add_column("jobs", sa.Column("owner", sa.String))
