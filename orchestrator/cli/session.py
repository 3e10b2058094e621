"""A client of the service that runs on this machine, or of one started just for now."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.client.client import Heartwood
from orchestrator.errors import ToolFailed
from orchestrator.service import local_token, running_address
from orchestrator.settings import Settings

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0


@contextmanager
def connect(settings: Settings, server: str = "", token: str = "") -> Iterator[Heartwood]:
    """Open a client.

    Args:
        server: host:port of a service elsewhere, called with ``token``; empty takes the one on this data folder,
            and starts it for as long as the client is open when there is none.

    Raises:
        ToolFailed: the service could not be started; the message says where its log is.
    """
    if server:
        with Heartwood(server, token) as client:
            yield client
        return
    address = running_address(settings)
    if address:
        with Heartwood(address, local_token(settings)) as client:
            yield client
        return
    with started(settings) as address, Heartwood(address, local_token(settings)) as client:
        yield client


@contextmanager
def started(settings: Settings) -> Iterator[str]:
    """Run ``heartwood up`` in a child process on a free port; yield its address, and stop it after."""
    log = settings.root / "logs" / "service.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "HEARTWOOD_DATA_DIR": str(settings.root), "HEARTWOOD_LISTEN": "127.0.0.1:0"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli", "up"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C stops the client, which then stops the service in order
        )
    try:
        yield _wait(process, settings, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], settings: Settings, log: Path) -> str:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        address = running_address(settings)
        if address:
            return address
        if process.poll() is not None:
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
            raise ToolFailed(f"the service did not start: {last[0]} (see {log})")
        time.sleep(0.1)
    raise ToolFailed(f"the service was not ready after {START_TIMEOUT_S:.0f} s (see {log})")
