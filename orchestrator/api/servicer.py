"""The common path of every RPC: authentication, error mapping and logging."""

from __future__ import annotations

import asyncio
import time
from asyncio import to_thread
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, NoReturn

import structlog
from grpc.aio import AbortError, ServicerContext
from grpc_status import rpc_status

from orchestrator.api.auth import Caller, Tokens
from orchestrator.api.limits import CallLimits
from orchestrator.api.status import retry_pushback, status
from orchestrator.domain.tenants import Quotas
from orchestrator.domain.tokens import Scope
from orchestrator.jobs.job import failure_of
from orchestrator.jobs.service import JobService

log = structlog.get_logger()

RECHECK_S = 2.0
"""Interval at which the token of a stream without responses is checked again; as long as a token is remembered."""


class Servicer:
    """Base class of the servicers. Their methods take (request, tenant); ``call`` or ``stream`` decorates each.

    Attributes:
        scope: that a caller needs, to do the ``action``.
    """

    scope = Scope.JOBS
    action = "use files and jobs"

    def __init__(self, jobs: JobService, tokens: Tokens, limits: CallLimits) -> None:
        self.jobs = jobs
        self.assets = jobs.assets
        self.tokens = tokens
        self.limits = limits
        self.quotas = jobs.dependencies.quotas

    async def authorize(self, request: Any, context: ServicerContext) -> str:  # noqa: ARG002 - subclasses use it
        """Return the tenant of the caller. Raises Unauthenticated or PermissionDenied."""
        return (await self.caller(context)).tenant

    async def quotas_of(self, tenant: str) -> Quotas:
        """Return the quotas of a tenant."""
        remembered = self.quotas.remembered(tenant)
        return await to_thread(self.quotas.of, tenant) if remembered is None else remembered

    async def next_response(self, responses: AsyncGenerator[Any, None], request: Any, context: ServicerContext) -> Any:
        """Return the next response of a stream, or None at its end.

        Raises Unauthenticated or PermissionDenied if the token becomes invalid meanwhile.
        """
        await self.authorize(request, context)  # the service remembers a token for a short time, so this is cheap
        coming = asyncio.ensure_future(anext(responses, None))
        try:
            while not (await asyncio.wait([coming], timeout=RECHECK_S))[0]:
                await self.authorize(request, context)
            return await coming
        finally:
            if coming.cancel():
                await asyncio.wait([coming])  # a generator that runs cannot be closed

    async def caller(self, context: ServicerContext) -> Caller:
        """Return the caller. Raises Unauthenticated, or PermissionDenied without the scope of the service."""
        metadata = dict(context.invocation_metadata() or ())
        caller = await self.tokens.caller(str(metadata.get("authorization", "")))
        caller.require(self.scope, self.action)
        return caller


def call(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate an RPC that returns a single response. A method without ``async`` runs in a thread.

    An ``async`` method receives a stream of messages. It also takes a function that raises Unauthenticated or
    PermissionDenied if the token of the call has become invalid meanwhile.
    """
    is_coroutine = iscoroutinefunction(method)

    @wraps(method)
    async def wrapped(self: Servicer, request: Any, context: ServicerContext) -> Any:
        started = time.monotonic()
        try:
            tenant = await self.authorize(request, context)
            self.limits.count_request(tenant, (await self.quotas_of(tenant)).requests_per_s)
            with self.limits.call(tenant):
                if is_coroutine:
                    response = await method(self, request, tenant, partial(self.authorize, request, context))
                else:
                    response = await self.limits.in_thread(tenant, method, self, request, tenant)
            log.info("rpc", method=method.__name__, ms=round(1000 * (time.monotonic() - started), 1))
            return response
        except Exception as error:  # noqa: BLE001 - every error becomes a gRPC status, without a stack trace
            await abort(context, method.__name__, error)

    return wrapped


def stream(method: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncGenerator[Any, None]]:
    """Decorate an RPC that streams its responses."""

    @wraps(method)
    async def wrapped(self: Servicer, request: Any, context: ServicerContext) -> AsyncGenerator[Any, None]:
        try:
            tenant = await self.authorize(request, context)
            self.limits.count_request(tenant, (await self.quotas_of(tenant)).requests_per_s)
            with self.limits.call(tenant):
                async with aclosing(method(self, request, tenant)) as responses:
                    while (response := await self.next_response(responses, request, context)) is not None:
                        yield response
        except Exception as error:  # noqa: BLE001 - every error becomes a gRPC status, without a stack trace
            await abort(context, method.__name__, error)

    return wrapped


async def abort(context: ServicerContext, method: str, error: Exception) -> NoReturn:
    """End a call with the status of an error."""
    if isinstance(error, AbortError):
        raise error
    failure = failure_of(error, "call")
    if failure.reason == "INTERNAL":
        log.error("rpc_failed", method=method, exc_info=error)
    else:
        log.info("rpc_refused", method=method, reason=failure.reason)
    response = rpc_status.to_status(status(failure))
    metadata = (*response.trailing_metadata, *retry_pushback(failure))
    await context.abort(response.code, response.details, metadata)
    raise AssertionError("abort always raises")
