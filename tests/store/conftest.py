from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.store.records import Records
from tests.support.postgresql import new_database
from tests.support.records import RecordsWithFiles


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLAlchemy URL of an empty database, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.sqlite'}"
    return new_database(request.getfixturevalue("postgresql"))


@pytest.fixture
def records(database_url: str, tmp_path: Path) -> Iterator[Records]:
    """Records without content, on SQLite and on PostgreSQL."""
    records = RecordsWithFiles.open(database_url, tmp_path / "unused.sqlite")
    yield records
    records.close()
