"""A small run of the benchmark ``fuzz``: no mutated input breaks a decoder, the service or a barrier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from orchestrator.protocol.heartwood.v1 import job_pb2
from tests.benchmarks import fuzz
from tests.benchmarks.fuzzing.calls import Reply, reply_problem
from tests.benchmarks.fuzzing.file_checks import FAULTS
from tests.benchmarks.fuzzing.files import run_files
from tests.benchmarks.fuzzing.findings import Outcome
from tests.support.postgresql import new_database
from tests.support.running_service import RunningService

SEED = 17
COUNTS = {
    "photo": 800,
    "mesh": 400,
    "call": 150,
    "upload": 40,
    "job": 2,
    "token": 60,
    "webhook URL": 300,
    "settings file": 100,
    "webhook response": 128,
}
"""Small numbers. ``tests/mesh_files`` sends mutated files to the readers."""


@pytest.fixture
def service(tmp_path: Path, triton_url: str, postgresql: str) -> Iterator[RunningService]:
    """A service on PostgreSQL, which refuses texts that SQLite stores."""
    url = new_database(postgresql)
    running = RunningService(tmp_path, triton_url, database_url=url, dbos_database_url=url, max_active_jobs=30)
    yield running
    assert running.stop() == 0


def check(outcome: Outcome, *kinds: str) -> None:
    assert [(finding.kind, finding.problem, finding.source) for finding in outcome.findings] == []
    for kind in kinds:
        assert outcome.inputs[kind] >= COUNTS[kind], kind


def test_no_mutated_file_breaks_a_decoder() -> None:
    outcome = fuzz.run_decoders(COUNTS, SEED, compressed=False, processes=1)
    check(outcome, "photo", "mesh")
    assert 0 < outcome.accepted["photo"] < outcome.inputs["photo"]


def test_no_text_or_webhook_response_breaks_a_rule(tmp_path: Path) -> None:
    check(fuzz.run_texts(COUNTS, SEED, tmp_path), "webhook URL", "settings file", "webhook response")


def test_no_call_breaks_the_service(service: RunningService) -> None:
    check(fuzz.run_service(service, COUNTS, SEED), "call", "upload", "job", "token")


def test_a_run_notices_crashes_errors_opened_files_and_internal_messages() -> None:
    seeds = {name: (bytes([number]), "") for number, name in enumerate(FAULTS)}
    outcome = run_files("fault", seeds, len(FAULTS), SEED, processes=1)
    problems = {finding.problem.partition(":")[0] for finding in outcome.findings}
    assert problems == {
        "the decoder ended with signal SIGSEGV",
        "KeyError",
        "the decoder opened /etc/passwd",
        "the message contains 'site-packages'",
    }
    assert len(outcome.findings) == len(problems)
    assert outcome.inputs["fault"] == len(FAULTS)


@pytest.mark.parametrize(
    ("caller", "code", "details", "problem"),
    [
        ("tenant", grpc.StatusCode.INTERNAL, "", "not allowed"),
        ("tenant", grpc.StatusCode.UNKNOWN, "", "not allowed"),
        ("tenant", grpc.StatusCode.INVALID_ARGUMENT, "wrong", "no details"),
        ("tenant", grpc.StatusCode.OK, "of another", "contains"),
        ("nobody", grpc.StatusCode.OK, "", "no valid token"),
    ],
)
def test_a_run_notices_wrong_replies(caller: str, code: grpc.StatusCode, details: str, problem: str) -> None:
    method = job_pb2.DESCRIPTOR.services_by_name["JobService"].methods_by_name["GetJob"]
    assert problem in reply_problem(Reply(code, details, None, []), method, caller, ("another",))
