"""The labels of third-party models: complete, licensed, and split so that what is tested on was never trained on."""

from __future__ import annotations

import tomllib
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset import credits
from export_models.dataset.labels import (
    ARCHIVE_LICENSES,
    KINDS,
    SPLITS,
    LabelledModel,
    Rule,
    cut,
    face_labels,
    first_rule,
    model_in,
    read_labels,
    write_labelled,
)
from export_models.dataset.obj_mesh import ObjMesh, read_obj
from export_models.dataset.package import INSTALLED

PICKS = Path(__file__).parents[1] / "benchmarks" / "furniture" / "picks.toml"
PHRASES = {"CC0-1.0": "Creative Commons Zero", "CC-BY-3.0": "Creative Commons Attribution 3.0"}
needs_models = pytest.mark.skipif(
    not INSTALLED.is_dir(), reason=f"{INSTALLED} is missing: install Debian's package sweethome3d-furniture"
)


@dataclass(frozen=True)
class Read:
    """What the tests ask of a model's OBJ."""

    model: LabelledModel
    mtl_names: frozenset[str]  # of faces
    first_rule: frozenset[int]  # numbers of the rules that label some face
    faces: int
    height_m: float


@pytest.fixture(scope="module")
def models() -> list[LabelledModel]:
    return read_labels()


@pytest.fixture(scope="module")
def read(models: list[LabelledModel]) -> list[Read]:
    found = []
    archives = {name: zipfile.ZipFile(INSTALLED / f"{name}.sh3f") for name in {model.archive for model in models}}
    for model in models:
        mesh = model_in(archives[model.archive], model)
        used = frozenset(mesh.material_names[i] for i in np.unique(mesh.material))
        rules = frozenset(np.unique(first_rule(model.parts, mesh)).tolist())
        found.append(Read(model, used, rules, len(mesh.triangles), float(np.ptp(mesh.vertices[:, 2]))))
    for archive in archives.values():
        archive.close()
    return found


@needs_models
def test_every_model_is_in_its_archive(models: list[LabelledModel]) -> None:
    for archive in ARCHIVE_LICENSES:
        with zipfile.ZipFile(INSTALLED / f"{archive}.sh3f") as library:
            missing = {m.model for m in models if m.archive == archive} - set(library.namelist())
        assert not missing


@needs_models
def test_each_license_is_what_the_model_comes_with(models: list[LabelledModel]) -> None:
    """Most BlendSwap models have licence files of their own, and those count; for the rest the archive's does."""
    for archive in ("BlendSwap-CC-0", "BlendSwap-CC-BY"):
        with zipfile.ZipFile(INSTALLED / f"{archive}.sh3f") as library:
            files = {n.rsplit("/", 1)[0]: n for n in library.namelist() if n.count("/") > 1 and "icense" in n.lower()}
            for model in models:
                file = files.get(model.model.rsplit("/", 1)[0])
                if model.archive == archive and file is None:
                    assert model.license == ARCHIVE_LICENSES[archive][0], model.model
                elif file is not None:
                    assert PHRASES[model.license] in library.read(file).decode("latin-1"), model.model


@needs_models
def test_every_mtl_material_of_a_face_is_labelled_and_no_other(read: list[Read]) -> None:
    for one in read:
        assert one.mtl_names == one.model.materials.keys(), one.model.model


@needs_models
def test_every_face_has_a_component_and_every_rule_a_face(read: list[Read]) -> None:
    for one in read:
        assert one.first_rule == set(range(len(one.model.parts))), one.model.model


@needs_models
def test_every_model_is_sane(read: list[Read]) -> None:
    for one in read:
        assert 20 < one.faces < 100_000, one.model.model
        assert 0.2 < one.height_m < 2.5, one.model.model


def test_no_model_is_listed_twice(models: list[LabelledModel]) -> None:
    assert max(Counter((m.archive, m.model) for m in models).values()) == 1


def test_the_splits_are_as_large_as_promised(models: list[LabelledModel]) -> None:
    size = Counter(m.split for m in models)
    assert size["test"] >= 36
    assert size["validation"] >= 12
    assert size["train"] >= 80
    kinds = Counter(m.kind for m in models if m.split == "test" and m.components)
    assert all(kinds[kind] >= 3 for kind in KINDS), kinds
    assert len({m.author for m in models if m.split == "test"}) >= 12


def test_what_the_baselines_were_chosen_on_is_for_validation(models: list[LabelledModel]) -> None:
    picks = tomllib.loads(PICKS.read_text(encoding="utf-8"))
    split = {(m.archive, m.model): m.split for m in models}
    assert {split[pick["archive"], pick["model"]] for pick in picks["pick"] + picks["demo"]} == {"validation"}


def test_a_blendswap_author_is_in_one_split_only(models: list[LabelledModel]) -> None:
    """Sets were uploaded by author; Scopia and Kator Legaz are whole firms, whose sets were told apart by eye."""
    splits: dict[str, set[str]] = {}
    for model in models:
        if model.archive.startswith("BlendSwap"):
            splits.setdefault(model.author.removesuffix(" & eTeks"), set()).add(model.split)
    assert {author: found for author, found in splits.items() if len(found) > 1} == {}


