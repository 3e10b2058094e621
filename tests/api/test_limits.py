"""No caller takes the calls of all others: limits by tenant and by address, and idle uploads and watches end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from orchestrator.client.api_error import ApiError
from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for

TENANT_CALLS = 8
PEER_STREAMS = 4


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> Iterator[RunningService]:
    """A service with low limits, which runs one job at a time."""
    service = RunningService(
        tmp_path_factory.mktemp("limited"),
        triton_url,
        max_tenant_rpcs=TENANT_CALLS,
        max_peer_streams=PEER_STREAMS,
        upload_idle_s=1,
        max_connection_s=2,
        workers=1,
    )
    yield service
    assert service.stop() == 0, service.log.read_text()


def opened(streams: list[grpc.Call]) -> list[grpc.Call]:
    """Return the streams whose first message arrived; the others were refused as RESOURCE_EXHAUSTED."""
    accepted = []
    for stream in streams:
        try:
            next(stream)
            accepted.append(stream)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017
    return accepted


def test_streams_without_a_token_are_limited_by_address_and_lock_nobody_out(limited: RunningService) -> None:
    with grpc.insecure_channel(limited.address) as channel, limited.client() as client:
        health = health_pb2_grpc.HealthStub(channel)
        watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(300)]
        assert len(opened(watches)) == PEER_STREAMS
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        with pytest.raises(grpc.RpcError) as refused:
            next(reflection.ServerReflectionInfo(requests))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        assert list(client.jobs()) == []
        for watch in watches:
            watch.cancel()
        one_more = health.Watch(health_pb2.HealthCheckRequest())
        assert next(one_more).status == health_pb2.HealthCheckResponse.SERVING
        one_more.cancel()


def test_the_watches_of_one_tenant_do_not_lock_out_another_and_say_when_to_retry(limited: RunningService) -> None:
    with limited.client("greedy") as greedy, limited.client("modest") as modest:
        upload = greedy.upload_bytes(jpeg(wood_photo(2000, 1500)), "board.jpg").group_id
        job = greedy.stain(upload, stain="walnut")
        request = job_pb2.WatchJobRequest(job_id=job.id)
        watches = [greedy._jobs.WatchJob(request, metadata=greedy._metadata) for _ in range(TENANT_CALLS * 4)]
        refused = []
        for watch in watches:
            try:
                next(watch)
            except grpc.RpcError as error:
                refused.append(error)
        assert len(refused) >= TENANT_CALLS  # the others may have ended with the job
        details = rpc_status.from_call(refused[0]).details
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert any(detail.Unpack(info) for detail in details)
        assert any(detail.Unpack(retry) for detail in details)
        assert info.reason == "RESOURCE_EXHAUSTED"
        assert retry.retry_delay.seconds > 0
        assert list(modest.jobs()) == []
        for watch in watches:
            watch.cancel()
        greedy.wait(job.id)


def test_one_watch_shows_all_jobs_of_a_tenant_and_none_of_others(limited: RunningService) -> None:
    with limited.client("many") as client, limited.client("other") as other:
        upload = client.upload_bytes(jpeg(wood_photo()), "board.jpg").group_id
        foreign = other.stain(other.upload_bytes(jpeg(wood_photo()), "board.jpg").group_id, stain="walnut").id
        ids = {client.stain(upload, stain=stain, labels={"order": "7"}).id for stain in ("walnut", "cherry", "ebony")}
        ended: set[str] = set()
        for job in client.watch_jobs(labels={"order": "7"}):
            assert job.id != foreign
            if job.state == job_pb2.JOB_STATE_SUCCEEDED:
                ended.add(job.id)
            if ended == ids:
                break
        unlabelled = client.watch_jobs(labels={"order": "8"})
        first: list[job_pb2.Job] = []

        def read() -> None:
            with suppress(ApiError):  # the client is closed while it waits
                first.append(next(unlabelled))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(1.5)
        assert not first


def test_an_upload_that_pauses_is_ended(limited: RunningService) -> None:
    def stalled() -> Iterator[asset_pb2.UploadAssetRequest]:
        yield asset_pb2.UploadAssetRequest(header=asset_pb2.UploadAssetRequest.Header(filename="a.jpg"))
        time.sleep(20)

    with limited.client() as client:
        started = time.monotonic()
        with pytest.raises(ApiError, match="did not arrive within 1 s") as ended:
            client._call(client._assets.UploadAsset, stalled())
        assert ended.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - started < 10


def test_uploads_that_are_canceled_at_any_moment_leave_no_file(limited: RunningService) -> None:
    request = asset_pb2.UploadAssetRequest

    def unfinished(is_over: threading.Event) -> Iterator[asset_pb2.UploadAssetRequest]:
        yield request(header=request.Header(filename="a.jpg"))
        yield request(chunk=request.Chunk(offset=0, data=b"x"))
        is_over.wait(5)

    with limited.client("fickle") as client:
        for round in range(40):
            is_over = threading.Event()
            uploads = [
                client._assets.UploadAsset.future(unfinished(is_over), metadata=client._metadata) for _ in range(6)
            ]
            time.sleep(0.001 * round)
            for upload in uploads:
                upload.cancel()
            is_over.set()
    wait_for(lambda: not list((limited.data_dir / "uploads").iterdir()), 10)


def test_a_client_watches_a_job_across_connections(limited: RunningService) -> None:
    """The service closes connections after 2 s; this job takes longer."""
    with limited.client("patient") as client:
        photos = [jpeg(wood_photo(1800, 1400, seed=seed)) for seed in range(3)]
        upload = ""
        for photo in photos:
            upload = client.upload_bytes(photo, "board.jpg", upload_id=upload).group_id
        assert client.wait(client.stain(upload, stain="walnut").id).state == job_pb2.JOB_STATE_SUCCEEDED


def test_reflection_can_be_switched_off(tmp_path: Path, triton_url: str) -> None:
    service = RunningService(tmp_path, triton_url, reflection="false")
    with grpc.insecure_channel(service.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        with pytest.raises(grpc.RpcError) as refused:
            next(stub.ServerReflectionInfo(requests))
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert service.stop() == 0
