"""Tenants share the workers in the ratio of their weights, whatever one of them has queued."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from orchestrator.domain.fair_share import TenantLoad, next_tenant

MANY = 1000


def load(tenant: str, **changes: object) -> TenantLoad:
    """A tenant with many waiting jobs."""
    return replace(TenantLoad(tenant, weight=1.0, most_running=MANY, running=0, waiting=MANY), **changes)  # type: ignore[arg-type]


def chosen(*loads: TenantLoad, workers: int) -> str | None:
    found = next_tenant(loads, workers)
    return found.tenant if found else None


def test_one_tenant_uses_all_workers_of_an_idle_machine() -> None:
    assert chosen(load("flood", running=7), workers=8) == "flood"
    assert chosen(load("flood", running=8), workers=8) is None


def test_the_first_job_of_a_tenant_gets_the_next_free_worker() -> None:
    flood = load("flood", running=7, turn=500.0, weight=100.0)
    assert chosen(flood, load("shop", waiting=1, turn=499.9), workers=8) == "shop"


def test_a_worker_stays_free_for_a_tenant_between_two_jobs() -> None:
    assert chosen(load("flood", running=1), load("shop", waiting=0), workers=2) is None
    assert chosen(load("flood", running=6), load("shop", waiting=0), workers=8) == "flood"
    assert chosen(load("flood", running=7), load("shop", waiting=0), workers=8) is None


def test_nobody_runs_more_than_its_share_while_others_wait() -> None:
    assert chosen(load("flood", running=2, turn=-1.0), load("shop", running=1), workers=4) == "shop"


def test_what_one_tenant_does_not_need_goes_to_the_others() -> None:
    loads = load("flood", running=6), load("a", running=1, waiting=0), load("b", waiting=0, running=0, most_running=0)
    assert chosen(*loads, workers=8) == "flood"


def test_the_limit_of_running_jobs_applies_on_an_idle_machine() -> None:
    assert chosen(load("flood", running=2, most_running=2), workers=8) is None


def test_an_urgent_job_goes_first_but_not_beyond_the_limit() -> None:
    shop = load("shop", turn=0.0)
    assert chosen(load("flood", running=4, turn=9.0, is_urgent=True), shop, workers=8) == "flood"
    assert chosen(load("flood", running=4, is_urgent=True, most_running=4), shop, workers=8) == "shop"


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_the_started_jobs_have_the_ratio_of_the_weights(workers: int) -> None:
    """Each round, the job that has run for the longest time ends."""
    weights = {"a": 3.0, "b": 1.0}
    turns, running, started = dict.fromkeys(weights, 0.0), [], Counter[str]()
    for _ in range(400):
        while True:
            counts = Counter(running)
            loads = [load(name, weight=weights[name], turn=turns[name], running=counts[name]) for name in weights]
            found = next_tenant(loads, workers)
            if found is None:
                break
            running.append(found.tenant)
            started[found.tenant] += 1
            turns[found.tenant] = found.turn + 1 / found.weight
        running.pop(0)
    assert started["a"] / started["b"] == pytest.approx(3.0, rel=0.1)
