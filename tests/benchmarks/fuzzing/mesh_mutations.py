"""Changes the structure of 3D files, with right lengths, so that the checks behind the first one are reached."""

from __future__ import annotations

import io
import json
import re
import stat
import struct
import warnings
import zipfile
import zlib
from random import Random
from typing import Any

from tests.benchmarks.fuzzing.byte_mutations import changed_bytes, changed_parts, edge
from tests.support.bad_meshes import OUTSIDE_URIS
from tests.support.mesh_bytes import glb

NAMES = (
    *("../evil.txt", "/var/evil.txt", "a/../../evil.txt", "a\\evil.txt", "C:/evil.txt", "//host/evil", "a//b", "./a"),
    *("model.gltf", "a.obj", "a.blend", "a.zip", "data.bin", "data.bin/x", "\0", "é" * 200, "con.png", " ", "a/", ""),
    *("Thumbs.db", "__MACOSX/a.gltf", "a.mtl", "a.png", "a.exr", "a.usda", "a.usdc", "a.tga", "\ud800.png"),
)
WORDS = (
    *(b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"1", b"4294967295", b"2147483648", b"99999999999999999999"),
    *(b"1e-999", b"0x10", b"1_0", b"\xff\xfe", b"", b"a" * 70_000, b"\xd9\xa1\xd9\xa2", b"../x", b"/etc/passwd", b"\\"),
    *(b"http://127.0.0.1:1/x", b"element vertex 4000000000", b"property list uchar int x", b"v", b"f", b"1//", b"-0."),
)
"""Replacements of words in text formats: numbers beyond limits, spellings that parsers read differently, and paths."""
LEAVES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3, 5126, 5125, 2**31, 2**32, 2**63, 2**70, 1e308, -0.5, 0.1, "", "a", "VEC3"),
    *([], {}, [[]], [None], [0] * 20, {"extensions": {}}, {"uri": "a.png"}, {"mesh": 0}, "MAT4", "\ud800", "a" * 5000),
    *OUTSIDE_URIS[:10],
)
KEYS = (
    *("uri", "bufferView", "byteOffset", "byteLength", "byteStride", "count", "sparse", "mesh", "children", "skin"),
    *("extensions", "KHR_draco_mesh_compression", "EXT_meshopt_compression", "EXT_mesh_gpu_instancing", "targets"),
    *("images", "textures", "materials", "animations", "skins", "cameras", "extensionsRequired", "mimeType", "matrix"),
)
MAX_JSON_STEPS = 12
FBX_HEADER_BYTES = 27
DAMAGED = (
    *(ValueError, LookupError, OSError, RuntimeError, EOFError, struct.error, zlib.error),
    *(zipfile.BadZipFile, zipfile.LargeZipFile),
)
"""What parsing a file raises that earlier changes damaged."""


def changed_mesh(data: bytes, choice: Random, other: bytes) -> bytes:
    """Change the structure of a 3D file. A damaged file is returned as it is.

    Args:
        other: another 3D file, from which parts are copied if it has the same format.
    """
    try:
        if data.startswith(b"PK"):
            return _change_zip(data, choice, other)
        if data.startswith(b"glTF"):
            return _change_glb(data, choice)
        if data.startswith(b"Kaydara"):
            return _change_fbx(data, choice)
        if data.lstrip().startswith(b"{"):
            return _dumped(_change_json(json.loads(data), choice))
    except DAMAGED:
        return data
    return _change_text(data, choice, other)


