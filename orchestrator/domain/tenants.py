"""What a tenant may use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from orchestrator.errors import InvalidInput

MIN_WEIGHT = 0.01
MAX_WEIGHT = 100.0


@dataclass(frozen=True)
class Quotas:
    """The weight of a tenant and the most that it may use. Zero forbids the use."""

    weight: float  # share of the workers in relation to other tenants
    running_jobs: int
    active_jobs: int  # queued and running
    stored_gb: float  # of its uploads and results, in 10^9 bytes
    uploads: int  # that one process receives at a time
    requests_per_s: float  # that one process accepts
    detector_usd: float  # for paid detectors in a calendar month, UTC

    def changed(self, values: Mapping[str, float]) -> Quotas:
        """Return the quotas with other values of some fields, by name."""
        changes: dict[str, Any] = {name: QUOTA_TYPES[name](value) for name, value in values.items()}
        return replace(self, **changes)


@dataclass(frozen=True)
class Usage:
    """What a tenant uses of its quotas."""

    running_jobs: int
    active_jobs: int
    stored_bytes: int
    detector_usd: float  # in this calendar month, UTC


QUOTA_TYPES: dict[str, type[int] | type[float]] = {
    field.name: int if field.type == "int" else float for field in fields(Quotas)
}
"""Name → type of each quota."""


def check_quota(name: str, value: float) -> None:
    """Raise InvalidInput if a quota cannot have this value."""
    if name == "weight" and not MIN_WEIGHT <= value <= MAX_WEIGHT:
        raise InvalidInput(name, f"{value:g} is not allowed; it must be from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}")
    is_whole = math.isfinite(value) and value == int(value)
    if not value >= 0 or (QUOTA_TYPES[name] is int and not is_whole):
        kind = "a whole number" if QUOTA_TYPES[name] is int else "a number"
        raise InvalidInput(name, f"{value:g} is not allowed; it must be {kind} of at least 0")
