"""The small version of the benchmark ``neighbours``, without its bounds, which need an idle machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.benchmarks.neighbours import measure
from tests.support.bombs import png_bomb, scan_bomb
from tests.support.running_service import RunningService

JOBS = 4
QUEUED = 60
"""Jobs of the flood that wait. Without fair queues, a job would wait until the two workers have run all of them, which
takes the time of 30 jobs."""


def test_jobs_of_one_tenant_do_not_wait_for_those_of_another(tmp_path: Path, triton_url: str) -> None:
    service = RunningService(tmp_path, triton_url, workers=2, drain_s=5)
    quiet, flooded, calls = measure(service, JOBS, 1, QUEUED, (scan_bomb(50, 3000), png_bomb(4000)))
    service.stop()
    assert len(flooded.job) == JOBS  # each one ended
    assert np.median(flooded.job) < QUEUED / 4 * np.median(quiet.job)
    assert calls["bombs"]
    assert sum(calls.values()) > QUEUED
