"""Tenants take turns, none holds all threads, and the work that waits is limited."""

from __future__ import annotations

import threading
import time

import pytest

from orchestrator.decoding.fair_queue import Budget, FairQueue
from orchestrator.errors import ResourceExhausted


def test_a_tenant_with_much_work_leaves_a_thread_to_others() -> None:
    queue, gate = FairQueue("files", threads=2, places=100), threading.Event()
    greedy = [queue.submit("greedy", gate.wait) for _ in range(20)]
    assert queue.submit("modest", lambda: "done").result(10) == "done"
    assert not any(future.done() for future in greedy)
    gate.set()
    assert all(future.result(10) for future in greedy)


def test_tenants_take_turns() -> None:
    queue, gate, order = FairQueue("files", threads=1, places=100), threading.Event(), []
    first = queue.submit("a", gate.wait)
    while not first.running():
        time.sleep(0.01)
    futures = [queue.submit(tenant, lambda tenant=tenant: order.append(tenant)) for tenant in "aaabbc"]
    gate.set()
    for future in (first, *futures):
        future.result(10)
    assert order == ["a", "b", "c", "a", "b", "a"]


def test_work_beyond_the_places_is_refused_for_the_tenant_first() -> None:
    queue, gate = FairQueue("files", threads=2, places=4), threading.Event()
    running = queue.submit("greedy", gate.wait)
    while not running.running():
        time.sleep(0.01)
    waiting = [queue.submit("greedy", gate.wait) for _ in range(2)]
    with pytest.raises(ResourceExhausted, match="2 files of the tenant wait"):
        queue.submit("greedy", gate.wait)
    other = queue.submit("modest", lambda: 1)
    assert other.result(10) == 1
    assert waiting[1].cancel()
    waiting.append(queue.submit("greedy", gate.wait))  # in the place of the canceled one
    jobs = queue.submit("greedy", gate.wait, limited=False)
    gate.set()
    assert jobs.result(10)


def test_an_error_reaches_who_waits_and_the_thread_continues() -> None:
    queue = FairQueue("files", threads=1, places=2)
    with pytest.raises(ZeroDivisionError):
        queue.submit("a", lambda: 1 / 0).result(10)
    assert queue.submit("a", lambda: 7).result(10) == 7


def test_parts_of_a_budget_never_exceed_it_and_are_given_in_order() -> None:
    budget, used, most, order, lock = Budget(10), [0], [0], [], threading.Lock()

    def use(number: int, amount: int) -> None:
        with budget.part(amount):
            with lock:
                used[0] += amount
                most[0] = max(most[0], used[0])
                order.append(number)
            time.sleep(0.02)
            with lock:
                used[0] -= amount

    threads = []
    for number, amount in enumerate((6, 9, 1, 1, 10, 4)):
        threads.append(threading.Thread(target=use, args=(number, amount)))
        threads[-1].start()
        time.sleep(0.005)
    for thread in threads:
        thread.join(10)
    assert most[0] <= 10
    assert order[:2] == [0, 1]  # the small parts do not overtake the large one
    assert sorted(order) == list(range(6))
