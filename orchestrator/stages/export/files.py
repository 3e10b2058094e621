"""Writes the files of an export from its base GLB: optimised glTF, levels of detail, USDZ, and Blender's formats."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.domain.export import ExportOptions, MeshCodec, MeshFormat, Target, TextureCodec
from orchestrator.domain.limits import Limits
from orchestrator.domain.progress import Progress
from orchestrator.errors import HeartwoodError, ToolFailed
from orchestrator.stages.export.budgets import BUDGETS, TargetBudget
from orchestrator.stages.export.inspect import MeshFacts
from orchestrator.tools.convert import export_formats
from orchestrator.tools.gltf import GltfBudget, GltfContents, optimise, validate_gltf
from orchestrator.tools.usd import write_usdz

BLENDER_FORMATS = (MeshFormat.FBX, MeshFormat.OBJ, MeshFormat.STL, MeshFormat.PLY)
INVISIBLE_TOLERANCE = 0.0005
"""Movement of the surface that is always allowed, as a share of the diagonal of the bounding box: half a pixel where
the mesh fills 1000 pixels."""
TOLERANCES = (INVISIBLE_TOLERANCE, 0.001, 0.002, 0.004, 0.008)
"""Movements that are allowed in order to meet a budget, tried in this order. Beyond the last, thin covers sink into the
surfaces under them, which is worse than an exceeded budget. Chosen by inspection."""
MAX_TEXTURE_PX = 4096
"""Maximum side of the textures of a level of detail if the target has no budget; each level halves it."""
LEVEL_STEP = 4
"""Factor between the triangle counts of two levels of detail."""
LEVEL_TOLERANCE = 0.003
"""Allowed movement of the surface of level 0, as a share of the diagonal. It doubles with each level, because a level
with a quarter of the triangles is shown at half the size. Not tuned."""
BOUNDS_TOLERANCE = 0.001
"""Allowed difference between the bounds of a USDZ and of the base GLB, as a share of the longest side."""
FORMAT_NOTES = {
    MeshFormat.FBX: "FBX stores colour, roughness, metal and normal textures in an older material model; check them",
    MeshFormat.OBJ: "OBJ stores roughness and metal in PBR lines of the MTL, which few programs read; +Y up, metres",
    MeshFormat.STL: "STL stores only the shape: no colours, no textures, no unit (metres assumed), +Z up",
    MeshFormat.PLY: "PLY stores shape, normals, UVs and vertex colours; no textures, no unit (metres assumed), +Z up",
}
"""What each of Blender's formats stores, for the report."""


