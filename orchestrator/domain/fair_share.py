"""Decides whose job starts next, so that tenants share the workers in the ratio of their weights.

Two rules apply together. A tenant runs no more jobs at a time than its max-min fair share of the workers (Bertsekas and
Gallager, Data Networks, 1992, section 6.5.2), so that long jobs of one tenant leave room for the others. Among the
tenants below their share, weighted turns decide: start-time fair queueing (Goyal, Vin and Cheng, 1996), where each job
counts as one. A tenant that was idle gains nothing by it, and its first job is next.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

ROUNDING = 1e-9
"""Tolerance for rounding errors when a share is rounded up."""


@dataclass(frozen=True)
class TenantLoad:
    """A tenant that has waiting or running jobs, or had one a moment ago."""

    tenant: str
    weight: float  # > 0
    most_running: int  # limit on the running jobs
    running: int
    waiting: int
    turn: float = 0.0  # virtual time at which its next job is due
    is_urgent: bool = False  # its next job has the priority HIGH


def next_tenant(loads: Collection[TenantLoad], workers: int) -> TenantLoad | None:
    """Return the tenant whose job starts next on one of the ``workers``; None if no job may start.

    A worker stays free for a tenant without jobs that is in ``loads``, so that its next job does not wait for a long
    one of another tenant. Urgent jobs go first, even beyond the fair share, but not beyond the tenant's limit.
    """
    if sum(load.running for load in loads) >= workers:
        return None
    shares = _shares(loads, workers)
    able = [
        load
        for load in loads
        if load.waiting
        and load.running < load.most_running
        and (load.is_urgent or load.running < max(1, math.ceil(shares[load.tenant] - ROUNDING)))
    ]
    return min(able, key=lambda load: (not load.is_urgent, load.turn, load.running, load.tenant), default=None)


def _shares(loads: Collection[TenantLoad], workers: int) -> dict[str, float]:
    """Return the weighted max-min fair share of each tenant: what one does not need is divided among the others."""
    shares: dict[str, float] = {}
    open_loads, left = list(loads), float(workers)
    while open_loads:
        unit = left / sum(load.weight for load in open_loads)
        satisfied = [load for load in open_loads if _demand(load) <= unit * load.weight]
        for load in satisfied or open_loads:
            shares[load.tenant] = _demand(load) if satisfied else unit * load.weight
            left -= shares[load.tenant]
        open_loads = [load for load in open_loads if load.tenant not in shares]
    return shares


def _demand(load: TenantLoad) -> int:
    """Return the workers that a tenant could use; at least one, for its next job."""
    return min(load.most_running, max(1, load.running + load.waiting))
