"""Triton against onnxruntime in this process: ``python -m tests.benchmarks.serving [--json FILE]``.

``intrinsic_decomposition`` at 512², the same threads for both, turn by turn in one run. Triton is called by gRPC with
the picture and the answer in system shared memory, and serves with the profile of this machine. The same once more with
``perf_analyzer``, where it can be had.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException, shared_memory

from orchestrator.inference.launch import TritonServer
from orchestrator.inference.profiles import pick
from orchestrator.settings import load
from tests.benchmarks import perf_analyzer
from tests.benchmarks.report import Figure, report

MODEL, SIDE, REQUESTS, ROUNDS = "intrinsic_decomposition", 512, 48, 3
PICTURE = 3 * SIDE * SIDE * 4
"""Bytes of one picture, and of each of the two answers."""


class SharedCaller:
    """One client with regions of its own."""

    def __init__(self, url: str, name: str, image: np.ndarray) -> None:
        self.client = grpcclient.InferenceServerClient(url)
        self.prefix = f"bench-{os.getpid()}-{name}"
        self.regions = {}
        for kind, size in (("in", PICTURE), ("albedo", PICTURE), ("shading", PICTURE)):
            key = f"/{self.prefix}-{kind}"
            self.regions[kind] = shared_memory.create_shared_memory_region(key[1:], key, size)
            self.client.register_system_shared_memory(key[1:], key, size)
        shared_memory.set_shared_memory_region(self.regions["in"], [image])
        self.input = grpcclient.InferInput("image", image.shape, "FP32")
        self.input.set_shared_memory(f"{self.prefix}-in", PICTURE)
        self.outputs = [grpcclient.InferRequestedOutput(kind) for kind in ("albedo", "shading")]
        for output, kind in zip(self.outputs, ("albedo", "shading"), strict=True):
            output.set_shared_memory(f"{self.prefix}-{kind}", PICTURE)

    def __call__(self) -> None:
        self.client.infer(MODEL, [self.input], outputs=self.outputs)

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


def throughput(callers: list[Callable[[], None]]) -> tuple[float, np.ndarray]:
    """Requests a second of all callers at once, and each request's milliseconds."""

    def work(caller: Callable[[], None]) -> list[float]:
        times = []
        for _ in range(max(4, REQUESTS // len(callers))):
            started = time.perf_counter()
            caller()
            times.append(1000 * (time.perf_counter() - started))
        return times

    started = time.perf_counter()
    with ThreadPoolExecutor(len(callers)) as pool:
        times = np.concatenate(list(pool.map(work, callers)))
    return len(times) / (time.perf_counter() - started), times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--profile", default="auto", help="cpu, gpu, tensorrt, auto or none")
    chosen = parser.parse_args()
    settings = load()
    image = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    session = onnxruntime.InferenceSession(str(settings.model_repository / MODEL / "1" / "model.onnx"))

    def in_process() -> None:
        session.run(None, {"image": image})

    figures = []
    profile = pick(settings.triton_profiles, chosen.profile)
    with (
        tempfile.TemporaryDirectory() as folder,
        TritonServer(
            settings.model_repository, settings.triton_backends, Path(folder), profile=profile, models=[MODEL]
        ) as server,
    ):
        for concurrency in (1, 8):
            callers = [SharedCaller(server.url, f"{concurrency}-{number}", image) for number in range(concurrency)]
            client = callers[0].client
            throughput([in_process]), throughput(list(callers))
            before = client.get_inference_statistics(MODEL).model_stats[0]
            rounds = [(throughput([in_process] * concurrency), throughput(list(callers))) for _ in range(ROUNDS)]
            after = client.get_inference_statistics(MODEL).model_stats[0]
            local = float(np.median([mine[0] for mine, _ in rounds]))
            served = float(np.median([theirs[0] for _, theirs in rounds]))
            batch = (after.inference_count - before.inference_count) / (after.execution_count - before.execution_count)
            times = np.concatenate([theirs[1] for _, theirs in rounds])
            at = f"at concurrency {concurrency}"
            figures += [
                Figure(f"in-process {at}", local, "requests/s"),
                Figure(f"Triton {at}", served, "requests/s"),
                Figure(f"Triton / in-process {at}", served / local, "×", ">= 0.85" if concurrency == 8 else ""),
                Figure(f"mean batch {at}", batch, "requests", "> 1.5" if concurrency == 8 else ""),
                Figure(f"Triton p50 {at}", float(np.percentile(times, 50)), "ms"),
                Figure(f"Triton p99 {at}", float(np.percentile(times, 99)), "ms"),
            ]
            for caller in callers:
                caller.close()
            loaded = perf_analyzer.run(server.url, MODEL, f"image:3,{SIDE},{SIDE}", concurrency)
            if loaded is not None:
                figures += [
                    Figure(f"perf_analyzer {at}", loaded["requests_per_s"], "requests/s"),
                    Figure(f"perf_analyzer p50 {at}", loaded["p50_ms"], "ms"),
                    Figure(f"perf_analyzer p99 {at}", loaded["p99_ms"], "ms"),
                ]
    report("serving", figures, chosen.json)


if __name__ == "__main__":
    main()
