"""``heartwood storage``: compares the object store with the records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer

from orchestrator.cli.arguments import read_settings
from orchestrator.cli.terminal import console, facts_table, file_size, print_warning
from orchestrator.jobs.collector import Collector
from orchestrator.settings import Settings
from orchestrator.store.blob_records import BlobRecords, Removed
from orchestrator.store.blobs import Blobs
from orchestrator.store.records import Records

EXIT_MISSING = 3
MAX_NAMED = 10
"""Missing files that the report names."""

app = typer.Typer(help="Check the stored files.", no_args_is_help=True)


@app.callback()
def storage() -> None:
    """Check the stored files."""


@app.command()
def check(
    remove: Annotated[bool, typer.Option("--remove", help="Remove orphaned and partial files.")] = False,
) -> None:
    """Compare the object store with the records.

    Files that no record names are orphaned, such as after a crash. They are ignored until they are older than
    HEARTWOOD_BLOB_GRACE_S. The exit code is 3 if a file is missing that a record names.
    """
    with open_stores(read_settings()) as (_, collector):
        found = collector.check(remove=remove)
    rows = facts_table("files", "number and size")
    rows.add_row("recorded", _count(found.recorded))
    done = " (removed)" if remove else ""
    rows.add_row("orphaned" + done, _count(found.orphaned))
    rows.add_row("partial" + done, _count(found.partial))
    rows.add_row("not from Heartwood", str(found.foreign))
    rows.add_row("missing", str(len(found.missing)))
    console.print(rows)
    for sha256 in found.missing[:MAX_NAMED]:
        print_warning(f"the file with SHA-256 {sha256} is missing")
    if found.missing:
        raise typer.Exit(EXIT_MISSING)


@contextmanager
def open_stores(settings: Settings) -> Iterator[tuple[Records, Collector]]:
    """Open the records, and the collector of the object store."""
    records = Records.open(settings.database_url, settings.root / "heartwood.sqlite")
    try:
        blobs = Blobs.open(settings.blob_url, settings.blob_options, settings.root / "blobs")
        yield records, Collector(BlobRecords(records.engine), blobs, timedelta(seconds=settings.blob_grace_s))
    finally:
        records.close()


def _count(files: Removed) -> str:
    return f"{files.count}, {file_size(files.size_bytes)}"
