"""Renders frames of a turntable in Blender. Run as ``turntable.py JOB.json``.

The job is a ``TurntableJob`` of ``stages.render.turntable``. Only the piece turns. Sizes and distances of camera,
lights and floor are relative to the bounding sphere of the piece, so that all pieces are lit and framed alike.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

# These constants define the look of all turntables. They are not tuned against a measurement. The errors and render
# times in docs/benchmarks.md (turntable) are those of this scene.

LENS_MM = 85.0
SENSOR_MM = 36.0
MARGIN = 1.06
"""Distance of the camera. At 1, the bounding sphere fills the smaller side of the frame."""


@dataclass(frozen=True)
class Light:
    """A square area light that points at the centre of the piece."""

    position: tuple[float, float, float]  # right, towards the camera, up; in radii of the bounding sphere
    size: float  # side, in radii
    watts: float  # for a radius of 1 m; the power grows with the squared radius
    color: tuple[float, float, float]  # linear RGB


LIGHTS = (
    Light((-2.4, 2.0, 2.6), 2.2, 62.0, (1.0, 0.96, 0.91)),  # key light
    Light((3.0, 1.4, 1.2), 2.6, 20.0, (0.93, 0.96, 1.0)),  # fill light
    Light((0.6, -2.6, 2.8), 1.8, 38.0, (1.0, 1.0, 1.0)),  # rim light
)

# Colours of the environment that the piece reflects, linear RGB.
SKY = (0.95, 0.97, 1.0)
HORIZON = (0.80, 0.81, 0.82)
GROUND = (0.42, 0.41, 0.40)
HORIZON_POSITION = 0.15  # on the colour ramp from GROUND to SKY
SKY_STRENGTH = 0.45
BACKDROP = 1.2  # linear grey of the backdrop in a studio, before the AgX view transform

# Lengths in radii of the bounding sphere.
FLOOR_RADIUS = 5.0
FADE_START = 1.0  # distance from the centre at which the studio floor starts to fade into the backdrop
FADE_END = 3.2
MIN_CAMERA_HEIGHT = 0.05  # above the floor

TEXTURE_BLEND = 0.15  # between the sides of a box projection, from 0 (sharp edges) to 1
BUMP_STRENGTH = 0.15
BUMP_DISTANCE_M = 0.002  # height of the bumps of a texture, which the strength scales
MAX_INDIRECT_RADIANCE = 8.0
"""Brighter indirect samples are clamped. This removes isolated bright pixels, but darkens bright reflections."""
EXPOSURE = 0.35  # of the view transform, in stops
SMOOTH_ANGLE = math.radians(30)  # edges sharper than this stay sharp when normals are recomputed; Blender's default


def main(job: dict[str, Any]) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    pivot, radius, floor = load_mesh(job["mesh"])
    is_studio = job["background"] == "studio"
    if job["texture"]:
        replace_wood(job["texture"])
    add_camera(radius, floor, job)
    for light in LIGHTS:
        add_light(light, radius)
    add_environment(is_studio)
    add_floor(radius, floor, is_studio)
    set_up_render(job)
    frames = job["frames"]
    for completed, number in enumerate(frames, 1):
        pivot.rotation_euler[2] = 2 * math.pi * number / job["count"]
        scratch = Path(f"frame-{number:03d}.part.png").absolute()
        bpy.context.scene.render.filepath = str(scratch)
        bpy.ops.render.render(write_still=True)
        scratch.replace(f"frame-{number:03d}.png")
        print(f"\nFRAME {number}", flush=True)
        print(f"PROGRESS {completed / len(frames):.4f} frame {completed} of {len(frames)}", flush=True)


def load_mesh(path: str) -> tuple[bpy.types.Object, float, float]:
    """Import a GLB and parent it to a pivot at the centre of its bounding box.

    Returns the pivot, the radius of the bounding sphere around it, and the height of the floor relative to it.
    """
    bpy.ops.import_scene.gltf(filepath=path)
    scene = bpy.context.scene
    bpy.data.batch_remove([obj for obj in scene.objects if obj.type in ("CAMERA", "LIGHT")])
    bpy.context.view_layer.update()
    meshes = [obj for obj in scene.objects if obj.type == "MESH"]
    for obj in meshes:
        repair_normals(obj)
    points = np.concatenate([world_points(obj) for obj in meshes])
    lowest, highest = points.min(0), points.max(0)
    center = (lowest + highest) / 2
    radius = float(np.linalg.norm(points - center, axis=1).max())
    pivot = bpy.data.objects.new("pivot", None)
    bpy.context.collection.objects.link(pivot)
    for root in [obj for obj in scene.objects if obj.parent is None and obj is not pivot]:
        root.matrix_world = Matrix.Translation(-Vector(center)) @ root.matrix_world
        root.parent = pivot
    return pivot, radius, float(lowest[2] - center[2])


def repair_normals(obj: bpy.types.Object) -> None:
    """Recompute the normals of a mesh if some point to the back of their face, because these would render black."""
    mesh = obj.data
    corner_normals = np.empty(len(mesh.loops) * 3, np.float32)
    face_normals = np.empty(len(mesh.polygons) * 3, np.float32)
    corner_counts = np.empty(len(mesh.polygons), np.int32)
    mesh.corner_normals.foreach_get("vector", corner_normals)
    mesh.polygons.foreach_get("normal", face_normals)
    mesh.polygons.foreach_get("loop_total", corner_counts)
    cosines = (corner_normals.reshape(-1, 3) * np.repeat(face_normals.reshape(-1, 3), corner_counts, axis=0)).sum(1)
    if (cosines < 0).any():
        with bpy.context.temp_override(object=obj, active_object=obj, selected_editable_objects=[obj]):
            if mesh.has_custom_normals:
                bpy.ops.mesh.customdata_custom_splitnormals_clear()
            bpy.ops.object.shade_smooth_by_angle(angle=SMOOTH_ANGLE)


def world_points(obj: bpy.types.Object) -> np.ndarray:
    """Return the vertices of a mesh object in world space, [N, 3] float64."""
    points = np.empty(len(obj.data.vertices) * 3, np.float32)
    obj.data.vertices.foreach_get("co", points)
    matrix = np.array(obj.matrix_world)
    return points.reshape(-1, 3).astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def add_camera(radius: float, floor: float, job: dict[str, Any]) -> None:
    """Point a camera at the pivot, from a distance at which the bounding sphere fits into the frame."""
    width, height = job["width"], job["height"]
    tangent = SENSOR_MM / 2 / LENS_MM * min(width, height) / max(width, height)
    distance = MARGIN * radius / math.sin(math.atan(tangent))
    elevation = math.radians(job["elevation_deg"])
    data = bpy.data.cameras.new("camera")
    data.lens, data.sensor_width, data.sensor_fit = LENS_MM, SENSOR_MM, "AUTO"
    data.clip_start, data.clip_end = 0.01 * distance, 100 * distance
    camera = bpy.data.objects.new("camera", data)
    position = Vector((0, -math.cos(elevation), math.sin(elevation))) * distance
    position.z = max(position.z, floor + MIN_CAMERA_HEIGHT * radius)
    camera.location = position
    camera.rotation_euler = position.to_track_quat("Z", "Y").to_euler()
    bpy.context.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = width, height
    render.resolution_percentage = 100


def add_light(light: Light, radius: float) -> None:
    data = bpy.data.lights.new("light", "AREA")
    data.size = light.size * radius
    data.energy = light.watts * radius**2
    data.color = light.color
    light_object = bpy.data.objects.new("light", data)
    right, towards_camera, up = light.position
    light_object.location = Vector((right, -towards_camera, up)) * radius
    light_object.rotation_euler = (-light_object.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.collection.objects.link(light_object)


def add_node(tree: bpy.types.NodeTree, kind: str, inputs: dict[str | int, Any] | None = None) -> bpy.types.Node:
    """Add a shader node, and link its inputs to sockets or set them to values."""
    node = tree.nodes.new(f"ShaderNode{kind}")
    for name, value in (inputs or {}).items():
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, node.inputs[name])
        else:
            node.inputs[name].default_value = value
    return node


def add_environment(is_studio: bool) -> None:
    """Add a bright sky over a darker ground. In a studio the camera sees a plain backdrop instead."""
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    tree = world.node_tree
    tree.nodes.clear()
    direction = add_node(tree, "SeparateXYZ", {0: add_node(tree, "TexCoord").outputs["Generated"]})
    ramp = add_node(tree, "ValToRGB", {0: direction.outputs["Z"]})
    ramp.color_ramp.elements[0].color = (*GROUND, 1)
    ramp.color_ramp.elements[1].color = (*SKY, 1)
    ramp.color_ramp.elements.new(HORIZON_POSITION).color = (*HORIZON, 1)
    sky = add_node(tree, "Background", {"Color": ramp.outputs[0], "Strength": SKY_STRENGTH}).outputs[0]
    backdrop = add_node(tree, "Background", {"Color": (BACKDROP, BACKDROP, BACKDROP, 1)}).outputs[0]
    is_camera = add_node(tree, "LightPath").outputs["Is Camera Ray"]
    mix = add_node(tree, "MixShader", {0: is_camera, 1: sky, 2: backdrop if is_studio else sky})
    add_node(tree, "OutputWorld", {0: mix.outputs[0]})
    bpy.context.scene.world = world


def add_floor(radius: float, floor: float, is_studio: bool) -> None:
    """Add a shadow catcher. In a studio, add a floor that fades into the backdrop instead, at half the render time."""
    bpy.ops.mesh.primitive_circle_add(
        vertices=64, radius=FLOOR_RADIUS * radius, fill_type="NGON", location=(0, 0, floor - 1e-4 * radius)
    )
    disc = bpy.context.active_object
    material = bpy.data.materials.new("floor")
    material.use_nodes = True
    disc.data.materials.append(material)
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (0.92, 0.92, 0.92, 1)
    shader.inputs["Roughness"].default_value = 0.9
    if not is_studio:
        disc.is_shadow_catcher = True
        return
    distance = add_node(tree, "VectorMath", {0: add_node(tree, "TexCoord").outputs["Object"]})
    distance.operation = "LENGTH"
    limits = {"From Min": FADE_START * radius, "From Max": FADE_END * radius}
    fade = add_node(tree, "MapRange", {"Value": distance.outputs["Value"], **limits})
    fade.interpolation_type = "SMOOTHSTEP"
    transparent = add_node(tree, "BsdfTransparent").outputs[0]
    mix = add_node(tree, "MixShader", {0: fade.outputs[0], 1: shader.outputs[0], 2: transparent})
    tree.links.new(mix.outputs[0], tree.nodes["Material Output"].inputs["Surface"])


def replace_wood(texture: dict[str, Any]) -> None:
    """Apply a ``WoodTexture`` to the named materials, or to the material that covers the largest area."""
    areas = material_areas()
    names = texture["materials"] or sorted(areas, key=areas.__getitem__)[-1:]
    missing = sorted(set(names) - set(areas))
    if missing:
        raise ValueError(f"the 3D model has no material {missing[0]!r}; it has {', '.join(sorted(areas))}")
    for name in names:
        box_map(bpy.data.materials[name], texture)


def material_areas() -> dict[str, float]:
    """Return the area of the faces of each material, in square metres."""
    areas: dict[str, float] = defaultdict(float)
    for obj in bpy.context.scene.objects:
        if obj.type == "MESH" and obj.material_slots:
            scale = abs(np.linalg.det(np.array(obj.matrix_world)[:3, :3])) ** (2 / 3)
            for polygon in obj.data.polygons:
                if material := obj.material_slots[polygon.material_index].material:
                    areas[material.name] += polygon.area * scale
    return areas


def box_map(material: bpy.types.Material, texture: dict[str, Any]) -> None:
    """Replace the shader of a material by the maps of a ``WoodTexture``, projected from six sides."""
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    coordinates = add_node(tree, "TexCoord").outputs["Object"]
    mapping = add_node(tree, "Mapping", {"Vector": coordinates, "Scale": (1 / texture["width_m"],) * 3})
    maps = {}
    for name, space in (("albedo", "sRGB"), ("roughness", "Non-Color"), ("height", "Non-Color")):
        node = add_node(tree, "TexImage", {"Vector": mapping.outputs["Vector"]})
        node.image = bpy.data.images.load(texture[name])
        node.image.colorspace_settings.name = space
        node.projection = "BOX"
        node.projection_blend = TEXTURE_BLEND
        node.extension = "MIRROR"  # mirrored tiles hide the seams
        maps[name] = node.outputs["Color"]
    bump = add_node(tree, "Bump", {"Strength": BUMP_STRENGTH, "Distance": BUMP_DISTANCE_M, "Height": maps["height"]})
    inputs = {"Base Color": maps["albedo"], "Roughness": maps["roughness"], "Normal": bump.outputs["Normal"]}
    add_node(tree, "OutputMaterial", {"Surface": add_node(tree, "BsdfPrincipled", inputs).outputs[0]})


def set_up_render(job: dict[str, Any]) -> None:
    scene = bpy.context.scene
    cycles, render = scene.cycles, scene.render
    is_studio = job["background"] == "studio"
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
    cycles.diffuse_bounces = cycles.glossy_bounces = 3
    cycles.transparent_max_bounces = 8
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = MAX_INDIRECT_RADIANCE
    cycles.seed = job["seed"]
    cycles.use_light_tree = job["light_tree"]
    scene.world.cycles.sampling_method = "AUTOMATIC" if job["light_tree"] else "NONE"
    render.use_persistent_data = job["persistent"]
    render.film_transparent = not is_studio
    if job["threads"]:
        render.threads_mode, render.threads = "FIXED", job["threads"]
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.view_settings.exposure = EXPOSURE
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGB" if is_studio else "RGBA"
    render.image_settings.compression = 15


def use_gpu(scene: bpy.types.Scene) -> None:
    """Render with OptiX or CUDA if Blender finds such a device, otherwise on the CPU."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    for kind in ("OPTIX", "CUDA"):
        try:
            preferences.compute_device_type = kind
        except TypeError:
            continue  # this Blender was built without support for it
        preferences.get_devices()
        if any(device.type == kind for device in preferences.devices):
            for device in preferences.devices:
                device.use = device.type == kind
            scene.cycles.device = "GPU"
            return
    scene.cycles.device = "CPU"


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
