"""Which component and which material each face of a third-party furniture model is, as a person labelled it.

The models are those of Debian's package ``sweethome3d-furniture``; the labels are rules in ``labels.toml``.

Frame of everything here: +X right, +Y back, +Z up, so that the piece faces -Y, as Blender's OBJ import with Y up and
-Z forward turns a model after the catalogue's own ``modelRotation``.
"""

from __future__ import annotations

import re
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.connected import connected
from export_models.dataset.obj_mesh import Floats, Ints, ObjMesh, read_obj
from export_models.dataset.package import INSTALLED

LABELS = Path(__file__).with_name("labels.toml")
KINDS = (
    "chair", "armchair", "sofa", "table", "desk", "bed", "cabinet", "shelf", "dresser", "stool", "other",
)  # fmt: skip
SPLITS = ("train", "validation", "test")
# What the package's copyright file and the archives' LICENSE.TXT say, and only licences that let us render and show.
# The two Winchester models lie in the CC0 library, but their own licence files say CC-BY 3.0, so that is what counts.
ARCHIVE_LICENSES = {
    "BlendSwap-CC-0": ("CC0-1.0", "CC-BY-3.0"),
    "BlendSwap-CC-BY": ("CC-BY-3.0",),
    "KatorLegaz": ("CC-BY-3.0-US",),
    "Scopia": ("CC-BY-3.0",),
}


@dataclass(frozen=True)
class Rule:
    """Faces that are ``component``: those that all given selectors hold for.

    ``material`` and ``group`` are patterns as of ``fnmatch``, of which one has to fit. The limits are shares of the
    model's bounding box, 0 to 1, for the centroid of the face, or with ``loose`` of the connected piece it is in.
    ``taller`` and ``shorter`` are limits of the height of that piece, whether ``loose`` or not.
    """

    component: str
    material: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    loose: bool = False
    left_of: float | None = None
    right_of: float | None = None
    front_of: float | None = None
    behind: float | None = None
    below: float | None = None
    above: float | None = None
    taller: float | None = None
    shorter: float | None = None


@dataclass(frozen=True)
class LabelledModel:
    """One entry of ``labels.toml``. ``model`` is the path of the OBJ inside the archive."""

    archive: str
    model: str
    title: str
    author: str
    license: str
    kind: str
    split: str
    materials: dict[str, str]  # MTL name to one of MATERIALS
    parts: tuple[Rule, ...]  # the first that fits counts
    cuts: dict[str, tuple[float, ...]] = field(default_factory=dict)  # where faces are cut in two: shares along x, y, z
    components: bool = True  # False: the parts cannot be told apart by rules, use the materials only


@dataclass(frozen=True)
class Placed:
    """What the rules ask of an upright mesh."""

    mesh: ObjMesh

    @cached_property
    def shares(self) -> Floats:
        """[T, 3] centroid of each triangle as shares of the bounding box."""
        return np.asarray((self._corners.mean(1) - self._low) / self._size)

    @cached_property
    def piece(self) -> Ints:
        """[T] number of the connected piece of each triangle; groups are never connected."""
        return connected_pieces(self._corners / self._size.max(), self.mesh.group)

    @cached_property
    def piece_shares(self) -> Floats:
        """[T, 3] area-weighted centroid of the connected piece of each triangle, as shares of the bounding box."""
        a, b, c = self._corners.transpose(1, 0, 2)
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1) + 1e-12
        total = np.bincount(self.piece, area)
        means = [np.bincount(self.piece, area * self.shares[:, axis]) / total for axis in range(3)]
        return np.stack(means, 1)[self.piece]

    @cached_property
    def piece_height(self) -> Floats:
        """[T] height of the connected piece of each triangle as a share of the bounding box's."""
        height = (self._corners[:, :, 2] - self._low[2]) / self._size[2]
        count = self.piece.max() + 1
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(low, self.piece, height.min(1))
        np.maximum.at(high, self.piece, height.max(1))
        return np.asarray((high - low)[self.piece])

    @cached_property
    def _corners(self) -> Floats:
        return self.mesh.vertices[self.mesh.triangles]

    @cached_property
    def _low(self) -> Floats:
        return np.asarray(self._corners.min((0, 1)))

    @cached_property
    def _size(self) -> Floats:
        return np.asarray(np.maximum(self._corners.max((0, 1)) - self._low, 1e-9))


def read_labels() -> list[LabelledModel]:
    """Return the entries of ``labels.toml`` in its order.

    Raises:
        ValueError: an entry names a class, kind or split that does not exist.
    """
    entries = tomllib.loads(LABELS.read_text(encoding="utf-8"))["model"]
    return [_labelled_model(entry) for entry in entries]


