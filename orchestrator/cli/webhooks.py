"""``heartwood webhooks``."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from orchestrator.cli.arguments import Server, Token, enum_values, optional, read_settings
from orchestrator.cli.session import connect, format_time
from orchestrator.cli.terminal import console, plain_table
from orchestrator.protocol.heartwood.v1 import webhook_pb2

STATE_NAMES = {number: name.upper() for name, number in enum_values(webhook_pb2.WebhookDeliveryState).items()}
ROTATE_HELP = "Create a new one. Webhooks are also signed with the old one for 24 hours."

app = typer.Typer(help="List and repeat webhooks, and manage the secret that signs them.", no_args_is_help=True)


@app.command("list")
def list_deliveries(
    job: Annotated[str, optional(help="Only those of this job.")] = "",
    most: Annotated[int, typer.Option(help="Maximum number of deliveries.")] = 20,
    server: Server = "",
    token: Token = "",
) -> None:
    """List deliveries, newest first."""
    rows = plain_table("delivery", "job", "event", "state", "attempts", "last reply", "created")
    with connect(read_settings(), server, token) as client:
        for delivery in islice(client.webhooks.deliveries(job), most):
            reply = delivery.error or (f"HTTP {delivery.status_code}" if delivery.status_code else "")
            state, created = STATE_NAMES[delivery.state], format_time(delivery.create_time)
            rows.add_row(delivery.id, delivery.job_id, delivery.event, state, str(delivery.attempts), reply, created)
    console.print(rows)


@app.command()
def redeliver(delivery_id: str, server: Server = "", token: Token = "") -> None:
    """Deliver a webhook again."""
    with connect(read_settings(), server, token) as client:
        console.print(f"{client.webhooks.redeliver(delivery_id).id} will be delivered again")


@app.command()
def secret(
    rotate: Annotated[bool, typer.Option("--rotate", help=ROTATE_HELP)] = False, server: Server = "", token: Token = ""
) -> None:
    """Print the secret that signs the webhooks."""
    with connect(read_settings(), server, token) as client:
        text = client.webhooks.rotate_secret() if rotate else client.webhooks.secret()
        console.print(text, highlight=False, soft_wrap=True)
