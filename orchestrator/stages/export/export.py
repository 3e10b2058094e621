"""Files of any 3D format in, files of all formats out: optimised for a target, at true size, and checked.

Every file comes from one *base GLB*: the model in metres with its origin at the bottom centre, plain and whole. GLB and
glTF are optimised for the target from it. USDZ, FBX, OBJ, STL and PLY are made of the base itself: who asks for them
wants to look closely (USDZ) or to work on, and they have no compression of their own.

Levels of detail are files of their own, ``model-lod1.glb`` and so on: of the common viewers only Babylon.js reads
MSFT_lod inside a GLB; three.js, <model-viewer> and planners' engines load one file a level and swap them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import ExportOptions, MeshFormat
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.stages.export.budgets import BUDGETS
from orchestrator.stages.export.files import (
    BLENDER_FORMATS,
    Making,
    Record,
    Steps,
    write_gltf,
    write_levels,
    write_others,
    write_usdz_file,
)
from orchestrator.stages.export.inspect import ModelFacts, facts_of
from orchestrator.stages.export.source import UNITLESS_FORMATS, unpack_source
from orchestrator.tools.convert import import_model
from orchestrator.tools.gltf import look_into, normalise


@dataclass(frozen=True)
class ExportResult:
    """What was made, as files in the folder that was given."""

    files: dict[MeshFormat, Path]
    levels: tuple[Path, ...]  # GLBs, each coarser than the one before
    report: Path  # JSON: facts, budget, what the validators say, what was refused and why
    facts: ModelFacts  # of the GLB or glTF where one was made, else of the base
    logs: tuple[Path, ...]


def export(
    source: Path,
    options: ExportOptions,
    folder: Path,
    *,
    blender: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> ExportResult:
    """Write the model ``source`` as each format of ``options``.

    A format that cannot be made is refused with its reason in the report; the others are made.

    Args:
        source: GLB, glTF (a zip with its resources, or with embedded data), FBX, OBJ (lone, or a zip with MTL and
            pictures), STL, PLY or USDZ. OBJ, STL and PLY have no unit: metres are assumed; OBJ is read with +Y up, STL
            and PLY with +Z up.
        folder: gets the files; ``folder/work`` what was needed on the way.
        blender: a ``blender`` program; empty takes the bpy wheel.

    Raises:
        InvalidInput: it cannot be read, has no triangles, or the dimensions do not fit it.
        ToolFailed: no format could be made; the first one's reason.
        DeadlineExceeded, Canceled: as ``run_program``.
    """
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    record, steps = Record(), Steps(progress, _weights(options))
    base = _make_base(
        source,
        work / "base.glb",
        options.dimensions,
        record,
        place=True,
        blender=blender,
        limits=limits,
        progress=steps.next(),
    )
    found, _ = look_into(base, work, limits=limits, progress=steps.next())
    record.facts["base"] = facts_of(found, base.stat().st_size)
    making = Making(base, folder, work, options, blender, limits, steps, record)
    for format in (MeshFormat.GLB, MeshFormat.GLTF):
        if format in options.formats:
            _try(record, (format,), partial(write_gltf, making, format))
    write_levels(making)
    if MeshFormat.USDZ in options.formats:
        _try(record, (MeshFormat.USDZ,), partial(write_usdz_file, making))
    if others := tuple(one for one in BLENDER_FORMATS if one in options.formats):
        _try(record, others, partial(write_others, making, others))
    if not record.files:
        raise next(iter(record.refused.values()))
    report = _report(folder / "export-report.json", options, record)
    facts = record.facts.get("glb") or record.facts.get("gltf") or record.facts["base"]
    files = {one: record.files[one] for one in options.formats if one in record.files}
    return ExportResult(files, tuple(record.levels), report, facts, tuple(sorted(work.glob("*.log"))))


def to_glb(
    source: Path,
    folder: Path,
    *,
    blender: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> Path:
    """Write a model of any format as a plain GLB in ``folder``, where it stands and as large as it is; return its path.

    Raises:
        InvalidInput: it cannot be read, or has no triangles.
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return _make_base(
        source,
        folder / "plain.glb",
        Dimensions(),
        Record(),
        place=False,
        blender=blender,
        limits=limits,
        progress=progress,
    )


def _weights(options: ExportOptions) -> list[float]:
    """Base, a look, then each file: the weights are about the seconds that they take."""
    gltf = sum(one in options.formats for one in (MeshFormat.GLB, MeshFormat.GLTF))
    rest = (MeshFormat.USDZ in options.formats) + any(one in options.formats for one in BLENDER_FORMATS)
    weights = [3.0, 0.5, *[2.0, 0.5] * (gltf + options.levels - 1), *[2.0] * rest]
    return [one / sum(weights) for one in weights]


def _make_base(
    source: Path,
    target: Path,
    dimensions: Dimensions,
    record: Record,
    *,
    place: bool,
    blender: str,
    limits: Limits,
    progress: Progress,
) -> Path:
    work = target.parent
    model, format = unpack_source(source, work)
    if format not in (MeshFormat.GLB, MeshFormat.GLTF):
        imported = work / "imported.glb"
        imported.unlink(missing_ok=True)
        record.notes += import_model(
            model,
            format,
            imported,
            work,
            executable=blender,
            limits=limits,
            progress=lambda fraction, message: progress(fraction / 2, message),
        )
        model = imported
    record.notes += normalise(
        model,
        target.resolve(),
        work,
        dimensions=dimensions,
        unitless=format in UNITLESS_FORMATS,
        place=place,
        limits=limits,
        progress=lambda fraction, message: progress(0.5 + fraction / 2, message),
    )
    return target.resolve()


def _try(record: Record, formats: tuple[MeshFormat, ...], make: Callable[[], None]) -> None:
    """Make the formats; what a program failed at is refused, and the others go on."""
    try:
        make()
    except (ToolFailed, InvalidInput) as error:
        for one in formats:
            if one not in record.files:
                record.refused[one] = error


def _report(path: Path, options: ExportOptions, record: Record) -> Path:
    budget = BUDGETS.get(options.target)
    missed = {
        name: list(facts.misses[options.target])
        for name, facts in record.facts.items()
        if budget and name != "base" and facts.misses[options.target]
    }
    many = [
        f"{name} has {facts.draw_calls} draw calls; fewer than {budget.few_draw_calls} are recommended"
        for name, facts in record.facts.items()
        if budget and name != "base" and facts.draw_calls >= budget.few_draw_calls
    ]
    body = {
        "target": options.target.value,
        "budget": {"limits": vars(budget) if budget else None, "met": not missed, "missed": missed},
        "facts": {name: facts.to_json() for name, facts in record.facts.items()},
        "reduced": record.reduced,
        "files": {one.value: {"name": file.name, "bytes": file.stat().st_size} for one, file in record.files.items()},
        "levels": [one.name for one in record.levels],
        "validator": record.validator,
        "arkit": record.arkit,
        "refused": {one.value: error.message for one, error in record.refused.items()},
        "notes": list(dict.fromkeys([*record.notes, *many])),
    }
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    return path
