"""Converts 3D files in Blender for ``tools.convert``. Run as ``convert.py JOB.json``.

The job has ``source``, its ``format``, ``texture_folder`` (textures outside it are removed) and ``targets`` (paths by
format). Prints ``INVALID <reason>`` if the source is rejected, and ``NOTE <text>`` for each note for the report.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

DEFAULT_COLOR = (0.8, 0.8, 0.8, 1.0)
DEFAULT_ROUGHNESS = 0.7
DEFAULT_IOR = 1.5  # index of refraction of varnish, plastic and glass, and glTF's default


def main(job: dict[str, Any]) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    print("PROGRESS 0.1 reading the 3D model", flush=True)
    source = Path(job["source"])
    try:
        IMPORTERS[job["format"]](str(source))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].replace(str(source), source.name)
        print(f"INVALID it is no {job['format'].upper()} that Blender can read: {reason}", flush=True)
        return
    remove_images_outside(Path(job["texture_folder"]))
    objects = [block for block in bpy.context.scene.objects if block.type == "MESH" and len(block.data.polygons)]
    if not objects:
        print("INVALID it has no faces", flush=True)
        return
    if job["format"] in ("obj", "stl", "ply"):
        add_missing_materials(objects)
        repair_refraction()
    if "obj" in job["targets"]:
        unpack_images(Path(job["targets"]["obj"]).parent)
    for done, (format, target) in enumerate(job["targets"].items(), 1):
        EXPORTERS[format](target)
        print(f"PROGRESS {0.2 + 0.8 * done / len(job['targets']):.3f} wrote {format}", flush=True)


def import_fbx(path: str) -> None:
    if "fbx_import" in dir(bpy.ops.wm):
        bpy.ops.wm.fbx_import(filepath=path, use_anim=False)
    else:  # Blender before 4.5 imports FBX with an add-on
        bpy.ops.import_scene.fbx(filepath=path, use_anim=False)


def remove_images_outside(folder: Path) -> None:
    """Remove images that are missing, unreadable or outside ``folder``, because material files can contain any path."""
    for image in list(bpy.data.images):
        if image.packed_file or image.source != "FILE":
            continue
        path = Path(bpy.path.abspath(image.filepath)).resolve()
        if not path.is_relative_to(folder) or not path.is_file() or not all(image.size):
            print(f"NOTE texture {path.name} is missing or cannot be read", flush=True)
            bpy.data.images.remove(image)


def add_missing_materials(objects: list[bpy.types.Object]) -> None:
    """Add a plain material to objects without one, because viewers show glTF's default material as a dark metal."""
    plain = [block for block in objects if not any(slot.material for slot in block.material_slots)]
    if not plain:
        return
    default = bpy.data.materials.new("material")
    default.use_nodes = True
    inputs = default.node_tree.nodes["Principled BSDF"].inputs
    has_vertex_colors = any(block.data.color_attributes for block in plain)  # they are multiplied by the base colour
    inputs["Base Color"].default_value = (1, 1, 1, 1) if has_vertex_colors else DEFAULT_COLOR
    inputs["Roughness"].default_value = DEFAULT_ROUGHNESS
    for block in plain:
        block.data.materials.clear()
        block.data.materials.append(default)


def repair_refraction() -> None:
    """Replace an index of refraction of 1, which some MTL files contain. Such a surface would reflect nothing."""
    for material in bpy.data.materials:
        shader = material.node_tree.nodes.get("Principled BSDF") if material.use_nodes else None
        if shader and shader.inputs["IOR"].default_value <= 1.0:
            shader.inputs["IOR"].default_value = DEFAULT_IOR


def unpack_images(folder: Path) -> None:
    """Write packed images as files into the folder of the OBJ, because an OBJ cannot contain them."""
    for image in [image for image in bpy.data.images if image.packed_file]:
        data = image.packed_file.data
        target = folder / (Path(image.name).stem + (".jpg" if data[:2] == b"\xff\xd8" else ".png"))
        target.write_bytes(data)
        image.unpack(method="REMOVE")
        image.filepath = str(target)


def export_glb(path: str) -> None:
    bpy.ops.export_scene.gltf(
        filepath=path,
        export_format="GLB",
        export_apply=True,
        export_animations=False,
        export_skins=False,
        export_morph=False,
        export_jpeg_quality=92,
        export_vertex_color="ACTIVE" if any(mesh.color_attributes for mesh in bpy.data.meshes) else "NONE",
    )


def export_ply(path: str) -> None:
    """Export all meshes as one. Missing UVs and colours get defaults: Blender 4.5 would write uninitialised memory."""
    meshes = [block.data for block in bpy.context.scene.objects if block.type == "MESH"]
    if any(mesh.uv_layers for mesh in meshes):
        for mesh in [mesh for mesh in meshes if not mesh.uv_layers]:
            mesh.uv_layers.new(do_init=False).uv.foreach_set("vector", [0.0] * (2 * len(mesh.loops)))
    if any(mesh.color_attributes for mesh in meshes):
        for mesh in [mesh for mesh in meshes if not mesh.color_attributes]:
            layer = mesh.color_attributes.new("Color", "BYTE_COLOR", "POINT")
            layer.data.foreach_set("color", [1.0] * (4 * len(mesh.vertices)))
    bpy.ops.wm.ply_export(filepath=path, export_normals=True, export_colors="SRGB", export_triangulated_mesh=True)


def export_fbx(path: str) -> None:
    """Export an FBX with relative paths of its textures, which it contains. Blender would write absolute ones too."""
    from io_scene_fbx import export_fbx_bin

    find_paths = export_fbx_bin._gen_vid_path

    def find_relative_path(image: bpy.types.Image, scene_data: Any) -> tuple[str, str]:
        _, relative = find_paths(image, scene_data)
        return relative, relative

    export_fbx_bin._gen_vid_path = find_relative_path
    try:
        bpy.ops.export_scene.fbx(
            filepath=path, object_types={"MESH"}, bake_anim=False, path_mode="COPY", embed_textures=True
        )
    finally:
        export_fbx_bin._gen_vid_path = find_paths


IMPORTERS: dict[str, Callable[[str], object]] = {
    "glb": lambda path: bpy.ops.import_scene.gltf(filepath=path),
    "fbx": import_fbx,
    "obj": lambda path: bpy.ops.wm.obj_import(filepath=path),
    "stl": lambda path: bpy.ops.wm.stl_import(filepath=path),
    "ply": lambda path: bpy.ops.wm.ply_import(filepath=path),
    "usdz": lambda path: bpy.ops.wm.usd_import(
        filepath=path, import_textures_mode="IMPORT_PACK", import_cameras=False, import_lights=False
    ),
}
EXPORTERS: dict[str, Callable[[str], object]] = {
    "glb": export_glb,
    "fbx": export_fbx,
    "obj": lambda path: bpy.ops.wm.obj_export(
        filepath=path, path_mode="RELATIVE", export_pbr_extensions=True, export_triangulated_mesh=True
    ),
    "stl": lambda path: bpy.ops.wm.stl_export(filepath=path),
    "ply": export_ply,
}

if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
