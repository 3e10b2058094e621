"""Range checks for option values."""

from __future__ import annotations

import math

from orchestrator.errors import InvalidInput


def within(field: str, value: float, low: float, high: float) -> float:
    """Return ``value``.

    Raises:
        InvalidInput: it is not a number in [low, high].
    """
    if not (math.isfinite(value) and low <= value <= high):
        raise InvalidInput(field, f"{value} is not allowed; it must be a number from {low:g} to {high:g}")
    return value
