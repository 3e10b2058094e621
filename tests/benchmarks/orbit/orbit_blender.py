"""Renders one piece of furniture from many sides in Blender. Runs as a child process: ``orbit_blender.py JOB.json``.

World frame: metres, +Z up, the bottom centre of the piece in the origin.
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

LENS_MM = 50.0
SENSOR_MM = 36.0
FRAME_FILL = 0.82
"""Size of the piece's bounding sphere relative to the frame."""


def add_piece(job: dict[str, Any]) -> tuple[bpy.types.Object, Vector, float]:
    """Import the piece with its materials. Return it with the centre and the radius of its bounding sphere."""
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
    centre = (points.min(0) + points.max(0)) / 2
    return mesh, Vector(centre), float(np.linalg.norm(points - centre, axis=1).max())


def write_mesh(mesh: bpy.types.Object, file: Path) -> None:
    mesh.data.calc_loop_triangles()
    triangles = np.empty(len(mesh.data.loop_triangles) * 3, np.int32)
    mesh.data.loop_triangles.foreach_get("vertices", triangles)
    np.savez_compressed(file, vertices=vertices(mesh), triangles=triangles.reshape(-1, 3))


def add_surroundings(radius: float) -> None:
    """Add a floor with patches of all sizes, which gives feature matching as much texture as a furnished room."""
    bpy.ops.mesh.primitive_plane_add(size=10 * radius)
    material = bpy.data.materials.new("floor")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader, texture = nodes["Principled BSDF"], nodes.new("ShaderNodeTexImage")
    shader.inputs["Roughness"].default_value = 0.9
    texture.image = patchwork_texture(1024)
    links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    bpy.context.active_object.data.materials.append(material)


def patchwork_texture(side: int) -> bpy.types.Image:
    generator = np.random.default_rng(7)
    pixels = np.zeros((side, side, 4), np.float32)
    for cells, share in ((8, 0.2), (32, 0.35), (128, 0.3), (512, 0.15)):
        grid = generator.random((cells, cells, 3)).astype(np.float32)
        pixels[..., :3] += share * np.repeat(np.repeat(grid, side // cells, 0), side // cells, 1)
    pixels[..., 3] = 1.0
    image = bpy.data.images.new("patchwork", side, side)
    image.pixels.foreach_set(pixels.ravel())
    return image


def add_lights(centre: Vector, radius: float, parent: bpy.types.Object | None) -> None:
    """Add three large soft lamps and a uniform sky. On a turntable, the lamps move with the camera (``parent``)."""
    for direction, watts in (((-2.2, -2.0, 2.8), 60.0), ((2.4, -1.6, 1.6), 25.0), ((0.3, 2.5, 2.6), 25.0)):
        data = bpy.data.lights.new("light", "AREA")
        data.size, data.energy = 1.5 * radius, watts * radius * radius
        lamp = bpy.data.objects.new("light", data)
        lamp.location = centre + Vector(direction) * radius
        lamp.rotation_euler = (centre - lamp.location).to_track_quat("-Z", "Y").to_euler()
        bpy.context.collection.objects.link(lamp)
        if parent is not None:
            lamp.parent = parent
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.62, 0.64, 0.66, 1.0)
    bpy.context.scene.world = world


def add_camera(radius: float) -> bpy.types.Object:
    data = bpy.data.cameras.new("camera")
    data.lens, data.sensor_width, data.sensor_fit = LENS_MM, SENSOR_MM, "HORIZONTAL"
    data.clip_end = 100 * radius
    camera = bpy.data.objects.new("camera", data)
    bpy.context.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    return camera


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    mesh, centre, radius = add_piece(job)
    write_mesh(mesh, Path(job["mesh"]))
    turntable = bpy.data.objects.new("turntable", None)
    bpy.context.collection.objects.link(turntable)
    if not job["turntable"]:
        add_surroundings(radius)
    add_lights(centre, radius, turntable if job["turntable"] else None)
    camera = add_camera(radius)
    scene = bpy.context.scene
    width, height = job["size"]
    scene.render.resolution_x, scene.render.resolution_y = width, height
    set_up_render(job, 1)
    bpy.context.view_layer.use_pass_ambient_occlusion = False
    scene.render.use_persistent_data = True
    half_frame = min(1.0, height / width) * SENSOR_MM / (2 * LENS_MM)
    distance = radius / math.sin(math.atan(half_frame)) / FRAME_FILL
    for view in job["views"]:
        azimuth, elevation = math.radians(view["azimuth_deg"]), math.radians(view["elevation_deg"])
        to_camera = Vector(
            (math.sin(azimuth) * math.cos(elevation), -math.cos(azimuth) * math.cos(elevation), math.sin(elevation))
        )
        camera.location = centre + to_camera * distance
        camera.rotation_euler = to_camera.to_track_quat("Z", "Y").to_euler()
        turntable.matrix_world = (
            Matrix.Translation(centre) @ Matrix.Rotation(azimuth, 4, "Z") @ Matrix.Translation(-centre)
        )
        bpy.context.view_layer.update()
        scene.render.filepath = view["exr"]
        bpy.ops.render.render(write_still=True)
        facts = {"camera_to_world": [list(row) for row in camera.matrix_world], "focal_px": LENS_MM / SENSOR_MM * width}
        Path(view["exr"]).with_suffix(".json").write_text(json.dumps(facts))
        print(f"\nrendered {Path(view['exr']).stem}", flush=True)


if __name__ == "__main__":
    main()
