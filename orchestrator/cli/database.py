"""Opens the database of the service for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Engine

from orchestrator.settings import Settings
from orchestrator.store.database import open_database


@contextmanager
def opened_database(settings: Settings) -> Iterator[Engine]:
    """Open the records database of the settings for the block."""
    engine = open_database(settings.database_url, settings.root / "heartwood.sqlite")
    try:
        yield engine
    finally:
        engine.dispose()
