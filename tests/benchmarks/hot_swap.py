"""Swaps the serving version of a model 20 times under load.

python -m tests.benchmarks.hot_swap [--json FILE] [--candidate DIR]

Runs ``heartwood up`` with its own Triton, and sends jobs at half of its capacity. Each job is a PREVIEW ``segment`` of
a new photo, which runs all models at 512². Latency is measured from the time at which a job was due, so that a stall
counts for all waiting jobs. The load runs in four phases: while the candidate is deployed, without swaps, with a
rollback every few seconds (which alternates between the repository's newest version and the candidate), and while
broken candidates are deployed. The default candidate is version 1, deployed as a new version.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import psutil

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import job_pb2
from tests.benchmarks.load import steady_load
from tests.benchmarks.report import Figure, report
from tests.support import candidates
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService

MODEL = "segmentation"
SWAPS = 20
SWAP_INTERVAL_S = 3.0
WARM_UP_JOBS = 12
CAPACITY_CONCURRENCY = 2
MAX_CONCURRENCY = 32
LOAD_SHARE = 0.5
"""Load as a share of the capacity."""


@dataclass
class Phase:
    """The jobs of one phase."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)

    def percentile_ms(self, percentile: float) -> float:
        return 1000 * float(np.percentile(self.seconds, percentile))

    def figures(self, name: str) -> list[Figure]:
        return [
            Figure(f"jobs {name}", len(self.seconds) + len(self.failed), "jobs"),
            Figure(f"failed {name}", len(self.failed), "jobs", "== 0"),
            Figure(f"p50 {name}", self.percentile_ms(50), "ms"),
            Figure(f"p99 {name}", self.percentile_ms(99), "ms"),
        ]


class ServiceUnderTest:
    """The running service, and clients for an operator and a shop."""

    def __init__(self, running: RunningService) -> None:
        self.running = running
        self.operator: Heartwood = running.client("local")
        self.shop: Heartwood = running.client("shop")
        self._seeds = count()

    def run_job(self, phase: Phase, due: float) -> None:
        """Run one job and record how long after ``due`` it ended."""
        try:
            upload = self.shop.upload_bytes(jpeg(wood_photo(320, 240, next(self._seeds))), "board.jpg").group_id
            job = self.shop.wait(self.shop.segment(upload, quality=job_pb2.QUALITY_PREVIEW).id)
        except ApiError as error:
            phase.failed.append(error.message)
            return
        phase.seconds.append(time.monotonic() - due)
        phase.versions.add(job.segment.model_versions[MODEL])

    def capacity(self) -> float:
        """Return the jobs per second at a constant concurrency."""
        started = time.monotonic()
        with ThreadPoolExecutor(CAPACITY_CONCURRENCY) as pool:
            list(pool.map(lambda _: self.run_job(Phase(), time.monotonic()), range(WARM_UP_JOBS)))
        return WARM_UP_JOBS / (time.monotonic() - started)

    def under_load(self, rate: float, work: Callable[[], None]) -> Phase:
        """Run ``rate`` jobs per second until ``work`` is done."""
        phase = Phase()
        steady_load(rate, lambda due: self.run_job(phase, due), work, MAX_CONCURRENCY)
        return phase

    def memory_mb(self) -> float:
        """Return the memory (PSS) of the service, Triton and its backends together."""
        service = psutil.Process(self.running.process.pid)
        processes = [service, *service.children(recursive=True)]
        return sum(process.memory_full_info().pss for process in processes) / 2**20


def alternate_versions(service: ServiceUnderTest) -> None:
    for _ in range(SWAPS):
        started = time.monotonic()
        service.operator.models.rollback(MODEL)
        time.sleep(max(0.0, SWAP_INTERVAL_S - (time.monotonic() - started)))


def deploy_broken_candidates(service: ServiceUnderTest, folder: Path, refused: list[str]) -> None:
    """Deploy four broken candidates; append a line to ``refused`` for each one that is refused."""
    broken = {
        "not finite": candidates.not_finite(MODEL, "material"),
        "wrong shape": candidates.wrong_shape(MODEL, "material"),
        "cut off": candidates.equivalent(MODEL, "material")[:50_000],
    }
    folders = [candidates.write(folder / name, data) for name, data in broken.items()] + [folder / "missing"]
    for candidate in folders:
        try:
            service.operator.models.deploy(MODEL, candidate)
        except (ApiError, InvalidInput) as error:
            refused.append(f"{candidate.name}: {error}")
    time.sleep(SWAP_INTERVAL_S)


def measure(service: ServiceUnderTest, candidate: Path, folder: Path) -> list[Figure]:
    operator = service.operator.models
    old = operator.status(MODEL).serving_version
    service.capacity()
    rate = LOAD_SHARE * service.capacity()

    def deploy() -> None:
        operator.deploy(MODEL, candidate, version=old + 1, accept_difference=True)

    deploying = service.under_load(rate, deploy)
    new = operator.status(MODEL).serving_version
    service.capacity()  # lets the buffers of the new version grow to their final size
    operator.rollback(MODEL)
    quiet = service.under_load(rate, lambda: time.sleep(SWAPS * SWAP_INTERVAL_S))
    memory_before_mb = service.memory_mb()
    swapping = service.under_load(rate, lambda: alternate_versions(service))
    memory_after_mb = service.memory_mb()
    refused: list[str] = []
    refusing = service.under_load(rate, lambda: deploy_broken_candidates(service, folder, refused))
    phases = {
        "without swaps": quiet,
        "during swaps": swapping,
        "while a candidate is deployed": deploying,
        "while broken candidates are deployed": refusing,
    }
    valid_versions = {str(old), str(new)}
    broken_that_served = sum(version not in valid_versions for phase in phases.values() for version in phase.versions)
    return [
        Figure("load", rate, "jobs/s"),
        *(figure for name, phase in phases.items() for figure in phase.figures(name)),
        Figure("swaps", SWAPS, "swaps", ">= 20"),
        Figure("versions that answered during swaps", len(swapping.versions), "versions", "== 2"),
        Figure("p99 during swaps / without", swapping.percentile_ms(99) / quiet.percentile_ms(99), "×", "<= 2"),
        Figure("memory before the swaps", memory_before_mb, "MB"),
        Figure("growth of memory over the swaps", 100 * (memory_after_mb / memory_before_mb - 1), "%", "<= 5"),
        Figure("broken candidates refused", len(refused), "of 4", "== 4"),
        Figure("broken candidates that served", broken_that_served, "versions", "== 0"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--candidate", type=Path, help="folder with model.onnx, a version of the segmentation model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        candidate = arguments.candidate or candidates.REPOSITORY / MODEL / "1"
        running = RunningService(folder / "data", workers=os.cpu_count() or 2)
        try:
            figures = measure(ServiceUnderTest(running), candidate, folder)
        finally:
            running.stop()
    report("hot swap", figures, arguments.json)


if __name__ == "__main__":
    main()
