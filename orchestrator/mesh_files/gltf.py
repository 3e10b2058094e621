"""Checks the JSON of a glTF 2.0 file: its size, counts and references. ``tools/node/check.mjs`` checks the rest."""

from __future__ import annotations

import json
import posixpath
from typing import Any
from urllib.parse import unquote

from orchestrator.domain.export import MeshFormat
from orchestrator.mesh_files.limits import MAX_VERTICES, InvalidMeshFile, printable, quoted
from orchestrator.mesh_files.mesh_file import MeshFile

MAX_JSON_VALUES = 2_000_000
"""Maximum number of commas and opening brackets in the JSON. Python needs up to 250 bytes for each value."""
MAX_OBJECTS = 100_000
"""Maximum number of objects of one kind. A furnished house has some thousands."""
MAX_ELEMENTS = 100_000_000
"""Maximum number of elements of all accessors together. MAX_VERTICES vertices with indices and three more attributes
have 75 million elements. The validator reads about 9 million elements per second."""

GLB_JSON_OFFSET = 20
"""Offset of the JSON in a GLB, after the file header and the chunk header (glTF 2.0, section 4.4)."""
CHUNK_HEADER_SIZE = 8

Json = dict[str, Any]


def split_glb(data: bytes) -> tuple[memoryview, memoryview]:
    """Return the JSON chunk and the binary chunk of a GLB. The binary chunk is empty if there is none.

    The sizes in the file are not checked; the chunks of a damaged file are shorter than declared.
    """
    json_end = GLB_JSON_OFFSET + int.from_bytes(data[12:16], "little")
    binary_start = json_end + CHUNK_HEADER_SIZE
    binary_end = binary_start + int.from_bytes(data[json_end : json_end + 4], "little")
    return memoryview(data)[GLB_JSON_OFFSET:json_end], memoryview(data)[binary_start:binary_end]


def check_gltf(mesh: MeshFile) -> None:
    """Check a GLB or a .gltf. Raises InvalidMeshFile if it is damaged, and for:

    * a document that would exhaust the memory of this process;
    * an accessor with a huge count but no data, which would keep a reader busy;
    * a repeated key, which parsers interpret differently;
    * a reference to a file outside the upload.
    """
    text = mesh.data
    if mesh.format is MeshFormat.GLB:
        size, declared = len(text), int.from_bytes(text[8:12], "little")
        if size != declared:
            problem = f"its header declares {declared} bytes, it has {size}"
            raise InvalidMeshFile(f"the GLB is cut short or followed by other data: {problem}")
        text = bytes(split_glb(text)[0])
    document = _parse_json(text)
    lists = {key: _objects(key, items) for key, items in document.items() if isinstance(items, list)}
    elements = 0
    for number, accessor in enumerate(lists.get("accessors", [])):
        count = accessor.get("count")
        if type(count) is not int or not 1 <= count <= MAX_VERTICES:
            rule = f"allowed are integers from 1 to {MAX_VERTICES}"
            raise InvalidMeshFile(f"count of accessor {number} is {quoted(count)}; {rule}")
        elements += count
    if elements > MAX_ELEMENTS:
        raise InvalidMeshFile(f"the accessors have {elements} elements; at most {MAX_ELEMENTS} are allowed")
    files = set(mesh.archive.files()) if mesh.archive else set()
    for key in ("buffers", "images"):
        for number, item in enumerate(lists.get(key, [])):
            _check_uri(item.get("uri"), f"{key.removesuffix('s')} {number}", mesh, files)


def _parse_json(text: bytes) -> Json:
    values = text.count(b",") + text.count(b"[") + text.count(b"{")
    if values > MAX_JSON_VALUES:
        raise InvalidMeshFile(f"the JSON has {values} commas and brackets; at most {MAX_JSON_VALUES} are allowed")
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise InvalidMeshFile(f"the JSON is broken: {str(error).partition(';')[0]}") from None
    if not isinstance(document, dict):
        raise InvalidMeshFile(f"the JSON is a {type(document).__name__}; it must be an object")
    return document


def _unique_keys(pairs: list[tuple[str, Any]]) -> Json:
    item: Json = {}
    for key, value in pairs:
        if key in item:
            raise InvalidMeshFile(f"the JSON has the key {quoted(key)} twice in one object")
        item[key] = value
    return item


def _objects(key: str, items: list[Any]) -> list[Json]:
    """Return the objects in a list of the document. The validator rejects items that are not objects."""
    if len(items) > MAX_OBJECTS:
        raise InvalidMeshFile(f"the JSON has {len(items)} {printable(key)}; at most {MAX_OBJECTS} are allowed")
    return [item if isinstance(item, dict) else {} for item in items]


def _check_uri(uri: object, where: str, mesh: MeshFile, files: set[str]) -> None:
    if not isinstance(uri, str) or uri[:5].lower() == "data:":
        return
    if mesh.archive is None:
        raise InvalidMeshFile(f"{where} is in another file, {quoted(uri)}; send a GLB, or a zip with both files")
    name = posixpath.normpath(posixpath.join(posixpath.dirname(mesh.main), unquote(uri)))
    if name not in files:
        rule = "allowed are data: URIs and paths of files in the archive"
        raise InvalidMeshFile(f"{where} refers to {quoted(uri)}, which is not in the archive; {rule}")
