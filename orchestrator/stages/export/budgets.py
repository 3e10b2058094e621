"""Size budgets of the targets of an export.

The numbers come from the Khronos 3D Commerce publishing guidelines (Asset Creation Guidelines 1.0, "Publishing
Targets": single-item web and mobile AR, single-item desktop, web-based planner, banner). A megabyte is 10⁶ bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.export import Target


@dataclass(frozen=True)
class TargetBudget:
    """Maximum size of a file for a target."""

    max_bytes: int
    max_triangles: int
    max_draw_calls: int
    few_draw_calls: int  # the guidelines recommend fewer than this
    texture_px: int  # longer side of a texture


BUDGETS = {
    Target.WEB: TargetBudget(3_000_000, 150_000, 500, 20, 2048),
    Target.DESKTOP: TargetBudget(3_000_000, 250_000, 800, 100, 2048),
    Target.PLANNER: TargetBudget(1_000_000, 40_000, 50, 5, 1024),
    Target.BANNER: TargetBudget(500_000, 30_000, 100, 5, 512),
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
