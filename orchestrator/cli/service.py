"""``heartwood up`` and ``heartwood triton``. Each command imports only the modules it needs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Annotated

from orchestrator.cli.arguments import optional, read_settings
from orchestrator.cli.terminal import configure_logs, console


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
    sys.stdout.flush()
    sys.stderr.flush()
    # Python would wait for the threads of DBOS, which may wait for jobs that other replicas have taken over.
    os._exit(0)


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
