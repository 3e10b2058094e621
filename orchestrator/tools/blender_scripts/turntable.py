"""Blender side of ``stages.render``: frames of a turntable. Run as ``turntable.py JOB.json``.

The rig is fixed: camera, three area lights and the environment are sized with the piece's bounding sphere and stand
still, while the piece turns. So every product of a shop is lit and framed alike.
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

LENS_MM, SENSOR_MM = 85.0, 36.0
MARGIN = 1.06
"""The bounding sphere fills the smaller side of the picture but for this."""
LIGHTS = (
    # where it stands (right, towards the camera, up) in radii, size in radii, watts a square radius, colour
    ((-2.4, 2.0, 2.6), 2.2, 62.0, (1.0, 0.96, 0.91)),  # key
    ((3.0, 1.4, 1.2), 2.6, 20.0, (0.93, 0.96, 1.0)),  # fill
    ((0.6, -2.6, 2.8), 1.8, 38.0, (1.0, 1.0, 1.0)),  # rim
)
SKY, HORIZON, GROUND = (0.95, 0.97, 1.0), (0.80, 0.81, 0.82), (0.42, 0.41, 0.40)
BACKDROP = 1.2
"""Linear grey behind the piece, before AgX."""
SKY_STRENGTH = 0.45
SMOOTH_ANGLE = math.radians(30)
"""Edges sharper than this stay edges where normals are made anew; Blender's own default."""


def main(job: dict[str, Any]) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    pivot, radius, floor = load(job["model"])
    if job.get("material"):
        replace_wood(job["material"])
    aim_camera(radius, floor, job)
    add_lights(radius)
    add_environment(studio=job["background"] == "studio")
    add_ground(radius, floor, studio=job["background"] == "studio")
    set_up_render(job)
    for done, number in enumerate(job["frames"], 1):
        pivot.rotation_euler[2] = 2 * math.pi * number / job["count"]
        scratch, target = Path(f"frame-{number:03d}.part.png"), Path(f"frame-{number:03d}.png")
        bpy.context.scene.render.filepath = str(scratch.absolute())
        bpy.ops.render.render(write_still=True)
        scratch.replace(target)
        print(f"\nFRAME {number}", flush=True)
        print(f"PROGRESS {done / len(job['frames']):.4f} frame {done} of {len(job['frames'])}", flush=True)


def load(model: str) -> tuple[bpy.types.Object, float, float]:
    """Import a GLB below a pivot at the middle of its bounding box.

    Returns:
        the pivot, the radius of a sphere around it that holds every vertex, and the floor's height below it.
    """
    bpy.ops.import_scene.gltf(filepath=model)
    scene = bpy.context.scene
    for one in [one for one in scene.objects if one.type in ("CAMERA", "LIGHT")]:
        bpy.data.objects.remove(one)
    bpy.context.view_layer.update()
    for one in scene.objects:
        if one.type == "MESH":
            mend_normals(one)
    points = np.concatenate([world_points(one) for one in scene.objects if one.type == "MESH"])
    low, high = points.min(0), points.max(0)
    middle = (low + high) / 2
    pivot = bpy.data.objects.new("pivot", None)
    bpy.context.collection.objects.link(pivot)
    for root in [one for one in scene.objects if one.parent is None and one is not pivot]:
        root.matrix_world = Matrix.Translation(-Vector(middle)) @ root.matrix_world
        root.parent = pivot
    return pivot, float(np.linalg.norm(points - middle, axis=1).max()), float(low[2] - middle[2])


def mend_normals(one: bpy.types.Object) -> None:
    """Make the normals anew where some look away from their own face, as careless exporters write: they shade black."""
    mesh = one.data
    corners = np.empty(len(mesh.loops) * 3, np.float32)
    faces = np.empty(len(mesh.polygons) * 3, np.float32)
    sizes = np.empty(len(mesh.polygons), np.int32)
    mesh.corner_normals.foreach_get("vector", corners)
    mesh.polygons.foreach_get("normal", faces)
    mesh.polygons.foreach_get("loop_total", sizes)
    agree = (corners.reshape(-1, 3) * np.repeat(faces.reshape(-1, 3), sizes, axis=0)).sum(1)
    if (agree < 0).any():
        with bpy.context.temp_override(object=one, active_object=one, selected_editable_objects=[one]):
            if mesh.has_custom_normals:
                bpy.ops.mesh.customdata_custom_splitnormals_clear()
            bpy.ops.object.shade_smooth_by_angle(angle=SMOOTH_ANGLE)


