"""Labels of third-party meshes: completeness, licences, the separation of the splits, and the reading of OBJ files."""

from __future__ import annotations

import tomllib
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.credits import CREDITS, credits_page
from export_models.dataset.furniture_package import INSTALLED
from export_models.dataset.labelled_meshes import cut_at_plane, read_mesh_from, write_labelled_mesh
from export_models.dataset.labels import (
    ARCHIVE_LICENSES,
    KINDS,
    SPLITS,
    LabelledMesh,
    Rule,
    first_matching_rule,
    label_faces,
    read_labels,
)
from export_models.dataset.obj_mesh import ObjMesh, read_obj

PICKS = Path(__file__).parents[1] / "benchmarks" / "furniture" / "picks.toml"
LICENSE_PHRASES = {"CC0-1.0": "Creative Commons Zero", "CC-BY-3.0": "Creative Commons Attribution 3.0"}
needs_package = pytest.mark.skipif(
    not INSTALLED.is_dir(), reason=f"{INSTALLED} does not exist: install Debian's package sweethome3d-furniture"
)


@dataclass(frozen=True)
class MeshSummary:
    """Properties of a mesh that the tests check."""

    labelled: LabelledMesh
    mtl_names: frozenset[str]  # of the faces
    used_rules: frozenset[int]  # indices of the rules that label a face
    faces: int
    height_m: float


@pytest.fixture(scope="module")
def labels() -> list[LabelledMesh]:
    return read_labels()


@pytest.fixture(scope="module")
def summaries(labels: list[LabelledMesh]) -> list[MeshSummary]:
    result = []
    archives = {name: zipfile.ZipFile(INSTALLED / f"{name}.sh3f") for name in {entry.archive for entry in labels}}
    for entry in labels:
        mesh = read_mesh_from(archives[entry.archive], entry)
        mtl_names = frozenset(mesh.material_names[i] for i in np.unique(mesh.material))
        rules = frozenset(np.unique(first_matching_rule(entry.rules, mesh)).tolist())
        height_m = float(np.ptp(mesh.vertices[:, 2]))
        result.append(MeshSummary(entry, mtl_names, rules, len(mesh.triangles), height_m))
    for archive in archives.values():
        archive.close()
    return result


@needs_package
def test_every_mesh_is_in_its_archive(labels: list[LabelledMesh]) -> None:
    for name in ARCHIVE_LICENSES:
        with zipfile.ZipFile(INSTALLED / f"{name}.sh3f") as archive:
            missing = {entry.path for entry in labels if entry.archive == name} - set(archive.namelist())
        assert not missing


@needs_package
def test_licenses_match_the_license_files(labels: list[LabelledMesh]) -> None:
    """The licence file of a mesh takes precedence over the licence of its archive."""
    for name in ("BlendSwap-CC-0", "BlendSwap-CC-BY"):
        with zipfile.ZipFile(INSTALLED / f"{name}.sh3f") as archive:
            files = {n.rsplit("/", 1)[0]: n for n in archive.namelist() if n.count("/") > 1 and "icense" in n.lower()}
            for entry in labels:
                file = files.get(entry.path.rsplit("/", 1)[0])
                if entry.archive == name and file is None:
                    assert entry.license == ARCHIVE_LICENSES[name][0], entry.path
                elif file is not None:
                    assert LICENSE_PHRASES[entry.license] in archive.read(file).decode("latin-1"), entry.path


@needs_package
def test_exactly_the_mtl_materials_of_faces_are_labelled(summaries: list[MeshSummary]) -> None:
    for summary in summaries:
        assert summary.mtl_names == summary.labelled.materials.keys(), summary.labelled.path


@needs_package
def test_every_face_matches_a_rule_and_every_rule_labels_a_face(summaries: list[MeshSummary]) -> None:
    for summary in summaries:
        assert summary.used_rules == set(range(len(summary.labelled.rules))), summary.labelled.path


