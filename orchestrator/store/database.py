"""Opens the records database, SQLite or PostgreSQL, and upgrades its schema with Alembic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from orchestrator.errors import DiskFull, FailedPrecondition, StorageUnavailable
from orchestrator.store.disk_space import is_disk_full
from orchestrator.store.schema import REVISION
from orchestrator.store.sqlite_writers import write_in_turn

if TYPE_CHECKING:
    from alembic.config import Config

log = structlog.get_logger()

MIGRATIONS = Path(__file__).parent / "migrations"
UPGRADE_LOCK = 0x48656172
"""Key of the PostgreSQL advisory lock of an upgrade; any fixed number ("Hear" in ASCII)."""
QUOTA_LOCK = 0x48657251
"""First key of the PostgreSQL advisory locks of tenants; any fixed number ("HerQ" in ASCII)."""
CONNECTION_LIMITS = {
    "connect_timeout": 5,
    "keepalives_idle": 4,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 6000,  # ms
}
"""Parameters of libpq. If the network to PostgreSQL is cut, a connection ends at about the time at which a lease
expires. With the defaults, a query waits for many minutes."""
DATABASE_ERRORS = (sa.exc.OperationalError, sa.exc.InterfaceError)
"""SQLAlchemy's errors of a database that cannot be reached, is locked, or is full."""


class WaitingPool(sa.QueuePool):
    """A pool of connections that raises StorageUnavailable if none becomes free, as when the database stands still."""

    def connect(self) -> sa.PoolProxiedConnection:
        """Return a connection."""
        try:
            return super().connect()
        except sa.exc.TimeoutError:
            log.warning("database_failed", error="no free connection")
            raise StorageUnavailable("the database does not answer; try again later", store="database") from None


def open_database(url: str, default_file: Path) -> Engine:
    """Connect to the database at ``url`` (empty: the SQLite file ``default_file``) and upgrade its schema.

    Every later use of the engine, too, raises StorageUnavailable if the database does not answer.

    Raises:
        FailedPrecondition: a newer version of Heartwood has upgraded the database.
        StorageUnavailable: the database does not answer.
    """
    if not url:
        default_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        url = f"sqlite:///{default_file}"
    engine = create_engine(url)
    try:
        _check(engine, "HEARTWOOD_DATABASE_URL")
        with engine.connect() as connection:
            current = schema_revision(connection)
        if current != REVISION:  # checked first because importing Alembic takes 0.2 s
            _upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def check_database(url: str, setting: str) -> None:
    """Raise StorageUnavailable, which names the ``setting``, if the database at ``url`` does not answer."""
    engine = create_engine(url)
    try:
        _check(engine, setting)
    finally:
        engine.dispose()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Run the block in a transaction that may check before it writes.

    SQLite admits one such transaction at a time. On PostgreSQL, the block locks the rows that it checks.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # otherwise, the driver begins before the first write
        yield connection


def lock_tenant(connection: Connection, tenant: str) -> None:
    """Let the transactions in which a tenant takes a part of a quota run one after the other, until this one ends.

    On SQLite, ``writing`` does that.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(QUOTA_LOCK, sa.func.hashtext(tenant))))


def insert(bind: Engine | Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that can handle conflicts."""
    return postgresql.insert(table) if bind.dialect.name == "postgresql" else sqlite.insert(table)


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite database; None for PostgreSQL."""
    address = sa.make_url(url)
    is_file = address.get_backend_name() == "sqlite" and address.database
    return Path(address.database or "").resolve() if is_file else None


def connection_limits(url: str) -> dict[str, int]:
    """Return the ``CONNECTION_LIMITS`` that ``url`` does not set itself; none for SQLite."""
    address = sa.make_url(url)
    if address.get_backend_name() != "postgresql":
        return {}
    return {name: limit for name, limit in CONNECTION_LIMITS.items() if name not in address.query}


def create_engine(url: str) -> Engine:
    """Return an engine that raises StorageUnavailable if the database does not answer. The schema is not upgraded."""
    make_private(url)
    engine = sa.create_engine(url, connect_args=connection_limits(url), pool_pre_ping=True, poolclass=WaitingPool)
    sa.event.listen(engine, "handle_error", _raise_if_unavailable)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_pragmas)
        write_in_turn(engine)
    return engine


def make_private(url: str) -> None:
    """Create the file of an SQLite database so that only its owner reads it, whatever folder it is in."""
    address = sa.make_url(url)
    name = address.database or ":memory:"
    if address.get_backend_name() == "sqlite" and not name.startswith((":", "file:")):
        with suppress(OSError):  # SQLite reports that it cannot write
            Path(name).touch(mode=0o600)
            Path(name).chmod(0o600)  # an older version created it


def _check(engine: Engine, setting: str) -> None:
    try:
        engine.connect().close()
    except StorageUnavailable:
        address = engine.url.render_as_string(hide_password=True)
        message = f"the database {address} does not answer; start it, or correct {setting}"
        raise StorageUnavailable(message, store="database") from None


def _raise_if_unavailable(context: sa.ExceptionContext) -> None:
    """Raise StorageUnavailable for an error that the database, not the query, caused: no connection, locked, full."""
    if is_disk_full(context.original_exception):
        raise DiskFull("the database has no disk space left; try again later, or free some", store="database")
    if context.is_disconnect or isinstance(context.sqlalchemy_exception, DATABASE_ERRORS):
        log.warning("database_failed", error=type(context.original_exception).__name__)
        raise StorageUnavailable("the database does not answer; try again later", store="database")


def _upgrade(engine: Engine) -> None:
    """Apply the missing migrations in one transaction. A second process waits until they are applied."""
    with engine.connect() as connection:
        lock_schema(connection)
        current = schema_revision(connection)
        is_new = not sa.inspect(connection).has_table("jobs")
        upgrade_schema(connection)
        connection.commit()
    if not is_new and current != REVISION:
        log.info("database_upgraded", before=current, after=REVISION)


def upgrade_schema(connection: Connection, revision: str = "head") -> None:
    """Apply the migrations up to ``revision``, in the transaction of the connection.

    Raises FailedPrecondition if the schema is newer than this version of Heartwood.
    """
    from alembic import command

    current = schema_revision(connection)
    if current is not None and not is_known_revision(current):
        address = connection.engine.url.render_as_string(hide_password=True)
        reason = f"which this version of Heartwood does not know; its newest revision is {REVISION}"
        remedy = "Upgrade Heartwood, or restore a backup of the database that was made before the upgrade"
        message = f"the database {address} has schema revision {current}, {reason}. {remedy}"
        raise FailedPrecondition(message, revision=current, newest_known=REVISION)
    config = _alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def is_known_revision(revision: str) -> bool:
    """Return whether this version of Heartwood has the migration ``revision``."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_alembic_config())
    return revision in {script.revision for script in scripts.walk_revisions()}


def _alembic_config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def lock_schema(connection: Connection) -> None:
    """Begin a transaction that holds the upgrade lock until it ends."""
    if connection.dialect.name == "sqlite":
        # The driver does not begin a transaction before DDL, so BEGIN IMMEDIATE begins it, in autocommit mode.
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))


def schema_revision(connection: Connection) -> str | None:
    """The schema revision of the database; None if it is empty, or older than Heartwood's use of Alembic."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return cast(str | None, connection.scalar(sa.text("SELECT version_num FROM alembic_version")))


def _set_pragmas(connection: Any, _: Any) -> None:
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
