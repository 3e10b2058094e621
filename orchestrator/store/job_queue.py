"""The queues of the tenants: which of the waiting jobs starts next, and the places in the queue."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from orchestrator.domain.fair_share import TenantLoad, next_tenant
from orchestrator.domain.jobs import Priority
from orchestrator.domain.tenants import Quotas
from orchestrator.store.schema import IS_QUEUED, IS_RELEASED, IS_WAITING, jobs, tenant_turns

QUEUE_ORDER = (jobs.c.priority, jobs.c.create_time)
"""The queued jobs of a tenant start in this order."""
ACTIVE_FOR = timedelta(seconds=5)
"""Time for which a worker stays free for a tenant whose last job has ended. A client that sends one job after the other
takes about 1 s to upload a photo; not tuned."""
RELEASE_LOCK = 0x48657254
"""Key of the PostgreSQL advisory lock of a release; any fixed number."""
NOW = ""
"""The row of ``tenant_turns`` with the current virtual time. No tenant has an empty name."""


class JobQueue:
    """Queries on queued jobs. Each method runs in one transaction and is thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def has_waiting(self) -> bool:
        """Return whether any job waits to be released."""
        with self.engine.connect() as connection:
            return bool(connection.scalar(sa.select(sa.exists().where(IS_WAITING))))

    def release(self, workers: int, quotas_of: Callable[[str], Quotas]) -> str | None:
        """Release the job that starts next, and return its id; None if all ``workers`` are in use, or no job may start.

        The replicas release one job at a time, so that they neither exceed the workers nor the limits of a tenant.
        """
        now = datetime.now(UTC)
        with self.engine.begin() as connection:
            if self._are_all_in_use(connection, workers):  # checked first because it reads no waiting job
                return None
            if connection.dialect.name == "postgresql":  # SQLite serves a single process, with a single dispatcher
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(RELEASE_LOCK)))
            turns = {row.tenant: row.turn for row in connection.execute(sa.select(tenant_turns))}
            time = turns.get(NOW, 0.0)
            loads = [
                replace(load, turn=max(time, turns.get(load.tenant, 0.0)))
                for load in _loads(connection, now - ACTIVE_FOR, quotas_of)
            ]
            chosen = next_tenant(loads, workers)
            if chosen is None:
                return None
            first = sa.select(jobs.c.id).where(IS_WAITING, jobs.c.tenant == chosen.tenant).order_by(*QUEUE_ORDER)
            id: str = connection.execute(first.limit(1)).scalar_one()
            released = jobs.update().where(jobs.c.id == id, IS_WAITING).values(release_time=now)
            if not connection.execute(released).rowcount:
                return None  # it was canceled at this moment
            _take_turn(connection, chosen, time if chosen.is_urgent else chosen.turn)
            return id

    def _are_all_in_use(self, connection: Connection, workers: int) -> bool:
        return (connection.scalar(sa.select(sa.func.count()).where(IS_RELEASED)) or 0) >= workers

    def return_to_queue(self, id: str) -> bool:
        """Let a queued job wait again that was released, or that an older version enqueued."""
        with self.engine.begin() as connection:
            changed = jobs.update().where(jobs.c.id == id, IS_QUEUED).values(release_time=None)
            return bool(connection.execute(changed).rowcount)

    def positions(self, tenant: str, ids: Collection[str]) -> dict[str, int]:
        """For each of ``ids`` that is queued, return how many jobs of the same tenant start before it."""
        if not ids:
            return {}
        ahead = sa.func.rank().over(order_by=QUEUE_ORDER) - 1
        queue = sa.select(jobs.c.id, ahead.label("ahead")).where(IS_QUEUED, jobs.c.tenant == tenant).subquery()
        query = sa.select(queue.c.id, queue.c.ahead).where(queue.c.id.in_(ids))
        with self.engine.connect() as connection:
            return {row.id: row.ahead for row in connection.execute(query)}


def _loads(connection: Connection, active_since: datetime, quotas_of: Callable[[str], Quotas]) -> list[TenantLoad]:
    """Return the tenants that have unfinished jobs, or had a job after ``active_since``."""
    grouped = sa.select(jobs.c.tenant, sa.func.count().label("number"), sa.func.min(jobs.c.priority).label("first"))
    grouped = grouped.group_by(jobs.c.tenant)
    running = {row.tenant: int(row.number) for row in connection.execute(grouped.where(IS_RELEASED))}
    waiting = {row.tenant: row for row in connection.execute(grouped.where(IS_WAITING))}
    recent = set(connection.scalars(sa.select(jobs.c.tenant).where(jobs.c.end_time > active_since)))
    loads = []
    for tenant in sorted(running.keys() | waiting.keys() | recent):
        quotas, own = quotas_of(tenant), waiting.get(tenant)
        loads.append(
            TenantLoad(
                tenant,
                quotas.weight,
                quotas.running_jobs,
                running.get(tenant, 0),
                int(own.number) if own else 0,
                is_urgent=own is not None and own.first == Priority.HIGH,
            )
        )
    return loads


def _take_turn(connection: Connection, chosen: TenantLoad, time: float) -> None:
    """Record the virtual ``time``, and when the next job of the tenant is due. Forget turns that have passed."""
    connection.execute(tenant_turns.delete().where((tenant_turns.c.turn <= time) | (tenant_turns.c.tenant == NOW)))
    connection.execute(tenant_turns.delete().where(tenant_turns.c.tenant == chosen.tenant))
    due = chosen.turn + 1 / chosen.weight
    connection.execute(tenant_turns.insert(), [{"tenant": NOW, "turn": time}, {"tenant": chosen.tenant, "turn": due}])
