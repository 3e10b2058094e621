"""What a model holds: size, triangles, draw calls, textures, materials, dimensions, and which budgets it meets."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import MeshFormat, Target
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.stages.export.budgets import BUDGETS, misses
from orchestrator.stages.export.source import unpack_source
from orchestrator.tools.convert import import_model
from orchestrator.tools.gltf import look_into


@dataclass(frozen=True)
class MaterialFacts:
    """One material."""

    name: str
    alpha: str  # OPAQUE, MASK or BLEND
    double_sided: bool


@dataclass(frozen=True)
class TextureFacts:
    """One texture."""

    name: str
    format: str  # png, jpeg, webp, ktx2
    width: int
    height: int
    size_bytes: int
    slots: tuple[str, ...]  # what it is used as, such as baseColorTexture


@dataclass(frozen=True)
class ModelFacts:
    """What a file holds. Lengths in metres, +Y up."""

    size_bytes: int
    triangles: int
    vertices: int
    draw_calls: int
    dimensions: Dimensions
    low: tuple[float, float, float]  # corners of the bounding box
    high: tuple[float, float, float]
    materials: tuple[MaterialFacts, ...]
    textures: tuple[TextureFacts, ...]
    animations: int
    extensions: tuple[str, ...]

    @property
    def misses(self) -> dict[Target, tuple[str, ...]]:
        """By target, in words, where the file is over its budget; nothing where it is within."""
        longest = max((max(one.width, one.height) for one in self.textures), default=0)
        return {
            target: misses(budget, self.size_bytes, self.triangles, self.draw_calls, longest)
            for target, budget in BUDGETS.items()
        }

    @property
    def meets(self) -> tuple[Target, ...]:
        """The targets whose budgets hold."""
        return tuple(target for target, missed in self.misses.items() if not missed)

    def to_json(self) -> dict[str, Any]:
        """As JSON's own types."""
        missed = {target.value: list(words) for target, words in self.misses.items() if words}
        return {**asdict(self), "meets": [target.value for target in self.meets], "misses": missed}


def inspect(
    source: Path,
    folder: Path,
    *,
    blender: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> ModelFacts:
    """Say what a model of any format holds. GLB and glTF are told as they are, others as Blender reads them.

    Raises:
        InvalidInput: it is no model that can be read.
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
    """
    model, format = unpack_source(source, folder)
    size = source.stat().st_size
    if format not in (MeshFormat.GLB, MeshFormat.GLTF):
        plain = folder / "inspected.glb"
        import_model(model, format, plain, folder, executable=blender, limits=limits, progress=progress)
        model = plain
    found, _ = look_into(model, folder, limits=limits, progress=progress)
    return facts_of(found, size)


def facts_of(found: dict[str, Any], size_bytes: int) -> ModelFacts:
    """Read what ``gltf.look_into`` found."""
    low, high = found["low"], found["high"]
    width, height, depth = (float(b - a) for a, b in zip(low, high, strict=True))
    return ModelFacts(
        size_bytes=size_bytes,
        triangles=found["triangles"],
        vertices=found["vertices"],
        draw_calls=found["draw_calls"],
        dimensions=Dimensions(width, height, depth),
        low=(low[0], low[1], low[2]),
        high=(high[0], high[1], high[2]),
        materials=tuple(MaterialFacts(one["name"], one["alpha"], one["double_sided"]) for one in found["materials"]),
        textures=tuple(
            TextureFacts(one["name"], one["format"], one["size"][0], one["size"][1], one["bytes"], tuple(one["slots"]))
            for one in found["textures"]
        ),
        animations=found["animations"],
        extensions=tuple(found["extensions"]),
    )
