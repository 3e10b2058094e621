"""Valid 3D files of every format are accepted; damaged and hostile files are rejected with a clear reason."""

from __future__ import annotations

import json
import struct
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from pxr import Sdf
from trimesh.exchange.gltf import export_gltf
from trimesh.exchange.obj import export_obj

from orchestrator.decoding.pool import decode_pool
from orchestrator.domain.export import MeshCodec, MeshFormat, TextureCodec
from orchestrator.domain.limits import DecodeLimits, Sandbox
from orchestrator.errors import FailedPrecondition, InvalidInput, ToolFailed, ToolKilled
from orchestrator.mesh_files import check
from orchestrator.mesh_files.check import MAX_BYTES, MeshFileInfo, check_mesh
from orchestrator.mesh_files.limits import InvalidMeshFile
from orchestrator.mesh_files.precheck import precheck
from orchestrator.tools import program
from orchestrator.tools.gltf import GltfBudget, normalise, optimise
from orchestrator.tools.sandbox import Barriers
from tests.support.bad_gltf import sparse
from tests.support.bad_meshes import CORPUS, OBJ
from tests.support.mesh_bytes import (
    TRIANGLE,
    USDA,
    binary,
    changed_glb,
    encoded_image,
    fbx,
    glb,
    gltf,
    gltf_zip,
    set_value,
    stl,
    usdz,
    zipped,
)
from tests.support.meshes import stool, write_stool

TRIANGLES = 72
MATERIALS = ("wood", "cushion")
MAX_SECONDS = 5.0
NO_BARRIERS = Barriers(0, False, False, False, False)
MAX_MEMORY = 1 << 30


def valid_files() -> dict[str, tuple[bytes, str, MeshFormat, str]]:
    """The stool in every format: name → bytes, filename, format and media type."""
    scene = stool()
    mesh = scene.to_geometry()
    obj, files = export_obj(scene, return_texture=True)
    gltf_files = list(export_gltf(scene).items())
    embedded = export_gltf(scene, merge_buffers=True, embed_buffers=True)["model.gltf"]
    return {
        "glb": (scene.export(file_type="glb"), "a.glb", MeshFormat.GLB, "model/gltf-binary"),
        "glb by another name": (scene.export(file_type="glb"), "a.fbx", MeshFormat.GLB, "model/gltf-binary"),
        "gltf with its data inside": (embedded, "a.gltf", MeshFormat.GLTF, "model/gltf+json"),
        "gltf zip": (zipped(*gltf_files), "a.zip", MeshFormat.GLTF, "application/zip"),
        "gltf zip with a folder": (
            zipped(*((f"chair/{name}", data) for name, data in gltf_files), ("__MACOSX/chair/._model.gltf", b"\0")),
            "a.zip",
            MeshFormat.GLTF,
            "application/zip",
        ),
        "obj zip": (zipped(("stool.obj", obj.encode()), *files.items()), "a.zip", MeshFormat.OBJ, "application/zip"),
        "obj alone": (obj.encode(), "a.obj", MeshFormat.OBJ, "model/obj"),
        "obj without a name": (obj.encode(), "", MeshFormat.OBJ, "model/obj"),
        "stl": (mesh.export(file_type="stl"), "a.stl", MeshFormat.STL, "model/stl"),
        "text stl": (mesh.export(file_type="stl_ascii").encode(), "a.stl", MeshFormat.STL, "model/stl"),
        "ply": (mesh.export(file_type="ply"), "a.ply", MeshFormat.PLY, "model/ply"),
        "text ply": (mesh.export(file_type="ply", encoding="ascii"), "a.ply", MeshFormat.PLY, "model/ply"),
    }


VALID = valid_files()


@pytest.mark.parametrize("name", list(VALID))
def test_a_valid_file_is_accepted_with_its_triangles_and_materials(name: str) -> None:
    data, filename, format, media_type = VALID[name]
    info = check_mesh(data, filename, "data")
    assert (info.format, info.media_type, info.triangles) == (format, media_type, TRIANGLES)
    if format in (MeshFormat.GLB, MeshFormat.GLTF, MeshFormat.OBJ):
        assert sorted(info.materials) == sorted(MATERIALS)


