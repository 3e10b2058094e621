"""Compares methods of moving traffic from one model version to another.

python -m tests.benchmarks.swap_methods [--json FILE]

Each method runs on a new Triton from pip with ``segmentation`` at 256². Requests are sent at half of the capacity, and
their latency is measured from the time at which they were due. Meanwhile the method swaps the version ten times. The
new version is the same network in another file. ``orchestrator.rollout`` uses the method that did best.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path

import numpy as np
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException

from orchestrator.errors import HeartwoodError
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.profiles import apply_profile, select_profile
from orchestrator.inference.triton_client import TritonClient
from orchestrator.settings import Settings
from tests.benchmarks.load import steady_load
from tests.benchmarks.report import Figure, report
from tests.support import candidates

MODEL = "segmentation"
OUTPUT = "material"
SIDE = 256
SWAPS = 10
SWAP_INTERVAL_S = 2.0
TIMEOUT_S = 120.0
CAPACITY_REQUESTS = 40
CAPACITY_CONCURRENCY = 4
MAX_CONCURRENCY = 64

Target = tuple[str, str]
"""Triton name and version; an empty version is the newest."""
Swap = Callable[[], object]


class SwapBench:
    """A Triton with its own model repository, and the operations that the methods consist of."""

    def __init__(self, triton: TritonClient, repository: Path) -> None:
        self.triton = triton
        self.model_folder = repository / MODEL
        self.old = str(candidates.newest_version(MODEL))
        self.new = str(int(self.old) + 1)
        self.network = candidates.equivalent(MODEL, OUTPUT)
        self.inputs = {"image": np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)}
        self.target: Target = (MODEL, self.old)
        self._numbers = count(int(self.new) + 1)

    def infer(self) -> None:
        """Send one request to the target."""
        self.triton.infer_async(*self.target, self.inputs, TIMEOUT_S, (OUTPUT,)).result()

    def capacity(self) -> float:
        """Return the requests per second at a constant concurrency."""
        started = time.monotonic()
        with ThreadPoolExecutor(CAPACITY_CONCURRENCY) as pool:
            list(pool.map(lambda _: self.infer(), range(CAPACITY_REQUESTS)))
        return CAPACITY_REQUESTS / (time.monotonic() - started)

    def serve_only(self, version: str) -> None:
        """Reload the model with a version policy that names one version."""
        config = model_config_pb2.ModelConfig()
        config.CopyFrom(self.triton.config(MODEL))
        config.version_policy.Clear()
        config.version_policy.specific.versions.append(int(version))
        text = json_format.MessageToJson(config, preserving_proto_field_name=True)
        self.triton.grpc_client.load_model(MODEL, config=text, headers=self.triton.control_metadata)

    def toggle_version_folder(self) -> None:
        """Add the folder of the new version to the repository, or remove it, and reload the model."""
        folder = self.model_folder / self.new
        if folder.exists():
            shutil.rmtree(folder)
        else:
            folder.mkdir()
            (folder / "model.onnx").write_bytes(self.network)
        self.triton.load_from_repository(MODEL)

    def set_target(self, target: Target) -> None:
        """Send requests to another version that is loaded already."""
        self.target = target

    def replace_deployed_version(self) -> None:
        """Load a version under its own name, warm it up, send requests to it, and unload the one before."""
        number, before = str(next(self._numbers)), self.target
        name = f"{MODEL}@{number}"
        self.triton.load(MODEL, name, number, self.network)
        self.triton.infer(name, number, self.inputs, TIMEOUT_S)
        self.target = (name, number)
        if before[0] != MODEL:
            self.triton.unload(before[0])


@dataclass
class Outcome:
    """The requests and swaps of one method."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    swap_seconds: list[float] = field(default_factory=list)
    failed_swaps: list[str] = field(default_factory=list)


