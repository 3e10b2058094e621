"""Replacing a model version fails no request, and a candidate that fails a check never serves."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import psutil
import pytest

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import job_pb2, model_pb2, stain_pb2
from tests.rollout.conftest import Replica
from tests.support import candidates
from tests.support.cli import run_in_process
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for

MODEL = "intrinsic_decomposition"
OLD = candidates.newest_version(MODEL)
NEW = OLD + 1
SERVING = model_pb2.MODEL_VERSION_STATE_SERVING
READY = model_pb2.MODEL_VERSION_STATE_READY
FAILED = model_pb2.MODEL_VERSION_STATE_FAILED
RETIRED = model_pb2.MODEL_VERSION_STATE_RETIRED

BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "not finite": (lambda: candidates.not_finite(MODEL, "albedo"), "albedo is not finite"),
    "wrong shape": (lambda: candidates.wrong_shape(MODEL, "shading"), "shading has the shape"),
    "truncated": (lambda: candidates.equivalent(MODEL, "albedo")[:50_000], "not a complete ONNX file"),
    "not ONNX": (lambda: b"a letter to the operator", "not a complete ONNX file"),
    "missing output": (lambda: candidates.missing_output(MODEL), "the outputs are albedo"),
    "unknown operator": (lambda: candidates.with_operator(MODEL, "albedo", "my.shop"), "domain 'my.shop'"),
    "external weights": (
        lambda: candidates.with_external_weights(MODEL, "../../token"),
        "is stored in another file",
    ),
}

HARMFUL: dict[str, tuple[Callable[[], bytes], str]] = {
    "crashes": (lambda: candidates.crashing(MODEL, "albedo"), "crashed its Triton"),
    "crashes on load": (lambda: candidates.crashing(MODEL, "albedo", on_load=True), "crashed its Triton"),
    "exhausts memory": (lambda: candidates.memory_hungry(MODEL, "albedo", gigabytes=20), "needs too much memory"),
}


def states(operator: Heartwood) -> dict[int, int]:
    return {version.version: version.state for version in operator.models.status(MODEL).versions}


def run_job(client: Heartwood, seed: int) -> job_pb2.Job:
    """Make the PBR maps of a small board whose colour stays the same."""
    upload = client.upload_bytes(jpeg(wood_photo(320, 240, seed)), "board.jpg").group_id
    unchanged = stain_pb2.StainOptions(strength=0.0)
    job = client.stain(upload, color="#808080", options=unchanged, quality=job_pb2.QUALITY_PREVIEW)
    return client.wait(job.id)


def kill_during_check(operator: Heartwood, service: RunningService, candidate: Path) -> list[int]:
    """Kill the service while it runs the candidate. Return the ids of all processes that the service had started."""
    is_running = threading.Event()

    def report(_: float, message: str) -> None:
        if "warming up" in message:
            is_running.set()

    with ThreadPoolExecutor(1) as executor:
        deployed = executor.submit(operator.models.deploy, MODEL, candidate, on_progress=report)
        assert is_running.wait(60)
        started = service.descendants()
        service.kill()
        assert isinstance(deployed.exception(), ApiError)
    return started


def test_only_operators_may_list_and_change_models(service: RunningService) -> None:
    with service.client("shop") as shop:
        for call in (shop.models.list, lambda: shop.models.rollback(MODEL), lambda: shop.models.retire(MODEL, OLD)):
            with pytest.raises(ApiError) as denied:
                call()
            assert denied.value.code is grpc.StatusCode.PERMISSION_DENIED
    with Heartwood(service.address, "hw_nobody") as nobody, pytest.raises(ApiError) as unknown:
        nobody.models.list()
    assert unknown.value.code is grpc.StatusCode.UNAUTHENTICATED


def test_deploy_promote_and_rollback_under_traffic_fail_no_request(
    operator: Heartwood, replica: Replica, tmp_path: Path
) -> None:
    reports: list[tuple[float, str]] = []
    folder = candidates.write(tmp_path / str(NEW), candidates.equivalent(MODEL, "albedo"))
    assert operator.models.status(MODEL).revision == 0
    with replica.traffic(MODEL) as traffic:
        deployed = operator.models.deploy(MODEL, folder, on_progress=lambda *report: reports.append(report))
        traffic.wait_for_version(str(NEW))
        assert (deployed.serving_version, deployed.rollback_version, deployed.revision) == (NEW, OLD, 1)
        rolled_back = operator.models.rollback(MODEL)
        traffic.wait_for_version(str(OLD))
        assert (rolled_back.serving_version, rolled_back.rollback_version) == (OLD, NEW)
        assert operator.models.promote(MODEL, NEW).serving_version == NEW
        traffic.wait_for_version(str(NEW))
    current = states(operator)
    assert (current[OLD], current[NEW]) == (READY, SERVING)
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions)
    assert any("golden" in message for _, message in reports)
    report = deployed.versions[0].report
    assert report.verdict == model_pb2.MODEL_VERDICT_AGREES
    assert [latency.side for latency in report.latencies] == [512, 768, 1024]


@pytest.mark.parametrize("name", BROKEN)
def test_broken_candidate_is_refused_with_the_reason_and_never_serves(
    operator: Heartwood, replica: Replica, tmp_path: Path, name: str
) -> None:
    make_file, reason = BROKEN[name]
    before = operator.models.status(MODEL)
    with replica.traffic(MODEL) as traffic, pytest.raises(ApiError) as refused:
        operator.models.deploy(MODEL, candidates.write(tmp_path / "candidate", make_file()))
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
    assert not replica.service_models.triton.ready(newest.triton_name)
    with pytest.raises(ApiError, match="FAILED"):
        operator.models.promote(MODEL, newest.version)


@pytest.mark.parametrize("name", HARMFUL)
def test_candidate_that_crashes_or_exhausts_memory_disturbs_no_request_and_leaves_nothing(
    operator: Heartwood, service: RunningService, replica: Replica, tmp_path: Path, name: str
) -> None:
    make_file, reason = HARMFUL[name]
    before = set(service.descendants())
    with replica.traffic(MODEL) as traffic, pytest.raises(ApiError) as refused:
        operator.models.deploy(MODEL, candidates.write(tmp_path / "candidate", make_file()))
    assert refused.value.reason == "CANDIDATE_REFUSED"
    assert reason in refused.value.message
    assert len(set(traffic.versions)) == 1
    newest = operator.models.status(MODEL).versions[0]
    assert (newest.state, newest.reason) == (FAILED, refused.value.message)
    assert newest.triton_name not in (service.data_dir / "triton" / "triton.log").read_text()  # was never loaded there
    assert set(service.descendants()) == before
    assert not list((service.data_dir / "triton").glob("candidate-*"))


def test_missing_or_empty_candidate_and_unknown_model_are_rejected(operator: Heartwood, tmp_path: Path) -> None:
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
    folder = candidates.write(tmp_path, candidates.equivalent(MODEL, "shading"))
    with pytest.raises(KeyboardInterrupt):
        operator.models.deploy(MODEL, folder, on_progress=interrupt)
    wait_for(lambda: operator.models.status(MODEL).versions[0].state == FAILED, 30)
    after = operator.models.status(MODEL)
    assert "canceled" in after.versions[0].reason
    assert after.serving_version == before.serving_version
    assert not replica.service_models.triton.ready(after.versions[0].triton_name)


def test_candidate_measured_better_serves_new_jobs_and_every_replica_unloads_it_when_it_is_retired(
    operator: Heartwood, service: RunningService, replica: Replica, tmp_path: Path
) -> None:
    data = candidates.with_power(MODEL, "shading", 1.5)
    folder = candidates.write(tmp_path / "better", data, candidates.evaluation(MODEL, data, against=NEW))
    stop = threading.Event()
    with service.client("shop") as shop:
        before = run_job(shop, seed=1)

        def send_live_requests() -> None:
            seed = 100
            while not stop.is_set():
                run_job(shop, seed := seed + 1)

        thread = threading.Thread(target=send_live_requests)
        thread.start()
        try:
            shadow = {"shadow_share": 1.0, "shadow_requests": 2, "shadow_timeout_s": 60}
            deployed = operator.models.deploy(MODEL, folder, promote=False, **shadow)
        finally:
            stop.set()
            thread.join()
        newest = deployed.versions[0]
        assert (newest.state, deployed.serving_version) == (READY, NEW)
        assert newest.report.verdict == model_pb2.MODEL_VERDICT_MEASURED_BETTER
        assert newest.report.shadow.requests == 2
        assert newest.report.shadow.differences["shading"] > 0.02
        operator.models.promote(MODEL, newest.version)
        after = run_job(shop, seed=1)
    assert before.stain.model_versions[MODEL] == str(NEW)
    assert after.stain.model_versions[MODEL] == str(newest.version)
    for job, version in ((before, NEW), (after, newest.version)):
        assert job.stain.photos[0].albedo.model_versions[MODEL] == str(version)
    assert before.stain.photos[0].albedo.sha256 != after.stain.photos[0].albedo.sha256
    operator.models.rollback(MODEL)
    with pytest.raises(ApiError, match="serves; promote another version first"):
        operator.models.retire(MODEL, NEW)
    tritons = (replica.models.triton, replica.service_models.triton)
    wait_for(lambda: all(triton.ready(newest.triton_name) for triton in tritons), 10)
    retired = operator.models.retire(MODEL, newest.version)
    wait_for(lambda: not any(triton.ready(newest.triton_name) for triton in tritons), 10)
    assert retired.versions[0].state == RETIRED
    assert retired.rollback_version == 0
    with pytest.raises(ApiError, match="no previous version to roll back to"):
        operator.models.rollback(MODEL)


def test_second_of_two_concurrent_operators_gets_changed_meanwhile(operator: Heartwood) -> None:
    read = operator.models.promote(MODEL, OLD)
    first = operator.models.promote(MODEL, NEW, read.revision)
    with pytest.raises(ApiError, match=f"version {NEW} serves now") as late:
        operator.models.rollback(MODEL, read.revision)
    assert late.value.code is grpc.StatusCode.ABORTED
    assert late.value.reason == "CHANGED_MEANWHILE"
    with pytest.raises(ApiError, match="changed"):
        operator.models.promote(MODEL, OLD, 0)  # the revision before any change
    assert operator.models.status(MODEL) == first


def test_cli_lists_and_changes_the_serving_version(operator: Heartwood, service: RunningService) -> None:
    def heartwood(*arguments: str, code: int = 0) -> str:
        server = ["--server", service.address, "--token", service.token("local")]
        result = run_in_process("models", *arguments, *server)
        assert result.exit_code == code, result.output
        return result.output

    assert MODEL in heartwood("list")
    assert f"version {OLD} serves" in heartwood("promote", MODEL, str(OLD))
    assert f"version {NEW} serves" in heartwood("rollback", MODEL)
    assert "not finite" in heartwood("status", MODEL)
    assert "serves already" in heartwood("promote", MODEL, str(NEW), code=1)
    assert "no file" in heartwood("deploy", MODEL, "nowhere", code=2)
    assert operator.models.status(MODEL).serving_version == NEW


def test_promoted_version_serves_again_after_triton_and_the_service_were_killed(
    operator: Heartwood, service: RunningService, replica: Replica, tmp_path: Path
) -> None:
    before = operator.models.status(MODEL)
    assert before.serving_version == NEW
    (triton_name,) = (version.triton_name for version in before.versions if version.version == NEW)
    (triton,) = [pid for pid in service.children() if b"tritonserver" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(triton, signal.SIGKILL)
    wait_for(lambda: not replica.service_models.triton.ready(triton_name), 10)
    wait_for(lambda: replica.service_models.triton.ready(triton_name), 60)
    replica.follower.stop()
    processes = kill_during_check(operator, service, candidates.write(tmp_path, candidates.endless(MODEL, "albedo")))
    wait_for(lambda: not any(map(psutil.pid_exists, processes)), 10)  # hung backends included
    service.start()
    assert not list((service.data_dir / "triton").glob("candidate-*"))
    with service.client("local") as client:
        after = client.models.status(MODEL)
        assert (after.serving_version, after.rollback_version) == (NEW, OLD)
        assert after.revision == before.revision
        assert after.versions[0].state == FAILED
        assert "stopped" in after.versions[0].reason
        assert run_job(client, seed=7).stain.model_versions[MODEL] == str(NEW)
        assert client.models.rollback(MODEL).serving_version == OLD
