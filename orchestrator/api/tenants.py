"""``TenantService``: the quotas of a tenant, and what it uses."""

from __future__ import annotations

from orchestrator.api.convert import to_proto
from orchestrator.api.servicer import Servicer, call
from orchestrator.protocol.heartwood.v1 import tenant_pb2, tenant_pb2_grpc


class TenantServicer(Servicer, tenant_pb2_grpc.TenantServiceServicer):
    """Implements ``TenantService`` of ``tenant.proto``."""

    @call
    def GetUsage(self, _: tenant_pb2.GetUsageRequest, tenant: str) -> tenant_pb2.GetUsageResponse:
        quotas = to_proto(self.quotas.of(tenant), tenant_pb2.Quotas)
        usage = to_proto(self.quotas.usage(tenant), tenant_pb2.Usage)
        return tenant_pb2.GetUsageResponse(tenant=tenant, quotas=quotas, usage=usage)
