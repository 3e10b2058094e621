"""What a person sees: progress bars, tables, colour swatches, and errors in one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from orchestrator.client.client import ApiError, Heartwood
from orchestrator.errors import HeartwoodError
from orchestrator.protocol.heartwood.v1 import job_pb2

console = Console()
errors = Console(stderr=True)

STATE_STYLES = {
    job_pb2.JOB_STATE_QUEUED: "yellow",
    job_pb2.JOB_STATE_RUNNING: "cyan",
    job_pb2.JOB_STATE_SUCCEEDED: "green",
    job_pb2.JOB_STATE_FAILED: "red",
    job_pb2.JOB_STATE_CANCELED: "magenta",
}


@contextmanager
def clear_errors() -> Iterator[None]:
    """End the program with one red line and exit code 1 (2 for bad input), never with a stack trace."""
    try:
        yield
    except ApiError as error:
        where = f"{error.field}: " if error.field and not error.message.startswith(error.field) else ""
        errors.print(f"[bold red]error[/] {where}{error.message}", highlight=False)
        raise typer.Exit(2 if error.field else 1) from None
    except HeartwoodError as error:
        errors.print(f"[bold red]error[/] {error.message}", highlight=False)
        raise typer.Exit(2 if error.reason == "INVALID_INPUT" else 1) from None


def progress_bar() -> Progress:
    """The bar that every command uses."""
    return Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[message]}"),
        console=console,
    )


def follow(client: Heartwood, job_id: str, title: str) -> job_pb2.Job:
    """Show a job's progress until it has ended; Ctrl-C cancels the job.

    Raises:
        ApiError: it failed or was canceled.
    """
    with progress_bar() as bar:
        task = bar.add_task(title, total=1.0, message="queued")
        try:
            for job in client.watch(job_id):
                queue = job.progress.queue_position
                message = f"queued, {queue} before it" if queue else job.progress.message
                bar.update(task, completed=job.progress.fraction, message=message)
        except KeyboardInterrupt:
            client.cancel(job_id)
            raise
    return client.wait(job_id)


def swatch(color: str) -> Text:
    """A block of ``color`` ("#RRGGBB") and its name."""
    return Text.assemble(("    ", f"on {color}"), f" {color}")


def jobs_table(jobs: list[job_pb2.Job]) -> Table:
    """Jobs, one a row."""
    table = Table("job", "kind", "state", "done", "created", "message", box=None, header_style="bold")
    for job in jobs:
        style = STATE_STYLES.get(job.state, "")
        state = job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_")
        created = job.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
        message = job.error.message or job.progress.message
        table.add_row(
            job.id, job.spec.WhichOneof("stage"), Text(state, style), f"{job.progress.fraction:.0%}", created, message
        )
    return table
