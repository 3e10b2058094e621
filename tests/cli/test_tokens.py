"""Tokens: scopes, expiry, rotation and revocation, without a restart of the service."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.domain.tokens import Scope, hash_of
from orchestrator.protocol.heartwood.v1 import job_pb2, job_pb2_grpc
from orchestrator.store.database import open_database
from orchestrator.store.token_records import TokenRecords
from tests.support.cli import Cli
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for

GRACE_S = 4.0
"""A replica remembers a token for 2 s."""


@pytest.fixture
def tokens(service: RunningService) -> Iterator[TokenRecords]:
    engine = open_database("", service.data_dir / "heartwood.sqlite")
    yield TokenRecords(engine)
    engine.dispose()


def refusal(service: RunningService, token: str) -> grpc.StatusCode | None:
    """The status with which the service refuses a token, or None."""
    with Heartwood(service.address, token) as client:
        try:
            list(client.jobs())
        except ApiError as error:
            return error.code
    return None


def test_a_revoked_token_is_refused_within_seconds(service: RunningService, tokens: TokenRecords) -> None:
    secret, token = tokens.create("shop", {Scope.JOBS})
    assert refusal(service, secret) is None
    tokens.revoke(token.id)
    wait_for(lambda: refusal(service, secret) is grpc.StatusCode.UNAUTHENTICATED, GRACE_S)


def test_a_stream_ends_when_its_token_is_revoked(service: RunningService, tokens: TokenRecords) -> None:
    secret, token = tokens.create("shop", {Scope.JOBS})
    with Heartwood(service.address, secret) as client, grpc.insecure_channel(service.address) as channel:
        client.segment(client.upload_bytes(jpeg(wood_photo()), "board.jpg").group_id)
        watch_jobs = job_pb2_grpc.JobServiceStub(channel).WatchJobs
        metadata = [("authorization", f"Bearer {secret}")]
        watch = watch_jobs(job_pb2.WatchJobsRequest(), metadata=metadata, timeout=60)
        next(watch)  # the stream has begun
        tokens.revoke(token.id)
        revoke_time = time.monotonic()
        with pytest.raises(grpc.RpcError) as ended:
            list(watch)
        assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert time.monotonic() - revoke_time < 10  # two intervals of 2 s, on a busy machine


def test_an_expired_token_is_refused(service: RunningService, tokens: TokenRecords) -> None:
    secret, _ = tokens.create("shop", {Scope.JOBS}, timedelta(seconds=1))
    assert refusal(service, secret) is None
    wait_for(lambda: refusal(service, secret) is grpc.StatusCode.UNAUTHENTICATED, GRACE_S)


def test_rotation_keeps_both_tokens_for_the_overlap(service: RunningService, tokens: TokenRecords) -> None:
    old_secret, old = tokens.create("shop", {Scope.JOBS})
    new_secret, new = tokens.rotate(old.id, overlap=timedelta(seconds=2))
    assert (new.tenant, new.scopes, new.expire_time) == (old.tenant, old.scopes, None)
    assert refusal(service, old_secret) is refusal(service, new_secret) is None
    wait_for(lambda: refusal(service, old_secret) is grpc.StatusCode.UNAUTHENTICATED, GRACE_S)
    assert refusal(service, new_secret) is None


def test_a_call_beyond_the_scopes_is_denied_and_names_the_scope(service: RunningService, tokens: TokenRecords) -> None:
    jobs_only, _ = tokens.create("shop", {Scope.JOBS})
    models_only, _ = tokens.create("shop", {Scope.MODELS})
    with Heartwood(service.address, jobs_only) as client:
        with pytest.raises(ApiError, match="'models:admin'") as denied:
            client.models.list()
        assert denied.value.code is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(ApiError, match="'jobs:high'"):
            client.stain("any", stain="walnut", priority=job_pb2.PRIORITY_HIGH)
    with Heartwood(service.address, models_only) as client:
        assert client.models.list()
        with pytest.raises(ApiError, match="'jobs'"):
            list(client.jobs())


def test_the_command_line_manages_tokens(service: RunningService, cli: Cli) -> None:
    data = {"HEARTWOOD_DATA_DIR": str(service.data_dir)}
    secret = cli("token", "create", "cli-shop", "--scopes", "jobs,jobs:high", "--expires", "90d", **data).output
    assert refusal(service, secret) is None
    listed = cli("token", "list", "--tenant", "cli-shop", **data).output
    assert "jobs, jobs:high" in listed
    assert "expires" in listed
    assert secret not in listed
    id = listed.split("state")[1].split()[0]
    assert "revoked" in cli("token", "revoke", id, **data).output
    assert "is not valid any more" in cli("token", "rotate", id, **data).errors
    wait_for(lambda: refusal(service, secret) is grpc.StatusCode.UNAUTHENTICATED, GRACE_S)


@pytest.mark.parametrize(
    "arguments",
    [("create", "../x"), ("create", "shop", "--scopes", "all"), ("create", "shop", "--expires", "soon"),
     ("create", "shop", "--scopes", ","), ("revoke", "nobody")],
)  # fmt: skip
def test_invalid_arguments_create_no_token(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli("token", *arguments).exit_code != 0
    assert cli("token", "list").output == "token tenant scopes created state"


def test_tokens_of_version_0_1_0_are_imported(tmp_path: Path, triton_url: str) -> None:
    tmp_path.joinpath("tokens.json").write_text(json.dumps({hash_of("hw_old"): "shop", hash_of("hw_mine"): "local"}))
    tmp_path.joinpath("local_token").write_text("hw_mine")
    service = RunningService(tmp_path, triton_url)
    assert refusal(service, "hw_old") is None
    with Heartwood(service.address, "hw_mine") as local:
        assert local.models.list()
    assert not (tmp_path / "tokens.json").exists()
    assert service.stop() == 0
