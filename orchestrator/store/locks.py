"""The exclusive use of a data folder, and the mark of a restore that has not finished."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestrator.errors import FailedPrecondition
from orchestrator.settings import Settings
from orchestrator.store.database import sqlite_file


@contextmanager
def exclusive_use(settings: Settings) -> Iterator[None]:
    """Lock the data folder and the SQLite databases, each of which serves a single process.

    Raises FailedPrecondition if another process uses one of them.
    """
    urls = [url for url in (settings.database_url, settings.jobs_database_url) if url]
    databases = {file for url in urls if (file := sqlite_file(url))}
    settings.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as locks:
        for file in [settings.root / "service", *sorted(databases)]:
            locks.enter_context(_exclusive_lock(file.with_name(f"{file.name}.lock")))
        yield


@contextmanager
def restoring(settings: Settings) -> Iterator[None]:
    """Mark the data folder until the block ends without an error."""
    mark = _mark_of(settings)
    mark.touch(mode=0o600)
    yield
    mark.unlink()


def check_restored(settings: Settings) -> None:
    """Raise FailedPrecondition if a restore into the data folder was interrupted."""
    if _mark_of(settings).exists():
        problem = f"a restore into the data folder {settings.root} was interrupted"
        raise FailedPrecondition(f"{problem}; run `heartwood restore` again, with --replace")


def _mark_of(settings: Settings) -> Path:
    return settings.root / "restore-incomplete"


@contextmanager
def _exclusive_lock(file: Path) -> Iterator[None]:
    with file.open("w") as lock_file:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            problem = f"another Heartwood service already uses the data folder {file.parent}"
            remedy = "stop it, or set HEARTWOOD_DATA_DIR to another folder. Several services need PostgreSQL"
            raise FailedPrecondition(f"{problem}; {remedy} (HEARTWOOD_DATABASE_URL)") from None
        yield
