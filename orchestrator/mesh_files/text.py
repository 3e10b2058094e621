"""Checks shared by the text formats: OBJ, MTL and text STL."""

from __future__ import annotations

import re

import numpy as np

from orchestrator.mesh_files.limits import InvalidMeshFile, quoted

MAX_LINE_BYTES = 64 << 10
"""Maximum length of a line: a polygon of some thousand corners. No exporter writes longer lines."""
BINARY_SEARCH_BYTES = 64 << 10
"""NUL bytes are searched for in this many bytes at the start."""
NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def check_text(data: bytes, name: str) -> bytes:
    """Return the lines of a text, each after a ``\\n``. Continued lines are joined.

    Stops a line that makes a reader buffer the whole file, and binary data under the name of a text format.

    Raises:
        InvalidMeshFile: there is a NUL byte, or a line is longer than MAX_LINE_BYTES.
    """
    if b"\0" in data[:BINARY_SEARCH_BYTES]:
        raise InvalidMeshFile(f"the {name} isn't text: it has NUL bytes")
    joined = re.sub(rb"\\\r?\n", b" ", data) if b"\\\n" in data or b"\\\r" in data else data
    text = b"\n" + joined.replace(b"\r", b"\n")
    starts = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    longest = int(np.diff(starts, append=len(text)).max()) - 1
    if longest > MAX_LINE_BYTES:
        raise InvalidMeshFile(f"a line has {longest} bytes; at most {MAX_LINE_BYTES} are allowed")
    return text


def check_vertex_lines(text: bytes, keyword: bytes, name: str) -> None:
    """Stop damaged coordinates, which Blender reads as 0 without a warning.

    Args:
        text: from ``check_text``.
        keyword: first word of a line that has a vertex.

    Raises:
        InvalidMeshFile: a vertex has fewer than three numbers, or a word in place of a number.
    """
    bad_line = rb"\n[ \t]*(%s(?![ \t]+%s[ \t]+%s[ \t]+%s(?:\s|\Z))[ \t][^\n]*)"
    if match := re.search(bad_line % (keyword, NUMBER, NUMBER, NUMBER), text):
        line = match[1].decode("utf-8", "replace")
        raise InvalidMeshFile(f"a line of the {name} is {quoted(line)}; a vertex needs three numbers")
