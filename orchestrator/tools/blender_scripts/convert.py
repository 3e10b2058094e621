"""Blender side of ``tools.convert``: other formats to GLB, and GLB to other formats. Run as ``convert.py JOB.json``.

A job has ``source``, its ``format``, ``inside`` (the folder that pictures may be read from) and ``exports``: paths by
format. Prints ``REFUSED <why>`` where the source cannot be read. Blender's frame is +Z up; its importers and exporters
turn each format's into it and back.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

PLAIN_COLOR, PLAIN_ROUGHNESS = (0.8, 0.8, 0.8, 1.0), 0.7
USUAL_IOR = 1.5
"""Of varnish, plastic and glass; what glTF takes where nothing is said."""


def main(job: dict[str, Any]) -> None:
    if job["threads"]:
        bpy.context.scene.render.threads_mode, bpy.context.scene.render.threads = "FIXED", job["threads"]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    print("PROGRESS 0.1 reading the model", flush=True)
    source = Path(job["source"])
    try:
        IMPORTERS[job["format"]](str(source))
    except RuntimeError as error:
        words = str(error).strip().splitlines()[-1].replace(str(source), source.name)
        print(f"REFUSED it is no {job['format'].upper()} that Blender can read: {words}", flush=True)
        return
    drop_foreign_pictures(Path(job["inside"]))
    meshes = [one for one in bpy.context.scene.objects if one.type == "MESH" and len(one.data.polygons)]
    if not meshes:
        print("REFUSED it has no faces", flush=True)
        return
    if job["format"] in ("obj", "stl", "ply"):
        give_materials(meshes)
        mend_reflection()
    if "obj" in job["exports"]:
        unpack_pictures(Path(job["exports"]["obj"]).parent)
    for done, (name, target) in enumerate(job["exports"].items(), 1):
        EXPORTERS[name](target)
        print(f"PROGRESS {0.2 + 0.8 * done / len(job['exports']):.3f} wrote {name}", flush=True)


def import_fbx(path: str) -> None:
    if "fbx_import" in dir(bpy.ops.wm):  # Blender 4.5's own reader; before, an add-on of Blender's
        bpy.ops.wm.fbx_import(filepath=path, use_anim=False)
    else:
        bpy.ops.import_scene.fbx(filepath=path, use_anim=False)


def drop_foreign_pictures(folder: Path) -> None:
    """A material file may name any path; only pictures of the upload are the model's."""
    for picture in list(bpy.data.images):
        if picture.packed_file or picture.source != "FILE":
            continue
        at = Path(bpy.path.abspath(picture.filepath)).resolve()
        if not at.is_relative_to(folder) or not at.is_file() or not all(picture.size):
            print(f"NOTE picture {at.name} is missing or cannot be read", flush=True)
            bpy.data.images.remove(picture)


def give_materials(meshes: list[bpy.types.Object]) -> None:
    """A face without a material would be a black metal in glTF."""
    plain = None
    for one in meshes:
        slots = [slot for slot in one.material_slots if slot.material]
        if slots:
            continue
        if plain is None:
            plain = bpy.data.materials.new("material")
            plain.use_nodes = True
            shader = plain.node_tree.nodes["Principled BSDF"]
            shader.inputs["Base Color"].default_value = PLAIN_COLOR
            shader.inputs["Roughness"].default_value = PLAIN_ROUGHNESS
        if one.data.color_attributes:
            plain.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (1, 1, 1, 1)
        one.data.materials.clear()
        one.data.materials.append(plain)


def mend_reflection() -> None:
    """MTL files say ``Ni 1`` where nobody thought of it; taken at its word, nothing would reflect any light."""
    for material in bpy.data.materials:
        shader = material.node_tree.nodes.get("Principled BSDF") if material.use_nodes else None
        if shader and shader.inputs["IOR"].default_value <= 1.0:
            shader.inputs["IOR"].default_value = USUAL_IOR


def unpack_pictures(folder: Path) -> None:
    """OBJ has no pictures of its own: write them beside it."""
    for picture in bpy.data.images:
        if not picture.packed_file:
            continue
        data = picture.packed_file.data
        target = folder / (Path(picture.name).stem + (".jpg" if data[:2] == b"\xff\xd8" else ".png"))
        target.write_bytes(data)
        picture.unpack(method="REMOVE")
        picture.filepath = str(target)


def export_glb(path: str) -> None:
    bpy.ops.export_scene.gltf(
        filepath=path,
        export_format="GLB",
        export_yup=True,
        export_apply=True,
        export_animations=False,
        export_skins=False,
        export_morph=False,
        export_image_format="AUTO",
        export_jpeg_quality=92,
        export_vertex_color="ACTIVE" if any(one.color_attributes for one in bpy.data.meshes) else "NONE",
    )


def export_fbx(path: str) -> None:
    bpy.ops.export_scene.fbx(
        filepath=path, object_types={"MESH"}, bake_anim=False, path_mode="COPY", embed_textures=True
    )


def export_obj(path: str) -> None:
    bpy.ops.wm.obj_export(
        filepath=path, path_mode="RELATIVE", export_pbr_extensions=True, export_triangulated_mesh=True
    )


def export_ply(path: str) -> None:
    """Blender joins all meshes; where one has no UVs or colours and another has, it would write what is in memory."""
    meshes = [one.data for one in bpy.context.scene.objects if one.type == "MESH"]
    if any(one.uv_layers for one in meshes):
        for bare in [one for one in meshes if not one.uv_layers]:
            layer = bare.uv_layers.new(do_init=False)
            layer.uv.foreach_set("vector", [0.0] * (2 * len(bare.loops)))
    if any(one.color_attributes for one in meshes):
        for bare in [one for one in meshes if not one.color_attributes]:
            layer = bare.color_attributes.new("Color", "BYTE_COLOR", "POINT")
            layer.data.foreach_set("color", [1.0] * (4 * len(bare.vertices)))
    bpy.ops.wm.ply_export(filepath=path, export_normals=True, export_colors="SRGB", export_triangulated_mesh=True)


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
    "obj": export_obj,
    "stl": lambda path: bpy.ops.wm.stl_export(filepath=path),
    "ply": export_ply,
}

if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
