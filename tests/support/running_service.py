"""A real ``heartwood up`` in a child process, for tests that call its gRPC API."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy.engine import Engine

from orchestrator.client.client import Heartwood
from orchestrator.domain.tokens import ALL_SCOPES, Scope
from orchestrator.inference.triton_control import ControlHeader
from orchestrator.store.database import open_database
from orchestrator.store.token_records import TokenRecords

START_TIMEOUT_S = 60.0


class RunningService:
    """``heartwood up`` on a free port.

    Args:
        data_dir: the data folder of the service.
        triton_url: gRPC host:port of a running Triton; empty lets the service start its own.
        settings: further settings by their names in ``orchestrator.settings``.
    """

    def __init__(self, data_dir: Path, triton_url: str = "", **settings: object) -> None:
        self.data_dir = data_dir
        self.log = data_dir / "test-service.log"
        data_dir.mkdir(parents=True, exist_ok=True)
        self._environment = {
            **os.environ,
            "PYTHONFAULTHANDLER": "1",  # SIGABRT writes what each thread does
            "HEARTWOOD_DATA_DIR": str(data_dir),
            "HEARTWOOD_LISTEN": "127.0.0.1:0",
            "HEARTWOOD_LOG_LEVEL": "info",
            "HEARTWOOD_TRITON_URL": triton_url,
            **{f"HEARTWOOD_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.start()

    def start(self) -> None:
        state = self.data_dir / "service.json"
        state.unlink(missing_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.cli", "up"],
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for(lambda: state.exists() or self.process.poll() is not None, START_TIMEOUT_S)
        assert state.exists(), self.log.read_text()
        self.address: str = json.loads(state.read_text())["address"]

    def open_database(self) -> Engine:
        """Open the records of the service."""
        return open_database(self._environment.get("HEARTWOOD_DATABASE_URL", ""), self.data_dir / "heartwood.sqlite")

    def token(self, tenant: str) -> str:
        engine = self.open_database()
        scopes = ALL_SCOPES if tenant == "local" else {Scope.JOBS}
        secret, _ = TokenRecords(engine).create(tenant, scopes)
        engine.dispose()
        return secret

    def client(self, tenant: str = "shop") -> Heartwood:
        return Heartwood(self.address, self.token(tenant))

    def kill(self) -> None:
        """Send SIGKILL, to simulate a crash."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Send SIGTERM, wait for the end of the process, and return its exit code.

        Raises:
            AssertionError: it did not end. The message contains what each of its threads did.
        """
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            before = self.log.stat().st_size
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            threads = self.log.read_bytes()[before:].decode(errors="replace")
            raise AssertionError(f"the service did not end after SIGTERM:\n{threads}") from None

    @property
    def own_triton_url(self) -> str:
        """gRPC host:port of the service's own Triton, which the service prints when it starts."""
        return re.findall(r"serves the models on (\S+)", self.log.read_text())[-1]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log events with this name."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event.get("event") == name]

    def children(self) -> list[int]:
        """Return the process ids of the direct children of the service."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def descendants(self) -> list[int]:
        """Return the process ids of the children of the service and of their children."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]


def setting_of(control: ControlHeader) -> str:
    """Return the value of the setting ``triton_control_header``."""
    return f"{control.key}={control.value}"


def wait_for(condition: Callable[[], Any], timeout_s: float, interval_s: float = 0.05) -> Any:
    """Call ``condition`` until it returns a true value, and return that value.

    Raises:
        AssertionError: it returned none within ``timeout_s``.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(interval_s)
    raise AssertionError(f"the condition was still false after {timeout_s} s")
