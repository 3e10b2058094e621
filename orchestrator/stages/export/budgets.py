"""What a file may weigh for what it is shown in.

The numbers are those of the Khronos 3D Commerce publishing guidelines (Asset Creation Guidelines 1.0, "Publishing
Targets": single-item web and mobile AR, single-item desktop, web-based planner, banner). Megabytes are millions.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.export import Target


@dataclass(frozen=True)
class TargetBudget:
    """What a file for a target may have at most."""

    max_bytes: int
    max_triangles: int
    max_draw_calls: int
    few_draw_calls: int  # what the guidelines recommend to stay below
    texture_px: int  # the longer side


BUDGETS = {
    Target.WEB: TargetBudget(3_000_000, 150_000, 500, 20, 2048),
    Target.DESKTOP: TargetBudget(3_000_000, 250_000, 800, 100, 2048),
    Target.PLANNER: TargetBudget(1_000_000, 40_000, 50, 5, 1024),
    Target.BANNER: TargetBudget(500_000, 30_000, 100, 5, 512),
}
"""Target.ORIGINAL has none."""


def misses(budget: TargetBudget, size_bytes: int, triangles: int, draw_calls: int, texture_px: int) -> tuple[str, ...]:
    """Say in words where a file is over ``budget``; nothing where it is within."""
    found = (
        ("bytes", size_bytes, budget.max_bytes),
        ("triangles", triangles, budget.max_triangles),
        ("draw calls", draw_calls, budget.max_draw_calls),
        ("pixels along its longest texture", texture_px, budget.texture_px),
    )
    return tuple(f"{value:,} {word}; allowed are {limit:,}" for word, value, limit in found if value > limit)
