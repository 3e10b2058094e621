"""Runs mixed jobs at half of the service's capacity for hours, and measures what grows meanwhile.

python -m tests.benchmarks.soak [--minutes 120] [--seed 1] [--json FILE] [--samples FILE]

``heartwood up`` runs with its own Triton and 2 workers, and keeps uploads, results, cached results and jobs for 10
minutes. Two clients run one job after the other, each of which pauses for as long as its job took: they use half of the
capacity, whatever else the machine does. The first quarter of the time is the warm-up, in which they do not pause:
Triton's Python backends never release shared memory, so the warm-up must contain the highest load. "Growth" compares
the medians of the first and the last quarter of the rest, so that it does not depend on what a single moment needs.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood, JobSettings
from orchestrator.inference.launch import SHARED_MEMORY
from orchestrator.protocol.heartwood.v1 import job_pb2
from orchestrator.tools.usage import disk_usage
from tests.benchmarks.chaos.cluster import has_ended
from tests.benchmarks.chaos.workload import SHARES, SUBMIT
from tests.benchmarks.report import Figure, report
from tests.support.meshes import write_stool
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService

CLIENTS = WORKERS = 2
PHOTO_SIZE = (1000, 750)
NEW_PHOTO_SHARE = 0.7
"""Share of jobs with a photo that the service has not seen. The others find cached results."""
KEPT_DAYS = 10 / (24 * 60)
SETTINGS: dict[str, Any] = {
    "workers": WORKERS,
    "drain_s": 10,
    "blob_grace_s": 60,
    "keep_uploads_days": KEPT_DAYS,
    "keep_results_days": KEPT_DAYS,
    "keep_cache_days": KEPT_DAYS,
    "keep_jobs_days": KEPT_DAYS,
}
SAMPLE_S = 20.0
WARM_UP_SHARE = 0.25
BOUNDS = {
    "service_mb": 1.05,
    "triton_mb": 1.05,
    "service_files": 1.05,
    "service_threads": 1.05,
    "processes": 1.05,
    "shared_memory_mb": 1.01,
    "disk_mb": 1.10,
}
"""Maximum of the last quarter relative to the first one. Each leak of one object per job would exceed it: a hundred
jobs per quarter open more than 5 % of the files and threads. The disk varies with the jobs of the last 10 minutes."""


@dataclass
class Results:
    """What the jobs did."""

    ended: Counter[str] = field(default_factory=Counter)  # by state
    problems: list[str] = field(default_factory=list)


class Clients:
    """Submits random jobs and waits for them, from several threads."""

    def __init__(self, service: RunningService, folder: Path, seed: int) -> None:
        self.client: Heartwood = service.client("shop")
        self.results = Results()
        self._chance = random.Random(seed)  # noqa: S311
        self._stool = write_stool(folder / "stool.glb")
        self._seed = 1000

    def submit(self) -> None:
        """Run one random job, and download one of its files."""
        kind = self._chance.choices([*SHARES], weights=[*SHARES.values()])[0]
        if self._chance.random() < NEW_PHOTO_SHARE:
            self._seed += 1
        settings: JobSettings = {"quality": job_pb2.QUALITY_PREVIEW}
        try:
            photo = self.client.upload_bytes(jpeg(wood_photo(*PHOTO_SIZE, self._seed)), f"{self._seed}.jpg").group_id
            model = self.client.upload_model(self._stool) if kind in ("export", "render") else ""
            job = self.client.wait(SUBMIT[kind](self.client, photo, model, settings).id)
            last = list(self.client.list_assets(job.spec.upload_id))[-1]
            for _ in self.client.read(last):
                pass
            self.results.ended[job_pb2.JobState.Name(job.state)] += 1
        except (ApiError, IndexError) as error:
            self.results.problems.append(f"{kind}: {error}")

    def run(self, seconds: float) -> None:
        """Submit jobs from ``CLIENTS`` threads. After the warm-up, each pauses for as long as its job took."""
        warm = time.monotonic() + WARM_UP_SHARE * seconds
        end = time.monotonic() + seconds

        def repeat() -> None:
            while (started := time.monotonic()) < end:
                self.submit()
                if started > warm:
                    time.sleep(time.monotonic() - started)

        with ThreadPoolExecutor(CLIENTS) as pool:
            for client in [pool.submit(repeat) for _ in range(CLIENTS)]:
                client.result()


def sample(service: RunningService) -> dict[str, float]:
    """Return the present use of resources."""
    main = psutil.Process(service.process.pid)
    children = main.children(recursive=True)
    triton = [child for child in children if _is_triton(child)]
    return {
        "service_mb": main.memory_info().rss / 1e6,
        "triton_mb": sum(_proportional_bytes(child) for child in triton) / 1e6,
        "service_files": main.num_fds(),
        "service_threads": main.num_threads(),
        "processes": len(children),
        "shared_memory_mb": sum(map(_disk_bytes, set().union(*map(_shared_memory, [main, *children])))) / 1e6,
        "disk_mb": disk_usage(service.data_dir, ()) / 1e6,
    }


def _is_triton(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "triton" in process.name()
    return False


def _proportional_bytes(process: psutil.Process) -> int:
    """Return the memory of a process; memory that it shares with others counts in parts."""
    with suppress(psutil.Error):
        return int(process.memory_full_info().pss)
    return 0


def _shared_memory(process: psutil.Process) -> set[Path]:
    """Return the files of shared memory that a process uses."""
    with suppress(OSError):
        words = Path(f"/proc/{process.pid}/maps").read_text().split()
        return {Path(word) for word in words if word.startswith(f"{SHARED_MEMORY}/")}
    return set()


def _disk_bytes(file: Path) -> int:
    with suppress(OSError):
        return file.lstat().st_blocks * 512
    return 0


def sampled(service: RunningService, work: Callable[[], None]) -> list[dict[str, float]]:
    """Call ``work``, and return the samples that were taken meanwhile."""
    samples: list[dict[str, float]] = []
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(SAMPLE_S):
            samples.append(sample(service))

    sampler = threading.Thread(target=repeat)
    sampler.start()
    try:
        work()
    finally:
        ended.set()
        sampler.join()
    return samples


def growth(samples: Sequence[Mapping[str, float]], name: str) -> tuple[float, float]:
    """Return the medians of the first and of the last quarter of the samples after the warm-up."""
    values = [each[name] for each in samples[round(WARM_UP_SHARE * len(samples)) :]]
    quarter = max(1, len(values) // 4)
    return float(np.median(values[:quarter])), float(np.median(values[-quarter:]))


def figures(results: Results, samples: Sequence[Mapping[str, float]], left: int) -> list[Figure]:
    """Return the load, and the use of each resource at the beginning and at the end."""
    made = [Figure(f"jobs {state.removeprefix('JOB_STATE_')}", n, "jobs") for state, n in results.ended.items()]
    made.append(Figure("problems", len(results.problems), "", "== 0"))
    for name, bound in BOUNDS.items():
        first, last = growth(samples, name)
        made += [Figure(f"{name}, first quarter", first), Figure(f"{name}, last quarter", last)]
        made.append(Figure(f"{name}, ratio", last / max(first, 1e-9), "", f"<= {bound:g}"))
    return [*made, Figure("processes after the end", left, "", "== 0")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--samples", type=Path, help="receives all samples, as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heartwood-soak-") as scratch:
        service = RunningService(Path(scratch) / "data", **SETTINGS)
        children = []
        try:
            clients = Clients(service, Path(scratch), arguments.seed)
            samples = sampled(service, lambda: clients.run(60 * arguments.minutes))
            children = psutil.Process(service.process.pid).children(recursive=True)
        finally:
            service.stop()
        left = sum(not has_ended(child) for child in children)
        print(*clients.results.problems, sep="\n")
    if arguments.samples:
        arguments.samples.write_text(json.dumps(samples), encoding="utf-8")
    report("soak", figures(clients.results, samples, left), arguments.json)


if __name__ == "__main__":
    main()
