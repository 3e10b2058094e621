"""Lets the threads of this process write to an SQLite database one after the other.

SQLite admits one writer at a time. The others try again after pauses of up to 0.1 s, in no order, so that some of many
threads wait for seconds. The service is the only process that writes to its database.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

READING = ("SELECT", "PRAGMA", "WITH")
"""First words of the statements that change nothing. "WITH" begins only queries here."""
TIMEOUT_S = 30.0
"""Time after which a thread leaves the decision to SQLite, which waits for as long again."""
HELD = "write_lock"

_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # by the file of the database


def write_in_turn(engine: Engine) -> None:
    """Give each transaction of the engine that writes the database for itself, from its first change to its end."""
    lock = _locks[engine.url.database or ""]

    def begin(connection: Connection, _: Any, statement: str, *__: Any) -> None:
        is_reading = statement.lstrip().upper().startswith(READING)
        if not is_reading and HELD not in connection.info and lock.acquire(timeout=TIMEOUT_S):
            connection.info[HELD] = lock

    def end(connection: Connection) -> None:
        _release(connection.info)

    sa.event.listen(engine, "before_cursor_execute", begin)
    sa.event.listen(engine, "commit", end)
    sa.event.listen(engine, "rollback", end)
    sa.event.listen(engine, "checkin", lambda _, record: _release(record.info))


def _release(info: dict[Any, Any]) -> None:
    if lock := info.pop(HELD, None):
        lock.release()
