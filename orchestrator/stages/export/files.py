"""Writes the files of an export from its base GLB: optimised glTF, levels of detail, USDZ, and Blender's formats."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.domain.export import ExportOptions, MeshCodec, MeshFormat, Target, TextureCodec
from orchestrator.domain.limits import Limits
from orchestrator.domain.progress import Progress
from orchestrator.domain.untrusted_folder import remove_untrusted
from orchestrator.errors import HeartwoodError, ToolFailed
from orchestrator.stages.export.budgets import BUDGETS, TargetBudget
from orchestrator.stages.export.inspect import MeshFacts
from orchestrator.tools.convert import convert_mesh
from orchestrator.tools.gltf import GltfBudget, GltfContents, optimise, validate_gltf
from orchestrator.tools.usd import write_usdz

BLENDER_FORMATS = (MeshFormat.FBX, MeshFormat.OBJ, MeshFormat.STL, MeshFormat.PLY)
INVISIBLE_TOLERANCE = 0.0005
"""Movement of the surface that is always allowed, as a share of the diagonal of the bounding box: half a pixel where
the mesh fills 1000 pixels."""
TOLERANCES = (INVISIBLE_TOLERANCE, 0.001, 0.002, 0.004, 0.008)
"""Movements that are allowed in order to meet a budget, tried in this order. Beyond the last one, thin covers sink into
the surfaces under them, which is worse than an exceeded budget. Chosen by inspection."""
MAX_TEXTURE_PX = 4096  # of the levels of a target without a budget, before it is halved once for each level
LEVEL_STEP = 4  # factor between the triangle counts of two levels of detail
LEVEL_TOLERANCE = 0.003
"""Half the movement of the surface that is allowed for level 1, as a share of the diagonal. The movement doubles with
each level, because a level with a quarter of the triangles is shown at half the size. Not tuned."""
BOUNDS_TOLERANCE = 0.001  # difference between the bounds of a USDZ and of the base GLB, as a share of the longest side
FORMAT_NOTES = {
    MeshFormat.FBX: "FBX stores colour, roughness, metal and normal textures in an older material model; check them",
    MeshFormat.OBJ: "OBJ stores roughness and metal in PBR lines of the MTL, which few programs read; +Y up, metres",
    MeshFormat.STL: "STL stores only the shape: no colours, no textures, no unit (metres assumed), +Z up",
    MeshFormat.PLY: "PLY stores shape, normals, UVs and vertex colours; no textures, no unit (metres assumed), +Z up",
}  # for the report


@dataclass
class ExportRun:
    """An export in progress, with its results. ``reduced`` and ``validator`` have the keys of ``facts`` but 'base'."""

    base: Path
    folder: Path  # receives the files
    work: Path  # receives intermediate files
    options: ExportOptions
    blender: str
    limits: Limits
    steps: Iterator[Progress]  # one for each run of an external program
    facts: dict[str, MeshFacts]  # keys: 'base', 'glb', 'gltf' and the names of the levels
    notes: list[str]
    files: dict[MeshFormat, Path] = field(default_factory=dict)
    levels: list[Path] = field(default_factory=list)
    reduced: dict[str, dict[str, float]] = field(default_factory=dict)  # what ``optimise`` changed
    validator: dict[str, Any] = field(default_factory=dict)  # reports of the Khronos validator
    arkit: dict[str, Any] = field(default_factory=dict)  # result of the checks of the USDZ
    refused: dict[MeshFormat, HeartwoodError] = field(default_factory=dict)  # why a format could not be written

    @property
    def budget(self) -> TargetBudget | None:
        """The budget of the target; None for ``Target.ORIGINAL``."""
        return BUDGETS.get(self.options.target)

    @property
    def main_facts(self) -> MeshFacts:
        """The facts of the GLB, else of the glTF, else of the base GLB."""
        return self.facts.get("glb") or self.facts.get("gltf") or self.facts["base"]


def write_gltf(run: ExportRun, format: MeshFormat) -> None:
    """Write a GLB, or a glTF as a zip, within the budget of the target if possible, and validate it.

    Raises:
        ToolFailed: the file could not be written, or is invalid.
    """
    path = _empty_folder(run.work / f"made-{format.value}") / f"model.{format.value}"
    budget = GltfBudget()
    if run.budget:
        budget = GltfBudget(run.budget.max_bytes, run.budget.max_triangles, run.budget.texture_px)
    contents = _optimise(run, format.value, path, budget, TOLERANCES if run.budget else (0.0,))
    target = _publish(path, run.folder, format)
    run.facts[format.value] = MeshFacts.from_contents(contents, target.stat().st_size)
    run.files[format] = target


def write_levels(run: ExportRun) -> None:
    """Write the lower levels of detail, each from the base GLB. If one fails, add a note and stop."""
    for level in range(1, run.options.levels):
        name = f"model-lod{level}"
        path, target = run.work / f"{name}.glb", run.folder / f"{name}.glb"
        triangles = max(1, run.main_facts.triangles // LEVEL_STEP**level)
        texture_px = (run.budget.texture_px if run.budget else MAX_TEXTURE_PX) >> level
        tolerance = LEVEL_TOLERANCE * 2**level
        budget = GltfBudget(run.budget.max_bytes if run.budget else 0, triangles, texture_px)
        try:
            contents = _optimise(run, name, path, budget, (INVISIBLE_TOLERANCE, tolerance / 2, tolerance))
        except ToolFailed as error:
            run.notes.append(f"{name} could not be written: {error.message}")
            return
        shutil.copyfile(path, target)
        facts = MeshFacts.from_contents(contents, target.stat().st_size)
        run.facts[name] = facts
        run.levels.append(target)
        if facts.triangles > triangles:
            run.notes.append(f"{name} has {facts.triangles:,} triangles; {triangles:,} would have changed its shape")


def write_usdz_file(run: ExportRun, format: MeshFormat) -> None:
    """Write a USDZ of the base GLB, and validate it by the rules of USD and ARKit.

    Raises:
        ToolFailed: the file could not be written, or is invalid.
    """
    path, base = run.work / "model.usdz", run.facts["base"]
    usdz = write_usdz(run.base, path, run.work, limits=run.limits, progress=next(run.steps))
    errors = list(usdz.errors)
    longest = max(high - low for low, high in zip(base.low, base.high, strict=True))
    differences = zip((*usdz.low, *usdz.high), (*base.low, *base.high), strict=True)
    if any(abs(value - expected) > BOUNDS_TOLERANCE * longest for value, expected in differences):
        errors.append(f"its bounds are {usdz.low} to {usdz.high}, those of the 3D model are {base.low} to {base.high}")
    run.arkit = {"passes": not errors, "errors": errors}
    if errors:
        raise ToolFailed(f"the USDZ violates {len(errors)} rules: {errors[0]}", tool="usd")
    run.notes += usdz.notes
    run.files[format] = _publish(path, run.folder, format)


def write_blender_formats(run: ExportRun, *formats: MeshFormat) -> None:
    """Write formats of BLENDER_FORMATS from the base GLB. Files that Blender wrote before it failed are kept.

    Raises:
        ToolFailed: Blender failed.
    """
    folder = _empty_folder(run.work / "made-others")
    paths = {format: folder / f"model.{format.value}" for format in formats}
    if MeshFormat.OBJ in paths:  # its MTL and textures are written beside it
        paths[MeshFormat.OBJ] = _empty_folder(folder / "obj") / "model.obj"
    progress = next(run.steps)
    try:
        convert_mesh(
            run.base, MeshFormat.GLB, paths, run.work, blender=run.blender, limits=run.limits, progress=progress
        )
    finally:
        for format, path in paths.items():
            if path.is_file() and path.stat().st_size:
                run.files[format] = _publish(path, run.folder, format)
                run.notes.append(FORMAT_NOTES[format])


def _optimise(run: ExportRun, name: str, path: Path, budget: GltfBudget, tolerances: tuple[float, ...]) -> GltfContents:
    """Write a GLB or glTF, validate it, and return what it contains.

    Raises:
        ToolFailed: the file could not be written, or the Khronos validator reports an error.
    """
    options = run.options
    is_original = options.target is Target.ORIGINAL
    texture_codec, mesh_codec = options.texture_codec, options.mesh_codec
    if texture_codec is TextureCodec.AUTO:
        texture_codec = TextureCodec.ORIGINAL if is_original else TextureCodec.WEBP
    if mesh_codec is MeshCodec.AUTO:
        mesh_codec = MeshCodec.NONE if is_original else MeshCodec.MESHOPT
    reduction = optimise(
        run.base,
        path,
        run.work,
        budget,
        tolerances=tolerances,
        texture_codec=texture_codec,
        mesh_codec=mesh_codec,
        join=not is_original,
        limits=run.limits,
        progress=next(run.steps),
    )
    run.reduced[name] = asdict(reduction)
    contents, validation = validate_gltf(path, run.work, limits=run.limits, progress=next(run.steps))
    run.validator[name] = validation.report
    if validation.errors:
        reasons = "; ".join(validation.messages[:3])
        raise ToolFailed(f"the {path.suffix[1:]} has {validation.errors} validation errors: {reasons}", tool="node")
    return contents


def _empty_folder(folder: Path) -> Path:
    remove_untrusted(folder)
    folder.mkdir()
    return folder


def _publish(path: Path, folder: Path, format: MeshFormat) -> Path:
    """Copy a file to ``folder``, for glTF and OBJ as a zip with its resources, and return the path of the copy."""
    if format not in (MeshFormat.GLTF, MeshFormat.OBJ):
        return shutil.copyfile(path, folder / path.name)
    target = folder / f"model-{format.value}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for resource in sorted(path.parent.iterdir()):
            archive.write(resource, resource.name)
    return target
