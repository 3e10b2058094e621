"""A model's version is replaced while requests go on: none fails, and a candidate that fails a check never serves."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

from orchestrator.cli.main import app
from orchestrator.client.client import ApiError, Heartwood
from orchestrator.domain.model_versions import ModelVersion, VersionState
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import job_pb2, model_pb2, stain_pb2
from tests.rollout.conftest import Replica
from tests.support import candidates
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for

MODEL = "intrinsic_decomposition"
OLD = candidates.newest(MODEL)
NEW = OLD + 1
SERVING, READY = model_pb2.MODEL_VERSION_STATE_SERVING, model_pb2.MODEL_VERSION_STATE_READY
FAILED, RETIRED = model_pb2.MODEL_VERSION_STATE_FAILED, model_pb2.MODEL_VERSION_STATE_RETIRED

BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "not finite": (lambda: candidates.not_finite(MODEL, "albedo"), "albedo is not finite"),
    "wrong shape": (lambda: candidates.wrong_shape(MODEL, "shading"), "shading has the shape"),
    "cut off": (lambda: candidates.same(MODEL, "albedo")[:50_000], "not a whole ONNX file"),
    "no ONNX": (lambda: b"a letter to the operator", "not a whole ONNX file"),
    "an output missing": (lambda: candidates.other_outputs(MODEL), "its outputs are albedo"),
    "unknown operator": (lambda: candidates.with_operator(MODEL, "albedo", "my.shop"), "domain 'my.shop'"),
    "weights elsewhere": (lambda: candidates.with_weights_elsewhere(MODEL, "../../token"), "lies in another file"),
}


def states(operator: Heartwood) -> dict[int, int]:
    return {one.version: one.state for one in operator.models.status(MODEL).versions}


def job(client: Heartwood, seed: int) -> job_pb2.Job:
    """The PBR maps of a small board whose colour stays as it is."""
    upload = client.upload_bytes(jpeg(wood_photo(320, 240, seed)), "board.jpg").group_id
    as_it_is = stain_pb2.StainOptions(strength=0.0)
    made = client.stain(upload, color="#808080", options=as_it_is, quality=job_pb2.QUALITY_PREVIEW)
    return client.wait(made.id)


def test_only_operators_see_and_change_the_models(service: RunningService) -> None:
    with service.client("shop") as shop:
        for call in (shop.models.list, lambda: shop.models.rollback(MODEL), lambda: shop.models.retire(MODEL, OLD)):
            with pytest.raises(ApiError) as refused:
                call()
            assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED
    with Heartwood(service.address, "hw_nobody") as nobody, pytest.raises(ApiError) as unknown:
        nobody.models.list()
    assert unknown.value.code is grpc.StatusCode.UNAUTHENTICATED


def test_deploy_promote_and_roll_back_under_traffic_fail_no_request(
    operator: Heartwood, replica: Replica, tmp_path: Path
) -> None:
    told: list[tuple[float, str]] = []
    folder = candidates.write(tmp_path / str(NEW), candidates.same(MODEL, "albedo"))
    assert operator.models.status(MODEL).revision == 0
    with replica.traffic(MODEL) as traffic:
        made = operator.models.deploy(MODEL, folder, told=lambda *seen: told.append(seen))
        traffic.until(str(NEW))
        assert (made.serving_version, made.rollback_version, made.revision) == (NEW, OLD, 1)
        back = operator.models.rollback(MODEL)
        traffic.until(str(OLD))
        assert (back.serving_version, back.rollback_version) == (OLD, NEW)
        assert operator.models.promote(MODEL, NEW).serving_version == NEW
        traffic.until(str(NEW))
    now = states(operator)
    assert (now[OLD], now[NEW]) == (READY, SERVING)
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert any("golden" in message for _, message in told)
    report = made.versions[0].report
    assert report.verdict == model_pb2.MODEL_VERDICT_AGREES
    assert [one.side for one in report.latencies] == [512, 768, 1024]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_candidate_never_serves_disturbs_nobody_and_says_why(
    operator: Heartwood, replica: Replica, tmp_path: Path, name: str
) -> None:
    make, reason = BROKEN[name]
    before = operator.models.status(MODEL)
    with replica.traffic(MODEL) as traffic, pytest.raises(ApiError) as refused:
        operator.models.deploy(MODEL, candidates.write(tmp_path / "candidate", make()))
    assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.reason == "CANDIDATE_REFUSED"
    assert reason in refused.value.message
    assert set(traffic.versions) == {str(before.serving_version)}
    after = operator.models.status(MODEL)
    assert (after.serving_version, after.revision) == (before.serving_version, before.revision)
    newest = after.versions[0]
    assert newest.version == before.versions[0].version + 1
    assert newest.state == FAILED
    assert newest.reason == refused.value.message
    assert not replica.models.triton.ready(newest.triton_name)
    with pytest.raises(ApiError, match="FAILED"):
        operator.models.promote(MODEL, newest.version)


def test_what_is_no_candidate_is_not_sent(operator: Heartwood, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no file .*model\.onnx"):
        operator.models.deploy(MODEL, tmp_path)
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ApiError, match="empty") as empty:
        operator.models.deploy(MODEL, tmp_path)
    assert empty.value.code is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(ApiError) as unknown:
        operator.models.deploy("../segmentation", candidates.write(tmp_path, b"x"))
    assert unknown.value.code is grpc.StatusCode.NOT_FOUND


def test_ending_the_call_ends_the_check(operator: Heartwood, replica: Replica, tmp_path: Path) -> None:
    def interrupt(fraction: float, _: str) -> None:
        if fraction > 0.1:
            raise KeyboardInterrupt

    before = operator.models.status(MODEL)
    folder = candidates.write(tmp_path, candidates.same(MODEL, "shading"))
    with pytest.raises(KeyboardInterrupt):
        operator.models.deploy(MODEL, folder, told=interrupt)
    wait_for(lambda: operator.models.status(MODEL).versions[0].state == FAILED, 30)
    after = operator.models.status(MODEL)
    assert "canceled" in after.versions[0].reason
    assert after.serving_version == before.serving_version
    wait_for(lambda: not replica.models.triton.ready(after.versions[0].triton_name), 10)


def test_a_better_network_passes_golden_and_live_requests_and_makes_files_of_its_own(
    operator: Heartwood, service: RunningService, tmp_path: Path
) -> None:
    data = candidates.raised(MODEL, "shading", 1.5)
    folder = candidates.write(tmp_path / "better", data, candidates.evaluation(MODEL, data, against=NEW))
    over = threading.Event()
    with service.client("shop") as shop:
        before = job(shop, seed=1)

        def live() -> None:
            seed = 100
            while not over.is_set():
                job(shop, seed := seed + 1)

        thread = threading.Thread(target=live)
        thread.start()
        try:
            shadow = {"shadow_share": 1.0, "shadow_requests": 2, "shadow_timeout_s": 60}
            made = operator.models.deploy(MODEL, folder, promote=False, **shadow)
        finally:
            over.set()
            thread.join()
        newest = made.versions[0]
        assert (newest.state, made.serving_version) == (READY, NEW)
        assert newest.report.verdict == model_pb2.MODEL_VERDICT_MEASURED_BETTER
        assert newest.report.shadow.requests == 2
        assert newest.report.shadow.differences["shading"] > 0.02
        operator.models.promote(MODEL, newest.version)
        after = job(shop, seed=1)
    assert before.stain.model_versions[MODEL] == str(NEW)
    assert after.stain.model_versions[MODEL] == str(newest.version)
    for one, version in ((before, NEW), (after, newest.version)):
        assert one.stain.photos[0].albedo.model_versions[MODEL] == str(version)
    assert before.stain.photos[0].albedo.sha256 != after.stain.photos[0].albedo.sha256
    operator.models.rollback(MODEL)
    with pytest.raises(ApiError, match="serves; promote another first"):
        operator.models.retire(MODEL, NEW)
    retired = operator.models.retire(MODEL, newest.version)
    assert retired.versions[0].state == RETIRED
    assert retired.rollback_version == 0
    with pytest.raises(ApiError, match="no version to go back to"):
        operator.models.rollback(MODEL)


def test_of_two_operators_the_second_is_told(operator: Heartwood) -> None:
    seen = operator.models.promote(MODEL, OLD)
    first = operator.models.promote(MODEL, NEW, seen.revision)
    with pytest.raises(ApiError, match=f"version {NEW} serves now") as late:
        operator.models.rollback(MODEL, seen.revision)
    assert late.value.code is grpc.StatusCode.ABORTED
    assert late.value.reason == "CHANGED_MEANWHILE"
    with pytest.raises(ApiError, match="changed"):
        operator.models.promote(MODEL, OLD, 0)  # as one who saw the model before anybody had changed it
    assert operator.models.status(MODEL) == first


def test_the_command_line_shows_and_changes_what_serves(operator: Heartwood, service: RunningService) -> None:
    def heartwood(*words: str, code: int = 0) -> str:
        place = ["--server", service.address, "--token", service.token("local")]
        done = CliRunner().invoke(app, ["models", *words, *place], env={"COLUMNS": "200"})
        assert done.exit_code == code, done.output
        return done.output

    assert MODEL in heartwood("list")
    assert f"version {OLD} serves" in heartwood("promote", MODEL, str(OLD))
    assert f"version {NEW} serves" in heartwood("rollback", MODEL)
    assert "not finite" in heartwood("status", MODEL)
    assert "serves already" in heartwood("promote", MODEL, str(NEW), code=1)
    assert "no file" in heartwood("deploy", MODEL, "nowhere", code=2)
    assert operator.models.status(MODEL).serving_version == NEW


def test_a_killed_triton_and_a_killed_service_come_back_with_what_was_promoted(
    operator: Heartwood, service: RunningService, replica: Replica
) -> None:
    before = operator.models.status(MODEL)
    assert before.serving_version == NEW
    own = before.versions[[one.version for one in before.versions].index(NEW)].triton_name
    (triton,) = [pid for pid in service.children() if b"tritonserver" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(triton, signal.SIGKILL)
    wait_for(lambda: not replica.models.triton.ready(own), 10)
    wait_for(lambda: replica.models.triton.ready(own), 60)
    replica.follower.stop()
    checking = ModelVersion(MODEL, 99, VersionState.CHECKING, sha256="0" * 64, operator="local")
    assert replica.versions.claim(checking, "local")  # as if the kill came in the middle of a check
    service.kill()
    service.start()
    with service.client("local") as again:
        after = again.models.status(MODEL)
        assert (after.serving_version, after.rollback_version) == (NEW, OLD)
        assert after.revision == before.revision
        assert (after.versions[0].version, after.versions[0].state) == (99, FAILED)
        assert "stopped" in after.versions[0].reason
        assert job(again, seed=7).stain.model_versions[MODEL] == str(NEW)
        assert again.models.rollback(MODEL).serving_version == OLD
