"""Blender side: one piece of furniture seen from many sides. Run as a child process: ``orbit_blender.py JOB.json``.

World frame: metres, +Z up, the piece's foot in the origin.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

sys.path.insert(0, str(Path(__file__).parents[1] / "furniture"))
from scene_blender import add_grain_frames, import_piece, set_up_render, vertices
from surfaces_blender import surface_material

LENS_MM, SENSOR_MM, FILL = 50.0, 36.0, 0.82


def add_piece(job: dict[str, Any]) -> tuple[bpy.types.Object, Vector, float]:
    """The piece with its surfaces; also the middle and the radius of its bounding sphere."""
    piece = job["piece"]
    mesh = import_piece(piece)
    mesh.rotation_euler[2] = 0.0
    bpy.context.view_layer.update()
    add_grain_frames(mesh, np.random.default_rng(piece["seed"]))
    size = max(mesh.dimensions)
    for slot in mesh.material_slots:
        name = slot.material.name
        slot.material = surface_material(name, piece["materials"][name], piece["species"], size, job["classes"])
    points = vertices(mesh)
    middle = (points.min(0) + points.max(0)) / 2
    return mesh, Vector(middle), float(np.linalg.norm(points - middle, axis=1).max())


def write_mesh(mesh: bpy.types.Object, file: Path) -> None:
    mesh.data.calc_loop_triangles()
    triangles = np.empty(len(mesh.data.loop_triangles) * 3, np.int32)
    mesh.data.loop_triangles.foreach_get("vertices", triangles)
    np.savez_compressed(file, vertices=vertices(mesh), triangles=triangles.reshape(-1, 3))


def add_surroundings(radius: float) -> None:
    """A floor full of patches of all sizes: what a lived-in room gives a matcher to hold on to."""
    bpy.ops.mesh.primitive_plane_add(size=10 * radius)
    material = bpy.data.materials.new("floor")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader, texture = nodes["Principled BSDF"], nodes.new("ShaderNodeTexImage")
    shader.inputs["Roughness"].default_value = 0.9
    texture.image = patchwork(1024)
    links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    bpy.context.active_object.data.materials.append(material)


def patchwork(side: int) -> bpy.types.Image:
    generator = np.random.default_rng(7)
    pixels = np.zeros((side, side, 4), np.float32)
    for cells, share in ((8, 0.2), (32, 0.35), (128, 0.3), (512, 0.15)):
        grid = generator.random((cells, cells, 3)).astype(np.float32)
        pixels[..., :3] += share * np.repeat(np.repeat(grid, side // cells, 0), side // cells, 1)
    pixels[..., 3] = 1.0
    image = bpy.data.images.new("patchwork", side, side)
    image.pixels.foreach_set(pixels.ravel())
    return image


def add_lights(middle: Vector, radius: float, parent: bpy.types.Object | None) -> None:
    """Two large soft lamps and an even sky; on a turntable they stay with the camera (``parent``)."""
    for at, watts in (((-2.2, -2.0, 2.8), 60.0), ((2.4, -1.6, 1.6), 25.0), ((0.3, 2.5, 2.6), 25.0)):
        data = bpy.data.lights.new("light", "AREA")
        data.size, data.energy = 1.5 * radius, watts * radius * radius
        lamp = bpy.data.objects.new("light", data)
        lamp.location = middle + Vector(at) * radius
        lamp.rotation_euler = (middle - lamp.location).to_track_quat("-Z", "Y").to_euler()
        bpy.context.collection.objects.link(lamp)
        if parent is not None:
            lamp.parent = parent
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.62, 0.64, 0.66, 1.0)
    bpy.context.scene.world = world


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    mesh, middle, radius = add_piece(job)
    write_mesh(mesh, Path(job["mesh"]))
    turning = bpy.data.objects.new("turning", None)
    bpy.context.collection.objects.link(turning)
    if not job["turntable"]:
        add_surroundings(radius)
    add_lights(middle, radius, turning if job["turntable"] else None)
    data = bpy.data.cameras.new("camera")
    data.lens, data.sensor_width, data.sensor_fit = LENS_MM, SENSOR_MM, "HORIZONTAL"
    data.clip_end = 100 * radius
    camera = bpy.data.objects.new("camera", data)
    bpy.context.collection.objects.link(camera)
    scene = bpy.context.scene
    scene.camera = camera
    width, height = job["size"]
    scene.render.resolution_x, scene.render.resolution_y = width, height
    set_up_render(job, 1)
    bpy.context.view_layer.use_pass_ambient_occlusion = False
    scene.render.use_persistent_data = True
    half = min(1.0, height / width) * SENSOR_MM / (2 * LENS_MM)
    distance = radius / math.sin(math.atan(half)) / FILL
    for view in job["views"]:
        azimuth, elevation = math.radians(view["azimuth_deg"]), math.radians(view["elevation_deg"])
        back = Vector(
            (math.sin(azimuth) * math.cos(elevation), -math.cos(azimuth) * math.cos(elevation), math.sin(elevation))
        )
        camera.location = middle + back * distance
        camera.rotation_euler = back.to_track_quat("Z", "Y").to_euler()
        turning.matrix_world = (
            Matrix.Translation(middle) @ Matrix.Rotation(azimuth, 4, "Z") @ Matrix.Translation(-middle)
        )
        bpy.context.view_layer.update()
        scene.render.filepath = view["exr"]
        bpy.ops.render.render(write_still=True)
        facts = {"camera_to_world": [list(row) for row in camera.matrix_world], "focal_px": LENS_MM / SENSOR_MM * width}
        Path(view["exr"]).with_suffix(".json").write_text(json.dumps(facts))
        print(f"\nrendered {Path(view['exr']).stem}", flush=True)


if __name__ == "__main__":
    main()
