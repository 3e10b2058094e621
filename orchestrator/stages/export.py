"""Files of any 3D format in, files of all formats out: optimised for a target, at true size, and checked.

Every file comes from one *base GLB*: the model in metres with its origin at the bottom centre, plain and whole. GLB and
glTF are optimised for the target from it. USDZ, FBX, OBJ, STL and PLY are made of the base itself: who asks for them
wants to look closely (USDZ) or to work on, and they have no compression of their own.

Levels of detail are files of their own, ``model-lod1.glb`` and so on: of the common viewers only Babylon.js reads
MSFT_lod inside a GLB; three.js, <model-viewer> and planners' engines load one file a level and swap them.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.domain import Progress, no_progress
from orchestrator.errors import HeartwoodError, InvalidInput, ToolFailed
from orchestrator.models_3d import Dimensions, ExportOptions, Format3D, MeshCodec, Target, TextureCodec
from orchestrator.stages.budgets import BUDGETS
from orchestrator.stages.inspect_model import ModelFacts, facts_of
from orchestrator.stages.source_model import UNITLESS, find_model
from orchestrator.tools.convert import export_models, import_model
from orchestrator.tools.gltf import Budget, look_into, normalise, optimise
from orchestrator.tools.program import DEFAULT_LIMITS, Limits
from orchestrator.tools.usd import write_usdz

BLENDER_FORMATS = (Format3D.FBX, Format3D.OBJ, Format3D.STL, Format3D.PLY)
UNSEEN = 0.0005
"""How far a surface may always move, as a share of the model's diagonal: half a pixel where it fills 1000."""
TOLERANCES = (UNSEEN, 0.001, 0.002, 0.004, 0.008)
"""What a budget may cost: beyond the last, covers sink into what they cover, and a budget missed is the lesser harm."""
LEVEL_TOLERANCE, LEVEL_STEP = 0.003, 4
"""Each level has a quarter of the triangles and is shown at half the size, so that it may be off by twice as much."""
BOUNDS_TOLERANCE = 0.001
CARRIES = {
    Format3D.FBX: "FBX carries colour, roughness, metal and normal textures in its own older shading; check them",
    Format3D.OBJ: "OBJ carries roughness and metal in MTL's PBR lines, which not every program reads; +Y up, metres",
    Format3D.STL: "STL carries the shape only: no colours, no textures, no unit (metres are meant), +Z up",
    Format3D.PLY: "PLY carries shape, normals, UVs and vertex colours, no textures, no unit (metres are meant), +Z up",
}


@dataclass(frozen=True)
class ExportResult:
    """What was made, as files in the folder that was given."""

    files: dict[Format3D, Path]
    levels: tuple[Path, ...]  # GLBs, each coarser than the one before
    report: Path  # JSON: facts, budget, what the validators say, what was refused and why
    facts: ModelFacts  # of the GLB or glTF where one was made, else of the base
    logs: tuple[Path, ...]


