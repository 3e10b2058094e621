"""Small 3D files of every accepted format, from which mutated files are made."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from PIL import Image
from pxr import Sdf
from trimesh.exchange.gltf import export_gltf
from trimesh.exchange.obj import export_obj
from trimesh.visual.material import PBRMaterial

from orchestrator.domain.export import MeshCodec, TextureCodec
from orchestrator.tools.gltf import GltfBudget, normalise, optimise
from tests.support.bad_meshes import CORPUS, OBJ
from tests.support.mesh_bytes import (
    USDA,
    binary,
    encoded_image,
    fbx,
    glb,
    glb_with_image,
    gltf,
    gltf_with_uri,
    gltf_zip,
    stl,
    usdz,
    zipped,
)
from tests.support.pictures import wood_photo

MAX_SEED_BYTES = 40_000


class MeshSeed(NamedTuple):
    """A file and the name under which it is uploaded."""

    data: bytes
    filename: str


@cache
def mesh_seeds(compressed: bool = True) -> dict[str, MeshSeed]:
    """Return the files by name: those that the service accepts, and those of the corpus, which it refuses.

    Args:
        compressed: whether to include files with compressed geometry, which take 8 s to make.
    """
    accepted = accepted_seeds(compressed)
    corpus = {f"corpus: {name}": MeshSeed(case.data, case.filename) for name, case in CORPUS.items()}
    return accepted | {name: seed for name, seed in corpus.items() if 0 < len(seed.data) <= MAX_SEED_BYTES}


@cache
def accepted_seeds(compressed: bool = True) -> dict[str, MeshSeed]:
    """Return the files that the service accepts, some of each format. See ``mesh_seeds``."""
    return {**_gltf(), **(_compressed_gltf() if compressed else {}), **_others()}


def _box() -> trimesh.Scene:
    """A textured box."""
    box = trimesh.creation.box((0.4, 0.5, 0.6))
    box.unmerge_vertices()
    uv = box.vertices[:, [0, 1]] + 0.5
    wood = PBRMaterial(name="wood", baseColorTexture=Image.fromarray(wood_photo(32, 32)), metallicFactor=0.0)
    box.visual = trimesh.visual.TextureVisuals(uv=uv, material=wood)
    return trimesh.Scene({"box": box})


def _gltf() -> dict[str, MeshSeed]:
    scene = _box()
    embedded = export_gltf(scene, merge_buffers=True, embed_buffers=True)["model.gltf"]
    files = list(export_gltf(scene).items())
    seeds = {
        "glb": glb(gltf()),
        "glb with a texture": scene.export(file_type="glb"),
        "glb with an embedded image": glb_with_image(encoded_image()),
        "gltf": embedded,
        "gltf zip": gltf_zip(),
        "gltf zip with a texture": zipped(*files),
        "gltf zip in a folder": zipped(
            ("a/model.gltf", gltf_with_uri("b/data.bin")), ("a/b/data.bin", binary()), ("__MACOSX/._a", b"x")
        ),
    }
    return {name: MeshSeed(data, f"a.{_extension(name)}") for name, data in seeds.items()}


def _compressed_gltf() -> dict[str, MeshSeed]:
    return {
        "glb draco": MeshSeed(_compressed(MeshCodec.DRACO, TextureCodec.ORIGINAL), "a.glb"),
        "glb meshopt": MeshSeed(_compressed(MeshCodec.MESHOPT, TextureCodec.WEBP), "a.glb"),
    }


def _extension(name: str) -> str:
    return "zip" if " zip" in name else name.partition(" ")[0]


def _compressed(mesh: MeshCodec, texture: TextureCodec) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source, base, target = (folder / name for name in ("a.glb", "base.glb", "b.glb"))
        source.write_bytes(_box().export(file_type="glb"))
        normalise(source, base, folder)
        budget = GltfBudget(1_000_000, 1 << 30, 64)
        optimise(base, target, folder, budget, tolerances=(0.0,), texture_codec=texture, mesh_codec=mesh)
        return target.read_bytes()


def _others() -> dict[str, MeshSeed]:
    scene = _box()
    mesh = scene.to_geometry()
    obj, files = export_obj(scene, return_texture=True)
    with tempfile.TemporaryDirectory() as scratch:
        crate = Path(scratch) / "a.usdc"
        text_layer = Path(scratch) / "a.usda"
        text_layer.write_bytes(USDA)
        Sdf.Layer.OpenAsAnonymous(str(text_layer)).Export(str(crate))
        layer = crate.read_bytes()
    mtl = b"newmtl a\nKd 1 0 0\nmap_Kd -s 1 1 1 a.png\n"
    files_of_fbx = (("a.fbx", fbx()), ("a.png", encoded_image()))
    return {
        "obj": MeshSeed(OBJ, "a.obj"),
        "obj zip": MeshSeed(zipped(("box.obj", obj.encode()), *files.items()), "a.zip"),
        "obj zip with options": MeshSeed(
            zipped(("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", mtl), ("a.png", encoded_image())), "a.zip"
        ),
        "stl": MeshSeed(stl(), "a.stl"),
        "stl text": MeshSeed(mesh.export(file_type="stl_ascii").encode(), "b.stl"),
        "ply": MeshSeed(mesh.export(file_type="ply"), "a.ply"),
        "ply text": MeshSeed(mesh.export(file_type="ply", encoding="ascii"), "b.ply"),
        "fbx": MeshSeed(fbx(), "a.fbx"),
        "fbx zip": MeshSeed(zipped(*files_of_fbx), "a.zip"),
        "usdz": MeshSeed(usdz(("a.usda", USDA), ("a.png", encoded_image())), "a.usdz"),
        "usdz crate": MeshSeed(usdz(("a.usdc", layer)), "b.usdz"),
        "usdz exr": MeshSeed(usdz(("a.usda", USDA), ("a.exr", _exr())), "c.usdz"),
    }


def _exr() -> bytes:
    """The header of an OpenEXR image of 4 × 4 pixels."""
    window = np.array((0, 0, 3, 3), "<i4").tobytes()
    return b"v/1\x01\2\0\0\0dataWindow\0box2i\0\x10\0\0\0" + window + b"\0"
