"""A backup that is made while jobs run restores finished jobs with their files, and the others continue."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.client.client import Heartwood
from orchestrator.domain.webhooks import DeliveryState
from orchestrator.protocol.heartwood.v1 import job_pb2
from orchestrator.settings import Settings
from orchestrator.store.database import create_engine
from orchestrator.store.schema import IS_ACTIVE, jobs, webhook_deliveries
from tests.support.cli import run_in_process
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for
from tests.support.stores import settings_of

ACTIVE = {job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_RUNNING}
MAX_ACTIVE = 4
"""Unfinished jobs of the load. There are always some, and few that must end after the restore."""


class Receiver(BaseHTTPRequestHandler):
    """Records the ids of webhooks."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.ids.append(self.headers["webhook-id"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Suppress the log of requests."""


@pytest.fixture
def receiver() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.ids = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def start(stores: dict[str, str], triton_url: str) -> RunningService:
    settings = {name.removeprefix("HEARTWOOD_").lower(): value for name, value in stores.items()}
    folder = Path(settings.pop("data_dir"))
    return RunningService(folder, triton_url, **settings, webhook_allow='["127.0.0.0/8"]')


class Load:
    """Keeps ``MAX_ACTIVE`` preview jobs unfinished, on new photos, and deletes most of those that have ended."""

    def __init__(self, client: Heartwood, webhook_url: str) -> None:
        self.client, self.webhook_url = client, webhook_url
        self.created: list[str] = []
        self.deleted: set[str] = set()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.stopping.wait(0.05):
            jobs = list(self.client.jobs())
            ended = [job.id for job in jobs if job.state not in ACTIVE]
            for id in ended[2:]:
                self.client.delete_job(id)
                self.deleted.add(id)
            if len(jobs) - len(ended) >= MAX_ACTIVE:
                continue
            seed = len(self.created)
            upload = self.client.upload_bytes(jpeg(wood_photo(160, 120, seed)), "board.jpg").group_id
            settings = {"quality": job_pb2.QUALITY_PREVIEW, "webhook_url": self.webhook_url}
            self.created.append(self.client.segment(upload, **settings).id)

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()


def test_a_backup_under_load_restores_every_job_and_file(
    tmp_path: Path, triton_url: str, new_stores: Callable[[str], dict[str, str]], receiver: ThreadingHTTPServer
) -> None:
    before, after, backups = new_stores("before"), new_stores("after"), tmp_path / "backups"
    service = start(before, triton_url)
    token = service.token("shop")
    with Heartwood(service.address, token) as client:
        load = Load(client, f"http://127.0.0.1:{receiver.server_port}/")
        try:
            wait_for(lambda: load.deleted and receiver.ids, 60)
            result = run_in_process("backup", "create", backups, **before)
            assert result.exit_code == 0, result.stderr
            at_backup = set(load.created)
            result = run_in_process("restore", backups, "--replace", **before)
            assert result.exit_code == 1
            assert "uses the" in result.stderr
            wait_for(lambda: len(load.created) > len(at_backup) + 2, 60)
        finally:
            load.stop()
    service.kill()

    result = run_in_process("restore", backups, **after)
    assert result.exit_code == 0, result.stderr
    active, finished, delivered = restored_state(settings_of(after))
    assert active, "the backup was not made under load"
    assert finished, "the load leaves the two newest finished jobs"
    assert active | finished <= at_backup
    receiver.ids.clear()
    service = start(after, triton_url)
    with Heartwood(service.address, token) as client:
        assert {job.id for job in client.jobs()} == active | finished
        for id in active | finished:
            assert client.wait(id).state == job_pb2.JOB_STATE_SUCCEEDED
        for asset in client.list_assets():
            assert hashlib.sha256(b"".join(client.read(asset))).hexdigest() == asset.sha256
        wait_for(lambda: len(set(receiver.ids)) >= len(active), 30)
    assert not delivered & set(receiver.ids), "webhooks were sent again"
    assert service.stop() == 0


def restored_state(settings: Settings) -> tuple[set[str], set[str], set[str]]:
    """Return the ids of the unfinished and finished jobs, and of the delivered webhooks."""
    engine = create_engine(settings.records_database_url)
    with engine.connect() as connection:
        active = set(connection.scalars(sa.select(jobs.c.id).where(IS_ACTIVE)))
        finished = set(connection.scalars(sa.select(jobs.c.id).where(~IS_ACTIVE)))
        is_delivered = webhook_deliveries.c.state == DeliveryState.DELIVERED.value
        delivered = set(connection.scalars(sa.select(webhook_deliveries.c.id).where(is_delivered)))
    engine.dispose()
    return active, finished, delivered
