"""Add the photos that a job left out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column ``photo_failures`` to ``jobs``."""
    op.add_column("jobs", sa.Column("photo_failures", sa.JSON))
