"""Add webhook deliveries and secrets. Deliveries were durable workflows before; unfinished ones start again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.schema import keys, required

revision = "0006"
down_revision = "0005"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create ``webhook_deliveries`` and ``webhook_secrets``."""
    op.create_table(
        "webhook_deliveries",
        *keys("id"),
        *required(sa.String, "tenant", "job_id", "url", "event", "state", "error"),
        *required(sa.Integer, "attempts", "status_code"),
        *required(TIME, "create_time"),
        *(sa.Column(name, TIME) for name in ("due_time", "end_time")),
    )
    op.create_index("deliveries_by_due_time", "webhook_deliveries", ["state", "due_time"])
    op.create_index("deliveries_by_age", "webhook_deliveries", ["tenant", "create_time", "id"])
    op.create_table(
        "webhook_secrets",
        *keys("id"),
        *required(sa.String, "tenant", "secret"),
        *required(TIME, "create_time"),
        sa.Column("expire_time", TIME),
    )
    op.create_index("secrets_by_tenant", "webhook_secrets", ["tenant"])
