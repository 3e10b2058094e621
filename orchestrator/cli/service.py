"""``heartwood up``, ``heartwood triton`` and ``heartwood token``. Each command imports only the modules it needs."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from orchestrator.cli.arguments import optional, read_settings
from orchestrator.cli.terminal import configure_logs, console

TENANT_HELP = "Owner of the jobs and files that the token gives access to."


def up(
    listen: Annotated[str, optional(help="gRPC host:port; port 0 selects a free port.", metavar="ADDRESS")] = "",
    workers: Annotated[int, optional(help="Jobs that run concurrently.")] = 0,
    triton: Annotated[str, optional(help="gRPC host:port of a Triton. Default: start one.", metavar="ADDRESS")] = "",
) -> None:
    """Run the service until Ctrl-C.

    The service consists of Triton, the durable jobs and the gRPC API.
    """
    from orchestrator.service import run

    changes = {"listen": listen, "workers": workers, "triton_url": triton}
    settings = read_settings(**{name: value for name, value in changes.items() if value})
    configure_logs(settings.log_level)
    run(settings, console.print)


def triton() -> None:
    """Run only Triton, with the models of Heartwood, until Ctrl-C.

    Prints its addresses, for perf_analyzer and other Triton clients.
    """
    from orchestrator.local_triton import local_triton

    with local_triton(read_settings()) as server:
        console.print(f"gRPC     {server.url}\nHTTP     {server.http_url}\nmetrics  {server.metrics_url}")
        stopping = threading.Event()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, lambda *_: stopping.set())
        stopping.wait()


def token(tenant: Annotated[str, typer.Argument(help=TENANT_HELP)]) -> None:
    """Create a bearer token for a tenant and print it.

    Only a hash of the token is stored. A running service accepts the token immediately.
    """
    from orchestrator.api.auth import add_token

    console.print(add_token(read_settings().tokens_file, tenant), highlight=False, soft_wrap=True)