def _labelled_model(entry: dict[str, Any]) -> LabelledModel:
    rules = tuple(Rule(**{**rule, **_patterns(rule)}) for rule in entry["parts"])
    cuts = {axis: tuple(shares) for axis, shares in entry.get("cuts", {}).items()}
    model = LabelledModel(**{**entry, "parts": rules, "cuts": cuts})
    for what, value, allowed in (
        ("kind", model.kind, KINDS),
        ("split", model.split, SPLITS),
        ("license", model.license, ARCHIVE_LICENSES.get(model.archive, ())),
        *(("material", name, MATERIALS) for name in model.materials.values()),
        *(("component", rule.component, COMPONENTS[1:]) for rule in rules),
    ):
        if value not in allowed:
            raise ValueError(f"{model.model}: {what} is {value!r}, allowed are {', '.join(allowed)}")
    return model


def _patterns(rule: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    given = {name: rule[name] for name in ("material", "group") if name in rule}
    return {name: (value,) if isinstance(value, str) else tuple(value) for name, value in given.items()}


def read_model(model: LabelledModel, folder: Path = INSTALLED) -> ObjMesh:
    """Read a model from its archive, upright, in metres, on the middle of the floor, its faces cut at ``cuts``.

    Args:
        folder: where the ``.sh3f`` files are.

    Raises:
        FileNotFoundError: the package is not installed there.
        KeyError: the archive has no such model.
    """
    with zipfile.ZipFile(folder / f"{model.archive}.sh3f") as library:
        return model_in(library, model)


def model_in(library: zipfile.ZipFile, model: LabelledModel) -> ObjMesh:
    """``read_model`` from an open archive, for who reads many: an archive lists thousands of files."""
    mesh = read_obj(library.read(model.model))
    catalogue = library.read("PluginFurnitureCatalog.properties").decode("latin-1")
    height_m, turn = _catalogue_entry(catalogue, model.model)
    x, y, z = turn @ mesh.vertices.T
    points = np.stack([x, -z, y], 1)
    low, high = points.min(0), points.max(0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    scale = height_m / max(high[2] - low[2], 1e-9)
    a, b, c = turn @ mesh.normals.reshape(-1, 3).T
    normals = np.stack([a, -c, b], 1).reshape(mesh.normals.shape)
    mesh = replace(mesh, vertices=(points - origin) * scale, normals=normals)
    for axis, shares in model.cuts.items():
        for share in shares:
            mesh = cut(mesh, "xyz".index(axis), share)
    return mesh


def _catalogue_entry(catalogue: str, path: str) -> tuple[float, Floats]:
    """Height in metres, and the rotation [3, 3] that the OBJ still needs to stand upright and face +Z."""
    found = re.search(rf"^model#(\d+)\s*=\s*/?{re.escape(path)}\s*$", catalogue, re.MULTILINE)
    if found is None:
        raise KeyError(f"the catalogue has no model {path!r}")
    values = dict(re.findall(rf"^(\w+)#{found[1]}\s*=\s*(.*?)\s*$", catalogue, re.MULTILINE))
    turn = np.array(values.get("modelRotation", "1 0 0 0 1 0 0 0 1").split(), np.float64)
    return float(values["height"]) / 100, turn.reshape(3, 3)


def cut(mesh: ObjMesh, axis: int, share: float) -> ObjMesh:
    """Cut the triangles that cross a plane in three, so that rules can tell what is on either side of it.

    Args:
        axis: which axis the plane is across.
        share: where it is, as a share of the bounding box.
    """
    along = mesh.vertices[mesh.triangles][:, :, axis]  # [T, 3]
    low, high = along.min(), along.max()
    side = along - (low + share * (high - low)) >= 0
    crossing = np.flatnonzero(side.any(1) & ~side.all(1))
    lone = np.argmax(side[crossing] == (side[crossing].sum(1) == 1)[:, None], 1)
    turn = (lone[:, None] + np.arange(3)) % 3  # the corner that is alone on its side comes first
    first, second, third = np.take_along_axis(along[crossing], turn, 1).T
    plane = low + share * (high - low)
    weights = np.stack([(plane - first) / (second - first), (plane - first) / (third - first)], 1)[:, :, None]

    def split(corners: Floats) -> Floats:
        """[3C, 3, k] corners of the three parts of the crossing triangles' [C, 3, k]."""
        a, b, c = np.take_along_axis(corners, turn[:, :, None], 1).transpose(1, 0, 2)
        ab, ac = a + weights[:, 0] * (b - a), a + weights[:, 1] * (c - a)
        return np.concatenate([np.stack(part, 1) for part in ((a, ab, ac), (ab, b, c), (ab, c, ac))])

    kept = np.delete(np.arange(len(mesh.triangles)), crossing)
    owner = np.concatenate([kept, np.tile(crossing, 3)])
    corners = split(mesh.vertices[mesh.triangles[crossing]])
    places, triangles = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    return ObjMesh(
        np.concatenate([mesh.vertices, places]),
        np.concatenate([mesh.triangles[kept], triangles.reshape(-1, 3) + len(mesh.vertices)]),
        np.concatenate([mesh.uv[kept], split(mesh.uv[crossing])]),
        np.concatenate([mesh.normals[kept], split(mesh.normals[crossing])]),
        mesh.material[owner],
        mesh.material_names,
        mesh.group[owner],
        mesh.group_names,
    )


def face_labels(model: LabelledModel, obj_mesh: ObjMesh) -> tuple[Ints, Ints]:
    """Label each triangle of ``read_model``'s mesh.

    Returns:
        component [T] index into COMPONENTS, and material [T] index into MATERIALS.

    Raises:
        ValueError: a face is matched by no rule, or its MTL material has no label.
    """
    unlabelled = {obj_mesh.material_names[i] for i in np.unique(obj_mesh.material)} - model.materials.keys()
    if unlabelled:
        raise ValueError(f"{model.model}: labels.toml does not say what {sorted(unlabelled)} are")
    classes = [MATERIALS.index(model.materials.get(name, "other")) for name in obj_mesh.material_names]
    first = first_rule(model.parts, obj_mesh)
    if first.max(initial=0) == len(model.parts):
        raise ValueError(f"{model.model}: {int((first == len(model.parts)).sum())} faces are matched by no rule")
    components = [COMPONENTS.index(rule.component) for rule in model.parts]
    return np.array(components)[first], np.array(classes)[obj_mesh.material]


def first_rule(rules: Sequence[Rule], mesh: ObjMesh) -> Ints:
    """[T] number of the first rule that matches each triangle; ``len(rules)`` where none does."""
    placed = Placed(mesh)
    first = np.full(len(mesh.triangles), len(rules))
    for number in reversed(range(len(rules))):
        first[_matches(rules[number], placed)] = number
    return first


def _matches(rule: Rule, placed: Placed) -> NDArray[np.bool_]:
    mesh = placed.mesh
    matched = np.ones(len(mesh.triangles), bool)
    for patterns, names, number in (
        (rule.material, mesh.material_names, mesh.material),
        (rule.group, mesh.group_names, mesh.group),
    ):
        if patterns:
            fits = [any(fnmatchcase(name, pattern) for pattern in patterns) for name in names]
            matched &= np.array(fits)[number]
    where = placed.piece_shares if rule.loose else placed.shares
    for axis, (least, most) in enumerate(
        ((rule.right_of, rule.left_of), (rule.behind, rule.front_of), (rule.above, rule.below))
    ):
        if least is not None:
            matched &= where[:, axis] > least
        if most is not None:
            matched &= where[:, axis] < most
    if rule.taller is not None:
        matched &= placed.piece_height > rule.taller
    if rule.shorter is not None:
        matched &= placed.piece_height < rule.shorter
    return matched


def connected_pieces(corners: Floats, group: Ints) -> Ints:
    """[T] number of the connected piece of each triangle; corners at one place in one group count as one.

    Args:
        corners: [T, 3, 3], the largest side of the model being 1.
        group: [T].
    """
    flat = corners.reshape(-1, 3)
    cell = np.rint((flat - flat.min(0)) * 1e5).astype(np.int64)
    keys = np.ravel_multi_index((*cell.T, np.repeat(group, 3)), (*cell.max(0) + 1, group.max() + 1))
    _, place = np.unique(keys, return_inverse=True)
    place = place.reshape(-1, 3)
    edges = np.concatenate([place[:, [0, 1]], place[:, [1, 2]]])
    return np.asarray(connected(edges, int(place.max()) + 1)[place[:, 0]])


def write_labelled(model: LabelledModel, folder: Path, installed: Path = INSTALLED) -> Path:
    """Write the model and its labels as an NPZ into ``folder``; return its path.

    vertices [V, 3] float32 metres, triangles [T, 3] int32, triangle_uv [T, 3, 2] and triangle_normals [T, 3, 3] float32
    (zeros where the OBJ has none); component [T] and material [T] int32 into component_names and material_names, which
    are COMPONENTS and MATERIALS; triangle_mtl [T] int32 into mtl_names, the OBJ's own.
    """
    mesh = read_model(model, installed)
    component, material = face_labels(model, mesh)
    path = folder / f"{model.archive}-{Path(model.model).stem}.npz"
    np.savez_compressed(
        path,
        vertices=mesh.vertices.astype(np.float32),
        triangles=mesh.triangles.astype(np.int32),
        triangle_uv=mesh.uv.astype(np.float32),
        triangle_normals=mesh.normals.astype(np.float32),
        component=component.astype(np.int32),
        component_names=np.array(COMPONENTS),
        material=material.astype(np.int32),
        material_names=np.array(MATERIALS),
        triangle_mtl=mesh.material.astype(np.int32),
        mtl_names=np.array(mesh.material_names),
    )
    return path
