"""``heartwood tenant``: manages tenants."""

from __future__ import annotations

import typer

from orchestrator.cli import tenant_data

app = typer.Typer(
    help="Show and change the limits and the retention of tenants, and delete tenants.", no_args_is_help=True
)
app.command()(tenant_data.retention)
app.command()(tenant_data.delete)
