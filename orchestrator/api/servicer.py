"""What every call goes through: the caller's tenant, the error tree as a gRPC status, a line in the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import wraps
from typing import Any, NoReturn

import structlog
from grpc.aio import AbortError, ServicerContext
from grpc_status import rpc_status

from orchestrator.api.auth import Tokens
from orchestrator.api.status import grpc_code, status
from orchestrator.errors import HeartwoodError, InvalidInput
from orchestrator.jobs.service import Jobs

log = structlog.get_logger()


class Servicer:
    """What the services share. Methods take (request, context, tenant); ``call`` and ``stream`` add the tenant."""

    def __init__(self, jobs: Jobs, tokens: Tokens) -> None:
        self.jobs = jobs
        self.uploads = jobs.uploads
        self.parts = jobs.parts
        self.tokens = tokens

    def tenant(self, context: ServicerContext) -> str:
        """The caller's tenant.

        Raises:
            Unauthenticated: the token is missing or unknown.
        """
        metadata = dict(context.invocation_metadata() or ())
        return self.tokens.tenant(str(metadata.get("authorization", "")))


def call(method: Callable[..., Any]) -> Callable[..., Any]:
    """A unary (or client-streaming) call."""

    @wraps(method)
    async def wrapped(self: Servicer, request: Any, context: ServicerContext) -> Any:
        started = time.monotonic()
        try:
            answer = await method(self, request, context, self.tenant(context))
            log.info("rpc", method=method.__name__, ms=round(1000 * (time.monotonic() - started), 1))
            return answer
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets a status and no trace
            await _abort(context, method.__name__, error)

    return wrapped


def stream(method: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    """A server-streaming call."""

    @wraps(method)
    async def wrapped(self: Servicer, request: Any, context: ServicerContext) -> AsyncIterator[Any]:
        try:
            async for answer in method(self, request, context, self.tenant(context)):
                yield answer
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets a status and no trace
            await _abort(context, method.__name__, error)

    return wrapped


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run what blocks (database, disk) beside the event loop."""
    return await asyncio.to_thread(function, *arguments)


async def _abort(context: ServicerContext, method: str, error: Exception) -> NoReturn:
    if isinstance(error, AbortError):
        raise error
    if isinstance(error, HeartwoodError):
        field = error.field if isinstance(error, InvalidInput) else ""
        answer = status(error.reason, error.message, error.facts, field)
        log.info("rpc_refused", method=method, reason=error.reason)
    else:
        answer = status("INTERNAL", "the service failed; its log says why", {})
        log.error("rpc_failed", method=method, exc_info=error)
    details = rpc_status.to_status(answer)
    await context.abort(grpc_code(answer.code), details.details, tuple(details.trailing_metadata))
    raise AssertionError("abort always raises")
