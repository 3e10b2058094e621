"""Splits a file into the requests of a client-streaming call: one header, then chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

CHUNK_BYTES = 1 << 20


def upload_requests(
    request: Any, header: Any, data: bytes, on_sent: Callable[[int], None] | None = None
) -> Iterator[Any]:
    """Yield the header, then the data in chunks.

    Args:
        request: the request type, which has the fields ``header`` and ``chunk``.
        on_sent: receives the number of bytes of each chunk after it has been sent.
    """
    yield request(header=header)
    for offset in range(0, len(data), CHUNK_BYTES):
        chunk = request.Chunk(offset=offset, data=data[offset : offset + CHUNK_BYTES])
        yield request(chunk=chunk)
        if on_sent is not None:
            on_sent(len(chunk.data))
