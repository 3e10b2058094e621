"""Removes files that nothing uses from the object store, and finds those that have no record."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from orchestrator.domain.model_versions import MODEL_TENANT
from orchestrator.store.blob_records import BATCH, NOTHING, BlobRecords, Removed
from orchestrator.store.blobs import BlobObject, Blobs, blob_key

PAUSE_S = 0.02
"""Pause between two batches, in which others can write to SQLite. Not tuned."""
PAGE = 500
"""Records that one query of ``check`` reads."""
FILE_KEY = re.compile(r"([0-9a-f]{16})/[0-9a-f]{2}/([0-9a-f]{64})")
PARTIAL_FILE = re.compile(r"[0-9a-f]{64}#\d+")
"""Name of a file that the local store is writing, or was writing when the process ended."""


@dataclass(frozen=True)
class Inventory:
    """What the object store contains, compared with the records."""

    recorded: Removed = NOTHING
    orphaned: Removed = NOTHING  # files without a record, older than the grace period
    partial: Removed = NOTHING  # leftovers of interrupted writes to a local folder, older than the grace period
    foreign: int = 0  # objects that Heartwood did not write
    missing: tuple[str, ...] = ()  # SHA-256 of files that are recorded as used and do not exist


@dataclass(frozen=True)
class Collector:
    """Removes files that nothing has used for the ``grace`` period. See ``store.blob_records`` for the rules."""

    records: BlobRecords
    blobs: Blobs
    grace: timedelta
    stopping: threading.Event = field(default_factory=threading.Event)

    def collect(self) -> Removed:
        """Remove the files that an earlier call marked, and mark those whose grace period is over."""
        before = datetime.now(UTC) - self.grace
        removed = self._remove(before)
        self._mark(before)
        return removed

    def collect_tenant(self, tenant: str) -> Removed:
        """Remove all files of a tenant that nothing uses now."""
        now = datetime.now(UTC)
        self._mark(now, tenant)
        return self._remove(now, tenant)

    def check(self, *, remove: bool = False) -> Inventory:
        """Compare the object store with the records. ``remove`` removes orphaned and partial files.

        The comparison is incomplete if ``stopping`` is set meanwhile.

        An orphaned file gets a record first, so that a process that stores it again at this moment keeps it. Files of
        tenants without any record are never stored again.
        """
        tenants = {blob_key(tenant, "").partition("/")[0]: tenant for tenant in self.records.tenants()}
        models = blob_key(MODEL_TENANT, "").partition("/")[0]
        inventory, seen, before = Inventory(), set(), datetime.now(UTC) - self.grace
        for page in self.blobs.listed():
            if self.stopping.is_set():
                return inventory
            found = {item: match for item in page if (match := FILE_KEY.fullmatch(item.key))}
            known = {blob_key(*key) for key in self.records.with_content({match[2] for match in found.values()})}
            seen.update(known & {item.key for item in found})
            mine = {item: match for item, match in found.items() if match[1] != models}
            orphans = [item for item in mine if item.key not in known and item.change_time < before]
            recorded = [item for item in mine if item.key in known]
            inventory = replace(
                inventory,
                recorded=inventory.recorded + _sum(recorded),
                orphaned=inventory.orphaned + _sum(orphans),
                foreign=inventory.foreign + len(page) - len(found),
            )
            for item in orphans if remove else ():
                prefix, sha256 = found[item].groups()
                if prefix in tenants:
                    self.records.adopt(tenants[prefix], sha256, item.size_bytes, unused_time=item.change_time)
                else:
                    self.blobs.delete_object(item.key)
        partial = self._partial(remove=remove)
        if remove:
            self._mark(before)
            self._remove(before)
        return replace(inventory, partial=partial, missing=self._missing(seen))

    def _mark(self, before: datetime, tenant: str | None = None) -> None:
        while self.records.mark(before, tenant) == BATCH and not self.stopping.wait(PAUSE_S):
            pass

    def _remove(self, before: datetime, tenant: str | None = None) -> Removed:
        removed = NOTHING
        while True:
            examined, batch = self.records.remove(before, self.blobs.delete, tenant)
            removed += batch
            if examined < BATCH or self.stopping.wait(PAUSE_S):
                return removed

    def _partial(self, *, remove: bool) -> Removed:
        """Find, and optionally remove, the leftovers of interrupted writes to a local folder."""
        found = NOTHING
        if self.blobs.folder is None:
            return found
        for path in self.blobs.folder.rglob("*#*"):
            if PARTIAL_FILE.fullmatch(path.name) and time.time() - path.stat().st_mtime > self.grace.total_seconds():
                found += Removed(1, path.stat().st_size)
                if remove:
                    path.unlink(missing_ok=True)
        return found

    def _missing(self, seen: set[str]) -> tuple[str, ...]:
        """Return the used files that the listing did not contain and that do not exist."""
        missing: list[str] = []
        after = ("", "")
        while not self.stopping.is_set() and (page := self.records.page(after, PAGE)):
            unseen = [key for key in page if blob_key(*key) not in seen]
            missing += [sha256 for tenant, sha256 in unseen if not self.blobs.exists(tenant, sha256)]
            after = page[-1]
        return tuple(missing)


def _sum(items: list[BlobObject]) -> Removed:
    return Removed(len(items), sum(item.size_bytes for item in items))
