"""``heartwood usage``."""

from __future__ import annotations

from collections.abc import Collection

from rich.table import Table

from orchestrator.cli.arguments import Server, Token, read_settings
from orchestrator.cli.session import connect
from orchestrator.cli.terminal import console, plain_table
from orchestrator.domain.tenants import QUOTA_TYPES, Quotas, Usage
from orchestrator.protocol.heartwood.v1 import tenant_pb2


def usage(server: Server = "", token: Token = "") -> None:
    """Show the quotas of your tenant and what it uses."""
    with connect(read_settings(), server, token) as client:
        response = client.usage()
    console.print(usage_table(response.tenant, response.quotas, response.usage))


def usage_table(
    tenant: str,
    quotas: Quotas | tenant_pb2.Quotas,
    usage: Usage | tenant_pb2.Usage,
    own: Collection[str] | None = None,
) -> Table:
    """Return a table of the quotas and their use. With ``own``, it states which quotas the operator has set."""
    used = {  # the use of the other quotas is per moment
        "running_jobs": str(usage.running_jobs),
        "active_jobs": str(usage.active_jobs),
        "stored_gb": f"{usage.stored_bytes / 1e9:.3g}",
        "detector_usd": f"{usage.detector_usd:.2f}",
    }
    rows = plain_table(f"tenant {tenant}", "used", "quota", *([] if own is None else [""]))
    for name in QUOTA_TYPES:
        origin = [] if own is None else ["set" if name in own else "default"]
        rows.add_row(name, used.get(name, ""), f"{getattr(quotas, name):g}", *origin)
    return rows
