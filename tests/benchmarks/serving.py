"""Triton against onnxruntime in this process: ``python -m tests.benchmarks.serving [--version N] [--json FILE]``.

One model in each size bucket, alone and in batches, the same threads for both, turn by turn in one run. Triton is
called by gRPC with pictures and answers in system shared memory, and serves with the profile of this machine. The
first case once more with ``perf_analyzer``, where it can be had.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException, shared_memory

from orchestrator.cli.bench_sweep import counts
from orchestrator.errors import ToolFailed
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.profiles import select_profile
from orchestrator.settings import load
from orchestrator.tools import perf_analyzer
from tests.benchmarks.report import Figure, report
from tests.support.candidates import newest_version

MODEL, REQUESTS, ROUNDS = "intrinsic_decomposition", 48, 3


@dataclass(frozen=True)
class Case:
    """Pictures of ``side``² in requests of ``batch``, ``concurrency`` of them on their way at any time."""

    side: int
    batch: int
    concurrency: int

    def __str__(self) -> str:
        return f"{self.side}², batch {self.batch}, concurrency {self.concurrency}"


BOUND = Case(512, 1, 8)
"""The case that must hold: many callers with a picture each."""
CASES = (Case(512, 1, 1), BOUND, Case(512, 4, 2), Case(768, 1, 8), Case(768, 4, 2), Case(1024, 1, 8), Case(1024, 4, 2))


class SharedCaller:
    """One client with regions of its own."""

    def __init__(self, url: str, name: str, image: np.ndarray, version: str) -> None:
        self.client = grpcclient.InferenceServerClient(url)
        self.version = version
        size = image.nbytes  # of the pictures, and of each of the two answers
        self.prefix = f"bench-{os.getpid()}-{name}"
        self.regions = {}
        for kind in ("in", "albedo", "shading"):
            key = f"/{self.prefix}-{kind}"
            self.regions[kind] = shared_memory.create_shared_memory_region(key[1:], key, size)
            self.client.register_system_shared_memory(key[1:], key, size)
        shared_memory.set_shared_memory_region(self.regions["in"], [image])
        self.input = grpcclient.InferInput("image", image.shape, "FP32")
        self.input.set_shared_memory(f"{self.prefix}-in", size)
        self.outputs = [grpcclient.InferRequestedOutput(kind) for kind in ("albedo", "shading")]
        for output, kind in zip(self.outputs, ("albedo", "shading"), strict=True):
            output.set_shared_memory(f"{self.prefix}-{kind}", size)

    def __call__(self) -> None:
        self.client.infer(MODEL, [self.input], self.version, self.outputs)

    def close(self) -> None:
        for name, region in self.regions.items():
            self._unregister(f"{self.prefix}-{name}")
            shared_memory.destroy_shared_memory_region(region)
        self.client.close()

    def _unregister(self, region: str) -> None:
        for _ in range(20):
            try:
                self.client.unregister_system_shared_memory(region)
                return
            except InferenceServerException:  # Triton lets go of it a moment after the answer
                time.sleep(0.1)


def throughput(callers: list[Callable[[], None]], scale: int = 1) -> tuple[float, np.ndarray]:
    """Requests a second of all callers at once, and each request's milliseconds; ``scale`` times fewer of them."""

    def work(caller: Callable[[], None]) -> list[float]:
        times = []
        for _ in range(max(3, REQUESTS // len(callers) // scale)):
            started = time.perf_counter()
            caller()
            times.append(1000 * (time.perf_counter() - started))
        return times

    started = time.perf_counter()
    with ThreadPoolExecutor(len(callers)) as pool:
        times = np.concatenate(list(pool.map(work, callers)))
    return len(times) / (time.perf_counter() - started), times


def measure(server: TritonServer, session: onnxruntime.InferenceSession, version: int, case: Case) -> list[Figure]:
    """Both ways, turn by turn."""
    image = np.random.default_rng(0).random((case.batch, 3, case.side, case.side), np.float32)

    def in_process() -> None:
        session.run(None, {"image": image})

    callers = [
        SharedCaller(server.url, f"{case.side}-{case.batch}-{n}", image, str(version)) for n in range(case.concurrency)
    ]
    client, locally, scale = callers[0].client, [in_process] * case.concurrency, case.batch * (case.side // 512)
    throughput([in_process], scale), throughput(list(callers), scale)
    before = counts(client, MODEL, version)
    rounds = [(throughput(locally, scale), throughput(list(callers), scale)) for _ in range(ROUNDS)]
    after = counts(client, MODEL, version)
    for caller in callers:
        caller.close()
    local = case.batch * float(np.median([mine[0] for mine, _ in rounds]))
    served = case.batch * float(np.median([theirs[0] for _, theirs in rounds]))
    batch = (after[0] - before[0]) / (after[1] - before[1])
    times = np.concatenate([theirs[1] for _, theirs in rounds])
    return [
        Figure(f"in-process, {case}", local, "pictures/s"),
        Figure(f"Triton, {case}", served, "pictures/s"),
        Figure(f"Triton / in-process, {case}", served / local, "×", ">= 0.85" if case == BOUND else ""),
        Figure(f"mean batch, {case}", batch, "pictures", "> 1.5" if case == BOUND else ""),
        Figure(f"Triton p50, {case}", float(np.percentile(times, 50)), "ms"),
        Figure(f"Triton p99, {case}", float(np.percentile(times, 99)), "ms"),
    ]


def with_perf_analyzer(server: TritonServer, version: int, case: Case, folder: Path) -> list[Figure]:
    """The same by Triton's own tool; nothing where it can't be had."""
    image = np.random.default_rng(0).random((3, case.side, case.side), np.float32)
    perf_analyzer.write_inputs([{"image": image}], folder / "inputs.json")
    sent = perf_analyzer.Load(server.url, MODEL, version, case.batch)
    try:
        program = perf_analyzer.find(load().root / perf_analyzer.FOLDER)
        found = perf_analyzer.run(program, sent, folder / "inputs.json", concurrency=case.concurrency)
    except ToolFailed as error:
        print(error.message)
        return []
    return [
        Figure(f"perf_analyzer, {case}", found.per_s, "pictures/s"),
        Figure(f"perf_analyzer p50, {case}", found.p50_ms, "ms"),
        Figure(f"perf_analyzer p99, {case}", found.p99_ms, "ms"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--profile", default="auto", help="cpu, gpu, tensorrt, auto or none")
    parser.add_argument("--version", type=int, default=newest_version(MODEL), help="default: the newest in the repository")
    chosen = parser.parse_args()
    settings = load()
    session = onnxruntime.InferenceSession(
        str(settings.model_repository / MODEL / str(chosen.version) / "model.onnx"),
        providers=["CPUExecutionProvider"],
    )
    figures = []
    profile = select_profile(settings.triton_profiles, chosen.profile)
    with (
        tempfile.TemporaryDirectory() as folder,
        TritonServer(
            settings.model_repository, settings.triton_backends, Path(folder), profile=profile, models=[MODEL]
        ) as server,
    ):
        for case in CASES:
            print(case, flush=True)
            figures += measure(server, session, chosen.version, case)
        for case in CASES[:2]:
            figures += with_perf_analyzer(server, chosen.version, case, Path(folder))
    report(f"serving, {MODEL} version {chosen.version}", figures, chosen.json)


if __name__ == "__main__":
    main()