@needs_models
def test_the_npz_is_upright_in_metres_and_labelled(models: list[LabelledModel], tmp_path: Path) -> None:
    chair = next(m for m in models if m.model.endswith("/ella_chair_f.obj"))
    with np.load(write_labelled(chair, tmp_path)) as written:
        points, triangles = written["vertices"], written["triangles"]
        component = np.array(written["component_names"])[written["component"]]
        material = np.array(written["material_names"])[written["material"]]
        assert written["triangle_uv"].shape == (len(triangles), 3, 2)
        assert written["triangle_normals"].shape == (len(triangles), 3, 3)
        assert written["mtl_names"][written["triangle_mtl"]].shape == component.shape
    middle = points[triangles].mean(1)
    assert points[:, 2].min() == pytest.approx(0.0, abs=1e-6)
    assert points[:, 2].max() == pytest.approx(0.92, abs=1e-4)
    assert set(component) == {"leg", "frame", "seat", "back"}
    assert set(material) == {"wood"}
    assert middle[component == "leg", 2].max() < middle[component == "back", 2].min()
    assert middle[component == "back", 1].mean() > middle[component == "seat", 1].mean() + 0.1  # it faces -Y


def test_a_concave_polygon_is_cut_into_triangles_that_cover_it_once() -> None:
    outline = [(0, 0), (4, 0), (4, 3), (3, 3), (3, 1), (1, 1), (1, 3), (0, 3)]  # a U of area 8
    text = "".join(f"v {x} 0 {y}\n" for x, y in outline) + "usemtl oak\nf 1 2 3 4 5 6 7 8\nl 1 2\n"
    mesh = read_obj(text.encode())
    a, b, c = mesh.vertices[mesh.triangles].transpose(1, 0, 2)
    turned = np.cross(b - a, c - a)[:, 1]
    assert len(turned) == 6
    assert np.abs(turned).sum() / 2 == pytest.approx(8.0)
    assert len(set(np.sign(turned))) == 1
    assert mesh.material_names[mesh.material[0]] == "oak"


def test_corners_without_uv_or_normal_get_zeros() -> None:
    corners = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0.5 0.25\nvn 0 0 1\n"
    mesh = read_obj(corners + b"o a\nf 1/1/1 2/1/1 3/1/1\no b\nf 1//1 2//1 3//1\nf 1 2 3\n")
    assert mesh.uv[:, 0].tolist() == [[0.5, 0.25], [0.0, 0.0], [0.0, 0.0]]
    assert mesh.normals[:, 0].tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    assert [mesh.group_names[i] for i in mesh.group] == ["a", "b", "b"]


def test_relative_indices_are_refused() -> None:
    with pytest.raises(ValueError, match="from -3"):
        read_obj(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n")


def test_a_cut_keeps_the_surface_and_leaves_nothing_across_the_plane() -> None:
    post = _boxes([(0.0, 0.0, 0.0, 0.1, 0.1, 1.0)])
    halves = cut(post, 2, 0.4)
    heights = halves.vertices[halves.triangles][:, :, 2]
    assert not ((heights.min(1) < 0.4 - 1e-9) & (heights.max(1) > 0.4 + 1e-9)).any()
    assert _area(halves) == pytest.approx(_area(post))


def test_loose_rules_ask_for_the_whole_piece_and_the_first_match_wins() -> None:
    mesh = _boxes([(0.0, 0.0, 0.0, 0.1, 0.1, 1.0), (0.0, 0.0, 0.5, 1.0, 1.0, 0.6)])  # a post through a board
    post, board = np.repeat([True, False], 12), np.repeat([False, True], 12)
    tall = first_rule([Rule("leg", taller=0.9), Rule("top")], mesh)
    assert (tall == np.where(post, 0, 1)).all()
    assert (first_rule([Rule("top", loose=True, above=0.52), Rule("leg")], mesh) == np.where(board, 0, 1)).all()
    assert (first_rule([Rule("leg"), Rule("top")], mesh) == 0).all()
    assert (first_rule([Rule("leg", material=("oak*",))], mesh) == 1).all()


def test_a_face_without_a_rule_or_a_material_without_a_label_is_an_error() -> None:
    model = LabelledModel("a", "m", "t", "w", "l", "chair", "train", {"pine": "wood"}, (Rule("leg", below=0.4),))
    mesh = _boxes([(0.0, 0.0, 0.0, 1.0, 1.0, 1.0)])
    with pytest.raises(ValueError, match="matched by no rule"):
        face_labels(model, mesh)
    with pytest.raises(ValueError, match="pine"):
        face_labels(replace(model, materials={}), mesh)
    component, material = face_labels(replace(model, parts=(Rule("door"),)), mesh)
    assert {COMPONENTS[i] for i in component} == {"door"}
    assert {MATERIALS[i] for i in material} == {"wood"}


def test_everybody_whose_model_is_shown_is_credited() -> None:
    assert credits.FILE.read_text(encoding="utf-8") == credits.credits()


def test_every_label_is_known(models: list[LabelledModel]) -> None:
    assert {m.split for m in models} == set(SPLITS)
    assert {name for m in models for name in m.materials.values()} <= set(MATERIALS)
    assert {rule.component for m in models for rule in m.parts} == set(COMPONENTS[1:])


def _boxes(boxes: list[tuple[float, float, float, float, float, float]]) -> ObjMesh:
    """Boxes from one corner to the other, of pine."""
    lines = ["usemtl pine"]
    for number, (x0, y0, z0, x1, y1, z1) in enumerate(boxes):
        low, high = 8 * number + 1 + np.arange(4), 8 * number + 5 + np.arange(4)
        lines += [f"v {x} {y} {z}" for z in (z0, z1) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
        sides = [(low[i], low[(i + 1) % 4], high[(i + 1) % 4], high[i]) for i in range(4)]
        lines += [f"f {a} {b} {c} {d}" for a, b, c, d in (low, high, *sides)]
    return read_obj("\n".join(lines).encode())


def _area(mesh: ObjMesh) -> float:
    a, b, c = mesh.vertices[mesh.triangles].transpose(1, 0, 2)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
