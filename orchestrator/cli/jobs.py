"""``heartwood jobs``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from orchestrator.cli.arguments import Server, Token, enum_values, read_settings
from orchestrator.cli.session import connect, follow, format_time
from orchestrator.cli.terminal import console, plain_table
from orchestrator.protocol.heartwood.v1 import job_pb2

STATE_NAMES = {number: name.upper() for name, number in enum_values(job_pb2.JobState).items()}
STATE_STYLES = {"QUEUED": "yellow", "RUNNING": "cyan", "SUCCEEDED": "green", "FAILED": "red", "CANCELED": "magenta"}
Most = Annotated[int, typer.Option(help="Maximum number of jobs.")]

app = typer.Typer(help="List, watch and cancel jobs.", no_args_is_help=True)


@app.command("list")
def list_jobs(most: Most = 20, server: Server = "", token: Token = "") -> None:
    """List jobs, newest first."""
    with connect(read_settings(), server, token) as client:
        console.print(table(islice(client.jobs(), most)))


@app.command()
def watch(job_id: str, server: Server = "", token: Token = "") -> None:
    """Show the progress of a job until it has ended."""
    with connect(read_settings(), server, token) as client:
        title = client.job(job_id).spec.WhichOneof("stage") or "job"
        console.print(table([follow(client, job_id, title)]))


@app.command()
def cancel(job_id: str, server: Server = "", token: Token = "") -> None:
    """Cancel a job."""
    with connect(read_settings(), server, token) as client:
        console.print(table([client.cancel(job_id)]))


def table(jobs: Iterable[job_pb2.Job]) -> Table:
    """Return the jobs, one in each row."""
    rows = plain_table("job", "kind", "state", "done", "created", "message")
    for job in jobs:
        state = Text(STATE_NAMES[job.state], STATE_STYLES[STATE_NAMES[job.state]])
        created = format_time(job.create_time)
        message = Text(job.error.message or job.progress.message)
        rows.add_row(job.id, job.spec.WhichOneof("stage"), state, f"{job.progress.fraction:.0%}", created, message)
    return rows
