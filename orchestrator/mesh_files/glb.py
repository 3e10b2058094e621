"""The GLB container (glTF 2.0, section 4.4): a header, a JSON chunk, and a binary chunk."""

from __future__ import annotations

import struct

JSON_AT = 20
"""Size of the header of the file and of the first chunk."""
CHUNK_HEADER_SIZE = 8


def split_glb(data: bytes) -> tuple[memoryview, memoryview]:
    """Return the JSON chunk and the binary chunk, which is empty if there is none.

    The sizes in the file are not checked; the chunks of a damaged file are shorter than declared.
    """
    json_end = JSON_AT + int.from_bytes(data[12:16], "little")
    binary_at = json_end + CHUNK_HEADER_SIZE
    binary_end = binary_at + int.from_bytes(data[json_end : json_end + 4], "little")
    return memoryview(data)[JSON_AT:json_end], memoryview(data)[binary_at:binary_end]


def join_glb(json_text: bytes, binary: bytes | memoryview) -> bytes:
    """Return a GLB of a JSON document and a binary chunk."""
    padded = json_text + b" " * (-len(json_text) % 4)
    chunks = struct.pack("<I4s", len(padded), b"JSON") + padded
    if len(binary):
        body = bytes(binary) + b"\0" * (-len(binary) % 4)
        chunks += struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
