"""``heartwood token``: creates, lists, rotates and revokes tokens in the database of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from orchestrator.cli.arguments import optional, read_settings
from orchestrator.cli.database import opened_database
from orchestrator.cli.terminal import console, plain_table
from orchestrator.domain.tokens import Scope, Token, read_scopes
from orchestrator.errors import InvalidInput
from orchestrator.store.token_records import TokenRecords

TENANT_HELP = "Owner of the jobs and files that the token gives access to."
SCOPES_HELP = f"Comma-separated scopes: {', '.join(scope.value for scope in Scope)}."
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}

app = typer.Typer(help="Create, list, rotate and revoke tokens.", no_args_is_help=True)


@app.command()
def create(
    tenant: Annotated[str, typer.Argument(help=TENANT_HELP)],
    scopes: Annotated[str, typer.Option(help=SCOPES_HELP)] = Scope.JOBS.value,
    expires: Annotated[str, optional(help="Lifetime, such as 12h or 90d. Default: it does not expire.")] = "",
) -> None:
    """Create a token and print it.

    Only its hash is stored, so it cannot be shown again. Running replicas accept it immediately.
    """
    names = [name.strip() for name in scopes.split(",") if name.strip()]
    with _records() as records:
        secret, _ = records.create(tenant, read_scopes(names), _lifetime("--expires", expires) if expires else None)
    console.print(secret, highlight=False, soft_wrap=True)


@app.command("list")
def list_tokens(tenant: Annotated[str, optional(help="Only those of this tenant.")] = "") -> None:
    """List tokens, newest first."""
    rows = plain_table("token", "tenant", "scopes", "created", "state")
    with _records() as records:
        for token in records.of_tenant(tenant):
            scopes = ", ".join(sorted(token.scopes))
            rows.add_row(token.id, token.tenant, scopes, f"{token.create_time:%Y-%m-%d %H:%M}", _state(token))
    console.print(rows)


@app.command()
def revoke(id: Annotated[str, typer.Argument(metavar="TOKEN", help="Id from `heartwood token list`.")]) -> None:
    """Revoke a token. All replicas refuse it within 2 seconds."""
    with _records() as records:
        token = records.revoke(id)
    console.print(f"revoked {token.id} of {token.tenant}")


@app.command()
def rotate(
    id: Annotated[str, typer.Argument(metavar="TOKEN", help="Id from `heartwood token list`.")],
    overlap: Annotated[str, typer.Option(help="Time for which the old token stays valid, such as 12h or 7d.")] = "24h",
) -> None:
    """Replace a token by a new one with the same tenant and scopes, and print the new one."""
    with _records() as records:
        secret, _ = records.rotate(id, _lifetime("--overlap", overlap))
    console.print(secret, highlight=False, soft_wrap=True)


@contextmanager
def _records() -> Iterator[TokenRecords]:
    with opened_database(read_settings()) as engine:
        yield TokenRecords(engine)


def _lifetime(option: str, text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if not number.isascii() or not number.isdigit() or unit not in UNITS or not 0 < int(number) <= 100_000:
        raise InvalidInput(option, f"{text[:40]!r} is not allowed; write hours or days, such as 12h or 90d")
    return int(number) * UNITS[unit]


def _state(token: Token) -> str:
    if token.revoke_time:
        return f"revoked {token.revoke_time:%Y-%m-%d %H:%M}"
    if token.expire_time:
        is_valid = token.is_valid(datetime.now(UTC))
        return f"{'expires' if is_valid else 'expired'} {token.expire_time:%Y-%m-%d %H:%M}"
    return "valid"
