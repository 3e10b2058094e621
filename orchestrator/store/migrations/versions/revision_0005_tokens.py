"""Add the bearer tokens, which were in a file before. The service imports that file when it starts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.schema import keys, required

revision = "0005"
down_revision = "0004"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create ``tokens``."""
    op.create_table(
        "tokens",
        *keys("id"),
        *required(sa.String, "tenant", "sha256"),
        *required(sa.JSON, "scopes"),
        *required(TIME, "create_time"),
        *(sa.Column(name, TIME) for name in ("expire_time", "revoke_time")),
    )
    op.create_index("tokens_by_hash", "tokens", ["sha256"], unique=True)
