"""The mesh that a render or export stage works on."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from orchestrator.domain.assets import Asset
from orchestrator.jobs.step import Step
from orchestrator.stages.export.export import to_glb


def fetch(step: Step, mesh: Asset) -> Path:
    """Write the mesh to the step's folder, under a name that contains only the format."""
    return step.fetch(mesh.sha256, step.folder / f"source{PurePosixPath(mesh.name).suffix}")


def fetch_glb(step: Step, mesh: Asset) -> Path:
    """Write the mesh as a GLB that Blender can read, without meshopt and KTX2."""
    return to_glb(
        fetch(step, mesh),
        step.folder / "source",
        blender=step.dependencies.settings.blender,
        limits=step.limits,
        progress=step.progress,
    )
