"""Messages that cannot be decoded or stored are refused like other invalid requests, by every RPC."""

from __future__ import annotations

import base64

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from orchestrator.client.api_error import ApiError
from orchestrator.protocol.heartwood.v1 import job_pb2, segment_pb2
from tests.benchmarks.fuzzing.calls import all_methods, call
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService

GARBAGE = b"\0"
"""A field with the number 0, which does not exist."""


@pytest.mark.parametrize("method", list(all_methods()), ids=lambda method: method.full_name)
def test_a_message_that_cannot_be_decoded_is_an_invalid_request(
    service: RunningService, method: MethodDescriptor
) -> None:
    with grpc.insecure_channel(service.address) as channel:
        reply = call(channel, method, service.token("local"), [GARBAGE])
    assert reply.code is grpc.StatusCode.INVALID_ARGUMENT
    error = ApiError.from_status(reply.status)
    assert (error.field, error.reason) == ("request", "INVALID_INPUT")
    assert not service.events("rpc_failed")
    assert "Traceback" not in service.log.read_text()


def test_a_text_with_a_nul_character_is_an_invalid_value_of_its_field(service: RunningService) -> None:
    prompts = [segment_pb2.Prompt(name="leg"), segment_pb2.Prompt(name="l\0")]
    options = segment_pb2.SegmentOptions(prompts=prompts, part_names=["seat", "\0"])
    spec = job_pb2.JobSpec(upload_id="a\0", segment=options, labels={"order\0": "7"})
    with service.client() as client, pytest.raises(ApiError) as refused:
        client._call(client._jobs.CreateJob, job_pb2.CreateJobRequest(spec=spec))
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.partition(":")[0] for violation in refused.value.violations] == [
        "spec.upload_id",
        "spec.segment.prompts[1].name",
        "spec.segment.part_names[1]",
        "spec.labels",
    ]
    with service.client() as client, pytest.raises(ApiError, match=r"header\.filename: it contains a NUL"):
        client.upload_bytes(jpeg(wood_photo()), "a\0.jpg")


@pytest.mark.parametrize("key", [r'["2026-01-01T00:00:00Z", "\u0000"]', r'["2026-01-01T00:00:00Z", "\ud800"]'])
def test_a_page_token_with_a_character_that_cannot_be_stored_is_refused(service: RunningService, key: str) -> None:
    token = base64.urlsafe_b64encode(key.encode()).decode()
    with service.client() as client, pytest.raises(ApiError) as refused:
        client._call(client._jobs.ListJobs, job_pb2.ListJobsRequest(page_token=token))
    assert refused.value.field == "page_token"


def test_a_large_request_is_refused_before_it_is_decoded(service: RunningService) -> None:
    options = segment_pb2.SegmentOptions(part_names=[""] * 1_900_000)  # 3.8 MB; decoding and checking takes seconds
    request = job_pb2.CreateJobRequest(spec=job_pb2.JobSpec(upload_id="a", segment=options))
    with service.client() as client, pytest.raises(ApiError, match="bytes; at most 262144 are allowed") as refused:
        client._call(client._jobs.CreateJob, request)
    assert (refused.value.code, refused.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, "request")
