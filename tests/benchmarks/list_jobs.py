"""Lists jobs without pause while the service works on 60 jobs.

python -m tests.benchmarks.list_jobs [--json FILE]

Runs ``heartwood up`` with its own Triton and 2 workers. Creates 60 ``segment`` jobs, each of its own photo with 500 ×
375 pixels. One client waits for the jobs in their order. Another client lists all jobs without pause until the last job
has ended. The clients run in this process and share the cores with the service.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from orchestrator.client.client import Heartwood
from tests.benchmarks.report import Figure, report
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService

JOBS = 60
WARM_UP_JOBS = 2
WORKERS = 2
PHOTO_SIZE = (500, 375)


def upload_photo(client: Heartwood, seed: int) -> str:
    return client.upload_bytes(jpeg(wood_photo(*PHOTO_SIZE, seed)), "board.jpg").group_id


def list_until(ended: threading.Event, client: Heartwood, seconds: list[float]) -> None:
    """List the jobs until ``ended`` is set; append the duration of each call to ``seconds``."""
    while not ended.is_set():
        started = time.perf_counter()
        jobs = list(client.jobs())
        seconds.append(time.perf_counter() - started)
        assert len(jobs) >= JOBS


def measure(service: RunningService) -> list[Figure]:
    seconds: list[float] = []
    ended = threading.Event()
    with service.client() as waiting_client, service.client() as listing_client:
        for seed in range(WARM_UP_JOBS):
            waiting_client.wait(waiting_client.segment(upload_photo(waiting_client, JOBS + seed)).id)
        uploads = [upload_photo(waiting_client, seed) for seed in range(JOBS)]
        started = time.perf_counter()
        ids = [waiting_client.segment(upload).id for upload in uploads]
        lister = threading.Thread(target=list_until, args=(ended, listing_client, seconds))
        lister.start()
        try:
            for id in ids:
                waiting_client.wait(id)
            duration_s = time.perf_counter() - started
        finally:
            ended.set()
            lister.join()
    p50_ms, p99_ms = 1000 * np.percentile(seconds, [50, 99])
    return [
        Figure("jobs", JOBS, "jobs"),
        Figure("list_jobs_calls", len(seconds), "calls"),
        Figure("list_jobs_p50_ms", float(p50_ms), "ms"),
        Figure("list_jobs_p99_ms", float(p99_ms), "ms", "< 50"),
        Figure("jobs_per_s", JOBS / duration_s, "jobs/s", ">= 1.5"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        service = RunningService(Path(folder), workers=WORKERS, max_requests_per_s=10_000)
        try:
            figures = measure(service)
        finally:
            service.stop()
    report("list jobs", figures, arguments.json)


if __name__ == "__main__":
    main()