@needs_package
def test_meshes_have_plausible_sizes(summaries: list[MeshSummary]) -> None:
    for summary in summaries:
        assert 20 < summary.faces < 100_000, summary.labelled.path
        assert 0.2 < summary.height_m < 2.5, summary.labelled.path


def test_no_mesh_is_listed_twice(labels: list[LabelledMesh]) -> None:
    assert max(Counter((entry.archive, entry.path) for entry in labels).values()) == 1


def test_splits_have_enough_meshes_kinds_and_authors(labels: list[LabelledMesh]) -> None:
    size = Counter(entry.split for entry in labels)
    assert size["test"] >= 36
    assert size["validation"] >= 12
    assert size["train"] >= 80
    kinds = Counter(entry.kind for entry in labels if entry.split == "test" and entry.components)
    assert all(kinds[kind] >= 3 for kind in KINDS), kinds
    assert len({entry.author for entry in labels if entry.split == "test"}) >= 12


def test_meshes_that_the_baselines_were_tuned_on_are_in_the_validation_split(labels: list[LabelledMesh]) -> None:
    picks = tomllib.loads(PICKS.read_text(encoding="utf-8"))
    split = {(entry.archive, entry.path): entry.split for entry in labels}
    assert {split[pick["archive"], pick["model"]] for pick in picks["pick"] + picks["demo"]} == {"validation"}


def test_a_blendswap_author_is_in_only_one_split(labels: list[LabelledMesh]) -> None:
    """Authors upload sets of similar meshes. Scopia and Kator Legaz are companies, whose sets were separated by eye."""
    splits: dict[str, set[str]] = {}
    for entry in labels:
        if entry.archive.startswith("BlendSwap"):
            splits.setdefault(entry.author.removesuffix(" & eTeks"), set()).add(entry.split)
    assert {author: used for author, used in splits.items() if len(used) > 1} == {}


@needs_package
def test_written_mesh_is_upright_in_metres_and_labelled(labels: list[LabelledMesh], tmp_path: Path) -> None:
    chair = next(entry for entry in labels if entry.path.endswith("/ella_chair_f.obj"))
    with np.load(write_labelled_mesh(chair, tmp_path)) as arrays:
        points, triangles = arrays["vertices"], arrays["triangles"]
        component = np.array(arrays["component_names"])[arrays["component"]]
        material = np.array(arrays["material_names"])[arrays["material"]]
        assert arrays["triangle_uv"].shape == (len(triangles), 3, 2)
        assert arrays["triangle_normals"].shape == (len(triangles), 3, 3)
        assert arrays["mtl_names"][arrays["triangle_mtl"]].shape == component.shape
    centroid = points[triangles].mean(1)
    assert points[:, 2].min() == pytest.approx(0.0, abs=1e-6)
    assert points[:, 2].max() == pytest.approx(0.92, abs=1e-4)
    assert set(component) == {"leg", "frame", "seat", "back"}
    assert set(material) == {"wood"}
    assert centroid[component == "leg", 2].max() < centroid[component == "back", 2].min()
    assert centroid[component == "back", 1].mean() > centroid[component == "seat", 1].mean() + 0.1  # faces -Y


def test_a_concave_polygon_is_triangulated_without_overlap() -> None:
    outline = [(0, 0), (4, 0), (4, 3), (3, 3), (3, 1), (1, 1), (1, 3), (0, 3)]  # a U of area 8
    text = "".join(f"v {x} 0 {y}\n" for x, y in outline) + "usemtl oak\nf 1 2 3 4 5 6 7 8\nl 1 2\n"
    mesh = read_obj(text.encode())
    a, b, c = mesh.vertices[mesh.triangles].transpose(1, 0, 2)
    signed_areas = np.cross(b - a, c - a)[:, 1]
    assert len(signed_areas) == 6
    assert np.abs(signed_areas).sum() / 2 == pytest.approx(8.0)
    assert len(set(np.sign(signed_areas))) == 1
    assert mesh.material_names[mesh.material[0]] == "oak"


