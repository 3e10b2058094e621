"""Any 3D file that a shop may have comes in; anything that could harm or confuse a program is refused by name."""

from __future__ import annotations

import json
import struct
import time
import tracemalloc

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from trimesh.exchange.gltf import export_gltf
from trimesh.exchange.obj import export_obj

from orchestrator.domain.export import MeshFormat
from orchestrator.errors import InvalidInput
from orchestrator.mesh_files.check import MAX_BYTES, ModelFileInfo, check_model
from tests.support.bad_meshes import (
    CORPUS,
    OBJ,
    TRIANGLE,
    USDA,
    binary,
    changed,
    fbx,
    glb,
    gltf,
    gltf_zip,
    picture,
    put,
    sparse,
    stl,
    usdz,
    zipped,
)
from tests.support.meshes import stool

TRIANGLES, MATERIALS = 72, ("wood", "cushion")
SECONDS, MEMORY = 5.0, 1 << 30


def _good() -> dict[str, tuple[bytes, str, MeshFormat, str]]:
    scene = stool()
    mesh = scene.to_geometry()
    obj, beside = export_obj(scene, return_texture=True)
    parts = list(export_gltf(scene).items())
    embedded = export_gltf(scene, merge_buffers=True, embed_buffers=True)["model.gltf"]
    return {
        "glb": (scene.export(file_type="glb"), "a.glb", MeshFormat.GLB, "model/gltf-binary"),
        "glb by another name": (scene.export(file_type="glb"), "a.fbx", MeshFormat.GLB, "model/gltf-binary"),
        "gltf with its data inside": (embedded, "a.gltf", MeshFormat.GLTF, "model/gltf+json"),
        "gltf zip": (zipped(*parts), "a.zip", MeshFormat.GLTF, "application/zip"),
        "gltf zip with a folder": (
            zipped(*((f"chair/{name}", data) for name, data in parts), ("__MACOSX/chair/._model.gltf", b"\0")),
            "a.zip",
            MeshFormat.GLTF,
            "application/zip",
        ),
        "obj zip": (zipped(("stool.obj", obj.encode()), *beside.items()), "a.zip", MeshFormat.OBJ, "application/zip"),
        "obj alone": (obj.encode(), "a.obj", MeshFormat.OBJ, "model/obj"),
        "obj without a name": (obj.encode(), "", MeshFormat.OBJ, "model/obj"),
        "stl": (mesh.export(file_type="stl"), "a.stl", MeshFormat.STL, "model/stl"),
        "text stl": (mesh.export(file_type="stl_ascii").encode(), "a.stl", MeshFormat.STL, "model/stl"),
        "ply": (mesh.export(file_type="ply"), "a.ply", MeshFormat.PLY, "model/ply"),
        "text ply": (mesh.export(file_type="ply", encoding="ascii"), "a.ply", MeshFormat.PLY, "model/ply"),
    }


GOOD = _good()


@pytest.mark.parametrize("name", list(GOOD))
def test_a_good_model_comes_in_with_its_triangles_and_materials(name: str) -> None:
    data, filename, format, media_type = GOOD[name]
    info = check_model(data, filename, "data")
    assert (info.format, info.media_type, info.triangles) == (format, media_type, TRIANGLES)
    if format in (MeshFormat.GLB, MeshFormat.GLTF, MeshFormat.OBJ):
        assert info.materials == MATERIALS


@pytest.mark.parametrize("name", list(CORPUS))
def test_a_bad_model_is_refused_quickly_and_in_clear_words(name: str) -> None:
    case = CORPUS[name]
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(InvalidInput) as refused:
            check_model(case.data, case.filename, "model")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < SECONDS
    assert peak < MEMORY
    error = refused.value
    assert error.field == "model"
    for word in case.words:
        assert word in error.message
    assert len(error.message) < 700
    assert error.message.isprintable()
    for inner in ("Traceback", "/work/", "site-packages", "orchestrator"):
        assert inner not in error.message


