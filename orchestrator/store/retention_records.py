"""Records of how long the files and jobs of a tenant are kept, and of the turns of periodic tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from orchestrator.domain.retention import Kept
from orchestrator.store.database import insert
from orchestrator.store.leases import database_time
from orchestrator.store.schema import sweeps, tenant_retention


class RetentionRecords:
    """Queries on retention. Each method runs in one transaction and is thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def of_tenants(self) -> dict[str, dict[Kept, float]]:
        """Return the days that differ from the settings, by tenant and kind. 0: for ever."""
        found: dict[str, dict[Kept, float]] = {}
        with self.engine.connect() as connection:
            for row in connection.execute(sa.select(tenant_retention)):
                found.setdefault(row.tenant, {})[Kept(row.kind)] = row.days
        return found

    def set(self, tenant: str, days: Mapping[Kept, float | None]) -> None:
        """Change how long some kinds of a tenant are kept. None returns to the settings."""
        c = tenant_retention.c
        rows = [
            {"tenant": tenant, "kind": kind.value, "days": value} for kind, value in days.items() if value is not None
        ]
        with self.engine.begin() as connection:
            kinds = [kind.value for kind in days]
            connection.execute(tenant_retention.delete().where(c.tenant == tenant, c.kind.in_(kinds)))
            if rows:
                connection.execute(tenant_retention.insert(), rows)

    def take_turn(self, name: str, interval: timedelta) -> bool:
        """Return whether a periodic task is due, and make it due again after an interval. One process gets True."""
        with self.engine.begin() as connection:
            now = database_time(connection)
            first = insert(connection, sweeps).values(name=name, due_time=now + interval)
            later, is_due = {"due_time": first.excluded.due_time}, sweeps.c.due_time <= now
            turn = first.on_conflict_do_update(index_elements=["name"], set_=later, where=is_due)
            return connection.scalar(turn.returning(sweeps.c.name)) is not None