def test_corners_without_uv_or_normal_have_zeros() -> None:
    values = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0.5 0.25\nvn 0 0 1\n"
    mesh = read_obj(values + b"o a\nf 1/1/1 2/1/1 3/1/1\no b\nf 1//1 2//1 3//1\nf 1 2 3\n")
    assert mesh.uv[:, 0].tolist() == [[0.5, 0.25], [0.0, 0.0], [0.0, 0.0]]
    assert mesh.normals[:, 0].tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    assert [mesh.group_names[i] for i in mesh.group] == ["a", "b", "b"]


def test_relative_indices_are_rejected() -> None:
    with pytest.raises(ValueError, match="from -3"):
        read_obj(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n")


def test_a_cut_preserves_the_area_and_leaves_no_face_across_the_plane() -> None:
    post = boxes([(0.0, 0.0, 0.0, 0.1, 0.1, 1.0)])
    cut = cut_at_plane(post, 2, 0.4)
    heights = cut.vertices[cut.triangles][:, :, 2]
    assert not ((heights.min(1) < 0.4 - 1e-9) & (heights.max(1) > 0.4 + 1e-9)).any()
    assert area(cut) == pytest.approx(area(post))


def test_loose_rules_apply_to_whole_islands_and_the_first_match_counts() -> None:
    mesh = boxes([(0.0, 0.0, 0.0, 0.1, 0.1, 1.0), (0.0, 0.0, 0.5, 1.0, 1.0, 0.6)])  # a post through a board
    post, board = np.repeat([True, False], 12), np.repeat([False, True], 12)
    by_height = first_matching_rule([Rule("leg", taller=0.9), Rule("top")], mesh)
    assert (by_height == np.where(post, 0, 1)).all()
    loose = first_matching_rule([Rule("top", loose=True, above=0.52), Rule("leg")], mesh)
    assert (loose == np.where(board, 0, 1)).all()
    assert (first_matching_rule([Rule("leg"), Rule("top")], mesh) == 0).all()
    assert (first_matching_rule([Rule("leg", material=("oak*",))], mesh) == 1).all()


def test_unmatched_faces_and_unlabelled_materials_raise_an_error() -> None:
    labelled = LabelledMesh("a", "m", "t", "w", "l", "chair", "train", {"pine": "wood"}, (Rule("leg", below=0.4),))
    mesh = boxes([(0.0, 0.0, 0.0, 1.0, 1.0, 1.0)])
    with pytest.raises(ValueError, match="match no rule"):
        label_faces(labelled, mesh)
    with pytest.raises(ValueError, match="pine"):
        label_faces(replace(labelled, materials={}), mesh)
    component, material = label_faces(replace(labelled, rules=(Rule("door"),)), mesh)
    assert {COMPONENTS[i] for i in component} == {"door"}
    assert {MATERIALS[i] for i in material} == {"wood"}


def test_the_credits_page_is_up_to_date() -> None:
    assert CREDITS.read_text(encoding="utf-8") == credits_page()


def test_every_class_and_split_is_used(labels: list[LabelledMesh]) -> None:
    assert {entry.split for entry in labels} == set(SPLITS)
    assert {name for entry in labels for name in entry.materials.values()} <= set(MATERIALS)
    assert {rule.component for entry in labels for rule in entry.rules} == set(COMPONENTS[1:])


def boxes(corners: list[tuple[float, float, float, float, float, float]]) -> ObjMesh:
    """Return boxes of the MTL material "pine" between two corners each."""
    lines = ["usemtl pine"]
    for number, (x0, y0, z0, x1, y1, z1) in enumerate(corners):
        low, high = 8 * number + 1 + np.arange(4), 8 * number + 5 + np.arange(4)
        lines += [f"v {x} {y} {z}" for z in (z0, z1) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
        sides = [(low[i], low[(i + 1) % 4], high[(i + 1) % 4], high[i]) for i in range(4)]
        lines += [f"f {a} {b} {c} {d}" for a, b, c, d in (low, high, *sides)]
    return read_obj("\n".join(lines).encode())


def area(mesh: ObjMesh) -> float:
    a, b, c = mesh.vertices[mesh.triangles].transpose(1, 0, 2)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