def run_under_load(bench: SwapBench, rate: float, swaps: Sequence[Swap]) -> Outcome:
    """Send ``rate`` requests per second until all swaps are done."""
    outcome = Outcome()

    def request(due: float) -> None:
        try:
            bench.infer()
            outcome.seconds.append(time.monotonic() - due)
        except HeartwoodError as error:
            outcome.failed.append(error.message)

    def run_swaps() -> None:
        for swap in swaps:
            started = time.monotonic()
            try:
                swap()
                outcome.swap_seconds.append(time.monotonic() - started)
            except (HeartwoodError, InferenceServerException) as error:
                outcome.failed_swaps.append(str(error))
            time.sleep(max(0.0, SWAP_INTERVAL_S - (time.monotonic() - started)))

    steady_load(rate, request, run_swaps, MAX_CONCURRENCY)
    return outcome


# ---- the methods: each prepares its Triton and returns the swaps


def no_swap(_: SwapBench) -> list[Swap]:
    return [lambda: None] * SWAPS


def version_policy(bench: SwapBench) -> list[Swap]:
    bench.toggle_version_folder()
    bench.set_target((MODEL, ""))
    bench.serve_only(bench.old)
    versions = cycle((bench.new, bench.old))
    return [lambda: bench.serve_only(next(versions))] * SWAPS


def version_folder(bench: SwapBench) -> list[Swap]:
    return [bench.toggle_version_folder] * SWAPS


def version_numbers(bench: SwapBench) -> list[Swap]:
    bench.toggle_version_folder()
    return _alternate(bench, (MODEL, bench.old), (MODEL, bench.new))


def own_names(bench: SwapBench) -> list[Swap]:
    own = (f"{MODEL}@{bench.new}", bench.new)
    bench.triton.load(MODEL, *own, bench.network)
    return _alternate(bench, (MODEL, bench.old), own)


def own_names_loaded_each_time(bench: SwapBench) -> list[Swap]:
    return [bench.replace_deployed_version] * SWAPS


def _alternate(bench: SwapBench, first: Target, second: Target) -> list[Swap]:
    """Warm up two loaded versions, and return swaps that alternate between them."""
    for target in (second, first):
        bench.set_target(target)
        bench.capacity()
    targets = cycle((second, first))
    return [lambda: bench.set_target(next(targets))] * SWAPS


METHODS = {
    "no swap": no_swap,
    "one name, both loaded, requests name the version": version_numbers,
    "own names, both loaded, a pointer": own_names,
    "own names, each loaded, warmed up and unloaded": own_names_loaded_each_time,
    "one name, folder added or removed": version_folder,
    "one name, version policy rewritten": version_policy,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = [figure for name, method in METHODS.items() for figure in measure(name, method)]
    report("ways to swap a version under load", figures, arguments.json)


def measure(name: str, method: Callable[[SwapBench], list[Swap]]) -> list[Figure]:
    settings = Settings()
    profile = select_profile(settings.triton_profiles, "cpu")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        repository = apply_profile(settings.model_repository, profile, folder / "models") if profile else folder
        with TritonServer(repository, settings.triton_backends, folder / "triton", models=[MODEL]) as server:
            bench = SwapBench(TritonClient(server.url, control=server.control), repository)
            bench.capacity()
            rate = bench.capacity() / 2
            outcome = run_under_load(bench, rate, method(bench))
            crashes = server.restarts
    return [
        Figure(f"{name}: failed", len(outcome.failed), f"of {len(outcome.failed) + len(outcome.seconds)}"),
        Figure(f"{name}: p50", 1000 * float(np.percentile(outcome.seconds, 50)), "ms"),
        Figure(f"{name}: p99", 1000 * float(np.percentile(outcome.seconds, 99)), "ms"),
        Figure(f"{name}: a swap takes", 1000 * float(np.mean(outcome.swap_seconds or [np.nan])), "ms"),
        Figure(f"{name}: failed swaps, crashes of Triton", len(outcome.failed_swaps) + crashes, "together"),
    ]


if __name__ == "__main__":
    main()
