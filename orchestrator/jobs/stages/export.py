"""The export stage of a job: files of a mesh, optimised for a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.domain.assets import StoredFile
from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import MEDIA_TYPES, ZIP, ExportOptions, MeshFormat, Target
from orchestrator.jobs.documents import to_json
from orchestrator.jobs.mesh_input import fetch
from orchestrator.jobs.stage import Stage, StageInput, StageRun
from orchestrator.jobs.step import Cached, Step, digest
from orchestrator.stages.export.export import ExportResult as Export
from orchestrator.stages.export.export import export

REVISION = 3
"""Part of the cache keys of this stage. Increment it when the stage changes its output."""
SUFFIXES = {MeshFormat.GLTF: "gltf.zip", MeshFormat.OBJ: "obj.zip"}
"""File name suffixes that differ from the format's name."""


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


@dataclass(frozen=True)
class WrittenFormats:
    """Stored files of an export."""

    files: Mapping[MeshFormat, StoredFile]
    export: Export


def run_export(run: StageRun[ExportOptions]) -> ExportResult:
    """Write the files of the mesh."""
    return run.step("export", export_mesh, run.options, run.mesh)


def export_mesh(step: Step, options: ExportOptions, mesh: str) -> ExportResult:
    """Write the files of the mesh that ``options`` request, and publish them."""
    source = step.asset(mesh)

    def make() -> Cached[ExportFacts]:
        written = write_formats(step, fetch(step, source), options)
        files = {format.value: file for format, file in written.files.items()}
        levels = [step.store(path, MEDIA_TYPES[MeshFormat.GLB]) for path in written.export.levels]
        files |= {f"lod{number}": file for number, file in enumerate(levels, 1)}
        files["report"] = step.store(written.export.report, "application/json")
        facts = written.export.facts
        return Cached(
            files,
            ExportFacts(
                size_bytes=facts.size_bytes,
                triangles=facts.triangles,
                vertices=facts.vertices,
                draw_calls=facts.draw_calls,
                materials=len(facts.materials),
                textures=len(facts.textures),
                dimensions=facts.dimensions,
                meets=tuple(facts.meets),
            ),
        )

    key = digest("export", REVISION, source.sha256, to_json(replace(options, model_id="")))
    cached = step.cached(key, [source.sha256], Cached[ExportFacts], make)
    target = options.target.value
    files, levels, report = {}, [], ""
    for name, file in cached.files.items():
        if name == "report":
            report = step.publish(f"{target}-report.json", file, "document")
        elif name.startswith("lod"):
            levels.append(step.publish(f"{target}-{name}.glb", file, "model"))
        else:
            format = MeshFormat(name)
            files[format] = step.publish(f"{target}.{SUFFIXES.get(format, name)}", file, "model")
    return ExportResult(files, tuple(levels), report, cached.facts)


def write_formats(step: Step, source: Path, options: ExportOptions) -> WrittenFormats:
    """Export ``source`` and store the files of all formats."""
    written = export(
        source,
        options,
        step.folder / "files",
        blender=step.dependencies.settings.blender,
        limits=step.limits,
        progress=step.progress,
    )
    files = {
        format: step.store(path, ZIP if path.suffix == ".zip" else MEDIA_TYPES[format])
        for format, path in written.files.items()
    }
    return WrittenFormats(files, written)


EXPORT = Stage(
    name="export",
    options=ExportOptions,
    result=ExportResult,
    input=StageInput.MESH,
    weight=0.08,
    uses_models=False,
    run=run_export,
)
