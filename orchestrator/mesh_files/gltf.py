"""Checks the JSON of a glTF 2.0 file: size, counts, nesting and URIs. Geometry is left to ``tools/node/check.mjs``."""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any

import numpy as np

from orchestrator.domain.export import MeshFormat
from orchestrator.mesh_files.glb import split_glb
from orchestrator.mesh_files.limits import (
    MAX_VERTICES,
    InvalidMeshFile,
    check_triangles,
    printable,
    quoted,
)
from orchestrator.mesh_files.mesh_file import MeshFile
from orchestrator.mesh_files.references import referenced_file

MAX_JSON_BYTES = 32 << 20
"""Maximum size of the JSON without its strings, which contain the data of a glTF with embedded buffers."""
MAX_JSON_VALUES = 2_000_000
"""Maximum number of commas and opening brackets. Python needs up to 250 bytes for each value."""
MAX_JSON_DEPTH = 64
"""Maximum nesting of the JSON. glTF needs about 10 levels, extensions and extras included."""
MAX_OBJECTS = 100_000
"""Maximum number of objects of one kind. A furnished house has some thousands."""
MAX_ELEMENTS = 100_000_000
"""Maximum number of elements of all accessors together. MAX_VERTICES vertices with indices and three more attributes
have 75 million. The validator reads about 9 million a second."""
MAX_NODE_DEPTH = 100
"""Maximum nesting of nodes."""
TRIANGLES = 4
"""The primitive mode that is the default. Strips and fans are counted by the reader."""
JSON_STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)
"""Possessive quantifiers: takes linear time on any input."""
DEPTH_STEPS = bytes(1 if byte in b"[{" else 255 if byte in b"]}" else 0 for byte in range(256))
"""How each byte changes the depth; 255 is -1 as int8."""

Json = dict[str, Any]


def check_gltf(mesh: MeshFile) -> None:
    """Check a GLB or a .gltf.

    Raises:
        InvalidMeshFile: a count, a nesting or a URI is not allowed, or the container or the JSON is damaged.
    """
    text = bytes(split_glb(mesh.data)[0]) if mesh.format is MeshFormat.GLB else mesh.data
    document = parse_json(text)
    lists = {key: _objects(document, key) for key in document if isinstance(document[key], list)}
    _check_counts(lists)
    _check_node_depth(lists.get("nodes", []))
    for key in ("buffers", "images"):
        for number, item in enumerate(lists.get(key, [])):
            _check_uri(item.get("uri"), f"{key[:-1]} {number}", mesh)


def parse_json(text: bytes) -> Json:
    """Return the JSON object in ``text``.

    Stops documents that exhaust the memory or the stack of a parser, and repeated keys, which parsers read differently.

    Raises:
        InvalidMeshFile: it is not JSON in UTF-8, is no object, is too large or nested too deep, or repeats a key.
    """
    structure = JSON_STRING.sub(b"", text)
    if len(structure) > MAX_JSON_BYTES:
        raise InvalidMeshFile(f"the JSON has {len(structure)} bytes; at most {MAX_JSON_BYTES} are allowed")
    values = structure.count(b",") + structure.count(b"[") + structure.count(b"{")
    if values > MAX_JSON_VALUES:
        raise InvalidMeshFile(f"the JSON has {values} commas and brackets; at most {MAX_JSON_VALUES} are allowed")
    depth = int(np.cumsum(np.frombuffer(structure.translate(DEPTH_STEPS), np.int8), dtype=np.int32).max(initial=0))
    if depth > MAX_JSON_DEPTH:
        raise InvalidMeshFile(f"the JSON is nested {depth} deep; at most {MAX_JSON_DEPTH} levels are allowed")
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_unique_keys)
    except UnicodeDecodeError as error:
        raise InvalidMeshFile(f"the JSON is no UTF-8: byte {error.start} is invalid") from None
    except json.JSONDecodeError as error:
        raise InvalidMeshFile(f"the JSON is broken at character {error.pos}: {error.msg}") from None
    except ValueError:  # Python's limit on the digits of an integer
        raise InvalidMeshFile("the JSON has a number of more than 4300 digits") from None
    if not isinstance(document, dict):
        raise InvalidMeshFile(f"the JSON is a {type(document).__name__}; it must be an object")
    return document


def _unique_keys(pairs: list[tuple[str, Any]]) -> Json:
    item = dict(pairs)
    if len(item) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise InvalidMeshFile(f"the JSON has the key {quoted(repeated)} twice in one object")
    return item


def _objects(owner: Json, key: str) -> list[Json]:
    """The objects in the list ``owner[key]``. Items that are no objects are left to the validator."""
    items = owner.get(key)
    if not isinstance(items, list):
        return []
    if len(items) > MAX_OBJECTS:
        raise InvalidMeshFile(f"the JSON has {len(items)} {printable(key)}; at most {MAX_OBJECTS} are allowed")
    return [item if isinstance(item, dict) else {} for item in items]


def _check_counts(lists: dict[str, list[Json]]) -> None:
    """Stop accessors that make a reader allocate gigabytes or read for hours: they may share bytes, or have none."""
    accessors = lists.get("accessors", [])
    counts = [_count(accessor, number) for number, accessor in enumerate(accessors)]
    if sum(counts) > MAX_ELEMENTS:
        raise InvalidMeshFile(f"the accessors have {sum(counts)} elements; at most {MAX_ELEMENTS} are allowed")
    triangles = 0
    for mesh in lists.get("meshes", []):
        for primitive in _objects(mesh, "primitives"):
            attributes = primitive.get("attributes")
            position = attributes.get("POSITION") if isinstance(attributes, dict) else None
            index = primitive.get("indices", position)
            if primitive.get("mode", TRIANGLES) == TRIANGLES and isinstance(index, int) and 0 <= index < len(counts):
                triangles += counts[index] // 3
    check_triangles(triangles)


def _count(accessor: Json, number: int) -> int:
    count = accessor.get("count")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_VERTICES:
        raise InvalidMeshFile(
            f"count of accessor {number} is {quoted(count)}; allowed are integers from 1 to {MAX_VERTICES}"
        )
    return count


def _check_node_depth(nodes: list[Json]) -> None:
    """Stop chains of nodes that overflow the stack of a reader that walks them recursively, as the validator does."""
    lists = [node["children"] if isinstance(node.get("children"), list) else [] for node in nodes]
    children = [[child for child in items if isinstance(child, int) and 0 <= child < len(nodes)] for items in lists]
    level = set(range(len(nodes))).difference(*children)
    for _ in range(MAX_NODE_DEPTH):
        level = {child for number in level for child in children[number]}
        if not level:
            return
    raise InvalidMeshFile(f"the nodes are nested more than {MAX_NODE_DEPTH} deep, the most that is allowed")


def _check_uri(uri: object, where: str, mesh: MeshFile) -> None:
    """Stop references to files of the host or the network, and to files that are not in the upload."""
    if not isinstance(uri, str) or uri[:5].lower() == "data:":
        return
    name = referenced_file(uri, where)
    if mesh.archive is None:
        raise InvalidMeshFile(f"{where} is in another file, {quoted(uri)}: send a GLB, or a zip that holds both")
    if posixpath.join(posixpath.dirname(mesh.main), name) not in mesh.archive.entries:
        raise InvalidMeshFile(f"{where} refers to {quoted(name)}, which isn't in the archive")
