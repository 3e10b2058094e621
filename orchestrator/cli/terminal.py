"""Terminal output: tables, progress bars, colour swatches, one-line errors and the log."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from orchestrator.errors import HeartwoodError

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters other than line feeds that control a terminal, or the direction of its text."""


class SafeConsole(Console):
    """Prints ``?`` for control characters, which names in files and messages of a service may contain."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See ``Console.render``. The control characters of rich itself are added later."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=CONTROL.sub("?", segment.text))


console = SafeConsole()
error_console = SafeConsole(stderr=True)


def print_error(error: HeartwoodError) -> None:
    """Print an error as one line, which starts with the invalid field if the error names one.

    An error about several fields has a line for each.
    """
    violations = getattr(error, "violations", ())
    if len(violations) > 1:
        for violation in violations:
            text = violation if isinstance(violation, str) else ": ".join(violation)
            error_console.print(Text.assemble(("error", "bold red"), f" {text}"), soft_wrap=True)
        return
    field = getattr(error, "field", "")
    prefix = f"{field}: " if field and not error.message.startswith(field) else ""
    error_console.print(Text.assemble(("error", "bold red"), f" {prefix}{error.message}"), soft_wrap=True)


def print_warning(message: str) -> None:
    """Print a warning as one line."""
    error_console.print(Text.assemble(("warning", "bold yellow"), f" {message}"), soft_wrap=True)


def plain_table(*headings: str) -> Table:
    """Return an empty table without borders, which wraps long words instead of truncating them."""
    return Table(*(Column(heading, overflow="fold") for heading in headings), box=None, header_style="bold")


def facts_table(subject: str, value: str) -> Table:
    """Return an empty table of facts about one subject, with a name and a value in each row."""
    table = plain_table(subject, value)
    table.columns[0].no_wrap = True
    return table


def print_saved(path: Path) -> None:
    """Print where results were written."""
    console.print(Text.assemble(("saved", "green"), f" {path}"))


def progress_bar() -> Progress:
    """Return the progress bar of all commands. Its tasks need the field ``message``."""
    description = TextColumn("{task.description}", style="bold", markup=False)
    bar = BarColumn(bar_width=32)
    times = (TaskProgressColumn(), TimeElapsedColumn())
    message = TextColumn("{task.fields[message]}", style="dim", markup=False)
    return Progress(SpinnerColumn(), description, bar, *times, message, console=console)


def swatch(color: str) -> Text:
    """Return a block of ``color`` ("#RRGGBB") followed by its name."""
    return Text.assemble(("    ", f"on {color}"), f" {color}")


def file_size(size_bytes: int) -> str:
    """Format a size, such as "1.25 MB" or "380 kB"."""
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"


def configure_logs(level: str) -> None:
    """Write log events of at least ``level`` to standard error, as coloured text in a terminal, else as JSON lines."""
    import structlog  # imported here because most commands write no log

    json_lines = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    renderers = (structlog.dev.ConsoleRenderer(),) if sys.stderr.isatty() else json_lines
    time_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    structlog.configure(
        processors=[structlog.processors.add_log_level, time_stamp, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
