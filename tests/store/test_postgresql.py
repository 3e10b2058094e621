"""A whole service on PostgreSQL: records and durable jobs, as several replicas would share them."""

from __future__ import annotations

from pathlib import Path

from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import job_pb2
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for


def test_a_job_on_postgresql_survives_a_killed_service(postgresql: str, tmp_path: Path, triton_url: str) -> None:
    service = RunningService(tmp_path, triton_url, database_url=postgresql, dbos_database_url=postgresql)
    with service.client() as client:
        upload = client.upload_bytes(jpeg(wood_photo(1600, 1200)), "board.jpg").group_id
        job_id = client.stain(upload, stain="walnut").id
        wait_for(lambda: service.events("step_started"), 60, 0.01)
        service.kill()
    service.start()
    with service.client() as client:
        job = client.wait(job_id)
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED
        assert [listed.id for listed in client.jobs()] == [job_id]
    assert not (tmp_path / "heartwood.sqlite").exists()
    assert service.stop() == 0


def test_a_token_of_one_replica_is_accepted_by_the_other(postgresql: str, tmp_path: Path, triton_url: str) -> None:
    stores = {"database_url": postgresql, "dbos_database_url": postgresql}
    replicas = [RunningService(tmp_path / name, triton_url, **stores) for name in ("first", "second")]
    token = replicas[0].token("shop")
    for replica in replicas:
        with Heartwood(replica.address, token) as client:
            list(client.jobs())
        assert replica.stop() == 0
