"""Terminal output: tables, progress bars, colour swatches and one-line errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from orchestrator.errors import HeartwoodError

EXIT_FAILED = 1
EXIT_INVALID_INPUT = 2

console = Console()
error_console = Console(stderr=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Report a ``HeartwoodError`` as one line, and exit with code 2 if it names an invalid field, otherwise with 1."""
    try:
        yield
    except HeartwoodError as error:
        field = getattr(error, "field", "")
        prefix = f"{field}: " if field and not error.message.startswith(field) else ""
        error_console.print(Text.assemble(("error", "bold red"), f" {prefix}{error.message}"), soft_wrap=True)
        raise typer.Exit(EXIT_INVALID_INPUT if field else EXIT_FAILED) from None


def plain_table(*headings: str) -> Table:
    """Return an empty table without borders, which wraps long words instead of truncating them."""
    return Table(*(Column(heading, overflow="fold") for heading in headings), box=None, header_style="bold")


def facts_table(subject: str, value: str) -> Table:
    """Return an empty table of facts about one subject, a name and a value in each row."""
    table = plain_table(subject, value)
    table.columns[0].no_wrap = True
    return table


def print_saved(path: Path) -> None:
    """Print where results were written."""
    console.print(Text.assemble(("saved", "green"), f" {path}"))


def progress_bar() -> Progress:
    """Return the progress bar of all commands. Its tasks need the field ``message``."""
    return Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[message]}"),
        console=console,
    )


def swatch(color: str) -> Text:
    """Return a block of ``color`` ("#RRGGBB") followed by its name."""
    return Text.assemble(("    ", f"on {color}"), f" {color}")


def file_size(size_bytes: int) -> str:
    """Format a size, such as "1.25 MB" or "380 kB"."""
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
