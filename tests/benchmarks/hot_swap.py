"""A model swapped 20 times under load: ``python -m tests.benchmarks.hot_swap [--json FILE] [--candidate DIR]``.

A real ``heartwood up`` with its own Triton on this machine, and jobs at half of what it can do, each of a photo that it
has not seen: ``segment`` at PREVIEW, so that all models are asked at 512². Then the same with a promotion or rollback
every few seconds between the repository's newest version and the candidate, then while broken candidates are deployed.
A job is counted from when it is due, so that a stall counts for all that wait. The candidate is version 1, deployed
anew, or that of ``--candidate``.
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

from orchestrator.client.client import ApiError, Heartwood
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import job_pb2
from tests.benchmarks.load import steady
from tests.benchmarks.report import Figure, report
from tests.support import candidates
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService

MODEL = "segmentation"
SWAPS, EVERY_S, WARM_JOBS = 20, 3.0, 12
SHARE = 0.5
"""Of the capacity."""


@dataclass
class Load:
    """What the jobs of one phase came to."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)

    def at(self, percentile: float) -> float:
        return float(np.percentile(self.seconds, percentile))


class Service:
    """The service under test, and its photos."""

    def __init__(self, running: RunningService) -> None:
        self.running = running
        self.operator: Heartwood = running.client("local")
        self.shop: Heartwood = running.client("shop")
        self._seeds = count()

    def job(self, load: Load, due: float) -> None:
        """Run one job and note how long after ``due`` it had ended."""
        try:
            upload = self.shop.upload_bytes(jpeg(wood_photo(320, 240, next(self._seeds))), "board.jpg").group_id
            made = self.shop.wait(self.shop.segment(upload, quality=job_pb2.QUALITY_PREVIEW).id)
        except ApiError as error:
            load.failed.append(error.message)
            return
        load.seconds.append(time.monotonic() - due)
        load.versions.add(made.segment.model_versions[MODEL])

    def capacity(self, jobs: int, at_once: int) -> float:
        """Jobs a second, as many at once as the service works on."""
        started = time.monotonic()
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda _: self.job(Load(), time.monotonic()), range(jobs)))
        return jobs / (time.monotonic() - started)

    def steady(self, rate: float, work: Callable[[], None]) -> Load:
        """Jobs at ``rate`` a second, until ``work`` has been done beside them."""
        load = Load()
        steady(rate, lambda due: self.job(load, due), work, at_once=32)
        return load

    def memory_mb(self) -> float:
        """Memory of the service, Triton and its backends together; what they share is counted once."""
        mine = psutil.Process(self.running.process.pid)
        return sum(one.memory_full_info().pss for one in [mine, *mine.children(recursive=True)]) / 2**20


def swap_to_and_fro(service: Service) -> None:
    for _ in range(SWAPS):
        started = time.monotonic()
        service.operator.models.rollback(MODEL)
        time.sleep(max(0.0, EVERY_S - (time.monotonic() - started)))


def deploy_broken(service: Service, folder: Path, refused: list[str]) -> None:
    broken = {
        "not finite": candidates.not_finite(MODEL, "material"),
        "wrong shape": candidates.wrong_shape(MODEL, "material"),
        "cut off": candidates.equivalent(MODEL, "material")[:50_000],
    }
    folders = [candidates.write(folder / name, data) for name, data in broken.items()] + [folder / "missing"]
    for each in folders:
        try:
            service.operator.models.deploy(MODEL, each)
        except (ApiError, InvalidInput) as error:
            refused.append(f"{each.name}: {error}")
    time.sleep(EVERY_S)


def measure(service: Service, candidate: Path, folder: Path) -> list[Figure]:
    operator = service.operator.models
    old = operator.status(MODEL).serving_version
    service.capacity(WARM_JOBS, 2)
    rate = SHARE * service.capacity(WARM_JOBS, 2)

    def deploy() -> None:
        operator.deploy(MODEL, candidate, version=old + 1, accept_difference=True)

    deploying = service.steady(rate, deploy)
    new = operator.status(MODEL).serving_version
    service.capacity(WARM_JOBS, 2)  # the new version's buffers reach their size
    operator.rollback(MODEL)
    quiet = service.steady(rate, lambda: time.sleep(SWAPS * EVERY_S))
    before_mb = service.memory_mb()
    swapping = service.steady(rate, lambda: swap_to_and_fro(service))
    after_mb = service.memory_mb()
    refused: list[str] = []
    trying = service.steady(rate, lambda: deploy_broken(service, folder, refused))
    phases = {"without swaps": quiet, "during swaps": swapping, "while a candidate is deployed": deploying}
    phases["while broken candidates are deployed"] = trying
    figures = [Figure("load", rate, "jobs/s")]
    for name, load in phases.items():
        figures += [
            Figure(f"jobs {name}", len(load.seconds) + len(load.failed), "jobs"),
            Figure(f"failed {name}", len(load.failed), "jobs", "== 0"),
            Figure(f"p50 {name}", 1000 * load.at(50), "ms"),
            Figure(f"p99 {name}", 1000 * load.at(99), "ms"),
        ]
    good = {str(old), str(new)}
    served = sum(version not in good for load in phases.values() for version in load.versions)
    return [
        *figures,
        Figure("swaps", SWAPS, "swaps", ">= 20"),
        Figure("versions that answered during swaps", len(swapping.versions), "versions", "== 2"),
        Figure("p99 during swaps / without", swapping.at(99) / quiet.at(99), "×", "<= 2"),
        Figure("memory before the swaps", before_mb, "MB"),
        Figure("growth of memory over the swaps", 100 * (after_mb / before_mb - 1), "%", "<= 5"),
        Figure("broken candidates refused", len(refused), "of 4", "== 4"),
        Figure("broken candidates that served", served, "versions", "== 0"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--candidate", type=Path, help="a folder with model.onnx, of the segmentation model")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        candidate = chosen.candidate or candidates.REPOSITORY / MODEL / "1"
        running = RunningService(folder / "data", workers=os.cpu_count() or 2)
        try:
            figures = measure(Service(running), candidate, folder)
        finally:
            running.stop()
    report("hot swap", figures, chosen.json)


if __name__ == "__main__":
    main()
