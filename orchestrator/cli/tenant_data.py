"""``heartwood tenant retention`` and ``heartwood tenant delete``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from dbos import DBOSClient

from orchestrator.cli.arguments import choice, read_settings
from orchestrator.cli.database import opened_database
from orchestrator.cli.storage import open_stores
from orchestrator.cli.terminal import console, facts_table, file_size
from orchestrator.domain.retention import Kept, check_days
from orchestrator.domain.tokens import check_tenant
from orchestrator.errors import InvalidInput
from orchestrator.jobs.tenant_removal import TenantRemover
from orchestrator.settings import Settings
from orchestrator.store.retention_records import RetentionRecords

KINDS = {kind.value: kind for kind in Kept}
CHANGES_HELP = f"Days for which something is kept, such as uploads=30; KIND is one of {', '.join(KINDS)}."
Tenant = Annotated[str, typer.Argument(help="Name of the tenant.")]


def retention(
    tenant: Tenant,
    changes: Annotated[list[str] | None, typer.Argument(metavar="KIND=DAYS…", help=CHANGES_HELP)] = None,
) -> None:
    """Show or change how long the files and jobs of a tenant are kept.

    0 days keep them for ever; `default` returns to the setting HEARTWOOD_KEEP_<KIND>_DAYS.
    """
    check_tenant(tenant)
    settings = read_settings()
    with opened_database(settings) as engine:
        retentions = RetentionRecords(engine)
        retentions.set(tenant, dict(map(_change, changes or ())))
        own = retentions.of_tenants().get(tenant, {})
    rows = facts_table("kind", "kept for")
    for kind in Kept:
        days = own.get(kind, getattr(settings, f"keep_{kind.value}_days"))
        kept = f"{days:g} days" if days else "ever"
        rows.add_row(kind.value, kept if kind in own else f"{kept} (default)")
    console.print(rows)


def delete(
    tenant: Tenant,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for a confirmation.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds that running jobs may take to stop.")] = 120.0,
) -> None:
    """Delete a tenant: tokens, jobs, files, cached results, webhooks, settings and history.

    Its jobs are canceled. Nothing can be restored, except from a backup. The command can be repeated.
    """
    check_tenant(tenant)
    if not yes:
        typer.confirm(f"Delete the tenant {tenant} with all of its files?", abort=True)
    settings = read_settings()
    with open_stores(settings) as (records, collector), _workflows(settings) as workflows:
        removal = TenantRemover(records, collector, workflows, wait).remove(tenant)
    rows = facts_table("deleted", "number")
    for name, count in asdict(removal).items():
        rows.add_row(name.replace("_", " "), file_size(count) if name == "file_bytes" else str(count))
    console.print(rows)


@contextmanager
def _workflows(settings: Settings) -> Iterator[DBOSClient]:
    """Open the history of jobs."""
    client = DBOSClient(system_database_url=settings.jobs_database_url)
    try:
        yield client
    finally:
        client.destroy()


def _change(text: str) -> tuple[Kept, float | None]:
    """Read KIND=DAYS. Raises InvalidInput."""
    name, _, value = text.partition("=")
    kind = choice("KIND", name, KINDS)
    if value == "default":
        return kind, None
    try:
        days = float(value)
    except ValueError:
        raise InvalidInput(name, f"{value[:40]!r} is not a number of days, and not `default`") from None
    check_days(kind, days)
    return kind, days
