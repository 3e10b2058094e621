"""Limits of uploaded 3D files, and the error that every check raises."""

from __future__ import annotations

MAX_BYTES = 200 << 20
"""Maximum size of an uploaded file. Product scans reach this size."""
MAX_TRIANGLES = 5_000_000
"""Maximum triangle count. Blender reads this many in 1.2 GB; see ``check.READER_BYTES``."""
MAX_VERTICES = 3 * MAX_TRIANGLES
"""Maximum vertex count: that of ``MAX_TRIANGLES`` triangles that share no vertex."""
MAX_COUNTS = {"triangles": MAX_TRIANGLES, "vertices": MAX_VERTICES}
MAX_UNPACKED_BYTES = 500 << 20
"""Maximum size of all entries of an archive together, once unpacked."""
MAX_COORDINATE = 1e9
"""Maximum absolute value of a coordinate. Squared lengths then stay far below the largest float32 (3e38). The
coordinates of a piece in micrometres are far below the limit."""
MAX_NAME = 200
"""Maximum length of a name in a message, in characters."""


class InvalidMeshFile(Exception):
    """The file is rejected. The message is one sentence for the sender; ``check_mesh`` converts it to InvalidInput."""


def quoted(value: object) -> str:
    """Quote a value from the file for a message, as one line of at most 90 characters without control characters."""
    text = "'" + printable(value[:80]) + "'" if isinstance(value, str) else ascii(value)
    return text if len(text) <= 90 else text[:87] + "..."


def printable(text: str) -> str:
    """Replace control characters and unpaired surrogates by ``?``, and shorten the text to MAX_NAME characters."""
    return "".join(character if character.isprintable() else "?" for character in text[:MAX_NAME])


def check_count(count: int, kind: str) -> None:
    """Raise InvalidMeshFile if ``count`` exceeds the limit for its ``kind``: ``triangles`` or ``vertices``."""
    if count > MAX_COUNTS[kind]:
        raise InvalidMeshFile(f"{count} {kind} are too many; at most {MAX_COUNTS[kind]} are allowed: simplify the mesh")
