"""Reports what a file of a 3D model contains, and which budgets it meets."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import Target
from orchestrator.stages.export.budgets import BUDGETS, exceeded_limits
from orchestrator.stages.export.source import open_source
from orchestrator.tools.gltf import GltfContents, inspect_gltf


@dataclass(frozen=True, kw_only=True)
class MeshFacts(GltfContents):
    """Size and contents of a file. Lengths in metres, +Y up."""

    size_bytes: int
    dimensions: Dimensions

    @classmethod
    def from_contents(cls, contents: GltfContents, size_bytes: int) -> MeshFacts:
        """Add the size of the file and the dimensions to the contents of a glTF."""
        width, height, depth = (float(high - low) for low, high in zip(contents.low, contents.high, strict=True))
        return cls(size_bytes=size_bytes, dimensions=Dimensions(width, height, depth), **vars(contents))

    @property
    def misses(self) -> dict[Target, tuple[str, ...]]:
        """For each target, the limits of its budget that the file exceeds, in words."""
        longest_px = max((max(texture.width, texture.height) for texture in self.textures), default=0)
        return {
            target: exceeded_limits(budget, self.size_bytes, self.triangles, self.draw_calls, longest_px)
            for target, budget in BUDGETS.items()
        }

    @property
    def meets(self) -> tuple[Target, ...]:
        """The targets whose budget the file meets."""
        return tuple(target for target, exceeded in self.misses.items() if not exceeded)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON types, for the report."""
        misses = {target.value: list(exceeded) for target, exceeded in self.misses.items() if exceeded}
        return {**asdict(self), "meets": [target.value for target in self.meets], "misses": misses}


def inspect(source: Path, folder: Path, *, blender: str = "") -> MeshFacts:
    """Return what a file of any format contains. GLB and glTF are read as they are, other formats through Blender.

    Args:
        folder: working folder.
        blender: a ``blender`` executable; the bpy wheel if empty.

    Raises:
        InvalidInput: the file cannot be read.
        ToolFailed, DeadlineExceeded: as ``run_program``.
    """
    mesh_file, _, _ = open_source(source, folder, blender=blender)
    return MeshFacts.from_contents(inspect_gltf(mesh_file, folder), source.stat().st_size)
