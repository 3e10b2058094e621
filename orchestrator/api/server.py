"""The gRPC server: services, health, reflection, TLS and graceful shutdown."""

from __future__ import annotations

import asyncio
import ipaddress

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from orchestrator.api.assets import AssetServicer
from orchestrator.api.auth import Tokens
from orchestrator.api.jobs import JobServicer
from orchestrator.api.limits import CallLimits
from orchestrator.api.message_check import MAX_MESSAGE_BYTES, MessageCheck
from orchestrator.api.models import ModelServicer
from orchestrator.api.probes import Health, Reflection
from orchestrator.api.tenants import TenantServicer
from orchestrator.api.tls import server_credentials
from orchestrator.api.webhooks import WebhookServicer
from orchestrator.errors import FailedPrecondition
from orchestrator.jobs.service import JobService
from orchestrator.protocol.heartwood.v1 import (
    asset_pb2_grpc,
    job_pb2_grpc,
    model_pb2_grpc,
    tenant_pb2_grpc,
    webhook_pb2_grpc,
)
from orchestrator.rollout.rollout import Rollout
from orchestrator.settings import Settings

KEEPALIVE_MS = 60_000
"""Interval at which the server checks that a quiet client still exists."""
KEEPALIVE_TIMEOUT_MS = 20_000
MAX_CONNECTION_IDLE_MS = 900_000
MAX_CONNECTION_GRACE_MS = 600_000
"""Time that the running calls of a connection have after ``max_connection_s``."""
SERVICES = tuple(
    f"heartwood.v1.{name}" for name in ("AssetService", "JobService", "ModelService", "TenantService", "WebhookService")
)


class Server:
    """One listening server. Its health is NOT_SERVING while the models do not respond and while it drains."""

    def __init__(self, settings: Settings, jobs: JobService, rollout: Rollout, tokens: Tokens) -> None:
        self._settings = settings
        limits = CallLimits(settings.max_concurrent_rpcs, settings.max_tenant_rpcs, settings.max_peer_streams)
        self._health = Health(SERVICES, limits)
        self._grpc = grpc.aio.server(interceptors=[MessageCheck()], options=_options(settings))
        assets, models = AssetServicer(jobs, tokens, limits), ModelServicer(jobs, tokens, limits, rollout, settings)
        asset_pb2_grpc.add_AssetServiceServicer_to_server(assets, self._grpc)
        job_pb2_grpc.add_JobServiceServicer_to_server(JobServicer(jobs, tokens, limits), self._grpc)
        model_pb2_grpc.add_ModelServiceServicer_to_server(models, self._grpc)
        tenant_pb2_grpc.add_TenantServiceServicer_to_server(TenantServicer(jobs, tokens, limits), self._grpc)
        webhook_pb2_grpc.add_WebhookServiceServicer_to_server(WebhookServicer(jobs, tokens, limits), self._grpc)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        if settings.reflection:
            names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(Reflection(names, limits), self._grpc)

    async def start(self) -> int:
        """Listen and return the port. Raises FailedPrecondition if the address is in use, or public without TLS."""
        settings = self._settings
        host = settings.listen.rpartition(":")[0].strip("[]")
        credentials = server_credentials(settings)
        if credentials is None and not _is_loopback(host) and not settings.allow_plaintext:
            raise FailedPrecondition(
                f"{settings.listen!r} is not loopback: set HEARTWOOD_TLS_CERTIFICATE and HEARTWOOD_TLS_KEY, "
                "or HEARTWOOD_ALLOW_PLAINTEXT=true if a proxy in front of the service terminates TLS"
            )
        try:
            if credentials:
                port: int = self._grpc.add_secure_port(settings.listen, credentials)
            else:
                port = self._grpc.add_insecure_port(settings.listen)
        except RuntimeError:
            reason = "the address is in use, or this machine does not have it"
            raise FailedPrecondition(f"can't listen on {settings.listen!r}: {reason}") from None
        await self._grpc.start()
        return port

    async def set_health(self, serving: bool) -> None:
        """Report SERVING or NOT_SERVING to load balancers."""
        await self._health.set(serving)

    async def stop(self) -> None:
        """Report NOT_SERVING, accept no new calls, and let running calls finish within ``drain_s``."""
        await self._health.stop()
        await self._grpc.stop(self._settings.drain_s)
        await asyncio.sleep(0)


def _options(settings: Settings) -> list[tuple[str, int]]:
    """Return the options of the gRPC server."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.max_connection_idle_ms", MAX_CONNECTION_IDLE_MS),
        ("grpc.max_connection_age_ms", int(settings.max_connection_s * 1000)),
        ("grpc.max_connection_age_grace_ms", MAX_CONNECTION_GRACE_MS),
    ]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
