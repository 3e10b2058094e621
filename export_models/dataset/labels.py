"""Component and material labels of the faces of third-party meshes.

A person labelled the 3D models of Debian's package ``sweethome3d-furniture`` with rules, which are in ``labels.toml``.
The component classes are defined in ``makers/piece.py``.

Coordinates: +X right, +Y back, +Z up, so that the piece faces -Y.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.connectivity import label_connected
from export_models.dataset.obj_mesh import Floats, Ints, ObjMesh

LABELS = Path(__file__).with_name("labels.toml")
KINDS = (
    "chair", "armchair", "sofa", "table", "desk", "bed", "cabinet", "shelf", "dresser", "stool", "other",
)  # fmt: skip
SPLITS = ("train", "validation", "test")
CATALOGUE_SPLITS = {"catalogue": "test", "catalogue-validation": "validation"}
"""Splits of images in the style of a catalogue, and the split of meshes that each shows."""
IMAGE_SPLITS = {split: split for split in SPLITS} | CATALOGUE_SPLITS
"""All splits of images, and the split of meshes that each shows."""
ARCHIVE_LICENSES = {
    "BlendSwap-CC-0": ("CC0-1.0", "CC-BY-3.0"),
    "BlendSwap-CC-BY": ("CC-BY-3.0",),
    "KatorLegaz": ("CC-BY-3.0-US",),
    "Scopia": ("CC-BY-3.0",),
}
"""Licences that meshes in each archive may have. The first is the licence of the archive itself.

Source: the package's copyright file and the archives' LICENSE.TXT. Archives are used only if their licence permits
rendering and publishing. The two Winchester meshes are in the CC0 archive, but their own licence files state CC-BY 3.0,
which applies.
"""


@dataclass(frozen=True)
class Rule:
    """Assigns ``component`` to the faces that satisfy all given conditions.

    ``material`` and ``group`` contain ``fnmatch`` patterns. The name must match one of the patterns, if there are any.
    The limits are shares, 0 to 1, of the mesh's bounding box. They apply to the centroid of the face or, with
    ``loose``, to the centroid of its island: the connected faces of one group. ``taller`` and ``shorter`` always apply
    to the height of the island.
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
class LabelledMesh:
    """One entry of ``labels.toml``."""

    archive: str  # name of the .sh3f file
    path: str  # of the OBJ file inside the archive; key `model`
    title: str
    author: str
    license: str
    kind: str
    split: str
    materials: dict[str, str]  # MTL name to one of MATERIALS
    rules: tuple[Rule, ...]  # the first rule that matches a face applies; key `parts`
    cuts: dict[str, tuple[float, ...]] = field(default_factory=dict)  # axis to shares at which faces are cut in two
    components: bool = True  # False: rules cannot separate the components, only the material labels are valid


@dataclass(frozen=True)
class FaceGeometry:
    """Measurements of the triangles of an upright mesh, to which rules apply."""

    mesh: ObjMesh

    @cached_property
    def centroid(self) -> Floats:
        """[T, 3] centroid of each triangle as shares of the bounding box."""
        return np.asarray((self._corners.mean(1) - self._low) / self._size)

    @cached_property
    def island(self) -> Ints:
        """[T] number of the island of each triangle. Faces of different groups are never in the same island."""
        return label_islands(self._corners / self._size.max(), self.mesh.group)

    @cached_property
    def island_centroid(self) -> Floats:
        """[T, 3] area-weighted centroid of the island of each triangle, as shares of the bounding box."""
        a, b, c = self._corners.transpose(1, 0, 2)
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1) + 1e-12
        total = np.bincount(self.island, area)
        means = [np.bincount(self.island, area * self.centroid[:, axis]) / total for axis in range(3)]
        return np.stack(means, 1)[self.island]

    @cached_property
    def island_height(self) -> Floats:
        """[T] height of the island of each triangle as a share of the bounding box."""
        height = (self._corners[:, :, 2] - self._low[2]) / self._size[2]
        count = self.island.max() + 1
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(low, self.island, height.min(1))
        np.maximum.at(high, self.island, height.max(1))
        return np.asarray((high - low)[self.island])

    @cached_property
    def _corners(self) -> Floats:
        return self.mesh.vertices[self.mesh.triangles]

    @cached_property
    def _low(self) -> Floats:
        return np.asarray(self._corners.min((0, 1)))

    @cached_property
    def _size(self) -> Floats:
        return np.asarray(np.maximum(self._corners.max((0, 1)) - self._low, 1e-9))


def read_labels() -> list[LabelledMesh]:
    """Return the entries of ``labels.toml`` in their order in the file.

    Raises:
        ValueError: an entry has an unknown kind, split, licence, material or component.
    """
    entries = tomllib.loads(LABELS.read_text(encoding="utf-8"))["model"]
    return [_parse_entry(entry) for entry in entries]


