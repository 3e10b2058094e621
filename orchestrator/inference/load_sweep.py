"""Measures the latency and throughput of a served model over concurrencies and request rates, with perf_analyzer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton

from orchestrator.domain.images import Image, ImageFormat
from orchestrator.domain.model_versions import MODELS, PIPELINE, PREPROCESS
from orchestrator.imaging.filters import shrink
from orchestrator.imaging.photo import encode_image
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.letterbox import pad_to_square, to_model_input
from orchestrator.inference.profiles import Tuning, tune_profile
from orchestrator.tools import perf_analyzer

DEFAULT_RATE_SHARES = (0.5, 0.75, 0.9)
"""Request rates to measure if a plan names none, as shares of the highest throughput at any concurrency."""
DEPENDENCIES = {PIPELINE: (*MODELS, PREPROCESS)}
"""Model → other models that Triton must load to serve it."""


@dataclass(frozen=True)
class SweepPlan:
    """The measurements to make for one model."""

    model: str
    version: int  # 0 means the newest version in the repository
    side: int  # of the square images, in pixels
    batch: int  # images per request
    concurrencies: Sequence[int]  # numbers of requests in flight
    rates: Sequence[float]  # requests per second; empty means DEFAULT_RATE_SHARES of the highest throughput
    requests: int  # per measurement window
    tuning: Tuning  # the settings of the Triton being measured, for the report

    @property
    def point_count(self) -> int:
        """Number of measurements in the sweep."""
        return len(self.concurrencies) + len(self.rates or (DEFAULT_RATE_SHARES if self.concurrencies else ()))


@dataclass(frozen=True)
class SweepPoint:
    """One measurement of a sweep."""

    plan: SweepPlan
    mode: perf_analyzer.Mode
    level: float  # requests in flight, or requests per second
    mean_batch: float  # images per execution of the model; 0 if it was not executed
    measured: perf_analyzer.Measurement

    def csv_row(self) -> dict[str, str | int | float]:
        columns = {name: getattr(self.plan, name) for name in ("model", "version", "side", "batch")}
        figures = {"mean_batch": self.mean_batch} | asdict(self.measured)
        rounded = {name: round(value, 3) for name, value in figures.items()}
        return {**columns, "tuning": str(self.plan.tuning), "mode": self.mode, "level": self.level, **rounded}


@dataclass(frozen=True)
class InferenceCounts:
    """Triton's counters of a model since it was loaded."""

    images: int
    executions: int  # each execution processes one batch

    def mean_batch_since(self, earlier: InferenceCounts) -> float:
        """Return the mean number of images per execution; 0 if there was none."""
        executions = self.executions - earlier.executions
        return (self.images - earlier.images) / executions if executions else 0.0


def inference_counts(client: Any, model: str, version: int) -> InferenceCounts:
    """Read the counters of a model; version 0 adds up all versions."""
    stats = client.get_inference_statistics(model, str(version or "")).model_stats
    return InferenceCounts(sum(item.inference_count for item in stats), sum(item.execution_count for item in stats))


@contextmanager
def tuned_triton(
    repository: Path, backends: Path, profile: Path | None, models: Sequence[str], tuning: Tuning
) -> Iterator[str]:
    """Run a Triton with ``models`` and the tuned profile while the block runs; yield its gRPC host:port."""
    loaded = sorted({name for model in models for name in (model, *DEPENDENCIES.get(model, ()))})
    with tempfile.TemporaryDirectory(prefix="heartwood-bench-") as folder:
        tuned = tune_profile(profile, tuning, Path(folder) / "profile")
        with TritonServer(repository, backends, Path(folder) / "triton", profile=tuned, models=loaded) as server:
            yield server.url


def sweep(
    url: str, plan: SweepPlan, photos: Sequence[Image], program: perf_analyzer.Program, on_start: Callable[[str], None]
) -> Iterator[SweepPoint]:
    """Make the measurements of ``plan``, one after the other, on the Triton at ``url`` (gRPC host:port, this machine).

    The requests contain the photos, [H, W, 3] uint8 sRGB each, in turn. ``on_start`` receives a description of each
    measurement before it starts. Raises ToolFailed if a measurement fails.
    """
    with triton.InferenceServerClient(url) as client, tempfile.TemporaryDirectory(prefix="heartwood-bench-") as folder:
        inputs = Path(folder) / "inputs.json"
        perf_analyzer.write_inputs(request_inputs(plan.model, photos, plan.side), inputs)
        load = perf_analyzer.Load(url, plan.model, plan.version, plan.batch, plan.requests)

        def measure(mode: perf_analyzer.Mode, level: float) -> SweepPoint:
            on_start(f"{plan.model} {plan.side}², {mode} {level:g}")
            before = inference_counts(client, plan.model, plan.version)
            measured = perf_analyzer.run(program, load, inputs, mode, level)
            mean_batch = inference_counts(client, plan.model, plan.version).mean_batch_since(before)
            return SweepPoint(plan, mode, level, mean_batch, measured)

        best_requests_per_s = 0.0
        for concurrency in plan.concurrencies:
            point = measure("concurrency", concurrency)
            best_requests_per_s = max(best_requests_per_s, point.measured.per_s / plan.batch)
            yield point
        default_rates = [float(f"{share * best_requests_per_s:.3g}") for share in DEFAULT_RATE_SHARES]
        for rate in plan.rates or (default_rates if best_requests_per_s else []):
            yield measure("rate", rate)


def request_inputs(model: str, photos: Sequence[Image], side: int) -> list[perf_analyzer.Tensors]:
    """Return the inputs of one request per photo, prepared in the same way as by ``inference.models``."""
    squares = [pad_to_square(shrink(photo, side), side) for photo in photos]
    if model != PIPELINE:
        return [{"image": to_model_input(square)[0]} for square in squares]
    size = np.array([side, side], np.int32)
    encoded = [encode_image(square, ImageFormat.PNG) for square in squares]
    return [{"encoded": np.frombuffer(data, np.uint8), "size": size} for data in encoded]
