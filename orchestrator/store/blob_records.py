"""Records of the files in the object store: who uses them, and which may be removed.

A file is removed in three steps. When it is stored, or when something stops using it, ``unused_time`` starts. When that
is older than the grace period and nothing uses the file, it is marked for removal. A later sweep removes it if still
nothing uses it. Each step locks the row, and so does everything that starts to use a file: ``use`` fails for a marked
file, and ``register``, which precedes every write to the object store, unmarks it. So no record names a file that is
missing, however many processes store and sweep, as long as the grace period is longer than it takes to store a file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from orchestrator.errors import StorageUnavailable
from orchestrator.store.database import insert, writing
from orchestrator.store.schema import IS_ACTIVE, assets, blob_holds, blobs, cache_blobs, jobs, tokens

BATCH = 50
"""Files that one transaction marks or removes. It bounds the time for which SQLite is locked. Not tuned."""


@dataclass(frozen=True)
class Removed:
    """Number and total size of removed files."""

    count: int = 0
    size_bytes: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.count + other.count, self.size_bytes + other.size_bytes)


NOTHING = Removed()


class BlobRecords:
    """Queries on stored files. Each method runs in one transaction and is thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def register(self, tenant: str, sha256: str, size_bytes: int, job_id: str = "") -> None:
        """Record a file that is about to be stored. It is kept for the grace period, and until the job has ended."""
        row = {"tenant": tenant, "sha256": sha256, "size_bytes": size_bytes, "marked": False}
        now = datetime.now(UTC)
        new = insert(self.engine, blobs).values(**row, unused_time=now)
        restarted = sa.case((blobs.c.unused_time.is_(None), None), else_=sa.literal(now, blobs.c.unused_time.type))
        again = {"size_bytes": size_bytes, "marked": False, "unused_time": restarted}
        with self.engine.begin() as connection:
            connection.execute(new.on_conflict_do_update(index_elements=["tenant", "sha256"], set_=again))
            if job_id:
                _hold(connection, tenant, [sha256], job_id)

    def hold(self, tenant: str, sha256s: Collection[str], job_id: str) -> bool:
        """Keep files until a job has ended. Return False if one of them is not recorded or is being removed."""
        with writing(self.engine) as connection:
            locked = _lock(connection, tenant, sha256s)
            is_kept = len(locked) == len(set(sha256s)) and not any(locked.values())
            if is_kept:
                _hold(connection, tenant, sha256s, job_id)
            return is_kept

    def release_holds(self) -> None:
        """End the holds of jobs that have ended."""
        active = sa.select(jobs.c.id).where(IS_ACTIVE, jobs.c.id == blob_holds.c.job_id)
        with self.engine.begin() as connection:
            connection.execute(blob_holds.delete().where(~active.exists()))

    def mark(self, before: datetime, tenant: str | None = None) -> int:
        """Mark up to ``BATCH`` files that nothing has used since a time. Return how many were examined."""
        with writing(self.engine) as connection:
            keys = _locked_batch(connection, before, tenant, marked=False)
            unused = keys - _unmark_used(connection, keys)
            connection.execute(blobs.update().where(_is_one_of(unused)).values(marked=True))
            return len(keys)

    def remove(
        self, before: datetime, delete: Callable[[str, str], None], tenant: str | None = None
    ) -> tuple[int, Removed]:
        """Remove up to ``BATCH`` marked files that nothing uses, with ``delete(tenant, sha256)``.

        Return how many were examined, and what was removed.
        """
        with writing(self.engine) as connection:
            keys = _locked_batch(connection, before, tenant, marked=True)
            unused = keys - _unmark_used(connection, keys)
            for key in sorted(unused):
                delete(*key)
            size = connection.scalar(sa.select(sa.func.sum(blobs.c.size_bytes)).where(_is_one_of(unused)))
            connection.execute(blobs.delete().where(_is_one_of(unused)))
            return len(keys), Removed(len(unused), int(size or 0))

    def adopt(self, tenant: str, sha256: str, size_bytes: int, unused_time: datetime) -> None:
        """Record a file without a row, which nothing has used since a time."""
        row = {"tenant": tenant, "sha256": sha256, "size_bytes": size_bytes, "marked": False}
        new = insert(self.engine, blobs).values(**row, unused_time=unused_time)
        with self.engine.begin() as connection:
            connection.execute(new.on_conflict_do_nothing())

    def with_content(self, sha256s: Collection[str]) -> set[tuple[str, str]]:
        """Return tenant and SHA-256 of the recorded files with one of these contents."""
        query = sa.select(blobs.c.tenant, blobs.c.sha256).where(blobs.c.sha256.in_(sha256s))
        with self.engine.connect() as connection:
            return {(row.tenant, row.sha256) for row in connection.execute(query)}

    def page(self, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
        """Return tenant and SHA-256 of up to ``limit`` files that something uses, in order."""
        query = sa.select(blobs.c.tenant, blobs.c.sha256).where(
            blobs.c.unused_time.is_(None), sa.tuple_(blobs.c.tenant, blobs.c.sha256) > sa.tuple_(*after)
        )
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(blobs.c.tenant, blobs.c.sha256).limit(limit)).all()
        return [(row.tenant, row.sha256) for row in rows]

    def tenants(self) -> set[str]:
        """Return the names of the tenants that have files, assets, jobs or tokens."""
        with self.engine.connect() as connection:
            columns = (blobs.c.tenant, assets.c.tenant, jobs.c.tenant, tokens.c.tenant)
            return set(connection.scalars(sa.union(*(sa.select(column) for column in columns))))


