"""Reads request fields and uploaded chunks."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator.api.convert import enum_name
from orchestrator.api.message_check import MAX_REQUEST_BYTES
from orchestrator.errors import DeadlineExceeded, InvalidInput
from orchestrator.jobs.documents import type_adapter
from orchestrator.protocol.heartwood.v1 import asset_pb2

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

Key = TypeVar("Key")
Message = TypeVar("Message")
Row = TypeVar("Row")


def required(field: str, text: str) -> str:
    """Return the text. Raises InvalidInput if it is empty."""
    if not text:
        raise InvalidInput(field, "it is empty; a value is required")
    return text


def asset_kind(field: str, number: int, default: str) -> str:
    """The asset kind of a proto number; ``default`` if it is unspecified."""
    return enum_name(number, asset_pb2.AssetKind.DESCRIPTOR, field).lower() if number else default


def page_size(number: int) -> int:
    """The maximum number of rows on a page."""
    if not 0 <= number <= MAX_PAGE_SIZE:
        allowed = f"it must be from 1 to {MAX_PAGE_SIZE}, or 0 for {DEFAULT_PAGE_SIZE}"
        raise InvalidInput("page_size", f"{number} is not allowed; {allowed}")
    return number or DEFAULT_PAGE_SIZE


def next_page_token(rows: Sequence[Row], size: int, key: Callable[[Row], tuple[str | datetime, ...]]) -> str:
    """An opaque token for the page after the first ``size`` rows, from the ``key`` of the last of them.

    Empty if there are no further rows.
    """
    if len(rows) <= size:
        return ""
    return base64.urlsafe_b64encode(json.dumps(key(rows[size - 1]), default=datetime.isoformat).encode()).decode()


def read_page_token(token: str, kind: type[Key]) -> Key | None:
    """The key in a page token, a tuple of the type ``kind``; None if the token is empty. Raises InvalidInput."""
    try:
        content = base64.urlsafe_b64decode(token.encode())
        if rb"\u" in content:  # next_page_token writes no key with an escaped character, such as NUL
            raise ValueError
        return type_adapter(kind).validate_json(content, strict=True) if token else None
    except ValueError:
        rule = "it was not returned by this service; leave it empty for the first page"
        raise InvalidInput("page_token", rule) from None


def read_duration(field: str, duration: Duration, minimum: timedelta, maximum: timedelta) -> timedelta:
    """A duration in the range, in whole seconds. ``maximum`` is a number of days."""
    value = timedelta(seconds=min(max(duration.seconds, -1), 10**9))  # a timedelta cannot hold every Duration
    if not minimum <= value <= maximum:
        allowed = f"it must be from {minimum.seconds} s to {maximum.days} days"
        raise InvalidInput(field, f"{duration.seconds} s is not allowed; {allowed}")
    return value


def read_time(field: str, stamp: Timestamp) -> datetime:
    """A time in UTC."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        allowed = "it must be in the years 1 to 9999, in seconds since 1970"
        raise InvalidInput(field, f"{stamp.seconds} s is not a valid time; {allowed}") from None


def check_sha256(stated: str, actual: str) -> None:
    """Raise InvalidInput if the SHA-256 in the header of an upload is not that of the bytes received."""
    if stated and stated.lower() != actual:
        raise InvalidInput("header.sha256", f"{stated[:64]!r} does not match the bytes received, {actual}")


async def without_pauses(messages: AsyncIterator[Message], idle_s: float) -> AsyncIterator[Message]:
    """Yield the messages. Raises DeadlineExceeded if one does not arrive within ``idle_s``."""
    iterator = aiter(messages)
    while True:
        try:
            async with asyncio.timeout(idle_s):
                message = await anext(iterator)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise DeadlineExceeded(f"the next message did not arrive within {idle_s:g} s") from None
        yield message


async def header_of(messages: AsyncIterator[Any]) -> Any:
    """The header of an upload. Raises InvalidInput if the first message does not contain it."""
    async for message in messages:
        if message.WhichOneof("part") != "header":
            raise InvalidInput("header", "the first message of an upload must contain the header")
        if (size := message.ByteSize()) > MAX_REQUEST_BYTES:
            raise InvalidInput("header", f"it has {size} bytes; at most {MAX_REQUEST_BYTES} are allowed")
        return message.header
    raise InvalidInput("header", "the stream is empty; send a header, then chunks")


async def chunks_of(messages: AsyncIterator[Any], size_bytes: int) -> AsyncIterator[bytes]:
    """Yield the chunks after the header, which must be in order and have ``size_bytes`` in total (0: not checked)."""
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
