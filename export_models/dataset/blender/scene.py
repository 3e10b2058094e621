"""Blender script: builds scenes and renders each into a multilayer EXR file.

``generate`` runs it in a child process: ``python -m export_models.dataset.blender.scene JOB.json``. The job contains
``size``, ``samples``, ``threads``, ``environments`` and a list of ``scenes``, see ``generate.SceneJob``. Three files
are written for each scene:

- the EXR file of the image, with the ground truth as passes. The material index pass is 1 + slot on the piece and 0
  elsewhere.
- ``.truth.exr``: the denoised passes of albedo and ambient occlusion.
- ``.json``: the rotation of the camera.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from export_models.dataset.blender.camera import add_camera
from export_models.dataset.blender.cycles import configure_cycles, denoise_passes
from export_models.dataset.blender.lights import add_lights
from export_models.dataset.blender.primitives import add_vector_attribute
from export_models.dataset.blender.surfaces import build_material
from export_models.dataset.blender.surroundings import add_room, add_tabletop_objects

SMOOTH_ANGLE_RAD = math.radians(35)
"""Edges with a larger angle between their faces are shaded sharp."""
NOISE_THRESHOLD = 0.05
"""Noise level at which Cycles stops sampling a pixel. Not tuned."""
MAX_BOUNCES = 4
"""Maximum number of reflections of a path of light. Not tuned."""
TOUCH_DISTANCE = 1e-4
"""Maximum distance between faces that lie on each other, as a share of the longest side of the piece. Not tuned."""


def main() -> None:
    """Render all scenes of the job file in ``sys.argv[1]``."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for scene in job["scenes"]:
        render(job, scene)
        print(f"\nrendered {scene['name']}", flush=True)


def render(job: dict[str, Any], scene: dict[str, Any]) -> None:
    """Render one scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    points = add_piece(scene)
    add_tabletop_objects(scene["tabletop_objects"], points)
    add_room(scene["room"], points)
    add_lights(scene["lights"], job["environments"])
    add_camera(scene["camera"], points, job["size"])
    configure_render(job, scene["seed"])
    exr = Path(scene["exr"])
    bpy.context.scene.render.filepath = str(exr)
    denoised = denoise_passes(("albedo", "AO"), exr.with_suffix(".truth"))
    bpy.ops.render.render(write_still=True)
    denoised.rename(exr.with_suffix(".truth.exr"))
    rotation = [list(row)[:3] for row in bpy.context.scene.camera.matrix_world][:3]
    exr.with_suffix(".json").write_text(json.dumps({"camera_to_world": rotation}), encoding="utf-8")


def add_piece(scene: dict[str, Any]) -> np.ndarray:
    """Add the mesh of the piece; return its vertices [V, 3]."""
    with np.load(scene["mesh"]) as arrays:
        points, triangles, slot, smooth = (arrays[name] for name in ("vertices", "triangles", "slot", "smooth"))
        grain, board = arrays["grain"], arrays["board"]
    if scene["needs_cleanup"]:
        kept = ~find_covered_faces(points, triangles)
        triangles, slot, smooth = triangles[kept], slot[kept], smooth[kept]
    mesh = bpy.data.meshes.new("piece")
    mesh.from_pydata(points.tolist(), [], triangles.tolist())
    for number, surface in enumerate(scene["surfaces"]):
        mesh.materials.append(build_material(f"slot {number}", surface, number + 1))
    mesh.polygons.foreach_set("material_index", slot.astype(np.int32))
    add_vector_attribute(mesh, "grain", grain)
    add_vector_attribute(mesh, "board", board)
    piece = bpy.data.objects.new("piece", mesh)
    bpy.context.collection.objects.link(piece)
    bpy.context.view_layer.objects.active = piece
    piece.select_set(True)
    if scene["needs_cleanup"]:  # some faces of third-party meshes point inwards
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.mesh.normals_make_consistent(inside=False)
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.ops.object.shade_smooth_by_angle(angle=SMOOTH_ANGLE_RAD)
    else:
        mesh.polygons.foreach_set("use_smooth", smooth)
        mesh.set_sharp_from_angle(angle=SMOOTH_ANGLE_RAD)
    mesh.update()
    return points.astype(np.float64)


def find_covered_faces(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Find triangles that lie completely on other triangles, because such triangles would render black.

    Of several triangles that cover each other, the last one is not marked.

    Args:
        points: [V, 3].
        triangles: [T, 3].

    Returns:
        [T] bool.
    """
    tree = BVHTree.FromPolygons(points.tolist(), triangles.tolist())
    distance = TOUCH_DISTANCE * float(np.ptp(points, axis=0).max())
    corners = points[triangles]
    centre = corners.mean(1, keepdims=True)
    probes = np.concatenate([centre, centre + 0.8 * (corners - centre)], axis=1)  # [T, 4, 3] centre, near the corners
    covered = np.zeros(len(triangles), bool)
    for number, positions in enumerate(probes):
        covered[number] = all(
            any(
                other != number and not covered[other]
                for _, _, other, _ in tree.find_nearest_range(Vector(position), distance)
            )
            for position in positions
        )
    return covered


def configure_render(job: dict[str, Any], seed: int) -> None:
    """Set up Cycles and the passes."""
    aovs = {"albedo": "COLOR", "roughness": "VALUE", "geometric_normal": "COLOR"}
    configure_cycles(job["samples"], seed, NOISE_THRESHOLD, MAX_BOUNCES, aovs)
    scene = bpy.context.scene
    scene.render.threads_mode, scene.render.threads = "FIXED", job["threads"]
    scene.render.image_settings.color_depth = "16"
    bpy.context.view_layer.use_pass_material_index = True


if __name__ == "__main__":
    main()
