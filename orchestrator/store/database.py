"""Opens the records database, SQLite or PostgreSQL, and upgrades its schema with Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection, Engine

from orchestrator.errors import FailedPrecondition
from orchestrator.store.schema import REVISION

log = structlog.get_logger()

MIGRATIONS = Path(__file__).parent / "migrations"
UPGRADE_LOCK = 0x48656172
"""Key of the PostgreSQL advisory lock of an upgrade; any fixed number ("Hear" in ASCII)."""


def open_database(url: str, default_file: Path) -> Engine:
    """Connect to the database at ``url`` (empty: the SQLite file ``default_file``) and upgrade its schema.

    Raises FailedPrecondition if a newer version of Heartwood has upgraded it.
    """
    if not url:
        default_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        url = f"sqlite:///{default_file}"
    engine = sa.create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_pragmas)
    try:
        with engine.connect() as connection:
            current = _revision(connection)
        if current != REVISION:  # checked first because importing Alembic takes 0.2 s
            _upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _upgrade(engine: Engine) -> None:
    """Apply the missing migrations in one transaction. A second process waits until they are applied."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with engine.connect() as connection:
        _lock(connection)
        current = _revision(connection)
        if current is not None and current not in known:
            database = f"the database {engine.url.render_as_string(hide_password=True)} has schema revision {current}"
            reason = f"which this version of Heartwood does not know; its newest revision is {REVISION}"
            remedy = "Upgrade Heartwood, or restore a backup of the database that was made before the upgrade"
            raise FailedPrecondition(f"{database}, {reason}. {remedy}", revision=current, newest_known=REVISION)
        is_new = not sa.inspect(connection).has_table("jobs")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    if not is_new and current != REVISION:
        log.info("database_upgraded", before=current, after=REVISION)


def _lock(connection: Connection) -> None:
    """Begin a transaction that holds the upgrade lock until it ends."""
    if connection.dialect.name == "sqlite":
        # The driver does not begin a transaction before DDL, so BEGIN IMMEDIATE begins it, in autocommit mode.
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))


def _revision(connection: Connection) -> str | None:
    """The schema revision of the database; None if it is empty, or older than Heartwood's use of Alembic."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return cast(str | None, connection.scalar(sa.text("SELECT version_num FROM alembic_version")))


def _set_pragmas(connection: Any, _: Any) -> None:
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