@pytest.mark.parametrize("name", list(CORPUS))
def test_a_bad_file_is_rejected_quickly_and_in_clear_words(name: str) -> None:
    case = CORPUS[name]
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(InvalidInput) as rejected:
            check_mesh(case.data, case.filename, "model")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < MAX_SECONDS
    assert peak < MAX_MEMORY
    error = rejected.value
    assert error.field == "model"
    for word in case.words:
        assert word in error.message
    assert len(error.message) < 700
    assert error.message.isprintable()
    for internal in ("Traceback", "/work/", tempfile.gettempdir(), "site-packages", "orchestrator"):
        assert internal not in error.message


def test_too_many_bytes_are_rejected_before_they_are_read() -> None:
    with pytest.raises(InvalidInput, match="too many"):
        check_mesh(b"glTF" + bytes(MAX_BYTES), "a.glb", "data")


@pytest.mark.parametrize("codec", [MeshCodec.DRACO, MeshCodec.MESHOPT])
def test_compressed_geometry_is_decoded_and_counted(tmp_path: Path, codec: MeshCodec) -> None:
    base, packed = tmp_path / "base.glb", tmp_path / "packed.glb"
    normalise(write_stool(tmp_path / "stool.glb"), base, tmp_path)
    optimise(
        base,
        packed,
        tmp_path,
        GltfBudget(),
        tolerances=(0.0,),
        texture_codec=TextureCodec.WEBP,
        mesh_codec=codec,
    )
    info = check_mesh(packed.read_bytes(), "a.glb", "data")
    assert (info.compression, info.triangles) == (codec.value, TRIANGLES)
    assert set(info.materials) == set(MATERIALS)


def test_a_sparse_accessor_is_read_with_its_replaced_elements() -> None:
    moved = np.array([[0, 0, 0], [np.nan, 0, 0], [0, 1, 0]], "<f4")
    values = {"bufferView": 0, "byteOffset": 12}
    with pytest.raises(InvalidInput, match="nan"):
        check_mesh(changed_glb(sparse(count=1, values=values), binary(moved)), "a.glb", "data")
    assert check_mesh(changed_glb(sparse(count=1), binary()), "a.glb", "data").triangles == 1


@pytest.mark.parametrize(("mode", "triangles"), [(4, 1), (5, 1), (6, 1)])
def test_strips_and_fans_count_as_triangles(mode: int, triangles: int) -> None:
    data = changed_glb(set_value("meshes", 0, "primitives", 0, "mode", value=mode))
    assert check_mesh(data, "a.glb", "data").triangles == triangles


def test_a_mesh_counts_once_for_each_node_that_shows_it() -> None:
    document = gltf() | {"nodes": [{"mesh": 0}, {"mesh": 0}, {"children": [0, 1]}], "scenes": [{"nodes": [2]}]}
    assert check_mesh(glb(document), "a.glb", "data").triangles == 2


def test_defects_that_every_reader_repairs_are_accepted() -> None:
    document = gltf()
    document["accessors"].append({"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"})
    document["meshes"][0]["primitives"][0]["attributes"]["NORMAL"] = 2  # not of unit length
    document["materials"] = [{"pbrMetallicRoughness": {"roughnessFactor": 1.0000001}}]
    document["nodes"][0]["rotation"] = [0, 0, 0, 1.0000001]
    assert check_mesh(glb(document), "a.glb", "data").triangles == 1


def test_a_name_in_a_uri_may_be_percent_encoded() -> None:
    document = json.dumps(gltf() | {"buffers": [{"byteLength": 44, "uri": "parts/a%20%C3%A4.bin"}]}).encode()
    data = zipped(("a/model.gltf", document), ("a/parts/a ä.bin", binary()))
    info = check_mesh(data, "a.zip", "data")
    assert (info.main, info.is_archive, info.triangles) == ("a/model.gltf", True, 1)


def test_obj_counts_polygons_and_indices_from_the_end() -> None:
    quad = b"v 0 0 0\nv 1 0 0 1.0\n  v 1 1 0 0.5 0.5 0.5\nv 0 1 0\nf -4//1 -3//1 -2//1 \\\n -1//1\n"
    quad += b"v 9 9 9\nf 1/1 2/2 5/3\n"
    assert check_mesh(quad.replace(b"\n", b"\r\n"), "a.obj", "data").triangles == 3


def test_ply_counts_polygons_of_several_sizes() -> None:
    header = (
        "ply\nformat binary_big_endian 1.0\nelement vertex 4\nproperty double x\nproperty double y\n"
        "property double z\nelement face 2\nproperty uchar red\nproperty list uchar uint vertex_index\nend_header\n"
    )
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], ">f8").tobytes()
    faces = struct.pack(">BB4I", 7, 4, 0, 1, 2, 3) + struct.pack(">BB3I", 7, 3, 0, 1, 2)
    assert check_mesh(header.encode() + points + faces, "a.ply", "data").triangles == 3
    text = header.replace("binary_big_endian", "ascii").encode()
    body = b"0 0 0\n1 0 0\n1 1 0\n0 1 0\n7 4 0 1 2 3\n7 3 0 1 2\n"
    assert check_mesh(text + body, "a.ply", "data").triangles == 3