@dataclass
class _Record:
    """What happens on the way, for the report."""

    files: dict[Format3D, Path] = field(default_factory=dict)
    levels: list[Path] = field(default_factory=list)
    facts: dict[str, ModelFacts] = field(default_factory=dict)
    reduced: dict[str, dict[str, float]] = field(default_factory=dict)
    validator: dict[str, Any] = field(default_factory=dict)
    arkit: dict[str, Any] = field(default_factory=dict)
    refused: dict[Format3D, HeartwoodError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


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
    record = _Record()
    steps = _Steps(progress, _weights(options))
    tools = _Tools(work, blender, limits)
    base = _make_base(source, work / "base.glb", tools, options.dimensions, record, steps.next(), place=True)
    found, _ = look_into(base, work, limits=limits, progress=steps.next())
    record.facts["base"] = before = facts_of(found, base.stat().st_size)
    for format in (Format3D.GLB, Format3D.GLTF):
        if format in options.formats:
            _try(record, (format,), partial(_write_gltf, base, format, folder, options, tools, record, steps))
    _write_levels(base, folder, options, tools, record, steps)
    if Format3D.USDZ in options.formats:
        _try(record, (Format3D.USDZ,), lambda: _write_usdz(base, folder, before, tools, record, steps.next()))
    others = tuple(one for one in BLENDER_FORMATS if one in options.formats)
    if others:
        _try(record, others, lambda: _write_others(base, others, folder, tools, record, steps.next()))
    if not record.files:
        raise next(iter(record.refused.values()))
    report = _report(folder / "export-report.json", options, record)
    facts = record.facts.get("glb") or record.facts.get("gltf") or before
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
    tools = _Tools(folder, blender, limits)
    return _make_base(source, folder / "plain.glb", tools, Dimensions(), _Record(), progress, place=False)


@dataclass(frozen=True)
class _Tools:
    work: Path
    blender: str
    limits: Limits


class _Steps:
    """Shares one progress among steps of different weight."""

    def __init__(self, progress: Progress, weights: list[float]) -> None:
        self._progress, self._weights, self._done, self._at = progress, weights, 0.0, 0

    def next(self) -> Progress:
        start, share = self._done, self._weights[min(self._at, len(self._weights) - 1)]
        self._at, self._done = self._at + 1, min(1.0, start + share)
        return lambda fraction, message: self._progress(min(1.0, start + share * fraction), message)


def _weights(options: ExportOptions) -> list[float]:
    """Base, a look, then each file: the weights are about the seconds that they take."""
    gltf = sum(one in options.formats for one in (Format3D.GLB, Format3D.GLTF))
    rest = (Format3D.USDZ in options.formats) + any(one in options.formats for one in BLENDER_FORMATS)
    weights = [3.0, 0.5, *[2.0, 0.5] * (gltf + options.levels - 1), *[2.0] * rest]
    return [one / sum(weights) for one in weights]


def _make_base(
    source: Path,
    target: Path,
    tools: _Tools,
    dimensions: Dimensions,
    record: _Record,
    progress: Progress,
    *,
    place: bool,
) -> Path:
    model, format = find_model(source, tools.work)
    if format not in (Format3D.GLB, Format3D.GLTF):
        imported = tools.work / "imported.glb"
        imported.unlink(missing_ok=True)
        record.notes += import_model(
            model,
            format,
            imported,
            tools.work,
            executable=tools.blender,
            limits=tools.limits,
            progress=lambda fraction, message: progress(fraction / 2, message),
        )
        model = imported
    record.notes += normalise(
        model,
        target.resolve(),
        tools.work,
        dimensions=dimensions,
        unitless=format in UNITLESS,
        place=place,
        limits=tools.limits,
        progress=lambda fraction, message: progress(0.5 + fraction / 2, message),
    )
    return target.resolve()


def _try(record: _Record, formats: tuple[Format3D, ...], make: Callable[[], None]) -> None:
    """Make the formats; what a program failed at is refused, and the others go on."""
    try:
        make()
    except (ToolFailed, InvalidInput) as error:
        for one in formats:
            if one not in record.files:
                record.refused[one] = error


def _write_gltf(
    base: Path,
    format: Format3D,
    folder: Path,
    options: ExportOptions,
    tools: _Tools,
    record: _Record,
    steps: _Steps,
) -> None:
    place = tools.work / f"made-{format.value}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    made = place / f"model.{format.value}"
    budget = BUDGETS.get(options.target)
    wanted = Budget(budget.max_bytes, budget.max_triangles, budget.texture_px) if budget else Budget()
    _optimised(format.value, base, made, wanted, TOLERANCES if budget else (0.0,), options, tools, record, steps)
    target = folder / ("model.glb" if format is Format3D.GLB else "model-gltf.zip")
    if format is Format3D.GLB:
        shutil.copyfile(made, target)
    else:
        _zip(place, target)
    found, record.validator[format.value] = _checked(made, tools, steps.next())
    record.facts[format.value] = facts_of(found, target.stat().st_size)
    record.files[format] = target


def _write_levels(
    base: Path, folder: Path, options: ExportOptions, tools: _Tools, record: _Record, steps: _Steps
) -> None:
    budget = BUDGETS.get(options.target)
    first = record.facts.get("glb") or record.facts.get("gltf") or record.facts["base"]
    for level in range(1, options.levels):
        name = f"model-lod{level}"
        made = tools.work / f"{name}.glb"
        triangles = max(1, first.triangles // LEVEL_STEP**level)
        texture_px = (budget.texture_px if budget else 4096) >> level
        wanted = Budget(budget.max_bytes if budget else 0, triangles, texture_px)
        try:
            tolerances = (UNSEEN, LEVEL_TOLERANCE * 2**level / 2, LEVEL_TOLERANCE * 2**level)
            _optimised(name, base, made, wanted, tolerances, options, tools, record, steps)
            found, record.validator[name] = _checked(made, tools, steps.next())
        except ToolFailed as error:
            record.notes.append(f"{name} could not be made: {error.message}")
            return
        target = folder / made.name
        shutil.copyfile(made, target)
        record.facts[name] = facts = facts_of(found, target.stat().st_size)
        record.levels.append(target)
        if facts.triangles > triangles:
            record.notes.append(f"{name} has {facts.triangles:,} triangles; {triangles:,} would have changed its shape")


def _optimised(
    name: str,
    base: Path,
    made: Path,
    wanted: Budget,
    tolerances: tuple[float, ...],
    options: ExportOptions,
    tools: _Tools,
    record: _Record,
    steps: _Steps,
) -> None:
    original = options.target is Target.ORIGINAL
    texture_codec, mesh_codec = options.texture_codec, options.mesh_codec
    if texture_codec is TextureCodec.AUTO:
        texture_codec = TextureCodec.ORIGINAL if original else TextureCodec.WEBP
    if mesh_codec is MeshCodec.AUTO:
        mesh_codec = MeshCodec.NONE if original else MeshCodec.MESHOPT
    done = optimise(
        base,
        made.resolve(),
        tools.work,
        wanted,
        tolerances=tolerances,
        texture_codec=texture_codec,
        mesh_codec=mesh_codec,
        join=not original,
        limits=tools.limits,
        progress=steps.next(),
    )
    record.reduced[name] = {"tolerance": done.tolerance, "quality": done.quality, "texture_px": done.texture_px}


def _checked(made: Path, tools: _Tools, progress: Progress) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the file holds and the validator's report.

    Raises:
        ToolFailed: the Khronos validator finds an error: a file that is not valid is not given out.
    """
    found, validation = look_into(made, tools.work, validate=True, limits=tools.limits, progress=progress)
    for one in (validation, validation.get("unpacked", {})):
        if one.get("errors"):
            words = "; ".join(message["message"] for message in one["messages"][:3])
            raise ToolFailed(f"the {made.suffix[1:]} that was made has {one['errors']} errors: {words}", tool="node")
    return found, validation


def _write_usdz(
    base: Path, folder: Path, before: ModelFacts, tools: _Tools, record: _Record, progress: Progress
) -> None:
    made, target = tools.work / "model.usdz", folder / "model.usdz"
    check = write_usdz(base, made, tools.work, limits=tools.limits, progress=progress)
    errors = list(check.errors)
    largest = max(b - a for a, b in zip(before.low, before.high, strict=True))
    pairs = zip((*check.low, *check.high), (*before.low, *before.high), strict=True)
    if any(abs(a - b) > BOUNDS_TOLERANCE * largest for a, b in pairs):
        errors.append(f"its bounds are {check.low} to {check.high}, the model's {before.low} to {before.high}")
    record.arkit = {"passes": not errors, "errors": errors}
    if errors:
        raise ToolFailed(f"the USDZ that was made fails {len(errors)} checks: {errors[0]}", tool="usd")
    record.notes += check.notes
    shutil.copyfile(made, target)
    record.files[Format3D.USDZ] = target


def _write_others(
    base: Path, formats: tuple[Format3D, ...], folder: Path, tools: _Tools, record: _Record, progress: Progress
) -> None:
    place = tools.work / "made-others"
    shutil.rmtree(place, ignore_errors=True)
    (place / "obj").mkdir(parents=True)
    made = {
        one: place / "obj" / "model.obj" if one is Format3D.OBJ else place / f"model.{one.value}" for one in formats
    }
    try:
        export_models(base, made, tools.work, executable=tools.blender, limits=tools.limits, progress=progress)
    finally:
        for one, path in made.items():
            if not path.is_file() or not path.stat().st_size:
                continue
            target = folder / ("model-obj.zip" if one is Format3D.OBJ else path.name)
            if one is Format3D.OBJ:
                _zip(path.parent, target)
            else:
                shutil.copyfile(path, target)
            record.files[one] = target
            record.notes.append(CARRIES[one])


def _zip(place: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in sorted(place.iterdir()):
            archive.write(one, one.name)


def _report(path: Path, options: ExportOptions, record: _Record) -> Path:
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
