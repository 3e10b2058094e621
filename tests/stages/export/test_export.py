"""Exports in every 3D format, read back with the real Blender, Node and USD."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image
from pxr import Usd, UsdShade
from trimesh.visual.material import PBRMaterial

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import ExportOptions, MeshCodec, MeshFormat, Target
from orchestrator.errors import Canceled, InvalidInput
from orchestrator.stages.export.budgets import BUDGETS
from orchestrator.stages.export.export import ExportedFiles, export, to_glb
from orchestrator.stages.export.inspect import inspect
from orchestrator.tools.base_glb import read_base_glb
from tests.support.contained_text import contains_text
from tests.support.meshes import HEIGHT_M, WIDTH_M, write_stool

FORMATS_WITH_MATERIALS = {MeshFormat.GLB, MeshFormat.GLTF, MeshFormat.FBX, MeshFormat.OBJ, MeshFormat.USDZ}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportedFiles:
    """The stool in every format, for the target web."""
    folder = tmp_path_factory.mktemp("exported")
    return export(write_stool(folder / "stool.glb"), ExportOptions(formats=tuple(MeshFormat)), folder / "out")


def read_report(result: ExportedFiles) -> dict[str, Any]:
    return dict(json.loads(result.report.read_text(encoding="utf-8")))


@pytest.mark.parametrize("format", list(MeshFormat))
def test_every_format_is_read_back_with_its_size_and_material_names(
    exported: ExportedFiles, format: MeshFormat, tmp_path: Path
) -> None:
    facts = inspect(exported.files[format], tmp_path)
    half = WIDTH_M / 2
    np.testing.assert_allclose(facts.low, [-half, 0, -half], atol=0.001 * HEIGHT_M)
    np.testing.assert_allclose(facts.high, [half, HEIGHT_M, half], atol=0.001 * HEIGHT_M)
    assert facts.triangles == 72
    assert {material.alpha for material in facts.materials} == {"OPAQUE"}
    if format in FORMATS_WITH_MATERIALS:
        assert {material.name for material in facts.materials} == {"wood", "cushion"}
        assert [(texture.width, texture.height) for texture in facts.textures] == [(350, 300)]


def test_all_files_are_valid_for_khronos_and_arkit(exported: ExportedFiles) -> None:
    report = read_report(exported)
    assert set(exported.files) == set(MeshFormat)
    assert report["refused"] == {}
    for name in ("glb", "gltf"):
        assert report["validator"][name]["errors"] == 0
        assert report["validator"][name]["unpacked"]["errors"] == 0
    assert report["arkit"] == {"passes": True, "errors": []}


def test_the_web_file_is_small_and_meets_all_budgets(exported: ExportedFiles) -> None:
    assert exported.facts.draw_calls == 2  # six meshes, two materials
    assert exported.facts.size_bytes == exported.files[MeshFormat.GLB].stat().st_size < 10_000
    assert set(exported.facts.meets) == set(BUDGETS)
    assert read_report(exported)["budget"]["met"]


def test_a_zip_contains_all_files_that_its_mesh_file_refers_to(exported: ExportedFiles) -> None:
    with zipfile.ZipFile(exported.files[MeshFormat.OBJ]) as archive:
        assert {"model.obj", "model.mtl"} < set(archive.namelist())
        mtl = archive.read("model.mtl").decode()
        assert "map_Kd texture.png" in mtl, "textures are relative to the MTL"
    with zipfile.ZipFile(exported.files[MeshFormat.GLTF]) as archive:
        assert "model.gltf" in archive.namelist()
        uris = [image["uri"] for image in json.loads(archive.read("model.gltf"))["images"]]
        assert set(uris) < set(archive.namelist())


def test_usdz_is_aligned_and_contains_png_textures(exported: ExportedFiles) -> None:
    path = exported.files[MeshFormat.USDZ]
    data = path.read_bytes()
    with zipfile.ZipFile(path) as package:
        assert package.namelist()[0].endswith(".usdc")
        for entry in package.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            name_length, extra_length = struct.unpack_from("<HH", data, entry.header_offset + 26)
            assert (entry.header_offset + 30 + name_length + extra_length) % 64 == 0
        with Image.open(io.BytesIO(package.read(package.namelist()[1]))) as texture:
            assert texture.format == "PNG"


@pytest.mark.parametrize("format", list(MeshFormat))
def test_no_file_contains_the_folder_in_which_it_was_made(exported: ExportedFiles, format: MeshFormat) -> None:
    folder = exported.report.parent.parent
    assert not contains_text(exported.files[format], folder.name)
    assert not contains_text(exported.report, folder.name)


def rich_material(folder: Path) -> Path:
    """A box with a material that uses all texture slots."""
    box = trimesh.creation.box((1, 1, 1))
    box.unmerge_vertices()
    plain = Image.new("RGBA", (8, 8), (200, 100, 50, 128))
    grey = Image.new("RGB", (8, 8), (255, 128, 64))
    material = PBRMaterial(
        name="rich",
        baseColorTexture=plain,
        baseColorFactor=[255, 51, 153, 255],
        metallicRoughnessTexture=grey,
        roughnessFactor=0.5,
        metallicFactor=1.0,
        normalTexture=Image.new("RGB", (8, 8), (128, 128, 255)),
        occlusionTexture=grey,
        emissiveTexture=grey,
        emissiveFactor=[0.1, 0.2, 0.3],
        alphaMode="MASK",
        alphaCutoff=0.4,
        doubleSided=True,
    )
    box.visual = trimesh.visual.TextureVisuals(uv=box.vertices[:, :2] + [0.5, 0.5], material=material)
    path = folder / "rich.glb"
    path.write_bytes(trimesh.Scene([box]).export(file_type="glb"))
    return path


def test_usdz_connects_each_texture_channel_to_its_input(tmp_path: Path) -> None:
    source = rich_material(tmp_path)
    result = export(source, ExportOptions(formats=(MeshFormat.USDZ,)), tmp_path / "out")
    stage = Usd.Stage.Open(str(result.files[MeshFormat.USDZ]))
    surface = UsdShade.Shader(next(prim for prim in stage.Traverse() if prim.GetName() == "Surface"))
    expected = {
        "diffuseColor": ("rgb", "sRGB", (1, 0.2, 0.6, 1), None),
        "opacity": ("a", "sRGB", (1, 0.2, 0.6, 1), None),
        "roughness": ("g", "raw", (1, 0.5, 1, 1), None),
        "metallic": ("b", "raw", (1, 0.5, 1, 1), None),
        "occlusion": ("r", "raw", (1, 1, 1, 1), (0, 0, 0, 0)),
        "normal": ("rgb", "raw", (2, 2, 2, 1), (-1, -1, -1, 0)),
        "emissiveColor": ("rgb", "sRGB", (0.1, 0.2, 0.3, 1), None),
    }
    for name, (channel, space, scale, bias) in expected.items():
        source_of, output, _ = surface.GetInput(name).GetConnectedSource()
        node = UsdShade.Shader(source_of.GetPrim())
        assert (output, node.GetInput("sourceColorSpace").Get()) == (channel, space), name
        np.testing.assert_allclose(node.GetInput("scale").Get(), scale, atol=1e-3, err_msg=name)
        if bias:
            np.testing.assert_allclose(node.GetInput("bias").Get(), bias, atol=1e-3, err_msg=name)
    assert surface.GetInput("opacityThreshold").Get() == pytest.approx(0.4)
    mesh = next(prim for prim in stage.Traverse() if prim.GetTypeName() == "Mesh")
    assert mesh.GetAttribute("doubleSided").Get()
    base = read_base_glb(tmp_path / "out" / "work" / "base.glb")
    np.testing.assert_allclose(
        np.array(mesh.GetAttribute("primvars:st").Get()), base.primitives[0].uvs[0] * [1, -1] + [0, 1], atol=1e-6
    )


def test_the_size_of_an_obj_comes_from_the_given_dimension(tmp_path: Path) -> None:
    obj = tmp_path / "stool.obj"
    box = trimesh.creation.box((40, 45, 40))
    obj.write_text(box.export(file_type="obj"), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"45\.0 m long.*no unit"):
        export(obj, ExportOptions(formats=(MeshFormat.STL,)), tmp_path / "rejected")
    options = ExportOptions(formats=(MeshFormat.STL,), dimensions=Dimensions(height_m=0.45))
    result = export(obj, options, tmp_path / "out")
    low, high = trimesh.load_mesh(result.files[MeshFormat.STL]).bounds  # +Z up
    np.testing.assert_allclose(low, [-0.2, -0.2, 0], atol=1e-4)
    np.testing.assert_allclose(high, [0.2, 0.2, 0.45], atol=1e-4)


def test_textures_are_read_from_the_whole_zip_and_never_from_outside(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    image = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 60, 30)).save(image, "PNG")
    secret.write_bytes(image.getvalue())
    source = tmp_path / "model.zip"
    faces = "usemtl wood\nf 1/1 2/2 3/3\nusemtl outside\nf 1/1 3/3 4/4\n"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("textures/wood.png", image.getvalue())
        archive.writestr("mesh/m.mtl", f"newmtl wood\nmap_Kd ../textures/wood.png\nnewmtl outside\nmap_Kd {secret}\n")
        points = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
        archive.writestr("mesh/m.obj", f"mtllib m.mtl\n{points}{faces}")
    base = read_base_glb(to_glb(source, tmp_path / "work"))
    textured = {
        material["name"]: "baseColorTexture" in material["pbrMetallicRoughness"]
        for material in base.document["materials"]
    }
    assert textured == {"wood": True, "outside": False}


def test_a_ply_of_meshes_with_and_without_uvs_has_only_valid_numbers(tmp_path: Path) -> None:
    scene = trimesh.load_scene(rich_material(tmp_path))
    scene.add_geometry(trimesh.creation.icosphere(3))
    source = tmp_path / "two.glb"
    source.write_bytes(scene.export(file_type="glb"))
    result = export(source, ExportOptions(formats=(MeshFormat.PLY,)), tmp_path / "out")
    head, body = result.files[MeshFormat.PLY].read_bytes().split(b"end_header\n", 1)
    width = head.count(b"property float")
    count = int(head.split(b"element vertex ")[1].split()[0])
    values = np.frombuffer(body, np.float32, count * width).reshape(count, width)
    assert np.isfinite(values).all()
    assert np.abs(values).max() <= 2.0


def sphere(folder: Path, subdivisions: int) -> Path:
    path = folder / "sphere.glb"
    mesh = trimesh.creation.icosphere(subdivisions)
    path.write_bytes(trimesh.Scene([mesh]).export(file_type="glb", include_normals=True))
    return path


def test_each_level_has_at_most_a_quarter_of_the_triangles(tmp_path: Path) -> None:
    result = export(sphere(tmp_path, 5), ExportOptions(formats=(MeshFormat.GLB,), levels=3), tmp_path / "out")
    assert [level.name for level in result.levels] == ["model-lod1.glb", "model-lod2.glb"]
    counts = [result.facts.triangles, *(inspect(level, tmp_path / level.stem).triangles for level in result.levels)]
    assert all(fewer * 4 <= more for more, fewer in pairwise(counts)), counts


def test_the_report_names_a_budget_that_cannot_be_met(tmp_path: Path) -> None:
    # Thousands of loose boxes cannot be simplified without removing some of them.
    boxes = []
    for place in np.random.default_rng(1).uniform(-1, 1, (2800, 3)):
        box = trimesh.creation.box((0.03, 0.03, 0.03))
        box.apply_translation(place)
        boxes.append(box)
    source = tmp_path / "boxes.glb"
    source.write_bytes(trimesh.Scene([trimesh.util.concatenate(boxes)]).export(file_type="glb"))
    result = export(source, ExportOptions(formats=(MeshFormat.GLB,), target=Target.BANNER), tmp_path / "out")
    report = read_report(result)
    assert report["budget"]["met"] is (Target.BANNER in result.facts.meets)
    if result.facts.triangles > BUDGETS[Target.BANNER].max_triangles:
        assert "triangles; allowed are 30,000" in report["budget"]["missed"]["glb"][0]


def test_if_one_format_fails_the_others_are_written(tmp_path: Path) -> None:
    options = ExportOptions(formats=(MeshFormat.GLB, MeshFormat.FBX), target=Target.ORIGINAL, mesh_codec=MeshCodec.NONE)
    source = write_stool(tmp_path / "stool.glb")
    result = export(source, options, tmp_path / "out", blender=str(tmp_path / "no-blender"))
    assert set(result.files) == {MeshFormat.GLB}
    assert "blender" in read_report(result)["refused"]["fbx"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("broken.glb", b"glTF\x02\0\0\0\xff\xff\0\0", "not a readable glTF"),
        ("broken.fbx", b"Kaydara FBX Binary  \x00\x1a\x00" + bytes(40), "has no faces"),
        ("text.txt", b"not a 3D model", "no 3D model of a known format"),
        ("points.obj", b"v 0 0 0\nv 1 0 0\n", "no faces"),
        ("broken.zip", b"PK\x03\x04" + bytes(40), "the archive is cut short"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_a_damaged_file_gives_a_clear_error(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    source = tmp_path / name
    source.write_bytes(data)
    with pytest.raises(InvalidInput, match=words):
        to_glb(source, tmp_path / "work")


@pytest.mark.parametrize(
    ("names", "words"),
    [(["../model.obj"], "must stay inside"), (["a.obj", "b.obj"], "holds 2"), (["readme.txt"], "holds 0")],
    ids=["outside", "two", "none"],
)
def test_a_zip_must_contain_one_mesh_file_and_only_paths_inside(tmp_path: Path, names: list[str], words: str) -> None:
    source = tmp_path / "model.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for name in names:
            archive.writestr(name, "v 0 0 0\n")
    with pytest.raises(InvalidInput, match=words):
        to_glb(source, tmp_path / "work")


def test_progress_rises_and_a_cancel_stops_the_export(tmp_path: Path) -> None:
    fractions: list[float] = []

    def cancel_halfway(fraction: float, message: str) -> None:
        fractions.append(fraction)
        if fraction > 0.5:
            raise Canceled(message)

    with pytest.raises(Canceled):
        export(write_stool(tmp_path / "stool.glb"), ExportOptions(), tmp_path / "out", progress=cancel_halfway)
    assert fractions == sorted(fractions)
