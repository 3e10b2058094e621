"""``WebhookService``: lists and repeats deliveries, and manages the secret of a tenant."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.api import fields
from orchestrator.api.convert import read_enum, to_proto
from orchestrator.api.servicer import Servicer, call
from orchestrator.domain.webhooks import Delivery, DeliveryState
from orchestrator.protocol.heartwood.v1 import webhook_pb2, webhook_pb2_grpc

DEFAULT_OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=30)


class WebhookServicer(Servicer, webhook_pb2_grpc.WebhookServiceServicer):
    """Implements ``WebhookService`` of ``webhook.proto``."""

    @call
    def ListWebhookDeliveries(
        self, request: webhook_pb2.ListWebhookDeliveriesRequest, tenant: str
    ) -> webhook_pb2.ListWebhookDeliveriesResponse:
        size = fields.page_size(request.page_size)
        kind = webhook_pb2.WebhookDeliveryState.DESCRIPTOR
        states = [read_enum(number, kind, DeliveryState, "states") for number in request.states]
        before = fields.read_page_token(request.page_token, tuple[datetime, str])
        page = self.jobs.deliveries(tenant, request.job_id, states, before, size + 1)
        token = fields.next_page_token(page, size, lambda delivery: (delivery.create_time, delivery.id))
        deliveries = [_to_proto(delivery) for delivery in page[:size]]
        return webhook_pb2.ListWebhookDeliveriesResponse(deliveries=deliveries, next_page_token=token)

    @call
    def RedeliverWebhook(
        self, request: webhook_pb2.RedeliverWebhookRequest, tenant: str
    ) -> webhook_pb2.RedeliverWebhookResponse:
        delivery = self.jobs.redeliver(tenant, request.delivery_id)
        return webhook_pb2.RedeliverWebhookResponse(delivery=_to_proto(delivery))

    @call
    def GetWebhookSecret(
        self, _: webhook_pb2.GetWebhookSecretRequest, tenant: str
    ) -> webhook_pb2.GetWebhookSecretResponse:
        return webhook_pb2.GetWebhookSecretResponse(secret=self.jobs.webhook_secret(tenant))

    @call
    def RotateWebhookSecret(
        self, request: webhook_pb2.RotateWebhookSecretRequest, tenant: str
    ) -> webhook_pb2.RotateWebhookSecretResponse:
        overlap = DEFAULT_OVERLAP
        if request.HasField("overlap"):
            overlap = fields.read_duration("overlap", request.overlap, timedelta(0), MAX_OVERLAP)
        return webhook_pb2.RotateWebhookSecretResponse(secret=self.jobs.rotate_webhook_secret(tenant, overlap))


def _to_proto(delivery: Delivery) -> webhook_pb2.WebhookDelivery:
    return to_proto(delivery, webhook_pb2.WebhookDelivery, next_attempt_time=delivery.due_time)
