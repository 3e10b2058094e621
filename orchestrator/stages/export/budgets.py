"""Size budgets of the targets of an export.

The numbers come from the Khronos 3D Commerce publishing guidelines (Asset Creation Guidelines 1.0, "Publishing
Targets": single-item web and mobile AR, single-item desktop, web-based planner, banner). A megabyte is 10⁶ bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.domain.export import Target


@dataclass(frozen=True)
class TargetBudget:
    """Maximum size of a file for a target."""

    max_bytes: int
    max_triangles: int
    max_draw_calls: int
    recommended_draw_calls: int  # the guidelines recommend fewer than this
    texture_px: int  # longer side of a texture

    def to_json(self) -> dict[str, Any]:
        """Return the limits as JSON types, for the report."""
        return {
            "max_bytes": self.max_bytes,
            "max_triangles": self.max_triangles,
            "max_draw_calls": self.max_draw_calls,
            "few_draw_calls": self.recommended_draw_calls,
            "texture_px": self.texture_px,
        }


BUDGETS = {
    Target.WEB: TargetBudget(
        max_bytes=3_000_000, max_triangles=150_000, max_draw_calls=500, recommended_draw_calls=20, texture_px=2048
    ),
    Target.DESKTOP: TargetBudget(
        max_bytes=3_000_000, max_triangles=250_000, max_draw_calls=800, recommended_draw_calls=100, texture_px=2048
    ),
    Target.PLANNER: TargetBudget(
        max_bytes=1_000_000, max_triangles=40_000, max_draw_calls=50, recommended_draw_calls=5, texture_px=1024
    ),
    Target.BANNER: TargetBudget(
        max_bytes=500_000, max_triangles=30_000, max_draw_calls=100, recommended_draw_calls=5, texture_px=512
    ),
}
"""The budget of each target. ``Target.ORIGINAL`` has none."""


def exceeded_limits(
    budget: TargetBudget, size_bytes: int, triangles: int, draw_calls: int, texture_px: int
) -> tuple[str, ...]:
    """Describe each limit of ``budget`` that a file exceeds."""
    values = (
        ("bytes", size_bytes, budget.max_bytes),
        ("triangles", triangles, budget.max_triangles),
        ("draw calls", draw_calls, budget.max_draw_calls),
        ("pixels along its longest texture", texture_px, budget.texture_px),
    )
    return tuple(f"{value:,} {unit}; allowed are {limit:,}" for unit, value, limit in values if value > limit)
