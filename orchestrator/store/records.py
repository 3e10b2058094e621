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
        """Open the database at ``url``, or the SQLite file ``default_file`` if ``url`` is empty.

        The schema of an older database is upgraded.

        Raises:
            FailedPrecondition: the schema of the database is newer than this version of Heartwood.
        """
        return cls(open_database(url, default_file))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
