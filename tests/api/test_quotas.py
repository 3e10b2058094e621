"""Quotas of a tenant: each refuses what exceeds it, says which one, and affects no other tenant."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from orchestrator.client.api_error import ApiError
from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2, job_pb2_grpc, segment_pb2
from orchestrator.store.database import open_database
from orchestrator.store.tenant_records import TenantRecords
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for
from tests.support.vision_endpoint import KEY, LEG, Endpoint, completion

PHOTO = jpeg(wood_photo())
FOLLOW_S = 5.0
"""A replica remembers quotas for 2 s."""


@dataclass
class Metered:
    """A service with a paid detector, of which one photo costs 0.002 USD, and the operator's access to its quotas."""

    service: RunningService
    tenants: TenantRecords
    endpoint: Endpoint


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> Iterator[Metered]:
    endpoint = Endpoint()
    endpoint.answers = [completion(json.dumps({"components": [LEG]}))]
    settings = {
        "openai_base_url": endpoint.settings.base_url,
        "openai_api_key": KEY,
        "openai_usd_per_million_input": 1.0,
        "openai_usd_per_million_output": 10.0,
    }
    service = RunningService(tmp_path_factory.mktemp("metered"), triton_url, **settings, workers=1)
    engine = open_database("", service.data_dir / "heartwood.sqlite")
    yield Metered(service, TenantRecords(engine), endpoint)
    engine.dispose()
    assert service.stop() == 0, service.log.read_text()
    endpoint.server.shutdown()
    endpoint.server.server_close()


def facts(error: Exception | None) -> tuple[str, str, bool]:
    """Return the reason, the quota, and whether a RetryInfo says when to try again."""
    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = rpc_status.from_call(error).details
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert any(detail.Unpack(info) for detail in details)
    return info.reason, info.metadata["quota"], any(detail.Unpack(retry) for detail in details)


def refusal(call: Any, *arguments: Any, **options: Any) -> ApiError | None:
    try:
        call(*arguments, **options)
    except ApiError as error:
        return error
    return None


def test_a_tenant_that_calls_too_often_is_slowed_down_alone_and_without_a_restart(metered: Metered) -> None:
    with metered.service.client("hasty") as hasty, metered.service.client("calm") as calm:
        assert all(refusal(hasty.stains) is None for _ in range(20))
        metered.tenants.set_quotas("hasty", {"requests_per_s": 1.0})
        error = wait_for(lambda: refusal_without_retries(metered, "hasty"), FOLLOW_S)
        assert "more than 1 calls per second" in error.details()
        assert facts(error) == ("RESOURCE_EXHAUSTED", "requests_per_s", True)
        assert refusal(calm.stains) is None
        metered.tenants.set_quotas("hasty", {"requests_per_s": None})
        wait_for(lambda: all(refusal(hasty.stains) is None for _ in range(20)), FOLLOW_S)


def refusal_without_retries(metered: Metered, tenant: str) -> grpc.RpcError | None:
    """Call the service without the retries of the client, and return its refusal, if any."""
    metadata = (("authorization", f"Bearer {metered.service.token(tenant)}"),)
    with grpc.insecure_channel(metered.service.address, [("grpc.enable_retries", 0)]) as channel:
        try:
            job_pb2_grpc.JobServiceStub(channel).ListStains(job_pb2.ListStainsRequest(), metadata=metadata)
        except grpc.RpcError as error:
            return error
    return None


def test_the_client_waits_when_it_calls_too_often(metered: Metered) -> None:
    with metered.service.client("patient") as patient:
        asset = patient.upload_bytes(PHOTO, "one.jpg")
        metered.tenants.set_quotas("patient", {"requests_per_s": 2.0})
        wait_for(lambda: refusal_without_retries(metered, "patient"), FOLLOW_S)
        started = time.monotonic()
        for _ in range(4):
            assert patient.stains()
            assert b"".join(patient.read(asset)) == PHOTO
        assert time.monotonic() - started > 2  # 8 calls at 2 per second, of which a pause permits up to 4 at once


