"""Writes a 3D model in other formats: optimised for a target, at its physical size, and validated.

All files come from one *base GLB*: the mesh in metres with its origin at the bottom centre, uncompressed. GLB and glTF
are optimised for the target. USDZ, FBX, OBJ, STL and PLY contain the mesh of the base GLB unchanged: they serve close
inspection (USDZ) or further editing, and have no geometry compression.

Levels of detail are separate files, ``model-lod1.glb`` and so on. Of the common viewers only Babylon.js reads MSFT_lod
inside a GLB; three.js, <model-viewer> and the engines of planners load one file for each level.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.domain.dimensions import UNKNOWN_DIMENSIONS, Dimensions
from orchestrator.domain.export import ExportOptions, MeshFormat
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.stages.export.budgets import BUDGETS
from orchestrator.stages.export.files import (
    BLENDER_FORMATS,
    ExportRecord,
    ExportRun,
    StepProgress,
    write_blender_formats,
    write_gltf,
    write_levels,
    write_usdz_file,
)
from orchestrator.stages.export.inspect import MeshFacts
from orchestrator.stages.export.source import UNITLESS_FORMATS, unpack_source
from orchestrator.tools.convert import import_mesh
from orchestrator.tools.gltf import inspect_gltf, normalise

GLTF_FORMATS = (MeshFormat.GLB, MeshFormat.GLTF)


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
        folder: gets the files. ``folder/work`` gets intermediate files and logs.
        blender: a ``blender`` executable; the bpy wheel if empty.

    Raises:
        InvalidInput: ``source`` cannot be read, has no triangles, or does not fit the dimensions.
        ToolFailed: no format could be written; the reason is that of the first format.
        DeadlineExceeded, Canceled: as ``run_program``.
    """
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    record, steps = ExportRecord(), StepProgress(progress, _step_weights(options))
    base, record.notes = _write_base(
        source,
        work / "base.glb",
        options.dimensions,
        place=True,
        blender=blender,
        limits=limits,
        progress=steps.next(),
    )
    contents = inspect_gltf(base, work, limits=limits, progress=steps.next())
    record.facts["base"] = MeshFacts.from_contents(contents, base.stat().st_size)
    run = ExportRun(base, folder, work, options, blender, limits, steps, record)
    for format in GLTF_FORMATS:
        if format in options.formats:
            _attempt(record, (format,), partial(write_gltf, run, format))
    write_levels(run)
    if MeshFormat.USDZ in options.formats:
        _attempt(record, (MeshFormat.USDZ,), partial(write_usdz_file, run))
    if formats := tuple(format for format in BLENDER_FORMATS if format in options.formats):
        _attempt(record, formats, partial(write_blender_formats, run, formats))
    if not record.files:
        raise next(iter(record.refused.values()))
    return ExportedFiles(
        files={format: record.files[format] for format in options.formats if format in record.files},
        levels=tuple(record.levels),
        report=_write_report(folder / "export-report.json", options, record),
        facts=record.main_facts,
    )


def to_glb(
    source: Path,
    folder: Path,
    *,
    blender: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> Path:
    """Write a 3D model of any format as an uncompressed GLB in ``folder``, and return its path.

    Position and size stay as in the file.

    Raises:
        InvalidInput: ``source`` cannot be read, or has no triangles.
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, _ = _write_base(
        source,
        folder / "plain.glb",
        UNKNOWN_DIMENSIONS,
        place=False,
        blender=blender,
        limits=limits,
        progress=progress,
    )
    return target


def _step_weights(options: ExportOptions) -> list[float]:
    """Return the share of each step in the progress. The weights are rough durations in seconds."""
    gltf_files = sum(format in options.formats for format in GLTF_FORMATS) + options.levels - 1
    other_files = (MeshFormat.USDZ in options.formats) + any(format in options.formats for format in BLENDER_FORMATS)
    base, inspection, optimisation, validation, other = 3.0, 0.5, 2.0, 0.5, 2.0
    weights = [base, inspection, *[optimisation, validation] * gltf_files, *[other] * other_files]
    return [weight / sum(weights) for weight in weights]


def _write_base(
    source: Path,
    target: Path,
    dimensions: Dimensions,
    *,
    place: bool,
    blender: str,
    limits: Limits,
    progress: Progress,
) -> tuple[Path, list[str]]:
    """Write the base GLB ``target``; return its absolute path and notes for the report."""
    work = target.parent
    notes: list[str] = []
    mesh_file, format = unpack_source(source, work)
    if format not in GLTF_FORMATS:
        imported = work / "imported.glb"
        imported.unlink(missing_ok=True)
        notes += import_mesh(
            mesh_file,
            format,
            imported,
            work,
            executable=blender,
            limits=limits,
            progress=subrange(progress, 0.0, 0.5),
        )
        mesh_file = imported
    notes += normalise(
        mesh_file,
        target.resolve(),
        work,
        dimensions=dimensions,
        unitless=format in UNITLESS_FORMATS,
        place=place,
        limits=limits,
        progress=subrange(progress, 0.5, 1.0),
    )
    return target.resolve(), notes


def _attempt(record: ExportRecord, formats: tuple[MeshFormat, ...], write: Callable[[], None]) -> None:
    """Write formats. If a tool fails, record the reason for each format that was not written."""
    try:
        write()
    except (ToolFailed, InvalidInput) as error:
        for format in formats:
            if format not in record.files:
                record.refused[format] = error


def _write_report(path: Path, options: ExportOptions, record: ExportRecord) -> Path:
    budget = BUDGETS.get(options.target)
    files = {name: facts for name, facts in record.facts.items() if budget and name != "base"}
    missed = {name: list(facts.misses[options.target]) for name, facts in files.items() if facts.misses[options.target]}
    draw_call_notes = [
        f"{name} has {facts.draw_calls} draw calls; fewer than {budget.recommended_draw_calls} are recommended"
        for name, facts in files.items()
        if budget and facts.draw_calls >= budget.recommended_draw_calls
    ]
    report = {
        "target": options.target.value,
        "budget": {"limits": budget.to_json() if budget else None, "met": not missed, "missed": missed},
        "facts": {name: facts.to_json() for name, facts in record.facts.items()},
        "reduced": record.reduced,
        "files": {
            format.value: {"name": file.name, "bytes": file.stat().st_size} for format, file in record.files.items()
        },
        "levels": [level.name for level in record.levels],
        "validator": record.validator,
        "arkit": record.arkit,
        "refused": {format.value: error.message for format, error in record.refused.items()},
        "notes": list(dict.fromkeys([*record.notes, *draw_call_notes])),
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return path