def _change_zip(data: bytes, choice: Random, other: bytes) -> bytes:
    """Change one entry, the list of entries, or a field of a header."""
    if choice.random() < 0.3:
        return _change_zip_field(data, choice)
    entries = _entries(data)
    at = choice.randrange(len(entries))
    info, body = entries[at]
    operation = choice.randrange(6)
    if operation == 0:
        entries = changed_parts(entries, choice, _entries(other) if other.startswith(b"PK") else entries)
    elif operation == 1:
        info.filename = choice.choice(NAMES)
    elif operation == 2:
        info.external_attr = choice.choice((stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR, stat.S_IFCHR)) << 16
    elif operation == 3:
        entries[at] = info, choice.choice((b"", b"\0" * 2_000_000, data, b"PK\3\4", b"BLENDER-v405", b"\x1f\x8b\x08"))
    elif operation == 4:
        info.extra = choice.choice((b"", b"\1\0\x10\0" + b"\xff" * 16, b"\x86\x19\4\0abcd", b"\x75\x70\6\0\1abcd\xff"))
    else:
        inner = changed_mesh(body, choice, other) if choice.random() < 0.7 else changed_bytes(body, choice, other)
        entries[at] = info, inner
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that occur twice
        for info, body in entries:
            info.compress_type = choice.choice((info.compress_type,) * 9 + (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
            archive.writestr(info, body)
    return file.getvalue()


def _entries(data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def _change_zip_field(data: bytes, choice: Random) -> bytes:
    """Change a field of a local header, of an entry in the directory, or of the end record (APPNOTE.TXT 6.3)."""
    signature, size = choice.choice(((b"PK\3\4", 30), (b"PK\1\2", 46), (b"PK\5\6", 22)))
    starts = [match.start() for match in re.finditer(re.escape(signature), data)]
    changed = bytearray(data)
    at = choice.choice(starts) + choice.randrange(4, size, 2)
    length = choice.choice((2, 4))
    changed[at : at + length] = edge(choice, length, "little")
    return bytes(changed)


def _change_glb(data: bytes, choice: Random) -> bytes:
    json_size = int.from_bytes(data[12:16], "little")
    text, body = data[20 : 20 + json_size], data[28 + json_size :]
    if choice.random() < 0.25:
        return glb(text, changed_bytes(body, choice, text))
    document = json.loads(text)
    for _ in range(choice.choice((1, 1, 2, 4))):
        document = _change_json(document, choice)
    return glb(_dumped(document), body)


def _dumped(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=True).encode()


def _change_json(document: Any, choice: Random) -> Any:
    """Replace, remove, add or copy a value at a random place."""
    parents: list[tuple[Any, Any]] = []
    node = document
    for _ in range(MAX_JSON_STEPS):
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        if not keys or (parents and choice.random() < 0.2):
            break
        key = choice.choice(keys)
        parents.append((node, key))
        node = node[key]
    if not parents:
        return choice.choice(LEAVES)
    parent, key = choice.choice(parents[-2:])
    operation = choice.randrange(5)
    if operation == 0:
        del parent[key]
    elif operation == 1 and isinstance(parent, dict):
        parent[choice.choice(KEYS)] = choice.choice(LEAVES)
    elif operation == 2:
        parent[key] = json.loads(json.dumps(choice.choice(parents)[0]))
    elif isinstance(parent[key], int) and choice.random() < 0.5:
        parent[key] += choice.choice((-1, 1, 4, 1000))
    else:
        parent[key] = choice.choice(LEAVES)
    return document


def _change_fbx(data: bytes, choice: Random) -> bytes:
    """Change a field of the header or of a node: its end, the number and size of its properties, or a value."""
    changed = bytearray(data)
    for _ in range(choice.choice((1, 1, 3))):
        at = choice.choice((23, *range(FBX_HEADER_BYTES, len(changed) - 4)))
        size = choice.choice((1, 4, 4, 8))
        changed[at : at + size] = edge(choice, size, "little")
    return bytes(changed)


def _change_text(data: bytes, choice: Random, other: bytes) -> bytes:
    """Change lines, or words in a line."""
    lines = data.split(b"\n")
    for _ in range(choice.choice((1, 1, 2, 5))):
        if choice.random() < 0.4:
            lines = changed_parts(lines, choice, other.split(b"\n"))
        elif lines:
            at = choice.randrange(len(lines))
            words = changed_parts(lines[at].split(b" "), choice, WORDS)
            lines[at] = b" ".join(words)
    return choice.choice((b"\n", b"\n", b"\n", b"\r", b"\r\n", b"\\\n")).join(lines)
