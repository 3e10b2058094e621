"""Generates requests at a steady rate, independent of how long earlier requests take (an open-loop load)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count


def steady_load(
    rate: float, request: Callable[[float], object], work: Callable[[], object], max_concurrency: int
) -> None:
    """Call ``request`` at a steady rate in threads while ``work`` runs in another thread.

    Args:
        rate: requests per second.
        request: called with the time, as ``time.monotonic``, at which the request was due. A latency that is measured
            from this time includes the delay that a stall causes to all waiting requests.
        work: the load ends when this function returns.
        max_concurrency: maximum number of requests in flight.
    """
    work_thread = threading.Thread(target=work)
    work_thread.start()
    with ThreadPoolExecutor(max_concurrency) as pool:
        started = time.monotonic()
        for number in count():
            due = started + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            if not work_thread.is_alive():
                break
            pool.submit(request, due)
    work_thread.join()