def test_too_many_bytes_are_refused_before_they_are_looked_at() -> None:
    with pytest.raises(InvalidInput, match="too many"):
        check_model(b"glTF" + bytes(MAX_BYTES), "a.glb", "data")


def test_compressed_geometry_is_counted_and_said_to_be_unseen() -> None:
    packed = changed(
        put("meshes", 0, "primitives", 0, "extensions", value={"KHR_draco_mesh_compression": {"bufferView": 0}})
    )
    assert check_model(packed, "a.glb", "data").compression == "draco"
    said = {"buffer": 0, "byteOffset": 0, "byteLength": 20, "byteStride": 12, "count": 3}
    document = gltf()
    document["bufferViews"][0]["extensions"] = {"EXT_meshopt_compression": said}
    info = check_model(glb(document), "a.glb", "data")
    assert (info.compression, info.triangles) == ("meshopt", 1)


def test_a_sparse_accessor_is_read_with_its_replaced_elements() -> None:
    moved = np.array([[0, 0, 0], [np.nan, 0, 0], [0, 1, 0]], "<f4")
    values = {"bufferView": 0, "byteOffset": 12}
    with pytest.raises(InvalidInput, match="nan"):
        check_model(changed(sparse(count=1, values=values), binary(moved)), "a.glb", "data")
    assert check_model(changed(sparse(count=1), binary()), "a.glb", "data").triangles == 1


@pytest.mark.parametrize(("mode", "triangles"), [(4, 1), (5, 1), (6, 1)])
def test_strips_and_fans_count_as_triangles(mode: int, triangles: int) -> None:
    data = changed(put("meshes", 0, "primitives", 0, "mode", value=mode))
    assert check_model(data, "a.glb", "data").triangles == triangles


def test_a_mesh_counts_as_often_as_it_stands_in_the_scene() -> None:
    document = gltf() | {"nodes": [{"mesh": 0}, {"mesh": 0}, {"children": [0, 1]}], "scenes": [{"nodes": [2]}]}
    assert check_model(glb(document), "a.glb", "data").triangles == 2


def test_a_name_in_a_uri_may_be_percent_encoded() -> None:
    document = json.dumps(gltf() | {"buffers": [{"byteLength": 44, "uri": "parts/a%20%C3%A4.bin"}]}).encode()
    data = zipped(("a/model.gltf", document), ("a/parts/a ä.bin", binary()))
    info = check_model(data, "a.zip", "data")
    assert (info.main, info.archive, info.triangles) == ("a/model.gltf", True, 1)


def test_obj_counts_polygons_and_indices_from_the_end() -> None:
    quad = b"v 0 0 0\nv 1 0 0 1.0\n  v 1 1 0 0.5 0.5 0.5\nv 0 1 0\nf -4//1 -3//1 -2//1 \\\n -1//1\n"
    quad += b"v 9 9 9\nf 1/1 2/2 5/3\n"
    assert check_model(quad.replace(b"\n", b"\r\n"), "a.obj", "data").triangles == 3


def test_ply_counts_polygons_of_several_sizes() -> None:
    header = (
        "ply\nformat binary_big_endian 1.0\nelement vertex 4\nproperty double x\nproperty double y\n"
        "property double z\nelement face 2\nproperty uchar red\nproperty list uchar uint vertex_index\nend_header\n"
    )
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], ">f8").tobytes()
    faces = struct.pack(">BB4I", 7, 4, 0, 1, 2, 3) + struct.pack(">BB3I", 7, 3, 0, 1, 2)
    assert check_model(header.encode() + points + faces, "a.ply", "data").triangles == 3
    text = header.replace("binary_big_endian", "ascii").encode()
    body = b"0 0 0\n1 0 0\n1 1 0\n0 1 0\n7 4 0 1 2 3\n7 3 0 1 2\n"
    assert check_model(text + body, "a.ply", "data").triangles == 3


def test_fbx_and_usdz_come_in() -> None:
    assert check_model(fbx(), "a.fbx", "data") == ModelFileInfo(MeshFormat.FBX, "model/fbx", 1)
    package = usdz(("a.usda", USDA.replace(b"def", b"# @textures/a.png@\ndef")), ("textures/a.png", picture()))
    info = check_model(package, "a.zip", "data")
    assert (info.format, info.media_type, info.archive) == (MeshFormat.USDZ, "model/vnd.usdz+zip", False)


