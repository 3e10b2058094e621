"""The physical size of a piece of furniture."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.checks import Violations

MIN_SIZE_M = 0.01
"""Minimum size of a piece along any axis."""
MAX_SIZE_M = 20.0
"""Maximum size of a piece along any axis."""


@dataclass(frozen=True)
class Dimensions:
    """The physical size of the piece along X (width), Y (height, up) and Z (depth). 0 means unknown."""

    width_m: float = 0.0
    height_m: float = 0.0
    depth_m: float = 0.0

    def check(self, field: str) -> None:
        """Raise InvalidInput unless each size is 0 or between MIN_SIZE_M and MAX_SIZE_M."""
        with Violations() as violations:
            for name, value in vars(self).items():
                if value != 0.0:
                    violations.check_range(f"{field}.{name}", value, MIN_SIZE_M, MAX_SIZE_M)


UNKNOWN_DIMENSIONS = Dimensions()
