"""The table of stages, in the order in which a pipeline runs them."""

from __future__ import annotations

from typing import Any

from orchestrator.jobs.stage import Stage
from orchestrator.jobs.stages.cutout import CUTOUT
from orchestrator.jobs.stages.export import EXPORT
from orchestrator.jobs.stages.reconstruct import RECONSTRUCT
from orchestrator.jobs.stages.render import RENDER
from orchestrator.jobs.stages.segment import SEGMENT
from orchestrator.jobs.stages.stain import STAIN

STAGES: dict[str, Stage[Any, Any]] = {
    stage.name: stage for stage in (SEGMENT, CUTOUT, STAIN, RECONSTRUCT, RENDER, EXPORT)
}