def world_points(mesh: bpy.types.Object) -> np.ndarray:
    points = np.empty(len(mesh.data.vertices) * 3, np.float32)
    mesh.data.vertices.foreach_get("co", points)
    matrix = np.array(mesh.matrix_world)
    return points.reshape(-1, 3).astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def aim_camera(radius: float, floor: float, job: dict[str, Any]) -> None:
    """Look at the pivot from so far that the bounding sphere fits between all four sides of the picture."""
    width, height = job["width"], job["height"]
    tangent = SENSOR_MM / 2 / LENS_MM * min(width, height) / max(width, height)
    distance = MARGIN * radius / math.sin(math.atan(tangent))
    elevation = math.radians(job["elevation_deg"])
    data = bpy.data.cameras.new("camera")
    data.lens, data.sensor_width, data.sensor_fit = LENS_MM, SENSOR_MM, "AUTO"
    data.clip_start, data.clip_end = 0.01 * distance, 100 * distance
    camera = bpy.data.objects.new("camera", data)
    at = Vector((0, -math.cos(elevation), math.sin(elevation))) * distance
    at.z = max(at.z, floor + 0.05 * radius)  # never from under the floor
    camera.location = at
    camera.rotation_euler = at.to_track_quat("Z", "Y").to_euler()
    bpy.context.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100


def add_lights(radius: float) -> None:
    for place, size, watts, color in LIGHTS:
        data = bpy.data.lights.new("light", "AREA")
        data.size, data.energy, data.color = size * radius, watts * radius**2, color
        lamp = bpy.data.objects.new("light", data)
        lamp.location = Vector((place[0], -place[1], place[2])) * radius
        lamp.rotation_euler = (-lamp.location).to_track_quat("-Z", "Y").to_euler()
        bpy.context.collection.objects.link(lamp)


def add_environment(studio: bool) -> None:
    """A bright ceiling over a darker floor for what the piece reflects, a plain backdrop for what the camera sees."""
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    tree = world.node_tree
    tree.nodes.clear()
    add = tree.nodes.new
    place, parts, ramp = add("ShaderNodeTexCoord"), add("ShaderNodeSeparateXYZ"), add("ShaderNodeValToRGB")
    tree.links.new(place.outputs["Generated"], parts.inputs[0])
    tree.links.new(parts.outputs["Z"], ramp.inputs[0])
    ramp.color_ramp.elements[0].color = (*GROUND, 1)
    ramp.color_ramp.elements[1].color = (*SKY, 1)
    middle = ramp.color_ramp.elements.new(0.15)
    middle.color = (*HORIZON, 1)
    sky, plain, mix, out = (
        add("ShaderNodeBackground"),
        add("ShaderNodeBackground"),
        add("ShaderNodeMixShader"),
        add("ShaderNodeOutputWorld"),
    )
    tree.links.new(ramp.outputs[0], sky.inputs["Color"])
    sky.inputs["Strength"].default_value = SKY_STRENGTH
    plain.inputs["Color"].default_value = (BACKDROP, BACKDROP, BACKDROP, 1)
    path = add("ShaderNodeLightPath")
    tree.links.new(path.outputs["Is Camera Ray"], mix.inputs[0])
    tree.links.new(sky.outputs[0], mix.inputs[1])
    tree.links.new((plain if studio else sky).outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], out.inputs[0])
    bpy.context.scene.world = world


def add_ground(radius: float, floor: float, studio: bool) -> None:
    """A shadow catcher; in a studio, a floor that fades into the backdrop, which costs half as much."""
    bpy.ops.mesh.primitive_circle_add(
        vertices=64, radius=5 * radius, fill_type="NGON", location=(0, 0, floor - 1e-4 * radius)
    )
    ground = bpy.context.active_object
    material = bpy.data.materials.new("ground")
    material.use_nodes = True
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (0.92, 0.92, 0.92, 1)
    shader.inputs["Roughness"].default_value = 0.9
    ground.data.materials.append(material)
    if not studio:
        ground.is_shadow_catcher = True
        return
    add = tree.nodes.new
    place, length, fade = add("ShaderNodeTexCoord"), add("ShaderNodeVectorMath"), add("ShaderNodeMapRange")
    length.operation = "LENGTH"
    clear, mix = add("ShaderNodeBsdfTransparent"), add("ShaderNodeMixShader")
    tree.links.new(place.outputs["Object"], length.inputs[0])
    tree.links.new(length.outputs["Value"], fade.inputs["Value"])
    fade.interpolation_type = "SMOOTHSTEP"
    fade.inputs["From Min"].default_value, fade.inputs["From Max"].default_value = 1.0 * radius, 3.2 * radius
    tree.links.new(fade.outputs[0], mix.inputs[0])
    tree.links.new(shader.outputs[0], mix.inputs[1])
    tree.links.new(clear.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], tree.nodes["Material Output"].inputs["Surface"])


