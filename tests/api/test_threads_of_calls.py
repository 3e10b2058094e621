"""A tenant that calls without pause keeps the service busy for the time of one thread; others are not slowed down."""

from __future__ import annotations

import asyncio
import time

from orchestrator.api.limits import THREADS_PER_TENANT, CallLimits

CALL_S, CALLS = 0.05, 20


def duration_s(concurrent: int, tenants: int = 1) -> float:
    """How long ``CALLS`` calls of each tenant take, of which ``concurrent`` run at a time."""
    limits = CallLimits(total=256, per_tenant=64, per_peer=16)

    async def caller(tenant: str) -> None:
        for _ in range(CALLS // concurrent):
            await limits.in_thread(tenant, time.sleep, CALL_S)

    async def run() -> float:
        started = time.monotonic()
        await asyncio.gather(*(caller(f"tenant {number}") for number in range(tenants) for _ in range(concurrent)))
        return time.monotonic() - started

    return asyncio.run(run())


def test_calls_one_after_the_other_are_not_delayed() -> None:
    assert duration_s(concurrent=1) < 1.5 * CALLS * CALL_S  # twice as long with a single thread that rests


def test_many_calls_at_a_time_get_the_time_of_one_thread() -> None:
    assert THREADS_PER_TENANT > 1  # otherwise this would show nothing
    assert duration_s(concurrent=CALLS) > 0.9 * CALLS * CALL_S


def test_tenants_do_not_wait_for_each_other() -> None:
    assert duration_s(concurrent=1, tenants=2) < 1.5 * CALLS * CALL_S
