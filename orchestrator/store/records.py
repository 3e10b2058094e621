"""Records of assets, cached results and jobs in one SQL database, SQLite or PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from orchestrator.store.asset_records import AssetRecords
from orchestrator.store.database import open_database
from orchestrator.store.job_records import JobRecords


class Records(AssetRecords, JobRecords):
    """All queries on one database. Each method runs in one transaction and is thread-safe."""

    @classmethod
    def open(cls, url: str, default_file: Path) -> Records:
        """Open the database like ``open_database``."""
        return cls(open_database(url, default_file))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
