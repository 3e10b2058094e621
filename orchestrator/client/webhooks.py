"""The webhooks of a tenant: ``Heartwood.webhooks``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from orchestrator.protocol.heartwood.v1 import webhook_pb2, webhook_pb2_grpc
from orchestrator.protocol.heartwood.v1.webhook_pb2 import WebhookDelivery, WebhookDeliveryState


class Webhooks:
    """Lists and repeats deliveries, and manages the secret. Calls the API with the client's methods."""

    def __init__(
        self, stub: webhook_pb2_grpc.WebhookServiceStub, call: Callable[..., Any], pages: Callable[..., Any]
    ) -> None:
        self._stub, self._call, self._pages = stub, call, pages

    def deliveries(
        self, job_id: str = "", states: Sequence[WebhookDeliveryState.ValueType] = ()
    ) -> Iterator[WebhookDelivery]:
        """Yield deliveries, newest first."""
        request = webhook_pb2.ListWebhookDeliveriesRequest(job_id=job_id, states=states)
        for page in self._pages(self._stub.ListWebhookDeliveries, request):
            yield from page.deliveries

    def redeliver(self, delivery_id: str) -> WebhookDelivery:
        """Deliver a webhook again."""
        request = webhook_pb2.RedeliverWebhookRequest(delivery_id=delivery_id)
        delivery: WebhookDelivery = self._call(self._stub.RedeliverWebhook, request).delivery
        return delivery

    def secret(self) -> str:
        """Return the secret that signs the webhooks. Pass it to ``standardwebhooks.Webhook`` to verify them."""
        return str(self._call(self._stub.GetWebhookSecret, webhook_pb2.GetWebhookSecretRequest()).secret)

    def rotate_secret(self, overlap: timedelta | None = None) -> str:
        """Create a new secret and return it. The earlier one stays valid for ``overlap`` (default: 24 hours)."""
        request = webhook_pb2.RotateWebhookSecretRequest()
        if overlap is not None:
            request.overlap.CopyFrom(Duration(seconds=int(overlap.total_seconds())))
        return str(self._call(self._stub.RotateWebhookSecret, request).secret)
