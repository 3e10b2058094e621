"""Types and helpers of the command line tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.table import Table

from orchestrator.protocol.heartwood.v1 import job_pb2


@dataclass(frozen=True)
class CommandResult:
    """The exit code and the output of a command, with every run of white space collapsed to one space."""

    exit_code: int
    output: str
    errors: str


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
