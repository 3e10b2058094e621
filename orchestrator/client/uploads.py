"""Reads files, and splits them into the requests of a client-streaming call: one header, then chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from orchestrator.errors import InvalidInput

CHUNK_BYTES = 1 << 20


def upload_requests(
    request_type: Any, data: bytes, on_sent: Callable[[int], None] | None = None, **header: Any
) -> Iterator[Any]:
    """Return the requests that send ``data``: first the header, with size and hash added, then the chunks.

    ``on_sent`` is called with the size of each chunk in bytes after it has been sent.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    first = request_type(header=request_type.Header(size_bytes=len(data), sha256=sha256, **header))
    return chain([first], _chunk_requests(request_type, data, on_sent))


def _chunk_requests(request_type: Any, data: bytes, on_sent: Callable[[int], None] | None) -> Iterator[Any]:
    for offset in range(0, len(data), CHUNK_BYTES):
        chunk = data[offset : offset + CHUNK_BYTES]
        yield request_type(chunk=request_type.Chunk(offset=offset, data=chunk))
        if on_sent is not None:
            on_sent(len(chunk))


def read_file(path: Path) -> bytes:
    """Read a file that the user named. Raises InvalidInput if that fails."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(str(path), f"cannot read the file: {error.strerror}") from None
