"""Time and memory limits for external programs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a run of a foreign program may use: the resident memory is that of the program and its children together."""

    time_s: float = 7200.0
    memory_bytes: int = 8 << 30


DEFAULT_LIMITS = Limits()
