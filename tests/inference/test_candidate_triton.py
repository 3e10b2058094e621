"""A candidate that hangs is given up, and its Triton leaves no process, folder or shared memory."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from orchestrator.domain.model_versions import ModelVersion, VersionState
from orchestrator.domain.progress import no_progress
from orchestrator.errors import Canceled, CandidateRefused, FailedPrecondition
from orchestrator.inference.candidate_triton import ExternalTriton, OwnTriton
from orchestrator.inference.launch import SHARED_MEMORY, TritonServer
from orchestrator.inference.triton_client import TritonClient
from orchestrator.rollout.candidate import PHOTOS, golden_input
from orchestrator.settings import Settings
from tests.support import candidates

MODEL = "intrinsic_decomposition"
MEMORY_BYTES = 2 << 30
LOAD_S = 60.0


def candidate_of(data: bytes) -> ModelVersion:
    return ModelVersion(MODEL, 9, VersionState.CHECKING, hashlib.sha256(data).hexdigest())


def own_triton(folder: Path, timeout_s: float = LOAD_S) -> OwnTriton:
    return OwnTriton(Settings().triton_backends, folder, MEMORY_BYTES, timeout_s)


@pytest.fixture
def client(triton: TritonServer) -> Iterator[TritonClient]:
    client = TritonClient(triton.url, control=triton.control)
    yield client
    client.close()


@pytest.fixture
def traces(tmp_path: Path) -> Callable[[], set[object]]:
    """Returns the processes, the shared memory and the files that a Triton may leave."""

    def find() -> set[object]:
        processes = {child.pid for child in psutil.Process().children(recursive=True)}
        return {*processes, *SHARED_MEMORY.glob(f"heartwood-{os.getpid()}-*"), *tmp_path.iterdir()}

    return find


def test_candidate_that_hangs_in_inference_is_refused(
    client: TritonClient, traces: Callable[[], set[object]], tmp_path: Path
) -> None:
    data, before = candidates.endless(MODEL, "albedo"), traces()
    with (
        own_triton(tmp_path).load(candidate_of(data), data, client.config(MODEL), no_progress) as loaded,
        pytest.raises(CandidateRefused, match=f"version 9 of {MODEL} did not answer within 1 s"),
    ):
        replace(loaded, timeout_s=1.0).infer(golden_input(MODEL, PHOTOS[0], 256))
    assert traces() == before


def test_candidate_that_hangs_while_it_is_loaded_is_refused_and_a_cancellation_ends_the_load_at_once(
    client: TritonClient, traces: Callable[[], set[object]], tmp_path: Path
) -> None:
    def cancel(_: float, __: str) -> None:
        raise Canceled("the caller ended the deployment")

    data, before = candidates.slow_to_load(MODEL, "albedo"), traces()
    config = client.config(MODEL)
    with pytest.raises(CandidateRefused, match="did not load the model within 3 s"):
        own_triton(tmp_path, timeout_s=3.0).load(candidate_of(data), data, config, no_progress).__enter__()
    assert traces() == before
    started = time.monotonic()
    with pytest.raises(Canceled):
        own_triton(tmp_path).load(candidate_of(data), data, config, cancel).__enter__()
    assert time.monotonic() < started + LOAD_S  # did not wait for the timeout
    assert traces() == before


def test_external_triton_loads_the_candidate_and_unloads_it_afterwards(
    triton: TritonServer, client: TritonClient
) -> None:
    data = candidates.equivalent(MODEL, "albedo")
    candidate = candidate_of(data)
    external = ExternalTriton(lambda: TritonClient(triton.url, control=triton.control), LOAD_S)
    inputs = golden_input(MODEL, PHOTOS[0], 256)
    with external.load(candidate, data, client.config(MODEL), no_progress) as loaded:
        assert client.ready(candidate.triton_name)
        assert loaded.infer(inputs).outputs.keys() == {"albedo", "shading"}
    assert not client.ready(candidate.triton_name)


def test_without_a_triton_for_candidates_the_check_is_refused_with_the_setting(
    client: TritonClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pytriton", None)  # as if the wheel were not installed
    with pytest.raises(FailedPrecondition, match="HEARTWOOD_CANDIDATE_TRITON_URL"):
        own_triton(tmp_path).load(candidate_of(b""), b"", client.config(MODEL), no_progress).__enter__()
