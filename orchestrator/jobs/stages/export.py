"""The export stage of a job: files of a mesh, optimised for a target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from orchestrator.domain.assets import Asset, StoredFile
from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import MEDIA_TYPES, ZIP, ExportOptions, MeshFormat, Target
from orchestrator.jobs.documents import copy_fields
from orchestrator.jobs.stage import Stage, StageRun
from orchestrator.jobs.step import Cached, Step, digest
from orchestrator.stages.export.export import ExportedFiles, export

REVISION = 3
"""Part of the cache keys of this stage. Increment it when the stage changes its output."""
SUFFIXES = {"gltf": ".gltf.zip", "obj": ".obj.zip", "report": "-report.json"}
"""Suffixes of exported files by format, and of the report. The suffix of any other format is a dot and its name."""


@dataclass(frozen=True)
class ExportFacts:
    """Size and contents of the exported GLB or glTF."""

    size_bytes: int
    triangles: int
    vertices: int
    draw_calls: int
    materials: int
    textures: int
    dimensions: Dimensions
    meets: tuple[Target, ...]  # targets whose budget the file meets


@dataclass(frozen=True)
class ExportResult:
    """The result of the export stage. Files are asset ids."""

    files: dict[MeshFormat, str]
    levels: tuple[str, ...]  # levels of detail of the GLB
    report: str
    facts: ExportFacts


def run_export(run: StageRun[ExportOptions]) -> ExportResult:
    """Write the files of the mesh."""
    return run.step("export", export_mesh, run.options, run.mesh)


def export_mesh(step: Step, options: ExportOptions, mesh: str) -> ExportResult:
    """Write the files of the mesh that ``options`` request, and publish them."""
    source = step.asset(mesh)

    def make() -> Cached[ExportFacts]:
        written, formats = write_formats(step, fetch_mesh(step, source), options)
        files = {format.value: file for format, file in formats.items()}
        for number, path in enumerate(written.levels, 1):
            files[f"lod{number}"] = step.store(path, MEDIA_TYPES[MeshFormat.GLB])
        files["report"] = step.store(written.report, "application/json")
        counts = {"materials": len(written.facts.materials), "textures": len(written.facts.textures)}
        return Cached(files, copy_fields(ExportFacts, written.facts, **counts, meets=tuple(written.facts.meets)))

    key = digest("export", REVISION, source.sha256, replace(options, model_id=""))
    cached = step.cached(key, [source.sha256], Cached[ExportFacts], make)
    ids = {}
    for name, file in cached.files.items():
        suffix = f"-{name}.glb" if name.startswith("lod") else SUFFIXES.get(name, f".{name}")
        kind = "document" if name == "report" else "model"
        ids[name] = step.publish(options.target.value + suffix, file, kind)
    levels = tuple(id for name, id in ids.items() if name.startswith("lod"))
    files = {MeshFormat(name): id for name, id in ids.items() if name != "report" and not name.startswith("lod")}
    return ExportResult(files, levels, ids["report"], cached.facts)


def fetch_mesh(step: Step, mesh: Asset) -> Path:
    """Write the mesh to the step's folder. Its name is ``source`` with the suffix of the format."""
    return step.fetch(mesh.sha256, step.folder / f"source{PurePosixPath(mesh.name).suffix}")


def write_formats(
    step: Step, source: Path, options: ExportOptions
) -> tuple[ExportedFiles, dict[MeshFormat, StoredFile]]:
    """Export ``source`` and store the file of each format."""
    blender, folder = step.dependencies.settings.blender, step.folder / "files"
    written = export(source, options, folder, blender=blender, limits=step.limits, progress=step.progress)
    return written, {
        format: step.store(path, ZIP if path.suffix == ".zip" else MEDIA_TYPES[format])
        for format, path in written.files.items()
    }


EXPORT = Stage("export", ExportOptions, ExportResult, weight=0.08, run=run_export, takes_mesh=True)
