"""Connects to the running service or starts one for the command, runs jobs, and saves their results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table

from orchestrator.cli.terminal import console, file_size, print_saved, print_warning, progress_bar
from orchestrator.client.client import Heartwood
from orchestrator.client.uploads import read_file
from orchestrator.domain.file_names import folder_name
from orchestrator.errors import FailedPrecondition, InvalidInput, ToolFailed
from orchestrator.protocol.heartwood.v1.asset_pb2 import ASSET_KIND_MODEL, ASSET_KIND_PHOTO, Asset
from orchestrator.protocol.heartwood.v1.job_pb2 import JOB_STATE_SUCCEEDED, QUALITY_FINAL, QUALITY_PREVIEW, Job
from orchestrator.settings import Settings
from orchestrator.tools.parent_death import die_with_parent

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.1
JOB_FILE = "job.json"
"""File with the id of the job in the folder of a segment result."""


@contextmanager
def connect(settings: Settings, server: str = "", token: str = "") -> Iterator[Heartwood]:
    """Open a client of the service at ``server`` (host:port).

    If ``server`` is empty, the client connects to the service that uses this machine's data folder. If no service runs,
    this function starts one, and stops it when the client closes. Raises ToolFailed if the service does not start.
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
    """Return the token of the tenant ``local``. Raises FailedPrecondition if it cannot be read."""
    try:
        return settings.local_token_file.read_text().strip()
    except OSError as error:
        problem = f"cannot read the local token {settings.local_token_file}: {error.strerror}"
        remedy = "restart the service as this user, or give --server and --token"
        raise FailedPrecondition(f"{problem}; {remedy}") from None


@contextmanager
def _temporary_service(settings: Settings) -> Iterator[str]:
    """Run ``heartwood up`` on a free port while the block runs; yield its address."""
    log = settings.root / "logs" / "service.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "HEARTWOOD_DATA_DIR": str(settings.root), "HEARTWOOD_LISTEN": "127.0.0.1:0"}
    command = [*die_with_parent("TERM"), sys.executable, "-m", "orchestrator.cli", "up"]
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
            lines = log.read_text(errors="replace").strip().splitlines()
            last_line = lines[-1] if lines else "it wrote no output"
            raise ToolFailed(f"the service exited with code {process.returncode}: {last_line} (log file: {log})")
        time.sleep(POLL_INTERVAL_S)
    raise ToolFailed(f"the service was not ready after {START_TIMEOUT_S:.0f} s (log file: {log})")


def run_stage(
    client: Heartwood, stage: str, files: Sequence[Path], options: Message, out: Path, *, preview: bool = False
) -> Job:
    """Run one stage on files, save its result in ``out``, print its table, and return the job."""
    job = run_job(client, stage, files, options, preview=preview)
    result = getattr(job, stage)
    save(client, result, out)
    console.print(stage_table(stage, result))
    print_saved(out)
    return job


def run_job(client: Heartwood, command: str, files: Sequence[Path], options: Message, *, preview: bool) -> Job:
    """Upload files, create a job with the client's method ``command``, and follow it until it has succeeded.

    The files are 3D models if the options have the field ``model_id``, otherwise photos.
    """
    kind = ASSET_KIND_MODEL if "model_id" in options.DESCRIPTOR.fields_by_name else ASSET_KIND_PHOTO
    contents = [(path.name, read_file(path)) for path in files]
    upload_id = ""
    with progress_bar() as bar:
        task = bar.add_task("upload", total=sum(len(data) for _, data in contents), message="")
        for name, data in contents:
            bar.update(task, message=name)
            asset = client.upload_bytes(data, name, upload_id=upload_id, kind=kind, on_sent=partial(bar.advance, task))
            upload_id = asset.group_id
    quality = QUALITY_PREVIEW if preview else QUALITY_FINAL
    return follow(client, getattr(client, command)(upload_id, options=options, quality=quality).id, command)


def follow(client: Heartwood, job_id: str, title: str) -> Job:
    """Show the progress of a job, and the photos that it left out, and return it. Ctrl-C cancels the job.

    Raises ApiError if the job does not succeed.
    """
    job = None
    with progress_bar() as bar:
        task = bar.add_task(title, total=1.0, message="queued")
        try:
            for job in client.watch(job_id):
                ahead = job.progress.queue_position
                message = f"queued, jobs ahead: {ahead}" if ahead else job.progress.message
                bar.update(task, completed=job.progress.fraction, message=message)
        except KeyboardInterrupt:
            client.cancel(job_id)
            raise
    failures = job.photo_failures if job else ()
    if job and (job.state == JOB_STATE_SUCCEEDED or len(failures) > 1):  # otherwise the error of the job says the same
        for failure in failures:
            print_warning(f"photo {failure.photo + 1} ({failure.name}) was left out: {failure.error.message}")
    return client.wait(job_id)


def stage_table(stage: str, result: Message) -> Any:
    """Return the result of a stage as a table, made by the function ``table`` in the CLI module of the stage."""
    return import_module(f"orchestrator.cli.{stage}").table(result)


def save(client: Heartwood, result: Message, folder: Path) -> None:
    """Download every file of a result into ``folder``.

    The files of several photos go into subfolders with the names of the photos, frames into ``frames``.
    """
    for asset, target in _files(result, folder):
        client.download(asset, target / PurePosixPath(asset.name).name)


def write_job_file(job: Job, folder: Path) -> None:
    """Write the id of a job next to its segment result, for ``read_job_file``."""
    (folder / JOB_FILE).write_text(json.dumps({"id": job.id}) + "\n", encoding="utf-8")


def read_job_file(folder: Path) -> str:
    """Return the id of the job whose results are in a folder. Raises InvalidInput."""
    try:
        return str(json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        remedy = "name a result folder of `heartwood segment`, or give --segment-job"
        raise InvalidInput(str(folder), f"there is no {JOB_FILE} with the id of a job; {remedy}") from None


def photo_folder(asset: Asset, folder: Path, *, several_photos: bool) -> Path:
    """Return the folder for a result of one photo: with the name of the photo if there are several photos."""
    return folder / folder_name(PurePosixPath(asset.name).parent.name) if several_photos else folder


def add_files(table: Table, assets: Iterable[Asset]) -> None:
    """Add a row with name and size for each asset. Skips assets without an id, which are unset fields of a result."""
    for asset in assets:
        if asset.id:
            table.add_row(PurePosixPath(asset.name).name, file_size(asset.size_bytes))


def _files(message: Message, folder: Path, *, several_photos: bool = False) -> Iterator[tuple[Asset, Path]]:
    """Yield every asset in ``message`` with its target folder, in the order of the fields."""
    for field, value in message.ListFields():
        items: Any = value if field.is_repeated else [value]
        for item in items:
            if isinstance(item, Asset) and item.id:
                of_photo = photo_folder(item, folder, several_photos=several_photos)
                yield item, folder / "frames" if field.name == "frames" else of_photo
            elif isinstance(item, Message):
                several = several_photos or (field.name == "photos" and len(items) > 1)
                yield from _files(item, folder, several_photos=several)


def format_time(time: Timestamp) -> str:
    """Format a time in UTC, such as "2026-11-28 21:44:32"."""
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
