from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.postgresql import new_database


@pytest.fixture(params=["sqlite", "postgresql"])
def new_stores(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Return settings, as environment variables, of empty stores, on SQLite and on PostgreSQL."""

    def create(name: str) -> dict[str, str]:
        folder = tmp_path / name
        environment = {"HEARTWOOD_DATA_DIR": str(folder)}
        if request.param == "postgresql":
            (tmp_path / f"{name}-blobs").mkdir()
            environment["HEARTWOOD_DATABASE_URL"] = new_database(request.getfixturevalue("postgresql"))
            environment["HEARTWOOD_BLOB_URL"] = f"file://{tmp_path / f'{name}-blobs'}"
        return environment

    return create
