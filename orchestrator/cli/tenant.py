"""``heartwood tenant``: shows and changes the quotas of tenants, and manages their data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from orchestrator.cli import tenant_data
from orchestrator.cli.arguments import optional, read_settings
from orchestrator.cli.database import opened_database
from orchestrator.cli.terminal import console, plain_table
from orchestrator.cli.usage import usage_table
from orchestrator.domain.tenants import check_quota
from orchestrator.domain.tokens import check_tenant
from orchestrator.errors import InvalidInput
from orchestrator.jobs.quotas import GB, TenantQuotas
from orchestrator.store.tenant_records import TenantRecords

DEFAULT = "default"
"""The value with which ``heartwood tenant set`` returns to the setting."""
Tenant = Annotated[str, typer.Argument(help="Name of the tenant.")]

app = typer.Typer(
    help="Show and change the limits and the retention of tenants, and delete tenants.", no_args_is_help=True
)
app.command()(tenant_data.retention)
app.command()(tenant_data.delete)


@app.command()
def show(tenant: Tenant) -> None:
    """Show the quotas of a tenant and what it uses."""
    check_tenant(tenant)
    with _quotas() as quotas:
        console.print(usage_table(tenant, quotas.of(tenant), quotas.usage(tenant), set(quotas.records.quotas(tenant))))


@app.command("list")
def list_tenants() -> None:
    """List the tenants that have tokens or quotas of their own, and what they use."""
    rows = plain_table("tenant", "weight", "running jobs", "active jobs", "stored GB", "USD in this month")
    with _quotas() as quotas:
        for tenant in quotas.records.names():
            limits, used = quotas.of(tenant), quotas.usage(tenant)
            stored = f"{used.stored_bytes / GB:.3g} of {limits.stored_gb:g}"
            running = f"{used.running_jobs} of {limits.running_jobs}"
            active = f"{used.active_jobs} of {limits.active_jobs}"
            spent = f"{used.detector_usd:.2f} of {limits.detector_usd:g}"
            rows.add_row(tenant, f"{limits.weight:g}", running, active, stored, spent)
    console.print(rows)


@app.command("set")
def set_quotas(
    tenant: Tenant,
    weight: Annotated[str, optional(help="Share of the workers in relation to other tenants, 0.01 to 100.")] = "",
    running_jobs: Annotated[str, optional(help="Maximum running jobs.")] = "",
    active_jobs: Annotated[str, optional(help="Maximum queued and running jobs.")] = "",
    stored_gb: Annotated[str, optional(help="Maximum size of its files in 10^9 bytes.")] = "",
    uploads: Annotated[str, optional(help="Maximum concurrent uploads to one replica.")] = "",
    requests_per_s: Annotated[str, optional(help="Maximum calls per second to one replica.")] = "",
    detector_usd: Annotated[str, optional(help="Budget for paid detectors per calendar month in USD.")] = "",
) -> None:
    """Change quotas of a tenant. The value 'default' returns to the setting. All replicas follow within 2 seconds."""
    texts = {
        "weight": weight,
        "running_jobs": running_jobs,
        "active_jobs": active_jobs,
        "stored_gb": stored_gb,
        "uploads": uploads,
        "requests_per_s": requests_per_s,
        "detector_usd": detector_usd,
    }
    check_tenant(tenant)
    values = {name: _read(name, text) for name, text in texts.items() if text}
    if not values:
        raise InvalidInput("tenant set", f"no quota is given; give one of {', '.join(map(_option, texts))}")
    with _quotas() as quotas:
        quotas.records.set_quotas(tenant, values)
        console.print(usage_table(tenant, quotas.of(tenant), quotas.usage(tenant), set(quotas.records.quotas(tenant))))


def _read(name: str, text: str) -> float | None:
    """Return the value of a quota; None: the default. Raises InvalidInput."""
    if text == DEFAULT:
        return None
    try:
        value = float(text)
    except ValueError:
        raise InvalidInput(_option(name), f"{text[:40]!r} is not a number; write one, or {DEFAULT!r}") from None
    try:
        check_quota(name, value)
    except InvalidInput as error:
        raise InvalidInput(_option(name), error.description) from None
    return value


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@contextmanager
def _quotas() -> Iterator[TenantQuotas]:
    settings = read_settings()
    with opened_database(settings) as engine:
        yield TenantQuotas(settings, TenantRecords(engine))
