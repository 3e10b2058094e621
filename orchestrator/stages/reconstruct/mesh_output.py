"""Writes a textured mesh and its facts to the folder of a task, so that an interrupted task can continue."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.images import Image
from orchestrator.domain.reconstruct import CaptureReport, ReconstructedMesh
from orchestrator.geometry.mesh import UvMesh, place_on_floor, write_glb

GLB_NAME = "model.glb"
FACTS_NAME = "mesh.json"


@dataclass(frozen=True)
class SavedMesh:
    """A mesh that was written as GLB."""

    glb: Path
    vertices: int
    triangles: int
    dimensions: Dimensions

    def with_report(
        self, report: CaptureReport, *, preview: Path | None = None, extras: tuple[Path, ...] = ()
    ) -> ReconstructedMesh:
        """Return the result of a reconstruction with this mesh."""
        return ReconstructedMesh(self.glb, report, self.vertices, self.triangles, self.dimensions, preview, extras)


def save_mesh(folder: Path, mesh: UvMesh, texture: Image, dimensions: Dimensions) -> SavedMesh:
    """Place the mesh on the floor, scale it to the first known dimension and write it with its texture.

    The files are renamed when they are complete. The facts are written last: ``load_mesh`` requires them.
    """
    placed, size = place_on_floor(mesh.vertices, dimensions)
    glb, partial_glb = folder / GLB_NAME, folder / "model.part.glb"
    write_glb(partial_glb, mesh.with_vertices(placed), texture)
    partial_glb.replace(glb)
    facts = {"vertices": len(placed), "triangles": len(mesh.triangles), "dimensions": asdict(size)}
    partial_facts = folder / "mesh.part.json"
    partial_facts.write_text(json.dumps(facts), encoding="utf-8")
    partial_facts.replace(folder / FACTS_NAME)
    return SavedMesh(glb, len(placed), len(mesh.triangles), size)


def load_mesh(folder: Path) -> SavedMesh | None:
    """Return the mesh that ``save_mesh`` wrote, or None if it did not finish."""
    path = folder / FACTS_NAME
    if not path.exists():
        return None
    facts = json.loads(path.read_text(encoding="utf-8"))
    return SavedMesh(folder / GLB_NAME, facts["vertices"], facts["triangles"], Dimensions(**facts["dimensions"]))
