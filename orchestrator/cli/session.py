"""Opens a client of the service at ``--server``, on this machine, or started for the command; runs jobs with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from orchestrator.cli.arguments import read_file
from orchestrator.cli.commands import COMMANDS
from orchestrator.cli.results import save
from orchestrator.cli.terminal import console, print_saved, progress_bar
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
    with ExitStack() as stack:
        if not server:
            server = running_address(settings) or stack.enter_context(_temporary_service(settings))
            token = local_token(settings)
        yield stack.enter_context(Heartwood(server, token))


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

    Raises FailedPrecondition if the token cannot be read.
    """
    try:
        return settings.local_token_file.read_text().strip()
    except OSError as error:
        problem = f"cannot read the local token {settings.local_token_file}: {error.strerror}"
        remedy = "restart the service as this user, or give --server and --token"
        raise FailedPrecondition(f"{problem}; {remedy}") from None


def run_stage(
    client: Heartwood, stage: str, files: Sequence[Path], options: Message, out: Path, *, preview: bool = False
) -> None:
    """Run one stage on files, save its result in ``out``, and print the table of its command."""
    result = run_job(client, stage, files, options, preview=preview)
    save(client, result, out)
    console.print(COMMANDS[stage].module().table(result))
    print_saved(out)


def run_job(client: Heartwood, command: str, files: Sequence[Path], options: Message, *, preview: bool) -> Any:
    """Upload files, create a job with the client's method ``command``, follow it, and return its result.

    The files are 3D models if the options have the field ``model_id``, otherwise photos.
    """
    is_mesh = "model_id" in options.DESCRIPTOR.fields_by_name
    kind = asset_pb2.ASSET_KIND_MODEL if is_mesh else asset_pb2.ASSET_KIND_PHOTO
    contents = [(path.name, read_file(path)) for path in files]
    upload_id = ""
    with progress_bar() as bar:
        task = bar.add_task("upload", total=sum(len(data) for _, data in contents), message="")
        for name, data in contents:
            bar.update(task, message=name)
            asset = client.upload_bytes(data, name, upload_id=upload_id, kind=kind, on_sent=partial(bar.advance, task))
            upload_id = asset.group_id
    quality = job_pb2.QUALITY_PREVIEW if preview else job_pb2.QUALITY_FINAL
    job = follow(client, getattr(client, command)(upload_id, options=options, quality=quality).id, command)
    return getattr(job, job.WhichOneof("result") or "")


def follow(client: Heartwood, job_id: str, title: str) -> job_pb2.Job:
    """Show the progress of a job until it has succeeded, and return it. Ctrl-C cancels the job.

    Raises ApiError if the job failed or was canceled.
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
    command = [sys.executable, "-m", "orchestrator.cli", "up"]
    with log.open("ab") as output:
        # In its own session, so that Ctrl-C reaches only the client, which then stops the service.
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
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
        if address := running_address(settings):
            return address
        if process.poll() is not None:
            last_line = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it wrote no output"]
            raise ToolFailed(f"the service exited with code {process.returncode}: {last_line[0]} (log file: {log})")
        time.sleep(POLL_INTERVAL_S)
    raise ToolFailed(f"the service was not ready after {START_TIMEOUT_S:.0f} s (log file: {log})")
