"""Health and reflection: services that callers use without a token, and whose streams are limited by address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

import grpc
from grpc.aio import ServicerContext
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from orchestrator.api.limits import CallLimits
from orchestrator.api.servicer import abort
from orchestrator.errors import ResourceExhausted


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the package has no types
    """The health of all services, which is the same for each.

    The servicer of ``grpcio-health-checking`` forgets all watchers of a service when one of them leaves.
    """

    def __init__(self, services: Collection[str], limits: CallLimits) -> None:
        self._services = frozenset(("", *services))
        self._limits = limits
        self._status: int = health_pb2.HealthCheckResponse.NOT_SERVING
        self._is_final = False
        self._changed = asyncio.Condition()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "the service is unknown")
        return health_pb2.HealthCheckResponse(status=self._status)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: ServicerContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        try:
            with self._limits.stream_of_peer(context.peer()):
                sent = None
                while True:
                    async with self._changed:
                        while (status := self._status_of(request.service)) == sent:
                            await self._changed.wait()
                    yield health_pb2.HealthCheckResponse(status=status)
                    sent = status
        except ResourceExhausted as error:
            await abort(context, "Watch", error)

    async def set(self, serving: bool) -> None:
        """Report SERVING or NOT_SERVING. Has no effect after ``stop``."""
        if not self._is_final:
            await self._report(serving)

    async def stop(self) -> None:
        """Report NOT_SERVING from now on."""
        self._is_final = True
        await self._report(False)

    def _status_of(self, service: str) -> int:
        return self._status if service in self._services else int(health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)

    async def _report(self, serving: bool) -> None:
        response = health_pb2.HealthCheckResponse
        async with self._changed:
            self._status = response.SERVING if serving else response.NOT_SERVING
            self._changed.notify_all()


class Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]  # the package has no types
    """Server reflection with limited streams."""

    def __init__(self, services: Collection[str], limits: CallLimits) -> None:
        super().__init__(services)
        self._limits = limits

    async def ServerReflectionInfo(
        self, request_iterator: AsyncIterator[reflection_pb2.ServerReflectionRequest], context: ServicerContext
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        try:
            with self._limits.stream_of_peer(context.peer()):
                async for response in super().ServerReflectionInfo(request_iterator, context):
                    yield response
        except ResourceExhausted as error:
            await abort(context, "ServerReflectionInfo", error)