def use(connection: Connection, tenant: str, sha256s: Collection[str]) -> None:
    """Record in a transaction that an asset or a cached result starts to use files, which were stored before.

    Raises StorageUnavailable if one was removed since then: the caller stores it again.
    """
    locked = _lock(connection, tenant, sha256s)
    if len(locked) < len(set(sha256s)) or any(locked.values()):
        raise StorageUnavailable("a stored file was removed before it was used; store it again", store="objects")
    connection.execute(blobs.update().where(_is_content(tenant, sha256s)).values(unused_time=None))


def release(connection: Connection, tenant: str, sha256s: Collection[str]) -> None:
    """Record in a transaction that something stops using files. Others may still use them."""
    if sha256s:
        _lock(connection, tenant, sha256s)
        connection.execute(blobs.update().where(_is_content(tenant, sha256s)).values(unused_time=datetime.now(UTC)))


def _is_content(tenant: str, sha256s: Collection[str]) -> sa.ColumnElement[bool]:
    return sa.and_(blobs.c.tenant == tenant, blobs.c.sha256.in_(sorted(set(sha256s))))


def _is_one_of(keys: Collection[tuple[str, str]]) -> sa.ColumnElement[bool]:
    return sa.tuple_(blobs.c.tenant, blobs.c.sha256).in_(sorted(keys))


def _lock(connection: Connection, tenant: str, sha256s: Collection[str]) -> dict[str, bool]:
    """Lock the rows of files, always in the same order. Return whether each is marked."""
    query = sa.select(blobs.c.sha256, blobs.c.marked).where(_is_content(tenant, sha256s))
    return {row.sha256: row.marked for row in connection.execute(query.order_by(blobs.c.sha256).with_for_update())}


def _locked_batch(
    connection: Connection, before: datetime, tenant: str | None, *, marked: bool
) -> set[tuple[str, str]]:
    """Lock the oldest files that may have been unused since ``before``, without those that others have locked."""
    query = sa.select(blobs.c.tenant, blobs.c.sha256).where(blobs.c.unused_time <= before)
    query = query.where(blobs.c.marked.is_(marked))
    if tenant is not None:
        query = query.where(blobs.c.tenant == tenant)
    query = query.order_by(blobs.c.unused_time).limit(BATCH).with_for_update(skip_locked=True)
    return {(row.tenant, row.sha256) for row in connection.execute(query)}


def _unmark_used(connection: Connection, keys: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return which of the locked files something uses, and keep these."""
    used, held = (_found(connection, keys, table) for table in ((assets, cache_blobs), (blob_holds,)))
    for found, unused_time in ((used, None), (held - used, datetime.now(UTC))):
        connection.execute(blobs.update().where(_is_one_of(found)).values(unused_time=unused_time, marked=False))
    return used | held


def _found(connection: Connection, keys: set[tuple[str, str]], tables: tuple[sa.Table, ...]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for table in tables:
        key = sa.tuple_(table.c.tenant, table.c.sha256)
        query = sa.select(table.c.tenant, table.c.sha256).where(key.in_(sorted(keys)))
        found.update((row.tenant, row.sha256) for row in connection.execute(query))
    return found


def _hold(connection: Connection, tenant: str, sha256s: Collection[str], job_id: str) -> None:
    rows = [{"tenant": tenant, "sha256": sha256, "job_id": job_id} for sha256 in sorted(set(sha256s))]
    if rows:
        connection.execute(insert(connection, blob_holds).on_conflict_do_nothing(), rows)
