"""Writes the files of an export from its base GLB: optimised glTF, levels of detail, USDZ, and what Blender writes."""

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
from orchestrator.stages.export.inspect import ModelFacts, facts_of
from orchestrator.tools.convert import export_models
from orchestrator.tools.gltf import Budget, look_into, optimise
from orchestrator.tools.usd import write_usdz

BLENDER_FORMATS = (MeshFormat.FBX, MeshFormat.OBJ, MeshFormat.STL, MeshFormat.PLY)
UNSEEN = 0.0005
"""How far a surface may always move, as a share of the model's diagonal: half a pixel where it fills 1000."""
TOLERANCES = (UNSEEN, 0.001, 0.002, 0.004, 0.008)
"""What a budget may cost: beyond the last, covers sink into what they cover, and a budget missed is the lesser harm."""
MAX_TEXTURE_PX = 4096
LEVEL_TOLERANCE, LEVEL_STEP = 0.003, 4
"""Each level has a quarter of the triangles and is shown at half the size, so that it may be off by twice as much."""
BOUNDS_TOLERANCE = 0.001
CARRIES = {
    MeshFormat.FBX: "FBX carries colour, roughness, metal and normal textures in its own older shading; check them",
    MeshFormat.OBJ: "OBJ carries roughness and metal in MTL's PBR lines, which not every program reads; +Y up, metres",
    MeshFormat.STL: "STL has only the shape: no colours, no textures, no unit (metres assumed), +Z up",
    MeshFormat.PLY: "PLY has shape, normals, UVs and vertex colours; no textures, no unit (metres assumed), +Z up",
}