def test_uploads_and_jobs_beyond_the_storage_are_refused_until_files_are_deleted(metered: Metered) -> None:
    size_gb = len(PHOTO) / 1e9
    metered.tenants.set_quotas("collector", {"stored_gb": 1.5 * size_gb})
    with metered.service.client("collector") as client:
        asset = client.upload_bytes(PHOTO, "one.jpg")
        error = refusal(client.upload_bytes, PHOTO, "two.jpg")
        assert error is not None
        assert error.reason == "QUOTA_EXCEEDED"
        assert "delete files or jobs" in error.message
        assert len(list(client.list_assets())) == 1
        metered.tenants.set_quotas("collector", {"stored_gb": 0.5 * size_gb})
        error = wait_for(lambda: refusal(client.stain, asset.group_id, stain="walnut"), FOLLOW_S)
        assert facts(error.__context__) == ("QUOTA_EXCEEDED", "stored_gb", False)
        metered.tenants.set_quotas("collector", {"stored_gb": None})
        wait_for(lambda: refusal(client.upload_bytes, PHOTO, "two.jpg") is None, FOLLOW_S)


def test_the_uploads_of_a_tenant_that_run_at_a_time_are_limited(metered: Metered) -> None:
    end = threading.Event()

    def unfinished() -> Iterator[asset_pb2.UploadAssetRequest]:
        yield asset_pb2.UploadAssetRequest(header=asset_pb2.UploadAssetRequest.Header(filename="a.jpg"))
        end.wait(20)

    with metered.service.client("parallel") as client, metered.service.client("calm") as calm:
        calls = [client._assets.UploadAsset.future(unfinished(), metadata=client._metadata) for _ in range(2)]
        client.upload_bytes(PHOTO, "a.jpg")  # the service has received the unfinished uploads when this one ends
        metered.tenants.set_quotas("parallel", {"uploads": 2})
        error = wait_for(lambda: refusal(client.upload_bytes, PHOTO, "b.jpg"), FOLLOW_S)
        assert facts(error.__context__) == ("RESOURCE_EXHAUSTED", "uploads", True)
        assert calm.upload_bytes(PHOTO, "b.jpg").id
        end.set()
        for running in calls:
            running.cancel()
        wait_for(lambda: refusal(client.upload_bytes, PHOTO, "b.jpg") is None, FOLLOW_S)


def test_a_spent_budget_stops_a_job_between_photos_and_refuses_the_next_one(metered: Metered) -> None:
    options = segment_pb2.SegmentOptions(detector=segment_pb2.DETECTOR_KIND_OPENAI)
    metered.tenants.set_quotas("buyer", {"detector_usd": 0.003})
    with metered.service.client("buyer") as client:
        upload = ""
        for seed in range(4):
            upload = client.upload_bytes(jpeg(wood_photo(seed=seed)), f"{seed}.jpg", upload_id=upload).group_id
        job = client.wait(client.segment(upload, options=options).id)
        assert len(job.segment.photos) == 2
        assert [failure.photo for failure in job.photo_failures] == [2, 3]
        assert "spent 0.00 USD of 0.003 USD" in job.photo_failures[0].error.message
        assert len(metered.endpoint.calls) == 2
        client.delete_job(job.id)  # which does not return the money
        error = refusal(client.segment, upload, options=options)
        assert error is not None
        assert facts(error.__context__) == ("QUOTA_EXCEEDED", "detector_usd", False)
        assert client.wait(client.segment(upload).id).state == job_pb2.JOB_STATE_SUCCEEDED
        used = client.usage()
        assert used.usage.detector_usd == pytest.approx(0.004)
        assert used.quotas.detector_usd == pytest.approx(0.003)


def test_an_answer_that_cannot_be_used_is_charged_too(metered: Metered) -> None:
    before = len(metered.endpoint.calls)
    metered.endpoint.answers = [completion(None, refusal="I cannot help with that")]
    with metered.service.client("refused") as client:
        upload = client.upload_bytes(jpeg(wood_photo(seed=9)), "a.jpg").group_id
        options = segment_pb2.SegmentOptions(detector=segment_pb2.DETECTOR_KIND_OPENAI)
        with pytest.raises(ApiError, match="refused to answer"):
            client.wait(client.segment(upload, options=options).id)
        assert len(metered.endpoint.calls) == before + 1
        assert client.usage().usage.detector_usd == pytest.approx(0.002)


def test_a_tenant_sees_its_quotas_and_what_it_uses(metered: Metered) -> None:
    metered.tenants.set_quotas("viewer", {"weight": 2.5, "running_jobs": 3})
    with metered.service.client("viewer") as client:
        stored = client.upload_bytes(PHOTO, "a.jpg").size_bytes
        usage = client.usage()
    assert (usage.tenant, usage.quotas.weight, usage.quotas.running_jobs) == ("viewer", 2.5, 3)
    assert usage.usage.stored_bytes == stored
    assert usage.quotas.active_jobs == 1000
