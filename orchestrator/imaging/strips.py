"""Processes a large image in horizontal strips to limit memory use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.progress import Progress

STRIP_PIXELS = 160_000
"""Pixels per strip. One float32 plane takes 640 kB, so that the planes of a strip fit in the processor's cache."""
THREADS = 2
"""Strips that are processed concurrently. Not tuned."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Strip:
    """Rows ``top`` to ``bottom`` (exclusive) of an image with ``height`` rows."""

    top: int
    bottom: int
    height: int

    @property
    def rows(self) -> slice:
        """The rows as a slice."""
        return slice(self.top, self.bottom)

    @property
    def indices(self) -> NDArray[np.intp]:
        """The row indices."""
        return np.arange(self.top, self.bottom)

    def grown(self, rows: int) -> Self:
        """Return the strip extended by up to ``rows`` rows above and below, within the image."""
        return type(self)(max(0, self.top - rows), min(self.height, self.bottom + rows), self.height)


def strips(height: int, width: int, pixels: int = STRIP_PIXELS) -> list[Strip]:
    """Split an image into strips of about ``pixels`` pixels."""
    step = max(1, pixels // width)
    return [Strip(top, min(height, top + step), height) for top in range(0, height, step)]


def for_each_strip(
    work: Callable[[Strip], Result], image_strips: list[Strip], progress: Progress, message: str
) -> list[Result]:
    """Run ``work`` on every strip in a few threads and return the results in order.

    Args:
        progress: called from the calling thread after each strip. If it raises an error, the running strips are
            finished, the remaining ones are skipped, and the error is raised.
        message: passed to ``progress``.
    """
    results: list[Result] = []
    remaining = iter(image_strips)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="strip") as pool:
        pending = deque(pool.submit(work, strip) for strip in islice(remaining, 2 * THREADS))
        try:
            while pending:
                results.append(pending.popleft().result())
                pending.extend(pool.submit(work, strip) for strip in islice(remaining, 1))
                progress(len(results) / len(image_strips), message)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return results
