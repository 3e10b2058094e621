"""How traffic can move from one version to another: ``python -m tests.benchmarks.swap_methods [--json FILE]``.

``segmentation`` at 256² on the Triton from pip, a fresh one for each way, requests at half of what it can do, counted
from when they are due, and ten swaps while they go on. The new version is the same network from another file. What it
found decided how ``orchestrator.rollout`` works.
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
from orchestrator.inference.versions import TritonVersions
from orchestrator.settings import load as load_settings
from tests.benchmarks.load import steady
from tests.benchmarks.report import Figure, report
from tests.support import candidates

MODEL, SIDE, SWAPS, EVERY_S, TIMEOUT_S = "segmentation", 256, 10, 2.0, 120.0
Target = tuple[str, str]
"""Triton name and version; an empty version is the newest."""


class Bench:
    """One Triton on a repository of its own, and what the ways of swapping do to it."""

    def __init__(self, triton: TritonVersions, repository: Path) -> None:
        self.triton = triton
        self.folder = repository / MODEL
        self.old = str(candidates.newest_version(MODEL))
        self.new = str(int(self.old) + 1)
        self.network = candidates.equivalent(MODEL, "material")
        self.image = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
        self.target: Target = (MODEL, self.old)
        self._numbers = count(int(self.new) + 1)

    def ask(self) -> None:
        self.triton.start(*self.target, self.image, TIMEOUT_S, ("material",)).result()

    def capacity(self) -> float:
        requests = 40
        started = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: self.ask(), range(requests)))
        return requests / (time.monotonic() - started)

    # ---- the ways, each one swap

    def serve_only(self, version: str) -> None:
        """One name, its version policy rewritten, and the model loaded again."""
        config = model_config_pb2.ModelConfig()
        config.CopyFrom(self.triton.config(MODEL))
        config.version_policy.Clear()
        config.version_policy.specific.versions.append(int(version))
        text = json_format.MessageToJson(config, preserving_proto_field_name=True)
        self.triton.client.load_model(MODEL, config=text)

    def add_or_remove(self) -> None:
        """One name, the version's folder put there or taken away, and the model loaded again."""
        version = self.folder / self.new
        if version.exists():
            shutil.rmtree(version)
        else:
            version.mkdir()
            (version / "model.onnx").write_bytes(self.network)
        self.triton.client.load_model(MODEL)

    def point(self, target: Target) -> None:
        """Both are loaded: only the caller's pointer moves."""
        self.target = target

    def deploy(self) -> None:
        """A name of its own: load the next, warm it up, point at it, unload the one before."""
        number, before = str(next(self._numbers)), self.target
        name = f"{MODEL}@{number}"
        self.triton.load(MODEL, name, number, self.network)
        self.triton.ask(name, number, self.image, TIMEOUT_S)
        self.target = (name, number)
        if before[0] != MODEL:
            self.triton.unload(before[0])


@dataclass
class Load:
    """What became of the requests of one way, and of its swaps."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    swap_seconds: list[float] = field(default_factory=list)
    failed_swaps: list[str] = field(default_factory=list)


def under_load(bench: Bench, rate: float, swaps: Sequence[Callable[[], object]]) -> Load:
    """Send requests at ``rate`` a second until all swaps are done."""
    load = Load()

    def request(due: float) -> None:
        try:
            bench.ask()
            load.seconds.append(time.monotonic() - due)
        except HeartwoodError as error:
            load.failed.append(error.message)

    def swap() -> None:
        for one in swaps:
            started = time.monotonic()
            try:
                one()
                load.swap_seconds.append(time.monotonic() - started)
            except (HeartwoodError, InferenceServerException) as error:
                load.failed_swaps.append(str(error))
            time.sleep(max(0.0, EVERY_S - (time.monotonic() - started)))

    steady(rate, request, swap, at_once=64)
    return load


# ---- the ways: each readies its Triton and gives the swaps


def no_swap(_: Bench) -> list[Callable[[], object]]:
    return [lambda: None] * SWAPS


def version_policy(bench: Bench) -> list[Callable[[], object]]:
    bench.add_or_remove()
    bench.point((MODEL, ""))
    bench.serve_only(bench.old)
    versions = cycle((bench.new, bench.old))
    return [lambda: bench.serve_only(next(versions))] * SWAPS


def folder_beside(bench: Bench) -> list[Callable[[], object]]:
    return [bench.add_or_remove] * SWAPS


def version_numbers(bench: Bench) -> list[Callable[[], object]]:
    bench.add_or_remove()
    return _to_and_fro(bench, (MODEL, bench.old), (MODEL, bench.new))


def own_names(bench: Bench) -> list[Callable[[], object]]:
    own = (f"{MODEL}@{bench.new}", bench.new)
    bench.triton.load(MODEL, *own, bench.network)
    return _to_and_fro(bench, (MODEL, bench.old), own)


def own_names_loaded_each_time(bench: Bench) -> list[Callable[[], object]]:
    return [bench.deploy] * SWAPS


def _to_and_fro(bench: Bench, one: Target, other: Target) -> list[Callable[[], object]]:
    for target in (other, one):
        bench.point(target)
        bench.capacity()
    targets = cycle((other, one))
    return [lambda: bench.point(next(targets))] * SWAPS


WAYS = {
    "no swap": no_swap,
    "one name, both loaded, requests name the version": version_numbers,
    "own names, both loaded, a pointer": own_names,
    "own names, each loaded, warmed up and unloaded": own_names_loaded_each_time,
    "one name, folder added or removed": folder_beside,
    "one name, version policy rewritten": version_policy,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    figures = [figure for name, way in WAYS.items() for figure in measure(name, way)]
    report("ways to swap a version under load", figures, chosen.json)


def measure(name: str, way: Callable[[Bench], list[Callable[[], object]]]) -> list[Figure]:
    settings = load_settings()
    profile = select_profile(settings.triton_profiles, "cpu")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        repository = apply_profile(settings.model_repository, profile, folder / "models") if profile else folder
        with TritonServer(repository, settings.triton_backends, folder / "triton", models=[MODEL]) as server:
            bench = Bench(TritonVersions(server.url), repository)
            bench.capacity()
            rate = bench.capacity() / 2
            load = under_load(bench, rate, way(bench))
            crashes = server.restarts
    return [
        Figure(f"{name}: failed", len(load.failed), f"of {len(load.failed) + len(load.seconds)}"),
        Figure(f"{name}: p50", 1000 * float(np.percentile(load.seconds, 50)), "ms"),
        Figure(f"{name}: p99", 1000 * float(np.percentile(load.seconds, 99)), "ms"),
        Figure(f"{name}: a swap takes", 1000 * float(np.mean(load.swap_seconds or [np.nan])), "ms"),
        Figure(f"{name}: failed swaps, crashes of Triton", len(load.failed_swaps) + crashes, "together"),
    ]


if __name__ == "__main__":
    main()
