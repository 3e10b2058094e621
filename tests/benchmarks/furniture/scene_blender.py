"""Blender script: builds a scene for each piece and renders it to a multilayer EXR file.

Run as ``python scene_blender.py JOB.json`` by a Python with the ``bpy`` wheel. ``render.py`` writes the job: render
settings, surface classes, and for each piece its OBJ file, height in metres, materials and room. World frame: metres,
+Z up, the piece faces -Y.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parent))
from surfaces_blender import hex_to_linear, room_material, surface_material

from export_models.dataset.blender.cycles import configure_cycles
from export_models.dataset.connectivity import label_connected
from export_models.dataset.meshes import board_frame

FILL = 0.80
"""Largest share of the image's width or height that the piece covers."""
AO_DISTANCE_M = 0.5
"""Length of the rays for ambient occlusion."""
NOISE_THRESHOLD = 0.04
"""Cycles' noise threshold for adaptive sampling."""
BOUNCES = 3
"""Maximum light bounces."""
SMOOTH_ANGLE_DEG = 35
"""Edges below this angle are shaded smoothly."""


def import_piece(piece: dict[str, Any]) -> bpy.types.Object:
    """Import the OBJ file as one upright object, scaled to its height, centred and standing on the floor."""
    bpy.ops.wm.obj_import(filepath=piece["obj"], forward_axis="NEGATIVE_Z", up_axis="Y")
    meshes = [o for o in bpy.context.scene.objects if o.type == "MESH"]
    bpy.ops.object.select_all(action="DESELECT")
    for mesh in meshes:
        mesh.select_set(True)
    bpy.context.view_layer.objects.active = meshes[0]
    if len(meshes) > 1:
        bpy.ops.object.join()
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    piece_object = bpy.context.view_layer.objects.active
    clean_normals(piece.get("flat", False))
    points = vertices(piece_object)
    low, high = points.min(0), points.max(0)
    points = (points - [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]) * (
        piece["height_m"] / (high[2] - low[2])
    )
    piece_object.data.vertices.foreach_set("co", points.astype(np.float32).ravel())
    piece_object.data.update()
    piece_object.rotation_euler[2] = math.radians(piece.get("turn_deg", 0.0))
    bpy.context.view_layer.update()
    return piece_object


def clean_normals(flat: bool) -> None:
    """Recompute the normals of the active mesh, because some models have wrong ones. Shade it smoothly unless flat."""
    bpy.ops.mesh.customdata_custom_splitnormals_clear()
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.remove_doubles(threshold=1e-4)
    bpy.ops.mesh.normals_make_consistent(inside=False)
    bpy.ops.object.mode_set(mode="OBJECT")
    if flat:
        bpy.ops.object.shade_flat()
    else:
        bpy.ops.object.shade_smooth_by_angle(angle=math.radians(SMOOTH_ANGLE_DEG))


def vertices(mesh: bpy.types.Object) -> np.ndarray:
    points = np.empty(len(mesh.data.vertices) * 3, np.float32)
    mesh.data.vertices.foreach_get("co", points)
    return points.reshape(-1, 3).astype(np.float64)


def add_grain_frames(mesh: bpy.types.Object, rng: np.random.Generator) -> None:
    """Add the vertex attributes ``grain`` and ``board``, which place each part on its own wooden board.

    ``grain`` is the position along, across and through the board in metres. The grain runs along the longest side of
    the part, or along the principal axis of long slanted parts. ``board`` is a random vector for each part.
    """
    points = vertices(mesh)
    parts = connected_parts(mesh, points)
    grain, board = np.zeros_like(points), np.zeros_like(points)
    for label in np.unique(parts):
        inside = parts == label
        grain[inside] = board_frame(points[inside])
        board[inside] = rng.random(3)
    for name, values in (("grain", grain), ("board", board)):
        attribute = mesh.data.attributes.new(name, "FLOAT_VECTOR", "POINT")
        attribute.data.foreach_set("vector", values.astype(np.float32).ravel())


def connected_parts(mesh: bpy.types.Object, points: np.ndarray) -> np.ndarray:
    """Return the [V] label of the connected part of each vertex. Vertices at the same position are connected."""
    _, position = np.unique(points.round(4), axis=0, return_inverse=True)
    position = position.ravel()
    edges = np.empty(len(mesh.data.edges) * 2, np.int32)
    mesh.data.edges.foreach_get("vertices", edges)
    return label_connected(position[edges.reshape(-1, 2)], position.max() + 1)[position]


def add_room(room: dict[str, Any], piece_object: bpy.types.Object, classes: list[str]) -> None:
    """Add a floor, a wall behind the piece and an optional skirting board. In a studio, paper joins floor and wall."""
    depth = max((piece_object.matrix_world @ v.co).y for v in piece_object.data.vertices)
    wall_y = depth + room["gap_m"]
    floor, wall = room_material("floor", room, classes), room_material("wall", room, classes)
    if room["cove_m"] > 0:  # a quarter circle between floor and wall
        radius = room["cove_m"]
        angles = [math.radians(6 * i) for i in range(16)]
        profile = (
            [(-8.0, 0.0)]
            + [(wall_y - radius + radius * math.sin(a), radius - radius * math.cos(a)) for a in angles]
            + [(wall_y, 5.0)]
        )
        strip("paper", profile, wall)
        return
    strip("floor", [(-8.0, 0.0), (wall_y, 0.0)], floor)
    strip("wall", [(wall_y, 0.0), (wall_y, 5.0)], wall)
    if room.get("skirting"):
        bpy.ops.mesh.primitive_cube_add(size=1.0, location=(0, wall_y - 0.008, 0.05))
        board = bpy.context.active_object
        board.scale = (16.0, 0.016, 0.10)
        board.data.materials.append(room_material("skirting", room, classes))


