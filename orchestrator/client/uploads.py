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
    request: Any, data: bytes, on_sent: Callable[[int], None] | None = None, **header: Any
) -> Iterator[Any]:
    """Return a request with the header, to which size and hash are added, and requests with the chunks of the data.

    ``request`` is the type of the requests. ``on_sent`` is called with the size of each chunk after it has been sent.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    first = request(header=request.Header(size_bytes=len(data), sha256=sha256, **header))
    return chain([first], _chunk_requests(request, data, on_sent))


def _chunk_requests(request: Any, data: bytes, on_sent: Callable[[int], None] | None) -> Iterator[Any]:
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
