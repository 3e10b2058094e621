"""Blender side: build scenes and render each into a multilayer EXR. ``python -m … JOB.json``, a child process.

The job is what ``generate`` writes: ``size`` and ``samples``, and a list of ``scenes``, each with its mesh (NPZ), the
surface of each slot, room, lights and camera as ``scenes`` draws them, and the EXR to write. Beside it comes a JSON
with the camera. Material index passes hold 1 + the slot on the piece and 0 elsewhere.
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
from mathutils.bvhtree import BVHTree

from export_models.dataset.blender.cycles import denoise_truth, render_with_truth
from export_models.dataset.blender.surfaces import material_of

AO_DISTANCE_M = 0.5
SKY_MAP = 64
"""Rows of the map by which Cycles samples the sky: a plain gradient needs no more, and its own choice takes 0.5 s."""
REACH_M = 9.0
"""Half the width of floor and wall."""
SMOOTH_RAD = math.radians(35)
SENSOR_MM = 36.0
THRESHOLD, BOUNCES = 0.05, 4
PROFILES: dict[str, list[tuple[float, float]]] = {
    "vase": [(0, 0.0), (0.85, 0.0), (1.0, 0.5), (1.0, 1.2), (0.75, 2.4), (0.5, 3.2), (0.6, 4.0), (0.52, 4.0), (0.4, 3)],
    "cup": [(0, 0.0), (0.6, 0.0), (0.66, 0.1), (0.9, 0.8), (1.0, 1.5), (0.93, 1.5), (0.82, 0.8), (0.5, 0.3), (0, 0.25)],
    "bowl": [(0.0, 0.0), (0.6, 0.0), (1.2, 0.35), (1.6, 0.9), (1.53, 0.9), (1.1, 0.4), (0.0, 0.15)],
    "plate": [(0.0, 0.0), (0.9, 0.0), (1.5, 0.15), (1.9, 0.3), (1.86, 0.34), (1.4, 0.22), (0.95, 0.1), (0.0, 0.1)],
}  # fmt: skip
"""What is turned on a lathe: radius and height of its wall from the middle of its foot to its inside, in shares of its
size."""
TOUCHING = 1e-4
"""Faces closer than this share of the piece's size lie on each other."""


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for scene in job["scenes"]:
        render(job, scene)
        print(f"\nrendered {scene['name']}", flush=True)


def render(job: dict[str, Any], scene: dict[str, Any]) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    points = add_piece(scene)
    add_standing(scene["standing"], points)
    add_room(scene["room"], points)
    add_lights(scene["lights"])
    add_camera(scene["camera"], points, job["size"])
    set_up_render(job, scene["seed"])
    exr = Path(scene["exr"])
    bpy.context.scene.render.filepath = str(exr)
    denoised = denoise_truth(("albedo", "AO"), exr.with_suffix(".truth"))
    bpy.ops.render.render(write_still=True)
    denoised.rename(exr.with_suffix(".truth.exr"))
    matrix = [list(row)[:3] for row in bpy.context.scene.camera.matrix_world][:3]
    exr.with_suffix(".json").write_text(json.dumps({"camera_to_world": matrix}), encoding="utf-8")


def add_piece(scene: dict[str, Any]) -> np.ndarray:
    """Build the mesh; return its vertices [V, 3]."""
    with np.load(scene["mesh"]) as arrays:
        points, triangles, slot, smooth = (arrays[name] for name in ("vertices", "triangles", "slot", "smooth"))
        grain, board = arrays["grain"], arrays["board"]
    if scene["clean"]:
        bare = ~covered(points, triangles)
        triangles, slot, smooth = triangles[bare], slot[bare], smooth[bare]
    mesh = bpy.data.meshes.new("piece")
    mesh.from_pydata(points.tolist(), [], triangles.tolist())
    for number, surface in enumerate(scene["surfaces"]):
        mesh.materials.append(material_of(f"slot {number}", surface, number + 1))
    mesh.polygons.foreach_set("material_index", slot.astype(np.int32))
    for name, values in (("grain", grain), ("board", board)):
        mesh.attributes.new(name, "FLOAT_VECTOR", "POINT").data.foreach_set("vector", values.astype(np.float32).ravel())
    piece = bpy.data.objects.new("piece", mesh)
    bpy.context.collection.objects.link(piece)
    bpy.context.view_layer.objects.active = piece
    piece.select_set(True)
    if scene["clean"]:  # models by others have faces that look inward
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.mesh.normals_make_consistent(inside=False)
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.ops.object.shade_smooth_by_angle(angle=SMOOTH_RAD)
    else:
        mesh.polygons.foreach_set("use_smooth", smooth)
        mesh.set_sharp_from_angle(angle=SMOOTH_RAD)
    mesh.update()
    return points.astype(np.float64)


