"""Reads a file that a client streams: one header message, then chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from orchestrator.errors import InvalidInput


async def header_of(messages: AsyncIterator[Any]) -> Any:
    """The header. Raises InvalidInput if the first message does not contain it."""
    async for message in messages:
        if message.WhichOneof("part") != "header":
            raise InvalidInput("header", "the first message of an upload must contain the header")
        return message.header
    raise InvalidInput("header", "the stream is empty; send a header, then chunks")


async def chunks_of(messages: AsyncIterator[Any], size_bytes: int) -> AsyncIterator[bytes]:
    """Yield the data of the chunks after the header. Raises InvalidInput if they are out of order.

    Args:
        size_bytes: size of the whole file according to the header, which is checked; 0 if the header does not state it.
    """
    size = 0
    async for message in messages:
        if message.WhichOneof("part") != "chunk":
            raise InvalidInput("chunk", "each message after the first must contain a chunk")
        chunk = message.chunk
        if chunk.offset != size:
            raise InvalidInput("chunk.offset", f"{chunk.offset} is out of order; the next chunk starts at {size}")
        size += len(chunk.data)
        if size_bytes and size > size_bytes:
            raise InvalidInput("chunk.data", f"the file is larger than the {size_bytes} bytes of the header")
        yield chunk.data
    if size_bytes and size != size_bytes:
        raise InvalidInput("header.size_bytes", f"the header states {size_bytes} bytes, but {size} bytes were received")