def _parse_entry(entry: dict[str, Any]) -> LabelledMesh:
    fields = {key: value for key, value in entry.items() if key not in ("model", "parts", "cuts")}
    rules = tuple(Rule(**{**rule, **_patterns(rule)}) for rule in entry["parts"])
    cuts = {axis: tuple(shares) for axis, shares in entry.get("cuts", {}).items()}
    mesh = LabelledMesh(path=entry["model"], rules=rules, cuts=cuts, **fields)
    for name, value, allowed in (
        ("kind", mesh.kind, KINDS),
        ("split", mesh.split, SPLITS),
        ("license", mesh.license, ARCHIVE_LICENSES.get(mesh.archive, ())),
        *(("material", material, MATERIALS) for material in mesh.materials.values()),
        *(("component", rule.component, COMPONENTS[1:]) for rule in rules),
    ):
        if value not in allowed:
            raise ValueError(f"labels.toml: {mesh.path} has the {name} {value!r}. Allowed: {', '.join(allowed)}.")
    return mesh


def _patterns(rule: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the name patterns of a rule as tuples; the file may contain a single string."""
    patterns = {name: rule[name] for name in ("material", "group") if name in rule}
    return {name: (value,) if isinstance(value, str) else tuple(value) for name, value in patterns.items()}


def label_faces(labelled: LabelledMesh, mesh: ObjMesh) -> tuple[Ints, Ints]:
    """Label each triangle of a mesh that ``labelled_meshes.read_mesh`` returned.

    Returns:
        [T] index into COMPONENTS, and [T] index into MATERIALS.

    Raises:
        ValueError: a face matches no rule, or its MTL material has no label.
    """
    unlabelled = {mesh.material_names[i] for i in np.unique(mesh.material)} - labelled.materials.keys()
    if unlabelled:
        raise ValueError(f"labels.toml: {labelled.path} has no label for the MTL materials {sorted(unlabelled)}.")
    materials = [MATERIALS.index(labelled.materials.get(name, "other")) for name in mesh.material_names]
    rule_index = first_matching_rule(labelled.rules, mesh)
    unmatched = int((rule_index == len(labelled.rules)).sum())
    if unmatched:
        raise ValueError(f"labels.toml: {unmatched} faces of {labelled.path} match no rule.")
    components = [COMPONENTS.index(rule.component) for rule in labelled.rules]
    return np.array(components)[rule_index], np.array(materials)[mesh.material]


def first_matching_rule(rules: Sequence[Rule], mesh: ObjMesh) -> Ints:
    """Return the index [T] of the first rule that each triangle matches, or ``len(rules)`` if there is none."""
    geometry = FaceGeometry(mesh)
    first = np.full(len(mesh.triangles), len(rules))
    for index in reversed(range(len(rules))):
        first[_matches(rules[index], geometry)] = index
    return first


def _matches(rule: Rule, geometry: FaceGeometry) -> NDArray[np.bool_]:
    """Return which triangles [T] match a rule."""
    mesh = geometry.mesh
    matches = np.ones(len(mesh.triangles), bool)
    for patterns, names, name_index in (
        (rule.material, mesh.material_names, mesh.material),
        (rule.group, mesh.group_names, mesh.group),
    ):
        if patterns:
            name_matches = [any(fnmatchcase(name, pattern) for pattern in patterns) for name in names]
            matches &= np.array(name_matches)[name_index]
    position = geometry.island_centroid if rule.loose else geometry.centroid
    for axis, (minimum, maximum) in enumerate(
        ((rule.right_of, rule.left_of), (rule.behind, rule.front_of), (rule.above, rule.below))
    ):
        if minimum is not None:
            matches &= position[:, axis] > minimum
        if maximum is not None:
            matches &= position[:, axis] < maximum
    if rule.taller is not None:
        matches &= geometry.island_height > rule.taller
    if rule.shorter is not None:
        matches &= geometry.island_height < rule.shorter
    return matches


def label_islands(corners: Floats, group: Ints) -> Ints:
    """Return the island number [T] of each triangle. Corners of one group at the same position are connected.

    Args:
        corners: [T, 3, 3], scaled so that the longest side of the bounding box is 1.
        group: [T].
    """
    flat = corners.reshape(-1, 3)
    cell = np.rint((flat - flat.min(0)) * 1e5).astype(np.int64)
    keys = np.ravel_multi_index((*cell.T, np.repeat(group, 3)), (*cell.max(0) + 1, group.max() + 1))
    _, vertex = np.unique(keys, return_inverse=True)
    vertex = vertex.reshape(-1, 3)
    edges = np.concatenate([vertex[:, [0, 1]], vertex[:, [1, 2]]])
    return np.asarray(label_connected(edges, int(vertex.max()) + 1)[vertex[:, 0]])
