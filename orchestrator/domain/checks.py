"""Range checks for option values."""

from __future__ import annotations

import math

from orchestrator.errors import InvalidInput


def check_range(field: str, value: float, minimum: float, maximum: float) -> None:
    """Raise InvalidInput unless ``value`` is a finite number in [``minimum``, ``maximum``].

    Args:
        field: path of the field as the API names it, such as ``stain.strength``.
    """
    if not (math.isfinite(value) and minimum <= value <= maximum):
        raise InvalidInput(field, f"{value} is not allowed; it must be a number from {minimum:g} to {maximum:g}")
