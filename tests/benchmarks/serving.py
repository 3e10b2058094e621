"""Compares Triton with onnxruntime in this process.

python -m tests.benchmarks.serving [--version N] [--profile NAME] [--json FILE]

Measures one model at each bucket size, with single images and with batches. Both sides use the same number of threads
and are measured alternately. Triton is called over gRPC with inputs and outputs in system shared memory, and uses the
profile of this machine. The first two cases are also measured with ``perf_analyzer`` if it is available.
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

from orchestrator.errors import ToolFailed
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.load_sweep import inference_counts
from orchestrator.inference.profiles import select_profile
from orchestrator.settings import Settings
from orchestrator.tools import perf_analyzer
from tests.benchmarks.report import Figure, report
from tests.support.candidates import newest_version

MODEL = "intrinsic_decomposition"
OUTPUTS = ("albedo", "shading")
REQUESTS = 48
ROUNDS = 3
UNREGISTER_ATTEMPTS = 20
UNREGISTER_RETRY_S = 0.1


@dataclass(frozen=True)
class Case:
    """A load of ``concurrency`` requests in flight, each with ``batch`` images of ``side``²."""

    side: int
    batch: int
    concurrency: int

    def __str__(self) -> str:
        return f"{self.side}², batch {self.batch}, concurrency {self.concurrency}"


BOUND_CASE = Case(512, 1, 8)
"""The case for which the bounds must hold: many callers with one image each."""
CASES = (
    Case(512, 1, 1),
    BOUND_CASE,
    Case(512, 4, 2),
    Case(768, 1, 8),
    Case(768, 4, 2),
    Case(1024, 1, 8),
    Case(1024, 4, 2),
)


class SharedMemoryCaller:
    """A client that sends one request again and again, with its own regions of shared memory."""

    def __init__(self, url: str, name: str, image: np.ndarray, version: str) -> None:
        self.client = grpcclient.InferenceServerClient(url)
        self.version = version
        size = image.nbytes  # each output has as many bytes as the input
        self.prefix = f"bench-{os.getpid()}-{name}"
        self.regions = {}
        for tensor in ("image", *OUTPUTS):
            key = f"/{self.prefix}-{tensor}"
            self.regions[tensor] = shared_memory.create_shared_memory_region(key[1:], key, size)
            self.client.register_system_shared_memory(key[1:], key, size)
        shared_memory.set_shared_memory_region(self.regions["image"], [image])
        self.input = grpcclient.InferInput("image", image.shape, "FP32")
        self.input.set_shared_memory(f"{self.prefix}-image", size)
        self.outputs = [grpcclient.InferRequestedOutput(name) for name in OUTPUTS]
        for output, tensor in zip(self.outputs, OUTPUTS, strict=True):
            output.set_shared_memory(f"{self.prefix}-{tensor}", size)

    def __call__(self) -> None:
        self.client.infer(MODEL, [self.input], self.version, self.outputs)

    def close(self) -> None:
        for tensor, region in self.regions.items():
            self._unregister(f"{self.prefix}-{tensor}")
            shared_memory.destroy_shared_memory_region(region)
        self.client.close()

    def _unregister(self, region: str) -> None:
        for _ in range(UNREGISTER_ATTEMPTS):
            try:
                self.client.unregister_system_shared_memory(region)
                return
            except InferenceServerException:  # Triton releases a region shortly after the response
                time.sleep(UNREGISTER_RETRY_S)


def throughput(callers: list[Callable[[], None]], divisor: int = 1) -> tuple[float, np.ndarray]:
    """Run all callers concurrently.

    Args:
        divisor: the number of requests is REQUESTS divided by this, and at least 3 per caller.

    Returns:
        Requests per second of all callers together, and the milliseconds of each request.
    """

    def run(caller: Callable[[], None]) -> list[float]:
        times = []
        for _ in range(max(3, REQUESTS // len(callers) // divisor)):
            started = time.perf_counter()
            caller()
            times.append(1000 * (time.perf_counter() - started))
        return times

    started = time.perf_counter()
    with ThreadPoolExecutor(len(callers)) as pool:
        times = np.concatenate(list(pool.map(run, callers)))
    return len(times) / (time.perf_counter() - started), times


def measure(server: TritonServer, session: onnxruntime.InferenceSession, version: int, case: Case) -> list[Figure]:
    """Measure Triton and onnxruntime alternately."""
    image = np.random.default_rng(0).random((case.batch, 3, case.side, case.side), np.float32)

    def run_in_process() -> None:
        session.run(None, {"image": image})

    triton_callers = [
        SharedMemoryCaller(server.url, f"{case.side}-{case.batch}-{number}", image, str(version))
        for number in range(case.concurrency)
    ]
    local_callers = [run_in_process] * case.concurrency
    client = triton_callers[0].client
    divisor = case.batch * (case.side // 512)
    throughput([run_in_process], divisor)  # warms up
    throughput(list(triton_callers), divisor)
    before = inference_counts(client, MODEL, version)
    rounds = [(throughput(local_callers, divisor), throughput(list(triton_callers), divisor)) for _ in range(ROUNDS)]
    mean_batch = inference_counts(client, MODEL, version).mean_batch_since(before)
    for caller in triton_callers:
        caller.close()
    local = case.batch * float(np.median([requests_per_s for (requests_per_s, _), _ in rounds]))
    served = case.batch * float(np.median([requests_per_s for _, (requests_per_s, _) in rounds]))
    times = np.concatenate([times for _, (_, times) in rounds])
    return [
        Figure(f"in-process, {case}", local, "pictures/s"),
        Figure(f"Triton, {case}", served, "pictures/s"),
        Figure(f"Triton / in-process, {case}", served / local, "×", ">= 0.85" if case == BOUND_CASE else ""),
        Figure(f"mean batch, {case}", mean_batch, "pictures", "> 1.5" if case == BOUND_CASE else ""),
        Figure(f"Triton p50, {case}", float(np.percentile(times, 50)), "ms"),
        Figure(f"Triton p99, {case}", float(np.percentile(times, 99)), "ms"),
    ]


def measure_with_perf_analyzer(server: TritonServer, version: int, case: Case, folder: Path) -> list[Figure]:
    """Measure a case with Triton's load generator. Returns no figures if it is not available."""
    image = np.random.default_rng(0).random((3, case.side, case.side), np.float32)
    inputs = folder / "inputs.json"
    perf_analyzer.write_inputs([{"image": image}], inputs)
    sent = perf_analyzer.Load(server.url, MODEL, version, case.batch)
    try:
        program = perf_analyzer.find(Settings().root / perf_analyzer.FOLDER)
        measured = perf_analyzer.run(program, sent, inputs, "concurrency", case.concurrency)
    except ToolFailed as error:
        print(error.message)
        return []
    return [
        Figure(f"perf_analyzer, {case}", measured.per_s, "pictures/s"),
        Figure(f"perf_analyzer p50, {case}", measured.p50_ms, "ms"),
        Figure(f"perf_analyzer p99, {case}", measured.p99_ms, "ms"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--profile", default="auto", help="cpu, gpu, tensorrt, auto or none")
    parser.add_argument(
        "--version", type=int, default=newest_version(MODEL), help="default: the newest in the repository"
    )
    arguments = parser.parse_args()
    settings = Settings()
    version: int = arguments.version
    session = onnxruntime.InferenceSession(
        str(settings.model_repository / MODEL / str(version) / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    figures = []
    profile = select_profile(settings.triton_profiles, arguments.profile)
    with (
        tempfile.TemporaryDirectory() as folder,
        TritonServer(
            settings.model_repository, settings.triton_backends, Path(folder), profile=profile, models=[MODEL]
        ) as server,
    ):
        for case in CASES:
            print(case, flush=True)
            figures += measure(server, session, version, case)
        for case in CASES[:2]:
            figures += measure_with_perf_analyzer(server, version, case, Path(folder))
    report(f"serving, {MODEL} version {version}", figures, arguments.json)


if __name__ == "__main__":
    main()
