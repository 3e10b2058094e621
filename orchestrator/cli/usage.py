"""``heartwood usage``."""

from __future__ import annotations

from orchestrator.cli.arguments import Server, Token, read_settings
from orchestrator.cli.session import connect
from orchestrator.cli.terminal import console, plain_table

USED = {
    "running_jobs": lambda usage: str(usage.running_jobs),
    "active_jobs": lambda usage: str(usage.active_jobs),
    "stored_gb": lambda usage: f"{usage.stored_bytes / 1e9:.3g}",
    "detector_usd": lambda usage: f"{usage.detector_usd:.2f}",
}
"""Quota → how much of it the tenant uses. The service does not report the use of the others, which are per moment."""


def usage(server: Server = "", token: Token = "") -> None:
    """Show the quotas of your tenant and what it uses."""
    with connect(read_settings(), server, token) as client:
        response = client.usage()
    rows = plain_table(f"tenant {response.tenant}", "used", "quota")
    for field in response.quotas.DESCRIPTOR.fields:
        used = USED[field.name](response.usage) if field.name in USED else ""
        rows.add_row(field.name, used, f"{getattr(response.quotas, field.name):g}")
    console.print(rows)
