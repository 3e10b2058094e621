"""Types and helpers of the command line tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog
from click.testing import Result
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from orchestrator.cli import terminal
from orchestrator.cli.main import app
from orchestrator.protocol.heartwood.v1 import job_pb2


@dataclass(frozen=True)
class CommandResult:
    """The exit code and the output of a command, with every run of white space collapsed to one space."""

    exit_code: int
    output: str
    errors: str


def run_in_process(*arguments: object, **environment: str) -> Result:
    """Run ``heartwood ARGUMENTS…`` in this process, in a terminal that is wide enough for every table."""
    width = terminal.console.width
    terminal.console.width = 200
    try:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
    finally:
        terminal.console.width = width
        structlog.reset_defaults()  # a command may have sent the logs of this process to its own standard error


class Cli(Protocol):
    """Runs ``heartwood ARGUMENTS…``."""

    def __call__(self, *arguments: object, **environment: str) -> CommandResult: ...


class Submit(Protocol):
    """Runs ``heartwood ARGUMENTS…`` up to the creation of the job and returns the job's spec."""

    def __call__(self, *arguments: object) -> job_pb2.JobSpec: ...


def text_of(table: Table) -> str:
    """Return a table as text, with every run of white space collapsed to one space."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return " ".join(capture.get().split())
