"""Check glTF's tree of nodes and its references by index (glTF 2.0, 3.5): no cycle, nothing too deep or missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from orchestrator.mesh_files.gltf_json import Json
from orchestrator.mesh_files.gltf_values import Accessor, objects, whole
from orchestrator.mesh_files.limits import MAX_COORDINATE, Refused, empty, shown

MAX_NODE_DEPTH = 100
TRANSFORMS = {"matrix": 16, "translation": 3, "rotation": 4, "scale": 3}
LISTS = ("images", "samplers", "skins", "cameras", "textures", "nodes", "meshes", "accessors", "materials")
REFERENCES = {
    "nodes": {"mesh": "meshes", "skin": "skins", "camera": "cameras"},
    "textures": {"source": "images", "sampler": "samplers"},
    "skins": {"inverseBindMatrices": "accessors", "skeleton": "nodes"},
}


def check_scene(document: Json, triangles: Sequence[int], accessors: Sequence[Accessor]) -> int:
    """The triangles that all nodes show together, each mesh as often as it stands in the scene.

    Args:
        triangles: of each mesh.

    Raises:
        Refused: the graph is no tree, is too deep, or its scene shows no triangle.
    """
    nodes, scenes = objects(document, "nodes"), objects(document, "scenes")
    for what, found in (("it has no scenes", scenes), ("it has no nodes", nodes), ("it has no meshes", triangles)):
        if not found:
            raise empty(what)
    children = [_indices(one, "children", f"node {number}", len(nodes)) for number, one in enumerate(nodes)]
    parents: dict[int, int] = {}
    for number, under in enumerate(children):
        for child in under:
            if child in parents:
                raise Refused(f"node {child} has two parents, {parents[child]} and {number}; allowed is one")
            parents[child] = number
    roots = [number for number in range(len(nodes)) if number not in parents]
    reached = 0
    for depth, level in enumerate(_levels(roots, children)):
        if depth >= MAX_NODE_DEPTH:
            raise Refused(f"the nodes are nested more than {MAX_NODE_DEPTH} deep, the most that is allowed")
        reached += len(level)
    if reached < len(nodes):  # every node has one parent at most, so what no root reaches goes round
        raise Refused("the nodes form a cycle: one is its own ancestor")
    for number, one in enumerate(nodes):
        _check_transform(one, f"node {number}")
    shows = [_shown(one, triangles, accessors) for one in nodes]
    scene = scenes[whole(document, "scene", "the JSON", 0, len(scenes) - 1, 0)]
    starts = _indices(scene, "nodes", "the scene", len(nodes))
    if set(starts) & parents.keys():
        raise Refused(f"node {min(set(starts) & parents.keys())} of the scene has a parent; allowed are roots")
    if not any(shows[number] for level in _levels(starts, children) for number in level):
        raise empty("no node of it shows triangles")
    return sum(shows)


def check_references(document: Json) -> None:
    """Refuse indices that name nothing, from nodes to meshes and from materials to pictures."""
    sizes = {key: len(objects(document, key)) for key in LISTS}
    for owner, keys in REFERENCES.items():
        for number, one in enumerate(objects(document, owner)):
            for key, target in keys.items():
                if key in one:
                    _check_index(one, key, f"{owner} {number}", sizes[target], target)
    for number, one in enumerate(objects(document, "textures")):
        for extension in _values(one.get("extensions")):
            if isinstance(extension, dict) and "source" in extension:
                _check_index(extension, "source", f"texture {number}", sizes["images"], "images")
    for number, mesh in enumerate(objects(document, "meshes")):
        for one in objects(mesh, "primitives", f"mesh {number}"):
            if "material" in one:
                _check_index(one, "material", f"mesh {number}", sizes["materials"], "materials")
    for number, one in enumerate(objects(document, "skins")):
        _indices(one, "joints", f"skin {number}", sizes["nodes"])
    for number, one in enumerate(objects(document, "materials")):
        _check_material(one, f"material {number}", sizes["textures"])


def _check_material(value: Any, where: str, textures: int) -> None:
    """Materials name textures as ``{"…Texture": {"index": …}}``, at any depth; the JSON's depth is bounded."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        if key.endswith("Texture") and isinstance(inner, dict) and "index" in inner:
            _check_index(inner, "index", f"{where}, {key}", textures, "textures")
        elif key != "extras":
            _check_material(inner, where, textures)


def _check_index(owner: Json, key: str, where: str, count: int, what: str) -> None:
    if not count:
        raise Refused(f"{key} of {where} is {shown(owner[key])}; the file has no {what}")
    whole(owner, key, where, 0, count - 1)


def _levels(roots: Iterable[int], children: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    level = list(roots)
    while level:
        yield level
        level = [child for number in level for child in children[number]]


def _indices(owner: Json, key: str, where: str, count: int) -> list[int]:
    found = owner.get(key, [])
    if not isinstance(found, list):
        raise Refused(f"{key} of {where} is {shown(found)}; it must be a list of indices")
    for one in found:
        if isinstance(one, bool) or not isinstance(one, int) or not 0 <= one < count:
            raise Refused(f"{key} of {where} has {shown(one)}; allowed are integers from 0 to {count - 1}")
    if len(set(found)) < len(found):
        raise Refused(f"{key} of {where} names one node twice")
    return found


def _check_transform(node: Json, where: str) -> None:
    for key, count in TRANSFORMS.items():
        if key not in node:
            continue
        value = node[key]
        good = isinstance(value, list) and len(value) == count
        if not good or not all(_number(one) for one in value):
            raise Refused(f"{key} of {where} is {shown(value)}; it must be {count} numbers within ±{MAX_COORDINATE:g}")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_COORDINATE


def _shown(node: Json, triangles: Sequence[int], accessors: Sequence[Accessor]) -> int:
    """Triangles that the node shows itself; none where its own transform flattens them to a line."""
    if "mesh" not in node:
        return 0
    if sum(1 for one in node.get("scale", ()) if one == 0) > 1:
        return 0
    if "matrix" in node and np.linalg.matrix_rank(np.reshape(node["matrix"], (4, 4))[:3, :3]) < 2:
        return 0
    count = triangles[node["mesh"]]
    for instances in _values(node.get("extensions")):
        attributes = instances.get("attributes") if isinstance(instances, dict) else None
        if not isinstance(attributes, dict) or not accessors:
            continue
        for key in attributes:
            times = accessors[whole(attributes, key, "EXT_mesh_gpu_instancing", 0, len(accessors) - 1)].count
            return count * times
    return count


def _values(extensions: object) -> Iterable[Any]:
    return extensions.values() if isinstance(extensions, dict) else ()
