"""The progress callback of long-running work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[float, str], None]
"""Called with the fraction done in [0, 1] and a message. Raises Canceled or DeadlineExceeded to stop the work."""


def no_progress(fraction: float, message: str) -> None:
    """Do nothing."""


def subrange(progress: Progress, start: float, end: float) -> Progress:
    """Return a callback for work that covers [``start``, ``end``] of the whole."""
    return lambda fraction, message: progress(start + (end - start) * fraction, message)
