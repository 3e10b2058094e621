"""The common path of every RPC: authentication, error mapping and logging."""

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
from orchestrator.jobs.service import JobService

log = structlog.get_logger()


class Servicer:
    """Base class of the servicers. Their methods take (request, tenant), which ``call`` and ``stream`` pass."""

    def __init__(self, jobs: JobService, tokens: Tokens) -> None:
        self.jobs = jobs
        self.assets = jobs.assets
        self.records = jobs.dependencies.records
        self.tokens = tokens

    def tenant(self, context: ServicerContext) -> str:
        """The tenant of the caller. Raises Unauthenticated if the token is missing or unknown."""
        metadata = dict(context.invocation_metadata() or ())
        return self.tokens.tenant(str(metadata.get("authorization", "")))


def call(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate an RPC with a single response."""

    @wraps(method)
    async def wrapped(self: Servicer, request: Any, context: ServicerContext) -> Any:
        started = time.monotonic()
        try:
            response = await method(self, request, self.tenant(context))
            log.info("rpc", method=method.__name__, ms=round(1000 * (time.monotonic() - started), 1))
            return response
        except Exception as error:  # noqa: BLE001 - every error becomes a gRPC status, without a stack trace
            await _abort(context, method.__name__, error)

    return wrapped


def stream(method: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    """Decorate an RPC that streams its responses."""

    @wraps(method)
    async def wrapped(self: Servicer, request: Any, context: ServicerContext) -> AsyncIterator[Any]:
        try:
            async for response in method(self, request, self.tenant(context)):
                yield response
        except Exception as error:  # noqa: BLE001 - every error becomes a gRPC status, without a stack trace
            await _abort(context, method.__name__, error)

    return wrapped


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a blocking function (database, disk) outside the event loop."""
    return await asyncio.to_thread(function, *arguments)


async def _abort(context: ServicerContext, method: str, error: Exception) -> NoReturn:
    if isinstance(error, AbortError):
        raise error
    if isinstance(error, HeartwoodError):
        field = error.field if isinstance(error, InvalidInput) else ""
        response = status(error.reason, error.message, error.facts, field)
        log.info("rpc_refused", method=method, reason=error.reason)
    else:
        response = status("INTERNAL", "the call failed because of an internal error; see the log of the service", {})
        log.error("rpc_failed", method=method, exc_info=error)
    details = rpc_status.to_status(response)
    await context.abort(grpc_code(response.code), details.details, tuple(details.trailing_metadata))
    raise AssertionError("abort always raises")
