"""Dumps of the tables of a PostgreSQL database, each in the text format of COPY, which all its versions read."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.engine import Connection

from orchestrator.backup.backup_folder import CHUNK, create_private
from orchestrator.errors import StorageUnavailable
from orchestrator.store import schema

JOBS_SCHEMA = "dbos"
COMPRESSION = 1
"""Level of gzip. The outputs of steps compress well at any level, and level 1 is as fast as a disk."""
SUFFIX = ".copy.gz"


def record_tables(connection: Connection) -> list[sa.Table]:
    """Return the tables of the records that exist, in the order of their foreign keys."""
    return _tables(connection, None, [*schema.metadata.tables, "alembic_version"])


def job_tables(connection: Connection) -> list[sa.Table]:
    """Return the tables of the durable jobs, in the order of their foreign keys."""
    return _tables(connection, JOBS_SCHEMA, None)


def _tables(connection: Connection, schema_name: str | None, names: list[str] | None) -> list[sa.Table]:
    found = sa.MetaData()
    found.reflect(connection, schema=schema_name, only=None if names is None else lambda name, _: name in names)
    return found.sorted_tables


def dump(connection: Connection, tables: list[sa.Table], folder: Path) -> None:
    """Write each table to a file in a new folder. The first line names the columns."""
    folder.mkdir(mode=0o700)
    for table in tables:
        columns = [column.name for column in table.columns]
        command = sql.SQL("COPY {} ({}) TO STDOUT").format(_name(table), _names(columns))
        with create_private(folder / f"{table.name}{SUFFIX}") as raw, gzip.open(raw, "wb", COMPRESSION) as file:
            file.write(("\t".join(columns) + "\n").encode())
            with _database_errors(), _driver(connection).cursor().copy(command) as rows:
                for chunk in rows:
                    file.write(chunk)


def load(connection: Connection, tables: list[sa.Table], folder: Path) -> None:
    """Replace the rows of each table with those of its file, in the transaction of the connection."""
    for table in reversed(tables):
        connection.execute(table.delete())
    for table in tables:
        source = folder / f"{table.name}{SUFFIX}"
        if not source.exists():  # the table did not exist in the version that made the backup
            continue
        with gzip.open(source, "rb") as file:
            columns = file.readline().decode().rstrip("\n").split("\t")
            command = sql.SQL("COPY {} ({}) FROM STDIN").format(_name(table), _names(columns))
            with _database_errors(), _driver(connection).cursor().copy(command) as rows:
                while chunk := file.read(CHUNK):
                    rows.write(chunk)


def first_row(table: sa.Table, folder: Path) -> str:
    """Return the first row of the file of a table."""
    with gzip.open(folder / f"{table.name}{SUFFIX}", "rb") as file:
        return file.read(CHUNK).decode().splitlines()[1]


@contextmanager
def _database_errors() -> Iterator[None]:
    """Convert the errors of the driver, which SQLAlchemy does not see, into StorageUnavailable."""
    try:
        yield
    except psycopg.Error as error:
        problem = error.diag.message_primary or type(error).__name__  # without the values of rows
        raise StorageUnavailable(f"the database failed: {problem}", store="database") from error


def _driver(connection: Connection) -> psycopg.Connection:
    return cast(psycopg.Connection, connection.connection.driver_connection)


def _name(table: sa.Table) -> sql.Identifier:
    return sql.Identifier(*([table.schema] if table.schema else []), table.name)


def _names(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
