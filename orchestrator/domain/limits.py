"""Time and memory limits for external programs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Resource limits for one run of an external program."""

    time_s: float = 7200.0
    memory_bytes: int = 8 << 30  # resident memory of the program and its children together


DEFAULT_LIMITS = Limits()
