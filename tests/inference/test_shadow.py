"""The shadow looks at a share of the live requests and never holds one up."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from orchestrator.errors import CandidateRefused
from orchestrator.inference.shadow import WAITING, Shadow
from orchestrator.inference.versions import Answer
from tests.support.running_service import wait_for

IMAGE = np.zeros((1, 3, 32, 32), np.float32)
LIVE = Answer({"shading": np.linspace(0, 1, 3 * 32 * 32, dtype=np.float32).reshape(1, 3, 32, 32)}, 0.01)


def test_it_tells_how_far_the_candidate_is_off_and_how_long_it_takes() -> None:
    other = Answer({"shading": LIVE.outputs["shading"] + np.float32(0.1)}, 0.03)
    with Shadow(lambda _: other, share=1.0, wanted=3) as shadow:
        wait_for(lambda: shadow.offer(IMAGE, LIVE) or shadow.count == 3, 10, 0.01)
    report = shadow.report()
    assert report.requests == 3
    assert report.differences["shading"] == pytest.approx(0.1, rel=0.05)
    assert (report.candidate_ms, report.serving_ms) == (pytest.approx(30), pytest.approx(10))


def test_a_slow_candidate_holds_no_request_up_and_keeps_few() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(_: np.ndarray) -> Answer:
        asked.set()
        go_on.wait(10)
        return LIVE

    with Shadow(slow, share=1.0, wanted=100) as shadow:
        shadow.offer(IMAGE, LIVE)
        assert asked.wait(5)
        started = time.monotonic()
        for _ in range(1000):
            shadow.offer(IMAGE, LIVE)
        assert time.monotonic() - started < 1.0
        assert shadow._waiting.qsize() == WAITING
        go_on.set()


def test_a_wrong_answer_is_told() -> None:
    def wrong(_: np.ndarray) -> Answer:
        raise CandidateRefused("its shading is not finite")

    with Shadow(wrong, share=1.0, wanted=5) as shadow:
        shadow.offer(IMAGE, LIVE)
        wait_for(lambda: shadow.failure is not None, 5)
    assert shadow.count == 0


def test_only_the_share_asked_for_is_looked_at() -> None:
    with Shadow(lambda _: LIVE, share=0.0, wanted=1) as shadow:
        for _ in range(100):
            shadow.offer(IMAGE, LIVE)
        time.sleep(0.05)
    assert shadow.count == 0
