"""A client of a running service: the one at ``--server``, the one on this machine, or one started for the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.cli.arguments import read_file
from orchestrator.cli.terminal import progress_bar
from orchestrator.client.client import Heartwood
from orchestrator.errors import FailedPrecondition, ToolFailed
from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2
from orchestrator.settings import Settings

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.1


@contextmanager
def connect(settings: Settings, server: str = "", token: str = "") -> Iterator[Heartwood]:
    """Open a client.

    Args:
        server: host:port of the service to call with ``token``. Empty selects the service that uses this machine's
            data folder. If none runs, one is started and stopped again when the client closes.

    Raises:
        ToolFailed: the service did not start. The message names its log file.
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
    with _temporary_service(settings) as address, Heartwood(address, local_token(settings)) as client:
        yield client


def running_address(settings: Settings) -> str:
    """Return host:port of the service that uses the data folder, or "" if none runs."""
    try:
        service = json.loads(settings.service_file.read_text())
        os.kill(service["pid"], 0)
    except (OSError, ValueError, KeyError):
        return ""
    return str(service["address"])


def local_token(settings: Settings) -> str:
    """Return the token of the tenant ``local``, which the service creates when it starts.

    Raises:
        FailedPrecondition: the token cannot be read.
    """
    try:
        return settings.local_token_file.read_text().strip()
    except OSError as error:
        raise FailedPrecondition(
            f"cannot read the local token {settings.local_token_file}: {error.strerror}; restart the service as this "
            "user, or give --server and --token"
        ) from None


def upload(
    client: Heartwood,
    paths: Sequence[Path],
    kind: asset_pb2.AssetKind.ValueType = asset_pb2.ASSET_KIND_PHOTO,
) -> str:
    """Upload files as one upload, with a progress bar, and return its id."""
    upload_id = ""
    files = [(path, read_file(path)) for path in paths]
    with progress_bar() as bar:
        task = bar.add_task("upload", total=sum(len(data) for _, data in files), message="")
        for path, data in files:
            bar.update(task, message=path.name)
            asset = client.upload_bytes(
                data, path.name, upload_id=upload_id, kind=kind, on_sent=lambda size: bar.advance(task, size)
            )
            upload_id = asset.group_id
    return upload_id


def quality(preview: bool) -> job_pb2.Quality.ValueType:
    """Return the quality that ``--preview`` selects."""
    return job_pb2.QUALITY_PREVIEW if preview else job_pb2.QUALITY_FINAL


def follow(client: Heartwood, job_id: str, title: str) -> job_pb2.Job:
    """Show the progress of a job until it has succeeded, and return it. Ctrl-C cancels the job.

    Raises:
        ApiError: the job failed or was canceled.
    """
    with progress_bar() as bar:
        task = bar.add_task(title, total=1.0, message="queued")
        try:
            for job in client.watch(job_id):
                ahead = job.progress.queue_position
                message = f"queued, {ahead} ahead of it" if ahead else job.progress.message
                bar.update(task, completed=job.progress.fraction, message=message)
        except KeyboardInterrupt:
            client.cancel(job_id)
            raise
    return client.wait(job_id)


@contextmanager
def _temporary_service(settings: Settings) -> Iterator[str]:
    """Run ``heartwood up`` on a free port while the block runs; yield its address."""
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
            start_new_session=True,  # Ctrl-C reaches only the client, which then stops the service
        )
    try:
        yield _wait_until_ready(process, settings, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], settings: Settings, log: Path) -> str:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        address = running_address(settings)
        if address:
            return address
        if process.poll() is not None:
            last_line = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it wrote no output"]
            raise ToolFailed(f"the service exited with code {process.returncode}: {last_line[0]} (log file: {log})")
        time.sleep(POLL_INTERVAL_S)
    raise ToolFailed(f"the service was not ready after {START_TIMEOUT_S:.0f} s (log file: {log})")
