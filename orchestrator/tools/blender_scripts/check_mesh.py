"""Reads a 3D file in Blender for ``tools.mesh_readers``. Run as ``check_mesh.py JOB.json``.

The job has ``source``, ``format`` (``fbx``, ``obj``, ``stl`` or ``ply``), ``max_coordinate`` and ``result``. The JSON
file ``result`` gets ``{"import_error": reason}`` if Blender cannot read the file, ``{"problem": reason}`` if a check of
the geometry fails, or ``{"triangles": number, "materials": [names]}``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np


def main(job: dict[str, Any]) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    try:
        import_mesh(job["source"], job["format"])
    except RuntimeError as error:
        result = {"import_error": str(error).strip().splitlines()[-1]}
    else:
        result = check_scene(job["max_coordinate"])
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")


def import_mesh(path: str, format: str) -> None:
    """Import without Blender's mesh validation, which would replace coordinates that are not finite by 0."""
    operators = bpy.ops.wm
    if format == "obj":
        operators.obj_import(filepath=path, validate_meshes=False)
    elif format == "stl":
        operators.stl_import(filepath=path, use_mesh_validate=False)
    elif format == "ply":
        operators.ply_import(filepath=path)  # always validates; ``check_ply`` rejects a text PLY with NaN or infinity
    elif "fbx_import" in dir(operators):
        operators.fbx_import(filepath=path, use_anim=False, validate_meshes=False)
    else:  # Blender before 4.5 imports FBX with an add-on
        bpy.ops.import_scene.fbx(filepath=path, use_anim=False)


def check_scene(max_coordinate: float) -> dict[str, Any]:
    """Check names and geometry, and count triangles."""
    for block in (*bpy.data.objects, *bpy.data.meshes, *bpy.data.materials, *bpy.data.images):
        # Tools print names, and a name with a line break could imitate a line of progress.
        if "\n" in block.name or "\r" in block.name:
            return {"problem": f"the name {block.name!r} has a line break, which is not allowed"}
    triangles, has_area = 0, False
    for mesh in (block.data for block in bpy.context.scene.objects if block.type == "MESH"):
        if problem := coordinate_problem(mesh, max_coordinate):
            return {"problem": problem}
        mesh.calc_loop_triangles()
        areas = np.empty(len(mesh.loop_triangles), np.float32)
        mesh.loop_triangles.foreach_get("area", areas)
        triangles += len(areas)
        has_area = has_area or bool((areas > 0).any())
    if not triangles:
        return {"problem": "the scene is empty: it has no faces; a 3D model needs at least one triangle"}
    if not has_area:
        return {"problem": "no triangle has an area: all vertices lie in one point or on one line"}
    return {"triangles": triangles, "materials": [material.name for material in bpy.data.materials]}


def coordinate_problem(mesh: bpy.types.Mesh, max_coordinate: float) -> str:
    """Describe the first vertex with a coordinate that is not a number or too large; empty if there is none."""
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", points)
    points = points.reshape(-1, 3)
    valid = (np.abs(points) <= max_coordinate).all(axis=1)  # false for NaN
    if valid.all():
        return ""
    vertex = int(np.argmin(valid))
    x, y, z = points[vertex]
    return (
        f"vertex {vertex} of {mesh.name!r} is ({x:g}, {y:g}, {z:g}); "
        f"each coordinate must be a number within ±{max_coordinate:g}"
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
