"""The glTF scripts with the real Node: normalising, optimising, and rejected input."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import MeshCodec, TextureCodec
from orchestrator.errors import Canceled, InvalidInput, ToolFailed
from orchestrator.tools import node_packages
from orchestrator.tools.base_glb import BaseGlb, read_base_glb
from orchestrator.tools.gltf import GltfBudget, inspect_gltf, normalise, optimise, validate_gltf
from tests.support.meshes import write_stool

TOLERANCES = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032)


def write_base(source: Path, folder: Path, **options: Any) -> BaseGlb:
    """Normalise ``source`` to ``folder/base.glb``, which must be valid."""
    base = folder / "base.glb"
    normalise(source, base, folder, **options)
    _, validation = validate_gltf(base, folder)
    assert validation.errors == 0, validation
    return read_base_glb(base)


def write_glb(folder: Path, scene: trimesh.Scene, change: Any = None) -> Path:
    """Write ``scene`` as GLB. ``change`` may edit its JSON."""
    path = folder / "source.glb"
    path.write_bytes(scene.export(file_type="glb", tree_postprocessor=change, include_normals=True))
    return path


def noise_image(mode: str = "RGB", size: int = 64, seed: int = 1) -> Image.Image:
    shape = (size, size, len(mode))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, shape, np.uint8), mode)


def textured_box(texture: Image.Image, **material: Any) -> trimesh.Scene:
    box = trimesh.creation.box((0.4, 0.5, 0.6))
    box.unmerge_vertices()
    cloth = trimesh.visual.material.PBRMaterial(name="cloth", baseColorTexture=texture, **material)
    box.visual = trimesh.visual.TextureVisuals(uv=box.vertices[:, :2], material=cloth)
    return trimesh.Scene([box])


def uv_sphere(rows: int) -> trimesh.Scene:
    """A unit sphere of 4 × rows² triangles. U is the longitude, so the UVs have a seam from pole to pole."""
    v, u = np.meshgrid(np.linspace(0.02, 0.98, rows + 1), np.linspace(0, 1, 2 * rows + 1), indexing="ij")
    polar, turn = np.pi * v, 2 * np.pi * u
    points = np.stack([np.sin(polar) * np.cos(turn), np.cos(polar), -np.sin(polar) * np.sin(turn)], -1).reshape(-1, 3)
    points.reshape(rows + 1, -1, 3)[:, -1] = points.reshape(rows + 1, -1, 3)[:, 0]
    at = np.arange(points.shape[0]).reshape(rows + 1, -1)
    a, b, c, d = (one.ravel() for one in (at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    uv = np.stack([u, 1 - v], -1).reshape(-1, 2)
    visual = trimesh.visual.TextureVisuals(
        uv=uv, material=trimesh.visual.material.PBRMaterial(name="map", baseColorTexture=noise_image())
    )
    mesh = trimesh.Trimesh(points, faces, vertex_normals=points, visual=visual, process=False)
    return trimesh.Scene([mesh])


def test_rotated_and_mirrored_nodes_are_baked_into_the_vertices(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box((1, 2, 3)), geom_name="box", node_name="right")
    mirrored = np.diag([-2.0, 1.0, 1.0, 1.0])
    mirrored[:3, 3] = [-4.0, 0.0, 0.0]

    def add_nodes(tree: dict[str, Any]) -> None:
        nodes = tree["nodes"]
        mesh = next(node["mesh"] for node in nodes if "mesh" in node)
        turn = {"name": "turn", "rotation": [0.0, 0.70710678, 0.0, 0.70710678], "children": [len(nodes)]}
        nodes += [{"name": "left", "mesh": mesh, "matrix": mirrored.T.ravel().tolist()}, turn]
        tree["scenes"][0]["nodes"].append(len(nodes) - 1)

    base = write_base(write_glb(tmp_path, scene, add_nodes), tmp_path, place=False)
    assert [primitive.name for primitive in base.primitives] == ["right", "left"]
    left = base.primitives[1]
    # Mirrored and doubled along X, moved, then rotated by 90° around +Y, which maps +X to -Z.
    np.testing.assert_allclose(left.positions.min(0), [-1.5, -1.0, 3.0], atol=1e-5)
    np.testing.assert_allclose(left.positions.max(0), [1.5, 1.0, 5.0], atol=1e-5)
    for primitive in base.primitives:
        corners = primitive.positions[primitive.triangles]
        faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        outward = corners.mean(1) - primitive.positions.mean(0)
        assert (np.sum(faces * outward, 1) > 0).all(), "a face of the mirrored box points inwards"
        assert (np.sum(primitive.normals[primitive.triangles[:, 0]] * outward, 1) > 0).all()


def test_normals_of_length_zero_are_repaired_and_missing_ones_are_flat(tmp_path: Path) -> None:
    box = trimesh.creation.box((1, 1, 1))
    box.unmerge_vertices()
    normals = np.array(box.vertex_normals)
    normals[:6] = 0.0
    box = trimesh.Trimesh(box.vertices, box.faces, vertex_normals=normals, process=False)
    base = write_base(write_glb(tmp_path, trimesh.Scene([box])), tmp_path)
    flat = write_base(
        write_glb(tmp_path, trimesh.Scene([trimesh.creation.icosphere(2)]), without_normals), tmp_path, place=False
    )
    for primitive in (*base.primitives, *flat.primitives):
        corners = primitive.positions[primitive.triangles]
        faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        faces /= np.linalg.norm(faces, axis=1, keepdims=True)
        assert (np.sum(faces * primitive.normals[primitive.triangles[:, 0]], 1) > 0.99).all()


def without_normals(tree: dict[str, Any]) -> None:
    del tree["meshes"][0]["primitives"][0]["attributes"]["NORMAL"]


@pytest.mark.parametrize(
    ("alpha", "mode"), [(255, "OPAQUE"), (253, "OPAQUE"), (120, "BLEND")], ids=["opaque", "noise", "glass"]
)
def test_a_material_without_transparent_pixels_is_made_opaque(tmp_path: Path, alpha: int, mode: str) -> None:
    texture = noise_image("RGB").convert("RGBA")
    texture.putalpha(Image.new("L", texture.size, 255))
    texture.putpixel((3, 3), (0, 0, 0, alpha))
    base = write_base(write_glb(tmp_path, textured_box(texture, alphaMode="BLEND")), tmp_path)
    assert base.document["materials"][0].get("alphaMode", "OPAQUE") == mode
    packed = pack(tmp_path, codec=TextureCodec.WEBP)
    assert inspect_gltf(packed, tmp_path).materials[0].alpha == mode


def pack(
    folder: Path,
    budget: GltfBudget = GltfBudget(texture_px=2048),  # noqa: B008
    codec: TextureCodec = TextureCodec.ORIGINAL,
    mesh: MeshCodec = MeshCodec.MESHOPT,
    tolerances: tuple[float, ...] = TOLERANCES,
) -> Path:
    """Optimise ``folder/base.glb``. The result must be valid, also with its geometry decompressed."""
    target = folder / "packed.glb"
    optimise(folder / "base.glb", target, folder, budget, tolerances=tolerances, texture_codec=codec, mesh_codec=mesh)
    _, validation = validate_gltf(target, folder)
    assert validation.errors == 0, validation
    return target


@pytest.mark.parametrize("codec", [TextureCodec.WEBP, TextureCodec.KTX2])
@pytest.mark.parametrize("mesh", [MeshCodec.MESHOPT, MeshCodec.DRACO])
def test_an_optimised_file_can_be_normalised_again(tmp_path: Path, codec: TextureCodec, mesh: MeshCodec) -> None:
    texture = Image.radial_gradient("L").convert("RGB").resize((128, 128))
    before = write_base(write_glb(tmp_path, textured_box(texture)), tmp_path)
    packed = pack(tmp_path, codec=codec, mesh=mesh)
    assert inspect_gltf(packed, tmp_path).textures[0].format == codec.value
    (tmp_path / "again").mkdir()
    source = tmp_path / "again" / "source.glb"
    source.write_bytes(packed.read_bytes())
    after = write_base(source, tmp_path / "again", place=False)
    assert after.document.get("extensionsUsed", []) in ([], ["KHR_texture_transform"])
    np.testing.assert_allclose(
        after.primitives[0].positions.max(0) - after.primitives[0].positions.min(0), [0.4, 0.5, 0.6], atol=1e-4
    )
    assert len(after.primitives[0].triangles) == len(before.primitives[0].triangles)
    data, _ = after.image(0)
    decoded = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)
    assert np.abs(decoded - np.asarray(texture, int)).mean() < 4


def test_a_texture_transform_is_baked_into_the_uvs(tmp_path: Path) -> None:
    transform = {"offset": [0.25, 0.5], "rotation": np.pi / 2, "scale": [2.0, 3.0]}

    def move(tree: dict[str, Any]) -> None:
        info = tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
        info["extensions"] = {"KHR_texture_transform": transform}
        tree["extensionsUsed"] = ["KHR_texture_transform"]

    plain = write_base(write_glb(tmp_path, textured_box(noise_image())), tmp_path)
    moved = write_base(write_glb(tmp_path, textured_box(noise_image()), move), tmp_path)
    assert "extensionsUsed" not in moved.document
    # glTF rotates the scaled UVs counter-clockwise around the UV origin, (u, v) → (v, -u), then adds the offset.
    scaled = plain.primitives[0].uvs[0] * [2.0, 3.0]
    expected = np.stack([scaled[:, 1] + 0.25, -scaled[:, 0] + 0.5], 1)
    np.testing.assert_allclose(moved.primitives[0].uvs[0], expected, atol=1e-5)


def test_simplification_keeps_the_uv_seam(tmp_path: Path) -> None:
    write_base(write_glb(tmp_path, uv_sphere(100)), tmp_path, place=False)
    packed = pack(tmp_path, GltfBudget(max_triangles=4000, texture_px=2048), mesh=MeshCodec.NONE)
    primitive = read_base_glb(packed).primitives[0]
    assert len(primitive.triangles) <= 4000
    # The UVs at the centre of each triangle still match its longitude, also close to the seam.
    point, uv = primitive.positions[primitive.triangles].mean(1), primitive.uvs[0][primitive.triangles].mean(1)
    turn = np.arctan2(-point[:, 2], point[:, 0]) / (2 * np.pi) % 1.0
    off = np.abs((uv[:, 0] - turn + 0.5) % 1.0 - 0.5) * np.hypot(point[:, 0], point[:, 2])
    assert off.max() < 0.01
    assert np.abs(np.linalg.norm(primitive.positions, axis=1) - 1).max() < 0.005  # the silhouette


def test_a_triangle_budget_is_met_without_excessive_reduction(tmp_path: Path) -> None:
    write_base(write_glb(tmp_path, uv_sphere(120)), tmp_path, place=False)
    contents = inspect_gltf(pack(tmp_path, GltfBudget(max_triangles=30_000)), tmp_path)
    assert 1_000 < contents.triangles <= 30_000


@pytest.mark.parametrize(
    ("codec", "mode", "size", "share"),
    [(TextureCodec.WEBP, "RGB", 1024, 1 / 3), (TextureCodec.KTX2, "RGBA", 256, 2 / 3)],
)
def test_textures_are_reduced_to_meet_a_byte_budget(
    tmp_path: Path, codec: TextureCodec, mode: str, size: int, share: float
) -> None:
    noise = noise_image(mode, size)  # the hardest image to compress
    write_base(write_glb(tmp_path, textured_box(noise, alphaMode="BLEND" if mode == "RGBA" else None)), tmp_path)
    unlimited = pack(tmp_path, GltfBudget(texture_px=size), codec).stat().st_size
    budget = int(share * unlimited)
    limited = pack(tmp_path, GltfBudget(max_bytes=budget, texture_px=size), codec).stat().st_size
    assert limited <= budget


def test_dimensions_scale_the_mesh_and_must_fit_its_shape(tmp_path: Path) -> None:
    source = write_stool(tmp_path / "source.glb")
    base = write_base(source, tmp_path, dimensions=Dimensions(height_m=0.9))
    points = np.concatenate([primitive.positions for primitive in base.primitives])
    np.testing.assert_allclose([points.min(0), points.max(0)], [[-0.4, 0, -0.4], [0.4, 0.9, 0.4]], atol=1e-5)
    write_base(source, tmp_path, dimensions=Dimensions(width_m=0.82, height_m=0.9))  # 2.5 % off
    with pytest.raises(InvalidInput, match=r"0\.400 × 0\.450 × 0\.400.*5 %") as rejected:
        write_base(source, tmp_path, dimensions=Dimensions(width_m=0.9, height_m=0.9))
    assert rejected.value.field == "export.dimensions"


def test_a_size_that_no_furniture_has_is_rejected(tmp_path: Path) -> None:
    scene = trimesh.Scene([trimesh.creation.box((400, 450, 400))])
    with pytest.raises(InvalidInput, match=r"450 m long.*metres were assumed.*give one true dimension"):
        write_base(write_glb(tmp_path, scene), tmp_path, unitless=True)


def test_a_truncated_file_and_an_empty_scene_are_rejected(tmp_path: Path) -> None:
    source = write_stool(tmp_path / "source.glb")
    source.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(InvalidInput, match="not a readable glTF"):
        write_base(source, tmp_path)
    source.write_bytes(json.dumps({"asset": {"version": "2.0"}, "scenes": [{}], "scene": 0}).encode())
    empty = source.rename(tmp_path / "source.gltf")
    with pytest.raises(InvalidInput, match="no triangles"):
        write_base(empty, tmp_path)


def test_a_truncated_texture_is_rejected_by_its_name(tmp_path: Path) -> None:
    def truncate(tree: dict[str, Any]) -> None:
        tree["images"][0]["name"] = "velvet"
        view = tree["bufferViews"][tree["images"][0]["bufferView"]]
        view["byteLength"] //= 2

    with pytest.raises(InvalidInput, match='texture "velvet" cannot be read'):
        write_base(write_glb(tmp_path, textured_box(noise_image()), truncate), tmp_path)


def test_node_cannot_read_a_file_outside_its_folder(tmp_path: Path) -> None:
    secret, inside = tmp_path / "secret.bin", tmp_path / "inside"
    inside.mkdir()
    secret.write_bytes(bytes(36))
    tree = {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": "../secret.bin", "byteLength": 36}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    source = inside / "source.gltf"
    source.write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(InvalidInput, match="Access to this API has been restricted"):
        write_base(source, inside)


def test_without_the_packages_the_error_names_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_packages, "INSTALLED", tmp_path / "nothing")
    with pytest.raises(ToolFailed, match=r"python -m orchestrator\.tools\.node_packages"):
        write_base(write_stool(tmp_path / "source.glb"), tmp_path)


def test_a_cancel_stops_node(tmp_path: Path) -> None:
    def stop(fraction: float, message: str) -> None:
        raise Canceled(f"canceled at {fraction}: {message}")

    with pytest.raises(Canceled):
        normalise(write_stool(tmp_path / "source.glb"), tmp_path / "base.glb", tmp_path, progress=stop)