def strip(name: str, profile: list[tuple[float, float]], material: bpy.types.Material) -> None:
    """Sweep a (y, z) profile along x."""
    mesh = bpy.data.meshes.new(name)
    points = [(x, y, z) for y, z in profile for x in (-8.0, 8.0)]
    faces = [(2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2) for i in range(len(profile) - 1)]
    mesh.from_pydata(points, [], faces)
    mesh.materials.append(material)
    for polygon in mesh.polygons:
        polygon.use_smooth = len(profile) > 2
    bpy.context.collection.objects.link(bpy.data.objects.new(name, mesh))


def add_light(room: dict[str, Any], size: float) -> None:
    """Add the lights of the room and the sky. They scale with the piece, so that all pieces are lit in the same way."""
    reach = 2.4 * max(size, 0.8)
    for light in room["lights"]:
        data = bpy.data.lights.new("light", "AREA")
        data.shape, data.size, data.size_y = "RECTANGLE", light["size"][0] * reach, light["size"][1] * reach
        data.energy = light["watts"] * reach * reach
        data.color = hex_to_linear(light["color"])
        lamp = bpy.data.objects.new("light", data)
        lamp.location = Vector(light["at"]) * reach
        lamp.rotation_euler = (Vector((0, 0, 0.3 * size)) - lamp.location).to_track_quat("-Z", "Y").to_euler()
        bpy.context.collection.objects.link(lamp)
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (*hex_to_linear(room["sky"]), 1.0)
    background.inputs["Strength"].default_value = room["sky_strength"]
    world.light_settings.distance = AO_DISTANCE_M
    bpy.context.scene.world = world


def add_camera(piece: dict[str, Any], piece_object: bpy.types.Object, long_side: int) -> None:
    """Add a camera with a 50 mm lens and a three-quarter view, at the distance at which the whole piece is visible."""
    azimuth, elevation = math.radians(piece["azimuth_deg"]), math.radians(piece["elevation_deg"])
    back = np.array(
        [math.sin(azimuth) * math.cos(elevation), -math.cos(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(back, right), back])  # rows: right, up, back
    world = np.array(piece_object.matrix_world)
    points = vertices(piece_object) @ world[:3, :3].T + world[:3, 3]
    flat = points @ axes.T
    portrait = np.ptp(flat[:, 0]) < 0.95 * np.ptp(flat[:, 1])
    width, height = (long_side * 3 // 4, long_side) if portrait else (long_side, long_side * 3 // 4)
    half = 18.0 / 50.0  # tangent of half the field of view along the long side of a 36 mm sensor
    tangent = np.array([half * width, half * height]) / max(width, height)
    target = (points.min(0) + points.max(0)) / 2
    distance = 1.0
    for _ in range(4):  # perspective moves the centre of the outline, so the target is refined
        view = (points - target) @ axes.T
        distance = float((np.abs(view[:, :2]) / (FILL * tangent) + view[:, 2:]).max())
        projected = view[:, :2] / (distance - view[:, 2:])
        middle = (projected.min(0) + projected.max(0)) / 2 * distance
        target = target + axes[0] * middle[0] + axes[1] * middle[1]
    data = bpy.data.cameras.new("camera")
    data.lens, data.sensor_width, data.sensor_fit = 50.0, 36.0, "AUTO"
    camera = bpy.data.objects.new("camera", data)
    camera.location = Vector(target + axes[2] * distance)
    camera.rotation_euler = Vector(back).to_track_quat("Z", "Y").to_euler()
    bpy.context.collection.objects.link(camera)
    scene = bpy.context.scene
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = width, height


def set_up_render(job: dict[str, Any], seed: int) -> None:
    classes = {f"class_{name}": "VALUE" for name in job["classes"]}
    configure_cycles(
        job["samples"], seed, NOISE_THRESHOLD, BOUNCES, {"albedo": "COLOR", "roughness": "VALUE"} | classes
    )


def render_piece(job: dict[str, Any], piece: dict[str, Any]) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    rng = np.random.default_rng(piece["seed"])
    piece_object = import_piece(piece)
    add_grain_frames(piece_object, rng)
    size = max(piece_object.dimensions)
    for slot in piece_object.material_slots:
        name = slot.material.name
        if name not in piece["materials"]:
            raise KeyError(f"{piece['name']}: picks.toml does not define the material {name!r}")
        slot.material = surface_material(name, piece["materials"][name], piece["species"], size, job["classes"])
    add_room(piece["room"], piece_object, job["classes"])
    add_light(piece["room"], size)
    add_camera(piece, piece_object, job["size"])
    set_up_render(job, piece["seed"])
    bpy.context.scene.render.filepath = piece["exr"]
    bpy.ops.render.render(write_still=True)
    camera = bpy.context.scene.camera
    metadata = {"camera_to_world": [list(row)[:3] for row in camera.matrix_world][:3]}
    Path(piece["exr"]).with_suffix(".json").write_text(json.dumps(metadata))


if __name__ == "__main__":
    job_file = json.loads(Path(sys.argv[1]).read_text())
    for job_piece in job_file["pieces"]:
        start = time.monotonic()
        render_piece(job_file, job_piece)
        print(f"\nrendered {job_piece['name']} {time.monotonic() - start:.1f}", flush=True)