@dataclass
class Record:
    """What happens on the way, for the report."""

    files: dict[MeshFormat, Path] = field(default_factory=dict)
    levels: list[Path] = field(default_factory=list)
    facts: dict[str, ModelFacts] = field(default_factory=dict)
    reduced: dict[str, dict[str, float]] = field(default_factory=dict)
    validator: dict[str, Any] = field(default_factory=dict)
    arkit: dict[str, Any] = field(default_factory=dict)
    refused: dict[MeshFormat, HeartwoodError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Steps:
    """Shares one progress among steps of different weight."""

    def __init__(self, progress: Progress, weights: list[float]) -> None:
        self._progress, self._weights, self._done, self._at = progress, weights, 0.0, 0

    def next(self) -> Progress:
        start, share = self._done, self._weights[min(self._at, len(self._weights) - 1)]
        self._at, self._done = self._at + 1, min(1.0, start + share)
        return lambda fraction, message: self._progress(min(1.0, start + share * fraction), message)


@dataclass(frozen=True)
class Making:
    """One export on its way."""

    base: Path
    folder: Path  # gets the files
    work: Path  # gets what is needed on the way
    options: ExportOptions
    blender: str
    limits: Limits
    steps: Steps
    record: Record

    @property
    def budget(self) -> TargetBudget | None:
        """The target's; Target.ORIGINAL has none."""
        return BUDGETS.get(self.options.target)


def write_gltf(making: Making, format: MeshFormat) -> None:
    """Write GLB, or glTF as a zip, within the target's budget where that can be, and check it.

    Raises:
        ToolFailed: it could not be made, or is not valid.
    """
    place = making.work / f"made-{format.value}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    made = place / f"model.{format.value}"
    budget = making.budget
    wanted = Budget(budget.max_bytes, budget.max_triangles, budget.texture_px) if budget else Budget()
    _optimised(making, format.value, made, wanted, TOLERANCES if budget else (0.0,))
    found = _checked(making, format.value, made)
    target = making.folder / ("model.glb" if format is MeshFormat.GLB else "model-gltf.zip")
    if format is MeshFormat.GLB:
        shutil.copyfile(made, target)
    else:
        _zip(place, target)
    making.record.facts[format.value] = facts_of(found, target.stat().st_size)
    making.record.files[format] = target


def write_levels(making: Making) -> None:
    """Write the coarser levels of detail, each from the base; one that fails is noted."""
    record, budget = making.record, making.budget
    first = record.facts.get("glb") or record.facts.get("gltf") or record.facts["base"]
    for level in range(1, making.options.levels):
        name = f"model-lod{level}"
        made = making.work / f"{name}.glb"
        triangles = max(1, first.triangles // LEVEL_STEP**level)
        texture_px = (budget.texture_px if budget else MAX_TEXTURE_PX) >> level
        tolerance = LEVEL_TOLERANCE * 2**level
        wanted = Budget(budget.max_bytes if budget else 0, triangles, texture_px)
        try:
            _optimised(making, name, made, wanted, (UNSEEN, tolerance / 2, tolerance))
            found = _checked(making, name, made)
        except ToolFailed as error:
            record.notes.append(f"{name} could not be made: {error.message}")
            return
        target = making.folder / made.name
        shutil.copyfile(made, target)
        record.facts[name] = facts = facts_of(found, target.stat().st_size)
        record.levels.append(target)
        if facts.triangles > triangles:
            record.notes.append(f"{name} has {facts.triangles:,} triangles; {triangles:,} would have changed its shape")


def write_usdz_file(making: Making) -> None:
    """Write USDZ of the base, and check it as ARKit does.

    Raises:
        ToolFailed: it could not be made, or fails a check.
    """
    made, target, record = making.work / "model.usdz", making.folder / "model.usdz", making.record
    check = write_usdz(making.base, made, making.work, limits=making.limits, progress=making.steps.next())
    errors, before = list(check.errors), record.facts["base"]
    largest = max(b - a for a, b in zip(before.low, before.high, strict=True))
    pairs = zip((*check.low, *check.high), (*before.low, *before.high), strict=True)
    if any(abs(a - b) > BOUNDS_TOLERANCE * largest for a, b in pairs):
        errors.append(f"its bounds are {check.low} to {check.high}, the model's {before.low} to {before.high}")
    record.arkit = {"passes": not errors, "errors": errors}
    if errors:
        raise ToolFailed(f"the USDZ that was made fails {len(errors)} checks: {errors[0]}", tool="usd")
    record.notes += check.notes
    shutil.copyfile(made, target)
    record.files[MeshFormat.USDZ] = target


def write_others(making: Making, formats: tuple[MeshFormat, ...]) -> None:
    """Write what Blender writes (BLENDER_FORMATS) of the base; what was written before it failed counts.

    Raises:
        ToolFailed: Blender failed.
    """
    place = making.work / "made-others"
    shutil.rmtree(place, ignore_errors=True)
    (place / "obj").mkdir(parents=True)
    made = {
        one: place / "obj" / "model.obj" if one is MeshFormat.OBJ else place / f"model.{one.value}" for one in formats
    }
    progress = making.steps.next()
    try:
        export_models(
            making.base, made, making.work, executable=making.blender, limits=making.limits, progress=progress
        )
    finally:
        for one, path in made.items():
            if not path.is_file() or not path.stat().st_size:
                continue
            target = making.folder / ("model-obj.zip" if one is MeshFormat.OBJ else path.name)
            if one is MeshFormat.OBJ:
                _zip(path.parent, target)
            else:
                shutil.copyfile(path, target)
            making.record.files[one] = target
            making.record.notes.append(CARRIES[one])


def _optimised(making: Making, name: str, made: Path, wanted: Budget, tolerances: tuple[float, ...]) -> None:
    options = making.options
    original = options.target is Target.ORIGINAL
    texture_codec, mesh_codec = options.texture_codec, options.mesh_codec
    if texture_codec is TextureCodec.AUTO:
        texture_codec = TextureCodec.ORIGINAL if original else TextureCodec.WEBP
    if mesh_codec is MeshCodec.AUTO:
        mesh_codec = MeshCodec.NONE if original else MeshCodec.MESHOPT
    done = optimise(
        making.base,
        made.resolve(),
        making.work,
        wanted,
        tolerances=tolerances,
        texture_codec=texture_codec,
        mesh_codec=mesh_codec,
        join=not original,
        limits=making.limits,
        progress=making.steps.next(),
    )
    reduced = {"tolerance": done.tolerance, "quality": done.quality, "texture_px": done.texture_px}
    making.record.reduced[name] = reduced


def _checked(making: Making, name: str, made: Path) -> dict[str, Any]:
    """Return what the file holds.

    Raises:
        ToolFailed: the Khronos validator finds an error: a file that is not valid is not given out.
    """
    found, validation = look_into(made, making.work, validate=True, limits=making.limits, progress=making.steps.next())
    making.record.validator[name] = validation
    for one in (validation, validation.get("unpacked", {})):
        if one.get("errors"):
            words = "; ".join(message["message"] for message in one["messages"][:3])
            raise ToolFailed(f"the {made.suffix[1:]} that was made has {one['errors']} errors: {words}", tool="node")
    return found


def _zip(place: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in sorted(place.iterdir()):
            archive.write(one, one.name)
