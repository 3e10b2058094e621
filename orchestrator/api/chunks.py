"""Reads a file that a client streams: a message with the header, then the file in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from orchestrator.errors import InvalidInput


async def header_of(messages: AsyncIterator[Any]) -> Any:
    """The header that the first message holds.

    Raises:
        InvalidInput: it holds none, or there is no message.
    """
    async for message in messages:
        if message.WhichOneof("part") != "header":
            raise InvalidInput("header", "the first message of an upload must hold the header")
        return message.header
    raise InvalidInput("header", "the upload is empty; send a header, then chunks")


async def chunks_of(messages: AsyncIterator[Any], promised: int) -> AsyncIterator[bytes]:
    """Yield the data of the chunks that follow the header.

    Args:
        promised: the bytes of the whole file, as the header says; 0 promises nothing.

    Raises:
        InvalidInput: they are out of order, or not what was promised.
    """
    size = 0
    async for message in messages:
        if message.WhichOneof("part") != "chunk":
            raise InvalidInput("chunk", "each message after the first must hold a chunk")
        chunk = message.chunk
        if chunk.offset != size:
            raise InvalidInput("chunk.offset", f"{chunk.offset} is out of order; the next chunk begins at {size}")
        size += len(chunk.data)
        if promised and size > promised:
            raise InvalidInput("chunk.data", f"more than the {promised} bytes that the header promised")
        yield chunk.data
    if promised and size != promised:
        raise InvalidInput("header.size_bytes", f"{promised} were promised, {size} bytes came")
