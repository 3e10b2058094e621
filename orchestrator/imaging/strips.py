"""Work through a large picture in horizontal strips, a few at a time, so that little memory is held."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.progress import Progress

STRIP_PIXELS = 160_000
"""One float32 plane of a strip is 640 kB: a strip's planes stay in the processor's cache."""
THREADS = 2

Result = TypeVar("Result")


@dataclass(frozen=True)
class Strip:
    """Rows ``top`` to ``bottom`` (exclusive) of a picture that is ``height`` rows high."""

    top: int
    bottom: int
    height: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def numbers(self) -> NDArray[np.intp]:
        return np.arange(self.top, self.bottom)

    def grown(self, rows: int) -> Strip:
        """The strip with up to ``rows`` more at each side, inside the picture."""
        return Strip(max(0, self.top - rows), min(self.height, self.bottom + rows), self.height)


def strips(height: int, width: int, pixels: int = STRIP_PIXELS) -> list[Strip]:
    """Cut a picture into strips of about ``pixels`` pixels."""
    step = max(1, pixels // width)
    return [Strip(top, min(height, top + step), height) for top in range(0, height, step)]


def for_each_strip(
    work: Callable[[Strip], Result], parts: list[Strip], progress: Progress, message: str
) -> list[Result]:
    """Run ``work`` on every strip in a few threads and return the results in order.

    ``progress`` is called from this thread after each strip; what it raises ends the work after the strips that
    are running.
    """
    results: list[Result] = []
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="strip") as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(work, part))
                if len(waiting) > 2 * THREADS:
                    results.append(waiting.popleft().result())
                    progress(len(results) / len(parts), message)
            while waiting:
                results.append(waiting.popleft().result())
                progress(len(results) / len(parts), message)
        finally:
            for future in waiting:
                future.cancel()
    return results