def covered(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """[T] bool: triangles that lie on others all over, as models by others have them; they would render black."""
    tree = BVHTree.FromPolygons(points.tolist(), triangles.tolist())
    near = TOUCHING * float(np.ptp(points, axis=0).max())
    corners = points[triangles]
    middle = corners.mean(1, keepdims=True)
    looked_at = np.concatenate([middle, middle + 0.8 * (corners - middle)], axis=1)
    found = np.zeros(len(triangles), bool)
    for number, places in enumerate(looked_at):
        found[number] = all(
            any(other != number and not found[other] for _, _, other, _ in tree.find_nearest_range(Vector(place), near))
            for place in places
        )
    return found


def add_standing(things: list[dict[str, Any]], points: np.ndarray) -> None:
    """Put things onto what of the piece lies flat under their places; where nothing does they are left out."""
    piece = bpy.data.objects["piece"]
    low, high = points.min(0), points.max(0)
    for number, thing in enumerate(things):
        x, y = (float(low[axis] + thing["at"][axis] * (high[axis] - low[axis])) for axis in range(2))
        hit, place, normal, _ = piece.ray_cast(Vector((x, y, float(high[2]) + 1.0)), Vector((0.0, 0.0, -1.0)))
        if not hit or abs(normal.z) < 0.95:
            continue
        size, material = thing["size_m"], material_of(f"standing {number}", thing["surface"], 0)
        if thing["kind"] == "book":
            made = [box("book", (0, 0, 0.3 * size), (3.0 * size, 2.2 * size, 0.6 * size), material)]
        elif thing["kind"] == "fruit":
            made = [ball("fruit", Vector((0, 0, size)), size, material)]
        elif thing["kind"] == "spoon":
            bowl = ball("spoon", Vector((1.6 * size, 0, 0.12 * size)), size, material, flat=(0.5, 0.35, 0.12))
            made = [bowl, box("handle", (0.2 * size, 0, 0.1 * size), (2.0 * size, 0.12 * size, 0.08 * size), material)]
        else:
            made = [lathe(thing["kind"], (0.0, 0.0), size, material)]
            if thing["kind"] == "cup":
                made.append(handle(Vector((0.9 * size, 0.0, 0.75 * size)), 0.45 * size, 0.1 * size, material))
                if thing["saucer"]:
                    made.append(lathe("plate", (0.0, 0.0), size, material))
        for one in made:
            one.location = (x, y, place.z)
            one.rotation_euler.z = thing["turn_rad"]


def add_room(room: dict[str, Any], points: np.ndarray) -> None:
    """Floor and wall, turned so that the wall stands behind the piece, and what else is in a room."""
    turn = Matrix.Rotation(math.radians(room["turn_deg"]), 4, "Z")
    local = points @ np.array(turn.to_3x3())  # in the room's own axes, +Y to the wall
    wall_y = float(local[:, 1].max()) + room["gap_m"]
    floor, wall = material_of("floor", room["floor"], 0), material_of("wall", room["wall"], 0)
    made = []
    if room["cove_m"] > 0:  # studio paper: floor and wall joined by a quarter circle
        radius = min(room["cove_m"], room["gap_m"])
        arc = [math.radians(6 * step) for step in range(16)]
        profile = [(wall_y - radius + radius * math.sin(a), radius - radius * math.cos(a)) for a in arc]
        made.append(strip("paper", [(-REACH_M, 0.0), *profile, (wall_y, 6.0)], wall))
    else:
        made.append(strip("floor", [(-REACH_M, 0.0), (wall_y, 0.0)], floor))
        made.append(strip("wall", [(wall_y, 0.0), (wall_y, 3.2)], wall))
    if room["corner_m"] is not None:
        reach = float(np.abs(local[:, 0]).max())
        x = math.copysign(reach + abs(room["corner_m"]), room["corner_m"])
        made.append(box("side wall", (x, wall_y - REACH_M / 2, 1.6), (0.02, REACH_M, 3.2), wall))
    if room["skirting"] is not None:
        board = material_of("skirting", room["skirting"], 0)
        made.append(box("skirting", (0, wall_y - 0.008, 0.05), (2 * REACH_M, 0.016, 0.1), board))
    if room["rug"] is not None:
        wide, deep = room["rug_m"]
        made.append(box("rug", (0, 0, 0.004), (wide, deep, 0.006), material_of("rug", room["rug"], 0)))
    for number, thing in enumerate(room["things"]):
        made += add_thing(thing, number, wall_y, local)
    for one in made:
        one.matrix_world = turn @ one.matrix_world


def add_thing(thing: dict[str, Any], number: int, wall_y: float, local: np.ndarray) -> list[bpy.types.Object]:
    """Something at the wall or beside the piece; nothing stands in or before it."""
    material = material_of(f"thing {number}", thing["surface"], 0)
    wide, high, deep, x = thing["wide_m"], thing["high_m"], thing["deep_m"], thing["across"]
    reach = float(np.abs(local[:, 0]).max())
    if thing["kind"] == "picture":
        frame = box("frame", (x * 0.6, wall_y - 0.012, 1.5), (wide * 1.3, 0.02, wide * 1.1), material)
        inner = material_of(f"picture {number}", thing["second"], 0)
        return [frame, box("picture", (x * 0.6, wall_y - 0.018, 1.5), (wide * 1.15, 0.02, wide * 0.95), inner)]
    behind = float(local[:, 1].max()) + deep / 2 + 0.02
    if behind + deep / 2 > wall_y or abs(x) > reach:  # no room behind it: beside it
        x = math.copysign(reach + wide / 2 + 0.05 + 0.3 * abs(x), x)
        behind = min(behind, wall_y - deep / 2 - 0.02)
    if thing["kind"] == "box":
        return [box("box", (x, behind, high / 2), (wide, deep, high), material)]
    radius = min(wide, deep) / 2
    if thing["kind"] == "plant":
        pot = lathe("cup", (x, behind), radius, material, tall=1.5)
        leaves = material_of(f"leaves {number}", thing["surface"] | {"color": (0.05, 0.14, 0.03)}, 0)
        generator = np.random.default_rng(thing["seed"])
        crown = []
        for _ in range(24):
            at = Vector(generator.normal(0.0, 0.6, 3)) * 2.0 * radius + Vector((x, behind, 4.0 * radius))
            at.y = min(at.y, wall_y - 0.1)
            crown.append(ball("leaf", at, 0.5 * radius, leaves, flat=tuple(generator.uniform(0.15, 1.0, 3))))
        return [pot, *crown]
    if thing["kind"] == "ball":
        return [ball("ball", Vector((x, behind, radius)), radius, material)]
    return [lathe("vase", (x, behind), radius, material, tall=high / (8 * radius))]


def link(name: str, mesh: bpy.types.Mesh, material: bpy.types.Material) -> bpy.types.Object:
    mesh.materials.append(material)
    made = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(made)
    return made


def with_frames(mesh: bpy.types.Mesh) -> bpy.types.Mesh:
    """Surroundings lay their boards and cloth by their own place."""
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", points)
    for name, values in (("grain", points), ("board", np.full_like(points, 0.5))):
        mesh.attributes.new(name, "FLOAT_VECTOR", "POINT").data.foreach_set("vector", values)
    return mesh


def strip(name: str, profile: list[tuple[float, float]], material: bpy.types.Material) -> bpy.types.Object:
    """Sweep a (y, z) profile along x."""
    mesh = bpy.data.meshes.new(name)
    places = [(x, y, z) for y, z in profile for x in (-REACH_M, REACH_M)]
    mesh.from_pydata(places, [], [(2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2) for i in range(len(profile) - 1)])
    mesh.polygons.foreach_set("use_smooth", [len(profile) > 2] * len(mesh.polygons))
    return link(name, with_frames(mesh), material)


def box(
    name: str, middle: tuple[float, float, float], size: tuple[float, float, float], material: bpy.types.Material
) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    corners = [
        tuple(m + s * (bit - 0.5) for m, s, bit in zip(middle, size, bits, strict=True))
        for bits in ((x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1))
    ]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh.from_pydata(corners, [], faces)
    return link(name, with_frames(mesh), material)


def ball(
    name: str, middle: Vector, radius: float, material: bpy.types.Material, flat: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> bpy.types.Object:
    turns, rises = 16, 9
    places = [
        (
            middle.x + radius * flat[0] * math.sin(math.pi * r / (rises - 1)) * math.cos(2 * math.pi * t / turns),
            middle.y + radius * flat[1] * math.sin(math.pi * r / (rises - 1)) * math.sin(2 * math.pi * t / turns),
            middle.z + radius * flat[2] * math.cos(math.pi * r / (rises - 1)),
        )
        for r in range(rises)
        for t in range(turns)
    ]
    return turned(name, places, turns, rises, material)


def lathe(
    kind: str, at: tuple[float, float], size: float, material: bpy.types.Material, tall: float = 1.0
) -> bpy.types.Object:
    """Turn the profile of ``kind``; one ``tall`` is stretched."""
    turns, profile = 28, PROFILES[kind]
    angles = [2 * math.pi * t / turns for t in range(turns)]
    places = [
        (at[0] + size * r * math.cos(angle), at[1] + size * r * math.sin(angle), size * tall * z)
        for r, z in profile
        for angle in angles
    ]
    return turned(kind, places, turns, len(profile), material)


def handle(middle: Vector, radius: float, thick: float, material: bpy.types.Material) -> bpy.types.Object:
    """Half a ring that stands upright and opens to -X."""
    turns, rises = 8, 11
    places = []
    for rise in range(rises):
        up = math.pi * (rise / (rises - 1) - 0.5)
        for turn in range(turns):
            out, aside = (thick * wave(2 * math.pi * turn / turns) for wave in (math.cos, math.sin))
            reach = radius + out
            places.append((middle.x + reach * math.cos(up), middle.y + aside, middle.z + reach * math.sin(up)))
    return turned("handle", places, turns, rises, material)


def turned(
    name: str, places: list[tuple[float, ...]], turns: int, rises: int, material: bpy.types.Material
) -> bpy.types.Object:
    faces = [
        (r * turns + t, r * turns + (t + 1) % turns, (r + 1) * turns + (t + 1) % turns, (r + 1) * turns + t)
        for r in range(rises - 1)
        for t in range(turns)
    ]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(places, [], faces)
    mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    return link(name, with_frames(mesh), material)


def add_lights(light: dict[str, Any]) -> None:
    for lamp in light["lamps"]:
        data = bpy.data.lights.new("lamp", lamp["kind"])
        data.color = lamp["color"]
        place = Vector(lamp["at"])
        if lamp["kind"] == "SUN":
            data.energy, data.angle = lamp["watts"], math.radians(lamp["angle_deg"])
        else:
            data.shape = "RECTANGLE"
            data.size, data.size_y = lamp["size_m"]
            data.energy = lamp["watts"] * place.length_squared / 4.0
        made = bpy.data.objects.new("lamp", data)
        made.location = place
        made.rotation_euler = (Vector((0, 0, 0.3)) - place).to_track_quat("-Z", "Y").to_euler()
        bpy.context.collection.objects.link(made)
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    tree, sky = world.node_tree, light["sky"]
    # The sky is brighter above, as a ceiling that lamps light is.
    direction = tree.nodes.new("ShaderNodeTexCoord").outputs["Generated"]
    height = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(direction, height.inputs[0])
    strength = tree.nodes.new("ShaderNodeMapRange")
    for number, value in enumerate((-1.0, 1.0, 1.0 - sky["above"], 1.0 + sky["above"]), start=1):
        strength.inputs[number].default_value = value * (sky["strength"] if number > 2 else 1.0)
    tree.links.new(height.outputs[2], strength.inputs[0])
    background = tree.nodes["Background"]
    background.inputs["Color"].default_value = (*sky["color"], 1.0)
    tree.links.new(strength.outputs[0], background.inputs["Strength"])
    world.light_settings.distance = AO_DISTANCE_M
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", SKY_MAP
    bpy.context.scene.world = world


def add_camera(camera: dict[str, Any], points: np.ndarray, size: int) -> None:
    """As far away as it takes for the piece's outline to fill its share of the picture, or near its top.

    ``upon`` is the share of the piece's width that is seen of its top; 0 is the whole piece.
    """
    azimuth, elevation = math.radians(camera["azimuth_deg"]), math.radians(camera["elevation_deg"])
    back = np.array(
        [math.sin(azimuth) * math.cos(elevation), -math.cos(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    right = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    tangent = SENSOR_MM / (2 * camera["lens_mm"])
    if camera["upon"] > 0:
        low, high = points.min(0), points.max(0)
        target = np.array([*(low + high)[:2] / 2, high[2]])
        distance = camera["upon"] * float((high - low)[:2].max()) / (2 * tangent)
    else:
        target, distance = framed(points, np.stack([right, np.cross(back, right), back]), camera["fill"] * tangent)
    data = bpy.data.cameras.new("camera")
    data.lens, data.sensor_width, data.sensor_fit = camera["lens_mm"], SENSOR_MM, "HORIZONTAL"
    data.shift_x, data.shift_y = camera["shift"]
    data.clip_end = 200.0
    made = bpy.data.objects.new("camera", data)
    turn = Vector(back).to_track_quat("Z", "Y").to_matrix() @ Matrix.Rotation(math.radians(camera["roll_deg"]), 3, "Z")
    made.matrix_world = Matrix.Translation(Vector(target + back * distance)) @ turn.to_4x4()
    bpy.context.collection.objects.link(made)
    scene = bpy.context.scene
    scene.camera = made
    scene.render.resolution_x = scene.render.resolution_y = size


def framed(points: np.ndarray, axes: np.ndarray, tangent: float) -> tuple[np.ndarray, float]:
    """The place to aim at and the distance from it at which the outline just reaches ``tangent`` to both sides.

    Args:
        axes: [3, 3] the camera's right, up and back.
    """
    target = (points.min(0) + points.max(0)) / 2
    distance = 1.0
    for _ in range(4):  # the outline's middle moves with perspective, so aim again
        seen = (points - target) @ axes.T
        distance = float((np.abs(seen[:, :2]).max(1) / tangent + seen[:, 2]).max())
        projected = seen[:, :2] / (distance - seen[:, 2:])
        middle = (projected.min(0) + projected.max(0)) / 2 * distance
        target = target + axes[0] * middle[0] + axes[1] * middle[1]
    return target, distance


def set_up_render(job: dict[str, Any], seed: int) -> None:
    truth = {"albedo": "COLOR", "roughness": "VALUE", "shape": "COLOR"}
    render_with_truth(job["samples"], seed, THRESHOLD, BOUNCES, truth)
    scene = bpy.context.scene
    scene.render.threads_mode, scene.render.threads = "FIXED", job["threads"]
    scene.render.image_settings.color_depth = "16"
    bpy.context.view_layer.use_pass_material_index = True


if __name__ == "__main__":
    main()
