"""A small 3D model for tests: a wooden stool with a red cushion, 0.4 × 0.45 × 0.4 m."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial

from tests.support.pictures import wood_photo

WIDTH_M = 0.4
HEIGHT_M = 0.45


def stool() -> trimesh.Scene:
    """+Y up, metres, bottom centre at the origin. Materials: ``wood`` (textured) and ``cushion`` (plain red)."""
    texture = Image.fromarray(np.ascontiguousarray(wood_photo(512, 512)[100:400, 80:430]))
    wood = PBRMaterial(name="wood", baseColorTexture=texture, metallicFactor=0.0, roughnessFactor=0.5)
    cushion = PBRMaterial(name="cushion", baseColorFactor=[180, 30, 30, 255], metallicFactor=0.0, roughnessFactor=0.9)
    scene = trimesh.Scene()
    half = WIDTH_M / 2 - 0.02
    boxes = [("seat", (WIDTH_M, 0.03, WIDTH_M), (0, 0.385, 0))]
    legs = [(-half, -half), (-half, half), (half, -half), (half, half)]
    boxes += [(f"leg-{number}", (0.04, 0.37, 0.04), (x, 0.185, z)) for number, (x, z) in enumerate(legs)]
    for name, size, centre in boxes:
        _add_box(scene, name, size, centre, wood)
    _add_box(scene, "cushion", (0.34, 0.05, 0.34), (0, 0.425, 0), cushion)
    return scene


def write_stool(path: Path) -> Path:
    """Write the stool as GLB."""
    path.write_bytes(stool().export(file_type="glb"))
    return path


def _add_box(
    scene: trimesh.Scene,
    name: str,
    size: tuple[float, float, float],
    centre: tuple[float, float, float],
    material: PBRMaterial,
) -> None:
    box = trimesh.creation.box(size)
    box.unmerge_vertices()
    uv = box.vertices[:, [0, 1]] / 0.3 + 0.5
    box.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    box.apply_translation(centre)
    scene.add_geometry(box, geom_name=name, node_name=name)
