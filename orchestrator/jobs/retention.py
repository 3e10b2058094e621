"""Deletes uploads, results, cached results, jobs and webhook deliveries that have expired."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy.engine import Engine

from orchestrator.domain.retention import Kept, lifetime
from orchestrator.errors import FailedPrecondition
from orchestrator.jobs.collector import PAUSE_S
from orchestrator.settings import Settings
from orchestrator.store.deletions import BATCH, Cursor, Deletions, Tenants
from orchestrator.store.retention_records import RetentionRecords


@dataclass(frozen=True)
class Retention:
    """Applies the retention of the settings, or of the tenant if it has its own.

    Args:
        forget_jobs: deletes the history of jobs.
        stopping: ends ``expire`` between two batches.
    """

    engine: Engine
    settings: Settings
    forget_jobs: Callable[[Sequence[str]], None]
    stopping: threading.Event = field(default_factory=threading.Event)

    def expire(self) -> dict[Kept, int]:
        """Delete in small batches what has expired and no unfinished job uses. Return how much of each kind."""
        now, counts = datetime.now(UTC), dict.fromkeys(Kept, 0)
        for kind in Kept:
            for tenants, days in self._policies(kind):
                kept_for = lifetime(days)
                if kept_for is not None:
                    counts[kind] += self._expire(kind, tenants, now - kept_for)
        return counts

    def _policies(self, kind: Kept) -> Iterator[tuple[Tenants, float]]:
        """Yield tenants, and the days for which something of theirs is kept."""
        own = RetentionRecords(self.engine).of_tenants()
        days = {tenant: kinds[kind] for tenant, kinds in own.items() if kind in kinds}
        yield Tenants(list(days), others=True), getattr(self.settings, f"keep_{kind.value}_days")
        for tenant, own_days in days.items():
            yield Tenants([tenant]), own_days

    def _expire(self, kind: Kept, tenants: Tenants, before: datetime) -> int:
        deletions = Deletions(self.engine)
        if kind in (Kept.CACHE, Kept.WEBHOOKS):
            delete = deletions.expire_cached if kind is Kept.CACHE else deletions.expire_deliveries
            total, count = 0, BATCH
            while count == BATCH and not self._is_stopping(total):
                count = delete(tenants, before=before)
                total += count
            return total
        return self._expire_in_order(deletions, kind, tenants, before)

    def _expire_in_order(self, deletions: Deletions, kind: Kept, tenants: Tenants, before: datetime) -> int:
        """Delete what is not in use. Continue after each batch, because what is in use stays."""
        total, after, is_first = 0, None, True
        while (is_first or after is not None) and not self._is_stopping(total):
            is_first = False
            if kind is Kept.JOBS:
                count, after = self._expire_jobs(deletions, tenants, before, after)
            else:
                expired = deletions.expire_assets(tenants, uploads=kind is Kept.UPLOADS, before=before, after=after)
                count, after = expired.count, expired.next
            total += count
        return total

    def _expire_jobs(
        self, deletions: Deletions, tenants: Tenants, before: datetime, after: Cursor | None
    ) -> tuple[int, Cursor | None]:
        jobs, next_batch = deletions.ended_jobs(tenants, before=before, after=after)
        deleted = []
        for tenant, id in jobs:
            try:
                deletions.delete_job(tenant, id)
            except FailedPrecondition:  # another job uses the result
                continue
            deleted.append(id)
        self.forget_jobs(deleted)
        return len(deleted), next_batch

    def _is_stopping(self, total: int) -> bool:
        return self.stopping.wait(PAUSE_S if total else 0.0)
