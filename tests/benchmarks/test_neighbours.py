"""A small version of the benchmark ``neighbours``."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.neighbours import MAX_RATIO, WORKERS, measure
from tests.support.photo_bombs import many_scans
from tests.support.running_service import RunningService

JOBS = 10


def test_a_flood_of_one_tenant_at_most_doubles_the_latency_of_another(tmp_path: Path, triton_url: str) -> None:
    """With so few jobs, only the median is stable; the benchmark measures the 99th percentile."""
    service = RunningService(tmp_path, triton_url, workers=WORKERS, drain_s=1)
    quiet, flooded, counts = measure(service, JOBS, rounds=2, queued=100, bombs=[many_scans(2000)])
    assert len(flooded.job) == JOBS
    assert counts["create"] > 100
    assert flooded.percentile("job", 50) <= MAX_RATIO * quiet.percentile("job", 50)
    service.kill()  # instead of waiting for a job of the flood