def test_fbx_and_usdz_are_accepted() -> None:
    assert check_mesh(fbx(), "a.fbx", "data") == MeshFileInfo(MeshFormat.FBX, "model/fbx", 1)
    layer = USDA.replace(b"def", b"# @textures/a.png@\ndef")
    package = usdz(("a.usda", layer), ("textures/a.png", encoded_image()))
    info = check_mesh(package, "a.zip", "data")
    assert (info.format, info.media_type, info.is_archive) == (MeshFormat.USDZ, "model/vnd.usdz+zip", False)


def test_a_binary_usd_layer_must_not_refer_outside_its_package(tmp_path: Path) -> None:
    layer = Sdf.Layer.CreateAnonymous(".usda")
    layer.ImportFromString(USDA.replace(b'"a" {', b'"a" ( references = @/etc/passwd@ ) {').decode())
    layer.Export(str(tmp_path / "a.usdc"))
    with pytest.raises(InvalidInput, match=r"'/etc/passwd' in 'a\.usdc' is absolute"):
        check_mesh(usdz(("a.usdc", (tmp_path / "a.usdc").read_bytes())), "a.usdz", "data")


def test_a_binary_stl_that_begins_like_a_text_stl_is_detected_by_its_size() -> None:
    data = b"solid " + stl()[6:]
    assert check_mesh(data, "a.stl", "data").triangles == 1


def test_a_scan_of_a_million_triangles_takes_less_than_a_second() -> None:
    dense = trimesh.creation.icosphere(subdivisions=8)
    data = dense.export(file_type="glb")
    assert len(dense.faces) > 1_000_000
    started = time.process_time()
    assert check_mesh(data, "a.glb", "data").triangles == len(dense.faces)
    assert time.process_time() - started < 1.0  # of this process: the service stays responsive


@pytest.mark.parametrize("name", ["glb", "stl", "ply"])
def test_a_zip_may_hold_one_mesh_of_any_format(name: str) -> None:
    data, _, format, _ = VALID[name]
    info = check_mesh(zipped((f"chair/a.{name}", data), ("chair/wood.png", encoded_image())), "a.zip", "data")
    assert (info.format, info.media_type, info.main) == (format, "application/zip", f"chair/a.{name}")


@pytest.mark.parametrize("name", ["stl", "usdz"])
def test_a_file_that_takes_too_long_to_read_is_rejected(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    data = usdz(("a.usda", USDA)) if name == "usdz" else VALID[name][0]
    monkeypatch.setattr(check, "READER_S", 0.01)
    with pytest.raises(InvalidInput, match="takes too long to read"):
        check_mesh(data, f"a.{name}", "data")


def test_a_file_that_crashes_its_reader_is_rejected_without_its_output(tmp_path: Path) -> None:
    blender = tmp_path / "blender"
    blender.write_text("#!/bin/sh\necho Traceback in /secret/path\nexit 3\n", encoding="utf-8")
    blender.chmod(0o755)
    with pytest.raises(InvalidInput, match="blender ended with code 3") as rejected:
        check_mesh(stl(), "a.stl", "data", blender=str(blender))
    assert "Traceback" not in rejected.value.message


def test_a_reader_that_somebody_kills_says_nothing_about_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "supported_barriers", lambda: NO_BARRIERS)  # in a namespace, it cannot kill itself
    blender = tmp_path / "blender"
    blender.write_text("#!/bin/sh\nkill -9 $$\n", encoding="utf-8")
    blender.chmod(0o755)
    with pytest.raises(ToolKilled, match="try again") as killed:
        check_mesh(stl(), "a.stl", "data", blender=str(blender))
    assert killed.value.retryable


