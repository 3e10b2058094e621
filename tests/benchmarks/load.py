"""Requests at a steady rate, whatever becomes of those before: a stall counts for all that wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count


def steady(rate: float, request: Callable[[float], object], work: Callable[[], object], at_once: int) -> None:
    """Call ``request`` ``rate`` times a second until ``work`` has been done beside it.

    Args:
        request: is given the time of ``time.monotonic`` at which it was due.
        at_once: how many may be on their way.
    """
    beside = threading.Thread(target=work)
    beside.start()
    with ThreadPoolExecutor(at_once) as pool:
        started = time.monotonic()
        for number in count():
            due = started + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            if not beside.is_alive():
                break
            pool.submit(request, due)
    beside.join()
