"""Renews the lease of this process, and decides whether the expired lease of another process counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orchestrator.background import attempt
from orchestrator.store.leases import LEASE

RENEWAL_INTERVAL_S = 1.0
"""Interval at which the lease is renewed, several times within its validity."""
RETURN_S = 3.0
"""Time in which all processes renew their leases after the database was down."""


class LeaseKeeper:
    """Renews a lease from a thread of its own, so that nothing delays it.

    Args:
        renew: renews the lease once. Raises HeartwoodError if the database does not answer.
    """

    def __init__(self, renew: Callable[[], None]) -> None:
        self._renew = renew
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._valid_since = self._renewed = float("-inf")  # seconds of time.monotonic()

    def start(self) -> None:
        """Renew the lease now, and from now on."""
        self._renew_once()
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing the lease."""
        self._stopping.set()
        self._thread.join()

    def note_renewal(self, now: float) -> None:
        """Record that the lease was renewed at ``now``, in seconds of time.monotonic()."""
        if now - self._renewed > LEASE.total_seconds():
            self._valid_since = now
        self._renewed = now

    def may_take_over(self, now: float) -> bool:
        """Return whether an expired lease of another process means that it has ended.

        While the database is down, all leases expire. A process that has just renewed its own lease gives the others
        the time to do the same.
        """
        return now - self._renewed < RETURN_S < now - self._valid_since

    def _run(self) -> None:
        while not self._stopping.wait(RENEWAL_INTERVAL_S):
            attempt(self._renew_once, "lease_not_renewed")

    def _renew_once(self) -> None:
        self._renew()
        self.note_renewal(time.monotonic())