@dataclass
class ExportRecord:
    """The results of an export so far. Keys of ``facts``, ``reduced`` and ``validator`` are names of files."""

    files: dict[MeshFormat, Path] = field(default_factory=dict)
    levels: list[Path] = field(default_factory=list)
    facts: dict[str, MeshFacts] = field(default_factory=dict)
    reduced: dict[str, dict[str, float]] = field(default_factory=dict)
    validator: dict[str, Any] = field(default_factory=dict)
    arkit: dict[str, Any] = field(default_factory=dict)
    refused: dict[MeshFormat, HeartwoodError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def main_facts(self) -> MeshFacts:
        """The facts of the GLB, else of the glTF, else of the base."""
        return self.facts.get("glb") or self.facts.get("gltf") or self.facts["base"]


class StepProgress:
    """Divides one progress among consecutive steps.

    Args:
        weights: share of each step; their sum is 1.
    """

    def __init__(self, progress: Progress, weights: list[float]) -> None:
        self._progress = progress
        self._weights = weights
        self._done = 0.0
        self._step = 0

    def next(self) -> Progress:
        """Return the progress of the next step."""
        start, share = self._done, self._weights[min(self._step, len(self._weights) - 1)]
        self._step, self._done = self._step + 1, min(1.0, start + share)
        return lambda fraction, message: self._progress(min(1.0, start + share * fraction), message)


@dataclass(frozen=True)
class ExportRun:
    """An export in progress."""

    base: Path
    folder: Path  # gets the files
    work: Path  # gets intermediate files
    options: ExportOptions
    blender: str
    limits: Limits
    steps: StepProgress
    record: ExportRecord

    @property
    def budget(self) -> TargetBudget | None:
        """The budget of the target; None for ``Target.ORIGINAL``."""
        return BUDGETS.get(self.options.target)


def write_gltf(run: ExportRun, format: MeshFormat) -> None:
    """Write a GLB, or a glTF as a zip, within the budget of the target if possible, and validate it.

    Raises:
        ToolFailed: the file could not be written, or is invalid.
    """
    folder = run.work / f"made-{format.value}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / f"model.{format.value}"
    limits = run.budget
    budget = GltfBudget(limits.max_bytes, limits.max_triangles, limits.texture_px) if limits else GltfBudget()
    _optimise(run, format.value, path, budget, TOLERANCES if limits else (0.0,))
    contents = _validate(run, format.value, path)
    target = run.folder / ("model.glb" if format is MeshFormat.GLB else "model-gltf.zip")
    if format is MeshFormat.GLB:
        shutil.copyfile(path, target)
    else:
        _zip_folder(folder, target)
    run.record.facts[format.value] = MeshFacts.from_contents(contents, target.stat().st_size)
    run.record.files[format] = target


def write_levels(run: ExportRun) -> None:
    """Write the lower levels of detail, each from the base GLB. If one fails, add a note and stop."""
    record, limits = run.record, run.budget
    for level in range(1, run.options.levels):
        name = f"model-lod{level}"
        path = run.work / f"{name}.glb"
        triangles = max(1, record.main_facts.triangles // LEVEL_STEP**level)
        texture_px = (limits.texture_px if limits else MAX_TEXTURE_PX) >> level
        tolerance = LEVEL_TOLERANCE * 2**level
        budget = GltfBudget(limits.max_bytes if limits else 0, triangles, texture_px)
        try:
            _optimise(run, name, path, budget, (INVISIBLE_TOLERANCE, tolerance / 2, tolerance))
            contents = _validate(run, name, path)
        except ToolFailed as error:
            record.notes.append(f"{name} could not be written: {error.message}")
            return
        target = run.folder / path.name
        shutil.copyfile(path, target)
        record.facts[name] = facts = MeshFacts.from_contents(contents, target.stat().st_size)
        record.levels.append(target)
        if facts.triangles > triangles:
            record.notes.append(f"{name} has {facts.triangles:,} triangles; {triangles:,} would have changed its shape")


def write_usdz_file(run: ExportRun) -> None:
    """Write a USDZ of the base GLB, and validate it by the rules of USD and ARKit.

    Raises:
        ToolFailed: the file could not be written, or is invalid.
    """
    path, target, record = run.work / "model.usdz", run.folder / "model.usdz", run.record
    usdz = write_usdz(run.base, path, run.work, limits=run.limits, progress=run.steps.next())
    errors, base = list(usdz.errors), record.facts["base"]
    longest = max(high - low for low, high in zip(base.low, base.high, strict=True))
    differences = zip((*usdz.low, *usdz.high), (*base.low, *base.high), strict=True)
    if any(abs(value - expected) > BOUNDS_TOLERANCE * longest for value, expected in differences):
        errors.append(f"its bounds are {usdz.low} to {usdz.high}, those of the 3D model are {base.low} to {base.high}")
    record.arkit = {"passes": not errors, "errors": errors}
    if errors:
        raise ToolFailed(f"the USDZ violates {len(errors)} rules: {errors[0]}", tool="usd")
    record.notes += usdz.notes
    shutil.copyfile(path, target)
    record.files[MeshFormat.USDZ] = target


def write_blender_formats(run: ExportRun, formats: tuple[MeshFormat, ...]) -> None:
    """Write formats of BLENDER_FORMATS from the base GLB. Files that Blender wrote before it failed are kept.

    Raises:
        ToolFailed: Blender failed.
    """
    folder = run.work / "made-others"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "obj").mkdir(parents=True)
    paths = {
        format: folder / "obj" / "model.obj" if format is MeshFormat.OBJ else folder / f"model.{format.value}"
        for format in formats
    }
    progress = run.steps.next()
    try:
        export_formats(run.base, paths, run.work, executable=run.blender, limits=run.limits, progress=progress)
    finally:
        for format, path in paths.items():
            if not path.is_file() or not path.stat().st_size:
                continue
            target = run.folder / ("model-obj.zip" if format is MeshFormat.OBJ else path.name)
            if format is MeshFormat.OBJ:
                _zip_folder(path.parent, target)
            else:
                shutil.copyfile(path, target)
            run.record.files[format] = target
            run.record.notes.append(FORMAT_NOTES[format])


def _optimise(run: ExportRun, name: str, path: Path, budget: GltfBudget, tolerances: tuple[float, ...]) -> None:
    options = run.options
    is_original = options.target is Target.ORIGINAL
    texture_codec, mesh_codec = options.texture_codec, options.mesh_codec
    if texture_codec is TextureCodec.AUTO:
        texture_codec = TextureCodec.ORIGINAL if is_original else TextureCodec.WEBP
    if mesh_codec is MeshCodec.AUTO:
        mesh_codec = MeshCodec.NONE if is_original else MeshCodec.MESHOPT
    reduction = optimise(
        run.base,
        path.resolve(),
        run.work,
        budget,
        tolerances=tolerances,
        texture_codec=texture_codec,
        mesh_codec=mesh_codec,
        join=not is_original,
        limits=run.limits,
        progress=run.steps.next(),
    )
    run.record.reduced[name] = {
        "tolerance": reduction.tolerance,
        "quality": reduction.quality,
        "texture_px": reduction.texture_px,
    }


def _validate(run: ExportRun, name: str, path: Path) -> GltfContents:
    """Return what the file contains.

    Raises:
        ToolFailed: the Khronos validator reports an error.
    """
    contents, validation = validate_gltf(path, run.work, limits=run.limits, progress=run.steps.next())
    run.record.validator[name] = validation.report
    if validation.errors:
        reasons = "; ".join(validation.messages[:3])
        raise ToolFailed(f"the {path.suffix[1:]} has {validation.errors} validation errors: {reasons}", tool="node")
    return contents


def _zip_folder(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