def replace_wood(said: dict[str, Any]) -> None:
    """Give the named materials, or the one that covers most of the piece, the stained set at its true scale."""
    covered: dict[str, float] = {}
    for one in bpy.context.scene.objects:
        if one.type == "MESH":
            scale = abs(np.linalg.det(np.array(one.matrix_world)[:3, :3])) ** (2 / 3)
            for polygon in one.data.polygons:
                slot = one.material_slots[polygon.material_index] if one.material_slots else None
                if slot and slot.material:
                    covered[slot.material.name] = covered.get(slot.material.name, 0.0) + polygon.area * scale
    names = said["names"] or sorted(covered, key=covered.__getitem__)[-1:]
    missing = sorted(set(names) - set(covered))
    if missing:
        raise ValueError(f"the model has no material {missing[0]!r}; it has {', '.join(sorted(covered))}")
    for name in names:
        box_map(bpy.data.materials[name], said)


def box_map(one: bpy.types.Material, said: dict[str, Any]) -> None:
    one.use_nodes = True
    tree = one.node_tree
    tree.nodes.clear()
    add = tree.nodes.new
    shader, out, place, scale = (
        add("ShaderNodeBsdfPrincipled"),
        add("ShaderNodeOutputMaterial"),
        add("ShaderNodeTexCoord"),
        add("ShaderNodeMapping"),
    )
    tree.links.new(shader.outputs[0], out.inputs["Surface"])
    tree.links.new(place.outputs["Object"], scale.inputs["Vector"])
    scale.inputs["Scale"].default_value = (1 / said["width_m"],) * 3

    def picture(path: str, color: bool) -> bpy.types.Node:
        node = add("ShaderNodeTexImage")
        node.image = bpy.data.images.load(path)
        node.image.colorspace_settings.name = "sRGB" if color else "Non-Color"
        node.projection, node.projection_blend, node.extension = "BOX", 0.15, "MIRROR"
        tree.links.new(scale.outputs["Vector"], node.inputs["Vector"])
        return node

    tree.links.new(picture(said["albedo"], True).outputs["Color"], shader.inputs["Base Color"])
    tree.links.new(picture(said["roughness"], False).outputs["Color"], shader.inputs["Roughness"])
    bump = add("ShaderNodeBump")
    bump.inputs["Strength"].default_value = 0.15
    bump.inputs["Distance"].default_value = 0.002
    tree.links.new(picture(said["height"], False).outputs["Color"], bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])


def set_up_render(job: dict[str, Any]) -> None:
    scene = bpy.context.scene
    cycles, render = scene.cycles, scene.render
    render.engine = "CYCLES"
    use_gpu(scene)
    cycles.samples = job["samples"]
    cycles.use_adaptive_sampling = job["threshold"] > 0
    cycles.adaptive_threshold = job["threshold"]
    cycles.adaptive_min_samples = job["min_samples"]
    cycles.use_denoising = job["denoise"]
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_prefilter = "FAST"
    cycles.max_bounces = 6
    cycles.diffuse_bounces, cycles.glossy_bounces = 3, 3
    cycles.transparent_max_bounces = 8
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 8.0
    cycles.seed = job["seed"]
    # Three large lamps and a smooth sky: choosing among them costs more than it saves.
    cycles.use_light_tree = job["light_tree"]
    scene.world.cycles.sampling_method = "AUTOMATIC" if job["light_tree"] else "NONE"
    render.use_persistent_data = job["persistent"]
    render.film_transparent = job["background"] != "studio"
    if job["threads"]:
        render.threads_mode, render.threads = "FIXED", job["threads"]
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.view_settings.exposure = 0.35
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGB" if job["background"] == "studio" else "RGBA"
    render.image_settings.compression = 15


def use_gpu(scene: bpy.types.Scene) -> None:
    """OptiX, else CUDA, where Blender finds a device; else the CPU."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    for kind in ("OPTIX", "CUDA"):
        try:
            preferences.compute_device_type = kind
        except TypeError:
            continue  # this Blender was built without it
        preferences.get_devices()
        devices = [one for one in preferences.devices if one.type == kind]
        if devices:
            for one in preferences.devices:
                one.use = one.type == kind
            scene.cycles.device = "GPU"
            return
    scene.cycles.device = "CPU"


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
