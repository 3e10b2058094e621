"""Range checks for option values."""

from __future__ import annotations

import math

from orchestrator.errors import InvalidInput


def check_range(field: str, value: float, minimum: float, maximum: float) -> None:
    """Raise InvalidInput unless the value of a field of the API, such as ``stain.strength``, is in the range."""
    if not (math.isfinite(value) and minimum <= value <= maximum):
        raise InvalidInput(field, f"{value} is not allowed; it must be a number from {minimum:g} to {maximum:g}")
