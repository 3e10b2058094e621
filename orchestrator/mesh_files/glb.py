"""The GLB container (glTF 2.0, section 4.4): a header, a JSON chunk, and a binary chunk."""

from __future__ import annotations

import struct

from orchestrator.mesh_files.limits import InvalidMeshFile, quoted

JSON_CHUNK = b"JSON"
BINARY_CHUNK = b"BIN\0"
HEADER_SIZE = 12
CHUNK_HEADER_SIZE = 8
MAX_CHUNKS = 16
"""Maximum number of chunks. glTF 2.0 defines two."""


def split_glb(data: bytes) -> tuple[memoryview, memoryview]:
    """Return the JSON chunk and the binary chunk, which is empty if there is none.

    Stops lengths that point past the end of the file, bytes hidden behind the end, and thousands of empty chunks,
    which crash the Khronos validator.

    Raises:
        InvalidMeshFile: a header is wrong.
    """
    if len(data) < HEADER_SIZE + CHUNK_HEADER_SIZE:
        minimum = HEADER_SIZE + CHUNK_HEADER_SIZE
        raise InvalidMeshFile(f"the GLB is cut short: it has {len(data)} bytes; its headers alone need {minimum}")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise InvalidMeshFile(f"the GLB is of version {version}; allowed is 2 (glTF 2.0)")
    if length != len(data):
        state = "cut short" if length > len(data) else "followed by other data"
        raise InvalidMeshFile(f"the GLB is {state}: its header declares {length} bytes, it has {len(data)}")
    chunks: list[tuple[bytes, memoryview]] = []
    at = HEADER_SIZE
    while at < length:
        if len(chunks) == MAX_CHUNKS:
            raise InvalidMeshFile(f"the GLB has more than {MAX_CHUNKS} chunks, the most that is allowed")
        if length - at < CHUNK_HEADER_SIZE:
            raise InvalidMeshFile(f"the GLB is damaged: {length - at} bytes are left where a chunk's header needs 8")
        size, kind = struct.unpack_from("<I4s", data, at)
        at += CHUNK_HEADER_SIZE
        if size > length - at:
            raise InvalidMeshFile(
                f"chunk {len(chunks)} of the GLB declares {size} bytes, past the end: {length - at} are left"
            )
        chunks.append((kind, memoryview(data)[at : at + size]))
        at += size
    if chunks[0][0] != JSON_CHUNK:
        raise InvalidMeshFile(f"the first chunk of the GLB is {quoted(chunks[0][0])}; it must be JSON")
    has_binary = len(chunks) > 1 and chunks[1][0] == BINARY_CHUNK
    return chunks[0][1], chunks[1][1] if has_binary else memoryview(b"")


def join_glb(json_text: bytes, binary: bytes | memoryview) -> bytes:
    """Return a GLB of a JSON document and a binary chunk."""
    padded = json_text + b" " * (-len(json_text) % 4)
    chunks = struct.pack("<I4s", len(padded), JSON_CHUNK) + padded
    if len(binary):
        body = bytes(binary) + b"\0" * (-len(binary) % 4)
        chunks += struct.pack("<I4s", len(body), BINARY_CHUNK) + body
    return struct.pack("<4sII", b"glTF", 2, HEADER_SIZE + len(chunks)) + chunks
