"""Writes a 3D model in other formats: optimised for a target, at its physical size, and validated.

All files come from one *base GLB*: the mesh in metres with its origin at the bottom centre, uncompressed. GLB and glTF
are optimised for the target. USDZ, FBX, OBJ, STL and PLY contain the mesh of the base GLB unchanged: they serve close
inspection (USDZ) or further editing, and have no geometry compression.

Levels of detail are separate files, ``model-lod1.glb`` and so on. Of the common viewers only Babylon.js reads MSFT_lod
inside a GLB; three.js, <model-viewer> and the engines of planners load one file for each level.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from orchestrator.domain.dimensions import UNKNOWN_DIMENSIONS, Dimensions
from orchestrator.domain.export import ExportOptions, MeshFormat
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.stages.export.files import (
    BLENDER_FORMATS,
    ExportRun,
    write_blender_formats,
    write_gltf,
    write_levels,
    write_usdz_file,
)
from orchestrator.stages.export.inspect import MeshFacts
from orchestrator.stages.export.source import GLTF_FORMATS, open_source
from orchestrator.tools.gltf import inspect_gltf, normalise

UNITLESS_FORMATS = (MeshFormat.OBJ, MeshFormat.STL, MeshFormat.PLY)  # metres are assumed


@dataclass(frozen=True)
class ExportedFiles:
    """The files of an export."""

    files: dict[MeshFormat, Path]
    levels: tuple[Path, ...]  # GLBs, each with fewer triangles than the previous one
    report: Path  # JSON: facts, budget, validation, and formats that could not be written, with their reasons
    facts: MeshFacts  # of the GLB, else of the glTF, else of the base GLB


def export(
    source: Path,
    options: ExportOptions,
    folder: Path,
    *,
    blender: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> ExportedFiles:
    """Write the 3D model ``source`` in each format of ``options``.

    If a format cannot be written, the report contains the reason, and the other formats are written.

    Args:
        source: GLB, glTF (with embedded data, or a zip with its resources), FBX, OBJ (alone, or a zip with MTL and
            textures), STL, PLY or USDZ. OBJ, STL and PLY have no unit: metres are assumed. OBJ is read with +Y up, STL
            and PLY with +Z up.
        folder: receives the files. ``folder/work`` receives intermediate files and logs.
        blender: a ``blender`` executable; the bpy wheel if empty.

    Raises:
        InvalidInput: ``source`` cannot be read, has no triangles, or does not fit the dimensions.
        ToolFailed, InvalidInput: no format could be written. This is the error of the first format.
        DeadlineExceeded, Canceled: as ``run_program``.
    """
    work = (folder / "work").resolve()
    work.mkdir(parents=True, exist_ok=True)
    steps = _split_progress(progress, options)
    base = work / "base.glb"
    notes = _write_base(source, base, options.dimensions, blender=blender, limits=limits, progress=next(steps))
    contents = inspect_gltf(base, work, limits=limits, progress=next(steps))
    facts = {"base": MeshFacts.from_contents(contents, base.stat().st_size)}
    run = ExportRun(base, folder, work, options, blender, limits, steps, facts, notes)
    _attempt(run, write_gltf, MeshFormat.GLB)
    _attempt(run, write_gltf, MeshFormat.GLTF)
    write_levels(run)
    _attempt(run, write_usdz_file, MeshFormat.USDZ)
    _attempt(run, write_blender_formats, *BLENDER_FORMATS)
    if not run.files:
        raise next(iter(run.refused.values()))
    return ExportedFiles(
        files={format: run.files[format] for format in options.formats if format in run.files},
        levels=tuple(run.levels),
        report=_write_report(run),
        facts=run.main_facts,
    )


def to_glb(
    source: Path, folder: Path, *, blender: str = "", limits: Limits = DEFAULT_LIMITS, progress: Progress = no_progress
) -> Path:
    """Write a 3D model of any format as an uncompressed GLB in ``folder``. Position and size do not change.

    Raises:
        InvalidInput: ``source`` cannot be read, or has no triangles.
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder.resolve() / "plain.glb"
    _write_base(source, target, None, blender=blender, limits=limits, progress=progress)
    return target


def _split_progress(progress: Progress, options: ExportOptions) -> Iterator[Progress]:
    """Return the progress callback of each step of an export. The weights are rough durations in seconds."""
    gltf_files = sum(format in options.formats for format in GLTF_FORMATS) + options.levels - 1
    other_files = (MeshFormat.USDZ in options.formats) + any(format in options.formats for format in BLENDER_FORMATS)
    base_weights = [3.0, 0.5]  # writing and inspecting
    gltf_weights = [2.0, 0.5]  # optimising and validating
    weights = [*base_weights, *gltf_weights * gltf_files, *[2.0] * other_files]
    bounds = [end / sum(weights) for end in accumulate(weights, initial=0.0)]
    return (subrange(progress, start, end) for start, end in pairwise(bounds))


def _write_base(
    source: Path, target: Path, dimensions: Dimensions | None, *, blender: str, limits: Limits, progress: Progress
) -> list[str]:
    """Write the base GLB, and return notes for the report. If ``dimensions`` is None, position and size are kept."""
    work, import_progress = target.parent, subrange(progress, 0.0, 0.5)
    mesh_file, format, notes = open_source(source, work, blender=blender, limits=limits, progress=import_progress)
    base_notes = normalise(
        mesh_file,
        target,
        work,
        dimensions=dimensions or UNKNOWN_DIMENSIONS,
        unitless=format in UNITLESS_FORMATS,
        place=dimensions is not None,
        limits=limits,
        progress=subrange(progress, 0.5, 1.0),
    )
    return [*notes, *base_notes]


def _attempt(run: ExportRun, write: Callable[..., None], *formats: MeshFormat) -> None:
    """Write those of ``formats`` that are requested. If a tool fails, record the reason for each missing file."""
    requested = [format for format in formats if format in run.options.formats]
    try:
        if requested:
            write(run, *requested)
    except (ToolFailed, InvalidInput) as error:
        run.refused.update({format: error for format in requested if format not in run.files})


def _write_report(run: ExportRun) -> Path:
    """Write the report as JSON, and return its path."""
    target, budget = run.options.target, run.budget
    exported = {name: facts for name, facts in run.facts.items() if budget and name != "base"}
    missed = {name: list(facts.misses[target]) for name, facts in exported.items() if facts.misses[target]}
    draw_call_notes = [
        f"{name} has {facts.draw_calls} draw calls; fewer than {budget.few_draw_calls} are recommended"
        for name, facts in exported.items()
        if budget and facts.draw_calls >= budget.few_draw_calls
    ]
    report = {
        "target": target.value,
        "budget": {"limits": asdict(budget) if budget else None, "met": not missed, "missed": missed},
        "facts": {name: facts.to_json() for name, facts in run.facts.items()},
        "reduced": run.reduced,
        "files": {
            format.value: {"name": file.name, "bytes": file.stat().st_size} for format, file in run.files.items()
        },
        "levels": [level.name for level in run.levels],
        "validator": run.validator,
        "arkit": run.arkit,
        "refused": {format.value: error.message for format, error in run.refused.items()},
        "notes": list(dict.fromkeys([*run.notes, *draw_call_notes])),
    }
    path = run.folder / "export-report.json"
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return path
