"""Refuses messages that cannot be decoded or stored, whatever method they are sent to.

gRPC reports a message that is not a valid protobuf as UNKNOWN, with a stack trace in the log. PostgreSQL cannot store
texts with NUL characters, which protobuf allows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import cache
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from grpc.aio import ServicerContext

from orchestrator.api.servicer import abort
from orchestrator.errors import InvalidInput

NUL = b"\0"
MAX_REQUEST_BYTES = 256 << 10
"""Maximum size of a request that is not streamed, and of the header of an upload. A request is decoded before its
caller is known, and a list of 1.9 million empty texts, in 3.8 MB, delayed all other calls by seconds."""
MAX_MESSAGE_BYTES = 4 << 20
"""Maximum size of every message that the server receives. Files are uploaded in several messages."""


class MessageCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the package has no types
    """Ends calls with INVALID_ARGUMENT whose request, or one of whose requests, cannot be decoded."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:  # the method is unknown
            return None
        kind = ("stream" if handler.request_streaming else "unary", "stream" if handler.response_streaming else "unary")
        name = "_".join(kind)
        wrap = _checked_stream if handler.response_streaming else _checked_call
        most = MAX_MESSAGE_BYTES if handler.request_streaming else MAX_REQUEST_BYTES
        changed = {
            "request_deserializer": _decoder(handler.request_deserializer, most),
            name: wrap(getattr(handler, name)),
        }
        return handler._replace(**changed)


def _decoder(decode: Callable[[bytes], Any], most: int) -> Callable[[bytes], Any]:
    """Return a decoder of at most ``most`` bytes.

    It returns an error instead of raising it, because gRPC handles no error of a decoder.
    """

    def decoded(data: bytes) -> Any:
        if len(data) > most:
            return InvalidInput("request", f"it has {len(data)} bytes; at most {most} are allowed")
        try:
            message = decode(data)
        except DecodeError:
            return InvalidInput("request", f"the {len(data)} bytes are not a message of the type that the method takes")
        if NUL in data and (fields := list(_texts_with_nul(message))):
            rule = "it contains a NUL character, which is not allowed"
            return InvalidInput.listing([(field, rule) for field in fields], {})
        return message

    return decoded


def _texts_with_nul(message: Message, path: str = "") -> Iterator[str]:
    """Yield the path of each text in the message that contains a NUL character."""
    for field, content in message.ListFields():
        if not _has_texts(field):
            continue
        name = f"{path}{field.name}"
        if field.message_type and field.message_type.GetOptions().map_entry:
            if any("\0" in text for pair in content.items() for text in pair if isinstance(text, str)):
                yield name
            continue
        values = (
            {f"{name}[{index}]": value for index, value in enumerate(content)} if field.is_repeated else {name: content}
        )
        for place, value in values.items():
            if isinstance(value, Message):
                yield from _texts_with_nul(value, f"{place}.")
            elif "\0" in value:
                yield place


@cache
def _has_texts(field: FieldDescriptor) -> bool:
    """Whether a field contains texts, itself or in its messages. No message of the API contains itself."""
    if field.message_type is not None:
        return any(map(_has_texts, field.message_type.fields))
    return field.type == FieldDescriptor.TYPE_STRING


def _checked_call(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def checked(request: Any, context: ServicerContext) -> Any:
        try:
            return await method(_valid(request), context)
        except InvalidInput as error:
            await abort(context, "message_check", error)

    return checked


def _checked_stream(method: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    async def checked(request: Any, context: ServicerContext) -> AsyncIterator[Any]:
        try:
            async for response in method(_valid(request), context):
                yield response
        except InvalidInput as error:
            await abort(context, "message_check", error)

    return checked


def _valid(request: Any) -> Any:
    """Return the message, or the stream of messages. Raises InvalidInput, at the latest when the message is read."""
    if isinstance(request, InvalidInput):
        raise request
    return _valid_messages(request) if isinstance(request, AsyncIterator) else request


async def _valid_messages(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _valid(request)
