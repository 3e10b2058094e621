"""The physical size of a piece of furniture."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.checks import check_range

MIN_SIZE_M, MAX_SIZE_M = 0.01, 20.0


@dataclass(frozen=True)
class Dimensions:
    """The true size of the piece along X, Y (up) and Z; 0 where it is not known."""

    width_m: float = 0.0
    height_m: float = 0.0
    depth_m: float = 0.0

    def check(self, field: str) -> None:
        """Refuse sizes that no furniture has.

        Raises:
            InvalidInput: one is neither 0 nor within 1 cm and 20 m.
        """
        for name in ("width_m", "height_m", "depth_m"):
            value = getattr(self, name)
            if value != 0.0:
                check_range(f"{field}.{name}", value, MIN_SIZE_M, MAX_SIZE_M)


UNKNOWN_DIMENSIONS = Dimensions()
