"""``heartwood backup`` and ``heartwood restore``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.backup.backup_folder import Backup, BackupFolder, Manifest
from orchestrator.backup.create import create_backup
from orchestrator.backup.restore import restore_backup
from orchestrator.backup.verify import prune as prune_backups
from orchestrator.backup.verify import verify as verify_backup
from orchestrator.cli.arguments import read_settings
from orchestrator.cli.terminal import console, file_size, plain_table, print_saved, print_warning, progress_bar
from orchestrator.domain.progress import Progress
from orchestrator.errors import InvalidInput

FOLDER_HELP = "Folder of the backups."
BACKUP_HELP = "A backup, or the folder of the backups for the newest one."

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help=FOLDER_HELP, file_okay=False)]
BackupPath = Annotated[Path, typer.Argument(metavar="BACKUP", help=BACKUP_HELP, exists=True, file_okay=False)]

app = typer.Typer(help="Back up the service, and check backups.", no_args_is_help=True)


@app.command()
def create(folder: Folder) -> None:
    """Back up the records, jobs and files at one point in time, while the service runs.

    The folder may contain earlier backups; only new files are copied. A backup contains photos, token hashes and the
    secrets of webhooks, so only its owner may read it.
    """
    with _progress("backup") as report:
        backup = create_backup(read_settings(), BackupFolder(folder), report)
    _warn_of_missing(backup.manifest())
    print_saved(backup.path)


@app.command("list")
def list_backups(folder: Folder) -> None:
    """List backups, newest first."""
    rows = plain_table("backup", "time", "heartwood", "databases", "jobs", "files", "size of the databases")
    for backup in BackupFolder(folder).backups():
        manifest = backup.manifest()
        size = file_size(sum(part.size_bytes for part in manifest.parts))
        time, jobs = f"{manifest.create_time:%Y-%m-%d %H:%M}", str(manifest.counts["jobs"])
        rows.add_row(backup.name, time, manifest.heartwood, manifest.records, jobs, str(manifest.blobs), size)
    console.print(rows)


@app.command()
def verify(backup: BackupPath) -> None:
    """Compare every file of a backup with its SHA-256."""
    found = _find(backup)
    with _progress("verify") as report:
        manifest = verify_backup(found, report)
    _warn_of_missing(manifest)
    console.print(f"{found.name} is complete")


@app.command()
def prune(folder: Folder, keep: Annotated[int, typer.Option(help="Backups to keep.", min=1)] = 7) -> None:
    """Delete all but the newest backups, and the files that only the deleted ones contain."""
    backups, files = prune_backups(BackupFolder(folder), keep)
    console.print(f"deleted {backups} backups and {files} files")


def restore(
    backup: BackupPath,
    replace: Annotated[bool, typer.Option("--replace", help="Delete the records that exist.")] = False,
) -> None:
    """Restore a backup into the databases and the object store of the settings.

    The service must not be running. When it starts, it continues the jobs that had not ended.
    """
    found = _find(backup)
    with _progress("restore") as report:
        manifest = restore_backup(read_settings(), found, replace=replace, report=report)
    _warn_of_missing(manifest)
    console.print(f"restored {found.name}: {manifest.counts['jobs']} jobs and {manifest.blobs} files")


def _find(path: Path) -> Backup:
    """Return the backup at ``path``, or the newest one in it. Raises InvalidInput if there is none."""
    if path.name[:1].isdigit() and path.joinpath("manifest.json").exists():
        return Backup(path.resolve())
    backups = BackupFolder(path.resolve()).backups()
    if not backups:
        raise InvalidInput("BACKUP", f"{path} is no backup, and contains none")
    return backups[0]


@contextmanager
def _progress(description: str) -> Iterator[Progress]:
    with progress_bar() as bar:
        task = bar.add_task(description, total=1.0, message="reading the databases")
        yield lambda fraction, message: bar.update(task, completed=fraction, message=message)


def _warn_of_missing(manifest: Manifest) -> None:
    if manifest.missing:
        print_warning(f"files that the object store had lost: {len(manifest.missing)}; manifest.json lists them")
