"""Shadow traffic compares a share of the live requests and never delays one."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from orchestrator.errors import CandidateRefused
from orchestrator.inference.shadow import MAX_QUEUED, ShadowTraffic
from orchestrator.inference.tensors import Tensors
from orchestrator.inference.triton_client import InferenceResult
from tests.support.running_service import wait_for

INPUTS = {"image": np.zeros((1, 3, 32, 32), np.float32)}
LIVE = InferenceResult({"shading": np.linspace(0, 1, 3 * 32 * 32, dtype=np.float32).reshape(1, 3, 32, 32)}, 0.01)


def test_report_contains_the_differences_and_the_latencies() -> None:
    candidate = InferenceResult({"shading": LIVE.outputs["shading"] + np.float32(0.1)}, 0.03)
    with ShadowTraffic(lambda _: candidate, share=1.0, required=3) as shadow:
        wait_for(lambda: shadow.observe(INPUTS, LIVE) or shadow.count == 3, 10, 0.01)
    report = shadow.report()
    assert report.requests == 3
    assert report.differences["shading"] == pytest.approx(0.1, rel=0.05)
    assert (report.candidate_ms, report.serving_ms) == (pytest.approx(30), pytest.approx(10))


def test_slow_candidate_delays_no_request_and_queues_few() -> None:
    called, release = threading.Event(), threading.Event()

    def slow_candidate(_: Tensors) -> InferenceResult:
        called.set()
        release.wait(10)
        return LIVE

    with ShadowTraffic(slow_candidate, share=1.0, required=100) as shadow:
        shadow.observe(INPUTS, LIVE)
        assert called.wait(5)
        started = time.monotonic()
        for _ in range(1000):
            shadow.observe(INPUTS, LIVE)
        assert time.monotonic() - started < 1.0
        assert shadow._queue.qsize() == MAX_QUEUED
        release.set()


def test_invalid_output_of_the_candidate_is_reported_as_failure() -> None:
    def invalid_candidate(_: Tensors) -> InferenceResult:
        raise CandidateRefused("output shading is not finite")

    with ShadowTraffic(invalid_candidate, share=1.0, required=5) as shadow:
        shadow.observe(INPUTS, LIVE)
        wait_for(lambda: shadow.failure is not None, 5)
    assert shadow.count == 0


def test_share_of_zero_compares_no_request() -> None:
    with ShadowTraffic(lambda _: LIVE, share=0.0, required=1) as shadow:
        for _ in range(100):
            shadow.observe(INPUTS, LIVE)
        time.sleep(0.05)
    assert shadow.count == 0
