"""Copies of an SQLite database, which other processes may be writing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

from sqlalchemy.engine import Connection

from orchestrator.backup.backup_folder import create_private, sync


def dump(connection: Connection, file: Path) -> None:
    """Copy the state that the transaction of the connection reads to a new file. Writers are not blocked."""
    create_private(file).close()
    source = cast(sqlite3.Connection, connection.connection.driver_connection)
    with closing(sqlite3.connect(file)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")  # one file, without a write-ahead log


def move(scratch: Path, file: Path) -> None:
    """Put a database, which no process has open, in the place of another."""
    _delete_logs(file)
    sync(scratch)
    scratch.replace(file)
    sync(file.parent)


def delete(file: Path) -> None:
    """Delete a database, which no process has open, if it exists."""
    _delete_logs(file)
    file.unlink(missing_ok=True)


def _delete_logs(file: Path) -> None:
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