def test_the_reader_does_not_run_without_the_barriers_that_the_settings_require(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(program, "supported_barriers", lambda: NO_BARRIERS)
    assert check_mesh(stl(), "a.stl", "data").triangles == 1
    monkeypatch.setattr(decode_pool(), "limits", DecodeLimits(sandbox=Sandbox.REQUIRE))
    with pytest.raises(FailedPrecondition, match="without Landlock"):
        check_mesh(stl(), "a.stl", "data")


def test_without_its_reader_the_error_does_not_blame_the_file(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="could not be started"):
        check_mesh(stl(), "a.stl", "data", blender=str(tmp_path / "no-blender"))


SEEDS = {
    "a.glb": VALID["glb"][0],
    "b.glb": glb(gltf()),
    "a.zip": gltf_zip(),
    "b.zip": zipped(
        ("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", b"newmtl a\nmap_Kd a.png\n"), ("a.png", encoded_image())
    ),
    "a.usdz": usdz(("a.usda", USDA), ("a.png", encoded_image())),
    "a.ply": VALID["ply"][0],
    "b.ply": VALID["text ply"][0],
    "a.stl": stl(corners=TRIANGLE),
    "b.stl": VALID["text stl"][0],
    "a.obj": OBJ,
    "a.fbx": fbx(),
    "c.zip": zipped(("a.fbx", fbx()), ("a.png", encoded_image())),
}
DAMAGE = {
    "name": st.sampled_from(sorted(SEEDS)),
    "flips": st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    "kept": st.one_of(st.just(1.0), st.floats(0, 1)),
}


def damaged(name: str, flips: list[tuple[float, int]], kept: float) -> bytes:
    """A seed with some bytes replaced, cut to a share of its length."""
    data = bytearray(SEEDS[name])
    for place, value in flips:
        data[int(place * len(data))] = value
    return bytes(data[: int(kept * len(data))])


def precheck_problem(data: bytes, name: str) -> str:
    """Why the checks before the reader reject the file; empty if they do not."""
    try:
        precheck(data, name)
    except InvalidMeshFile as error:
        return str(error)
    return ""


def accepted(data: bytes, name: str) -> MeshFileInfo | None:
    """What the file contains, or None if it is rejected as it should be."""
    try:
        return check_mesh(data, name, "data")
    except InvalidInput as error:
        rejected = error
    assert rejected.field == "data"
    assert rejected.message.isprintable()
    return None


@settings(max_examples=600, deadline=None)
@given(**DAMAGE)
def test_damage_never_breaks_a_check_before_the_reader(name: str, flips: list[tuple[float, int]], kept: float) -> None:
    assert precheck_problem(damaged(name, flips, kept), name).isprintable()


@settings(max_examples=40, deadline=None)
@given(**DAMAGE)
def test_damage_anywhere_is_rejected_or_harmless(name: str, flips: list[tuple[float, int]], kept: float) -> None:
    info = accepted(damaged(name, flips, kept), name)
    assert info is None or info.triangles > 0 or info.format is MeshFormat.USDZ


PATHS = """asset;scene;scenes 0;scenes 0 nodes;nodes 0;nodes 0 mesh;nodes 0 extensions;nodes 0 scale;nodes 0 matrix
meshes 0 primitives;meshes 0 primitives 0 attributes;meshes 0 primitives 0 targets;meshes 0 primitives 0 extensions
accessors 0;accessors 1;accessors 0 bufferView;accessors 0 sparse;bufferViews 0;bufferViews 0 extensions
buffers 0 extensions;buffers 0 uri;images;textures;materials;skins;extensionsRequired""".replace("\n", ";").split(";")
KEYS = """mesh,uri,bufferView,count,source,index,attributes,POSITION,joints,indices,values,aTexture,byteOffset
EXT_mesh_gpu_instancing,EXT_meshopt_compression,KHR_draco_mesh_compression""".replace("\n", ",").split(",")
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-3, 2**40), st.floats(allow_nan=False), st.text(max_size=4))


EDITS = {
    "path": st.sampled_from(PATHS),
    "value": st.recursive(
        LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
        max_leaves=6,
    ),
}


def edited(path: str, value: object) -> bytes:
    """The triangle as GLB with another value at ``path`` of its JSON."""
    keys = [int(key) if key.isdigit() else key for key in path.split()]
    return changed_glb(set_value(*keys, value=value))


@settings(max_examples=400, deadline=None)
@given(**EDITS)
def test_json_of_any_shape_never_breaks_a_check_before_the_reader(path: str, value: object) -> None:
    assert precheck_problem(edited(path, value), "a.glb").isprintable()


@settings(max_examples=40, deadline=None)
@given(**EDITS)
def test_json_of_any_shape_is_rejected_or_harmless(path: str, value: object) -> None:
    info = accepted(edited(path, value), "a.glb")
    assert info is None or info.triangles > 0
