"""Reads files, and splits them into the requests of a client-streaming call: one header, then chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import InvalidInput

CHUNK_BYTES = 1 << 20


def upload_requests(
    request: Any, data: bytes, on_sent: Callable[[int], None] | None = None, **header: Any
) -> Iterator[Any]:
    """Yield the header, then the data in chunks.

    Args:
        request: the request type, which has the fields ``header`` and ``chunk``.
        on_sent: called with the size of each chunk in bytes after it has been sent.
        header: the fields of the header, without size and hash.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    yield request(header=request.Header(size_bytes=len(data), sha256=sha256, **header))
    for offset in range(0, len(data), CHUNK_BYTES):
        chunk = data[offset : offset + CHUNK_BYTES]
        yield request(chunk=request.Chunk(offset=offset, data=chunk))
        if on_sent is not None:
            on_sent(len(chunk))


def read_file(path: Path) -> bytes:
    """Read a file that the user named. Raises InvalidInput if that fails."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(str(path), f"cannot read the file: {error.strerror}") from None