def test_a_binary_stl_that_begins_as_text_is_told_by_its_size() -> None:
    data = b"solid " + stl()[6:]
    assert check_model(data, "a.stl", "data").triangles == 1


def test_a_scan_of_a_million_triangles_takes_less_than_a_second() -> None:
    dense = trimesh.creation.icosphere(subdivisions=8)
    data = dense.export(file_type="glb")
    assert len(dense.faces) > 1_000_000
    started = time.process_time()
    assert check_model(data, "a.glb", "data").triangles == len(dense.faces)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("name", ["glb", "stl", "ply"])
def test_a_zip_may_hold_one_model_of_any_format(name: str) -> None:
    data, _, format, _ = GOOD[name]
    info = check_model(zipped((f"chair/a.{name}", data), ("chair/wood.png", picture())), "a.zip", "data")
    assert (info.format, info.media_type, info.main) == (format, "application/zip", f"chair/a.{name}")


SEEDS = {
    "a.glb": GOOD["glb"][0],
    "b.glb": glb(gltf()),
    "a.zip": gltf_zip(),
    "b.zip": zipped(("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", b"newmtl a\nmap_Kd a.png\n"), ("a.png", picture())),
    "a.usdz": usdz(("a.usda", USDA), ("a.png", picture())),
    "a.ply": GOOD["ply"][0],
    "b.ply": GOOD["text ply"][0],
    "a.stl": stl(corners=TRIANGLE),
    "b.stl": GOOD["text stl"][0],
    "a.obj": OBJ,
    "a.fbx": fbx(),
    "c.zip": zipped(("a.fbx", fbx()), ("a.png", picture())),
}


def checked(data: bytes, name: str) -> ModelFileInfo | None:
    """What the file is, or None where it was refused as it should be."""
    try:
        return check_model(data, name, "data")
    except InvalidInput as error:
        refused = error
    assert refused.field == "data"
    assert refused.message.isprintable()
    return None


@settings(max_examples=600, deadline=None)
@given(
    name=st.sampled_from(sorted(SEEDS)),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damage_anywhere_is_refused_or_harmless(name: str, flips: list[tuple[float, int]], kept: float) -> None:
    damaged = bytearray(SEEDS[name])
    for place, value in flips:
        damaged[int(place * len(damaged))] = value
    info = checked(bytes(damaged[: int(kept * len(damaged))]), name)
    assert info is None or info.triangles > 0 or info.format is MeshFormat.USDZ


PATHS = """asset;scene;scenes 0;scenes 0 nodes;nodes 0;nodes 0 mesh;nodes 0 extensions;nodes 0 scale;nodes 0 matrix
meshes 0 primitives;meshes 0 primitives 0 attributes;meshes 0 primitives 0 targets;meshes 0 primitives 0 extensions
accessors 0;accessors 1;accessors 0 bufferView;accessors 0 sparse;bufferViews 0;bufferViews 0 extensions
buffers 0 extensions;buffers 0 uri;images;textures;materials;skins;extensionsRequired""".replace("\n", ";").split(";")
KEYS = """mesh,uri,bufferView,count,source,index,attributes,POSITION,joints,indices,values,aTexture,byteOffset
EXT_mesh_gpu_instancing,EXT_meshopt_compression,KHR_draco_mesh_compression""".replace("\n", ",").split(",")
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-3, 2**40), st.floats(allow_nan=False), st.text(max_size=4))


@settings(max_examples=400, deadline=None)
@given(
    path=st.sampled_from(PATHS),
    value=st.recursive(
        LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
        max_leaves=6,
    ),
)
def test_json_of_any_shape_is_refused_or_harmless(path: str, value: object) -> None:
    keys = [int(key) if key.isdigit() else key for key in path.split()]
    info = checked(changed(put(*keys, value=value)), "a.glb")
    assert info is None or info.triangles > 0
