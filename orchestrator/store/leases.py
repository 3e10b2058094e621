"""Leases of the running processes: a process without a valid lease counts as dead, and others take over its jobs."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from orchestrator.store.schema import leases

LEASE = timedelta(seconds=6)
"""Validity of a lease after its last renewal. A takeover begins within this time and one check."""
KEPT = timedelta(days=1)
"""Time for which expired leases are kept, for people who look for the cause of a takeover."""


def new_executor_id() -> str:
    """Return an id that no other process has had, such as "host-4711-1f0c9a3b"."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def new_owner(executor_id: str) -> str:
    """Return an owner of a job, such as "host-4711-1f0c9a3b/5ab30c1d", for one execution of its workflow.

    A process can get back a job that it had lost, while its former execution still runs.
    """
    return f"{executor_id}/{secrets.token_hex(4)}"


def executor_of(owner: str | None) -> str:
    """Return the process of a ``new_owner``; empty if a job has no owner yet."""
    return (owner or "").partition("/")[0]


class Leases:
    """Queries on leases. Each method runs in one transaction and is thread-safe. Times are those of the database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def renew(self, executor_id: str, version: str, workers: int) -> None:
        """Create or extend the lease of a process with ``workers`` for this version of the job workflow."""
        with self.engine.begin() as connection:
            now = database_time(connection)
            row = {"version": version, "expire_time": now + LEASE, "workers": workers}
            is_own = leases.c.executor_id == executor_id
            if not connection.execute(leases.update().where(is_own).values(row)).rowcount:
                connection.execute(leases.insert().values(executor_id=executor_id, start_time=now, **row))
                connection.execute(leases.delete().where(leases.c.expire_time < now - KEPT))

    def release(self, executor_id: str) -> None:
        """End the lease of a process that stops."""
        with self.engine.begin() as connection:
            connection.execute(leases.delete().where(leases.c.executor_id == executor_id))

    def release_all(self) -> None:
        """End all leases. Only for a process that knows that no other one is running."""
        with self.engine.begin() as connection:
            connection.execute(leases.delete())

    def live(self) -> dict[str, str]:
        """Return the version of each process with a valid lease, by its id."""
        with self.engine.begin() as connection:
            query = sa.select(leases.c.executor_id, leases.c.version).where(
                leases.c.expire_time > database_time(connection)
            )
            return {row.executor_id: row.version for row in connection.execute(query)}

    def workers(self, version: str) -> int:
        """Return the number of workers of all processes with a valid lease and this version."""
        with self.engine.begin() as connection:
            is_valid = (leases.c.expire_time > database_time(connection), leases.c.version == version)
            return connection.scalar(sa.select(sa.func.sum(leases.c.workers)).where(*is_valid)) or 0


def database_time(connection: Connection) -> datetime:
    """Return the time of the database, which all replicas share."""
    if connection.dialect.name == "postgresql":
        now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return now
    return datetime.now(UTC)  # SQLite serves a single process
