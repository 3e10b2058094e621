"""Threads that write to one SQLite database do not wait for each other longer than the writes take."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.store.database import open_database, writing
from orchestrator.store.schema import sweeps
from tests.support.records import NOON

THREADS, WRITES = 8, 150


def test_no_thread_starves_while_others_write(tmp_path: Path) -> None:
    engine = open_database("", tmp_path / "heartwood.sqlite")

    def write(thread: int) -> float:
        longest = 0.0
        for number in range(WRITES):
            started = time.monotonic()
            with writing(engine) as connection:
                connection.execute(sweeps.insert().values(name=f"{thread}-{number}", due_time=NOON))
            longest = max(longest, time.monotonic() - started)
        return longest

    started = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        longest = max(pool.map(write, range(THREADS)))
    total = time.monotonic() - started
    assert longest < total / 3  # a thread has 150 turns in this time
    engine.dispose()


def test_a_transaction_that_fails_lets_the_others_write(tmp_path: Path) -> None:
    engine = open_database("", tmp_path / "heartwood.sqlite")
    first = sweeps.insert().values(name="first", due_time=NOON)
    with pytest.raises(sa.exc.IntegrityError), writing(engine) as connection:
        [connection.execute(first) for _ in range(2)]
    started = time.monotonic()
    with engine.begin() as connection:
        connection.execute(first)
    assert time.monotonic() - started < 5
    with engine.connect() as connection:
        connection.execute(sweeps.delete())  # not committed: its end is the end of the block
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(first)
    assert time.monotonic() - started < 5
    engine.dispose()
