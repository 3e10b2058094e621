"""What serving a model costs: sweeps of perf_analyzer over concurrency and request rate, as CSV and as a plot."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from orchestrator.domain.images import Image, ImageFormat
from orchestrator.errors import FailedPrecondition
from orchestrator.imaging.photo import encode_image
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.letterbox import pad_to_square, shrink, to_model_input
from orchestrator.inference.models import MODELS, PREPROCESS
from orchestrator.inference.profiles import select_profile
from orchestrator.settings import Settings
from orchestrator.tools import perf_analyzer

PIPELINE = "material_pipeline"
"""The ensemble, which takes encoded photos."""
SHARES = (0.5, 0.75, 0.9)
"""Of the best throughput at any concurrency: the request rates that are tried where none are named."""
LOADED = {PIPELINE: (*MODELS, PREPROCESS, PIPELINE)}


@dataclass(frozen=True)
class Tuning:
    """What is changed of the configs of the Triton that is started for the sweep; None leaves the profile's."""

    instances: int | None = None
    threads: int | None = None
    delay_ms: float | None = None

    def __str__(self) -> str:
        said = (("instances", self.instances), ("threads", self.threads), ("delay ms", self.delay_ms))
        return ", ".join(f"{name} {value:g}" for name, value in said if value is not None)


@dataclass(frozen=True)
class Plan:
    """What is swept for one model.

    Args:
        version: 0 is the newest in the repository.
        side: of the square pictures, in pixels.
        concurrencies: requests on their way at any time.
        rates: requests a second; empty tries ``SHARES`` of the best throughput.
    """

    model: str
    version: int
    side: int
    batch: int
    concurrencies: Sequence[int]
    rates: Sequence[float]
    requests: int


@dataclass(frozen=True)
class Row:
    """One point of a sweep."""

    plan: Plan
    tuning: Tuning
    mode: str  # "concurrency" or "rate"
    level: float
    mean_batch: float  # pictures in each run of the model
    found: perf_analyzer.Measured

    def line(self) -> dict[str, str | int | float]:
        """As it stands in the CSV."""
        plan = self.plan
        figures = {"mean_batch": self.mean_batch} | asdict(self.found)
        return {
            "model": plan.model,
            "version": plan.version,
            "side": plan.side,
            "batch": plan.batch,
            "tuning": str(self.tuning),
            "mode": self.mode,
            "level": self.level,
            **{name: round(value, 3) for name, value in figures.items()},
        }


@contextmanager
def own_triton(settings: Settings, models: Sequence[str], tuning: Tuning) -> Iterator[str]:
    """A Triton for the sweep alone, on free loopback ports; yields its address."""
    loaded = sorted({name for model in models for name in LOADED.get(model, (model,))})
    with tempfile.TemporaryDirectory(prefix="heartwood-bench-") as folder:
        profile = select_profile(settings.triton_profiles, settings.triton_profile)
        fitted = tuned(profile, tuning, Path(folder) / "profile")
        with TritonServer(
            settings.model_repository,
            settings.triton_backends,
            Path(folder) / "triton",
            profile=fitted,
            models=loaded,
        ) as server:
            yield server.url


def tuned(profile: Path | None, tuning: Tuning, folder: Path) -> Path | None:
    """A profile in ``folder`` that is ``profile`` with ``tuning`` on top; ``profile`` itself where nothing is tuned."""
    if tuning == Tuning():
        return profile
    said = profile / "onnxruntime.pbtxt" if profile else None
    config = model_config_pb2.ModelConfig()
    if said is not None and said.exists():
        text_format.Parse(said.read_text(encoding="utf-8"), config)
    if tuning.instances is not None:
        if not config.instance_group:
            config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU)
        for group in config.instance_group:
            group.count = tuning.instances
    if tuning.threads is not None:
        config.parameters["intra_op_thread_count"].string_value = str(tuning.threads)
    if tuning.delay_ms is not None:
        config.dynamic_batching.max_queue_delay_microseconds = round(1000 * tuning.delay_ms)
    folder.mkdir(parents=True)
    (folder / "onnxruntime.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
    return folder


def requests_of(model: str, photos: Sequence[Image], side: int) -> list[perf_analyzer.Tensors]:
    """The inputs of one request for each photo (sRGB), as the service makes them."""
    squares = [pad_to_square(shrink(photo, side), side) for photo in photos]
    if model != PIPELINE:
        return [{"image": to_model_input(square)[0]} for square in squares]
    size = np.array([side, side], np.int32)
    encoded = [encode_image(square, ImageFormat.PNG) for square in squares]
    return [{"encoded": np.frombuffer(one, np.uint8), "size": size} for one in encoded]


def sweep(
    url: str,
    plan: Plan,
    tuning: Tuning,
    photos: Sequence[Image],
    program: perf_analyzer.Program,
    told: Callable[[str], None],
) -> Iterator[Row]:
    """Measure each point of ``plan`` on the Triton at ``url``, one after the other.

    Raises:
        ToolFailed: perf_analyzer gave no figure.
    """
    with triton.InferenceServerClient(url) as client, tempfile.TemporaryDirectory(prefix="heartwood-bench-") as folder:
        inputs = Path(folder) / "inputs.json"
        perf_analyzer.write_inputs(requests_of(plan.model, photos, plan.side), inputs)
        load = perf_analyzer.Load(url, plan.model, plan.version, plan.batch, plan.requests)

        def measured(mode: str, level: float) -> Row:
            told(f"{plan.model} {plan.side}², {mode} {level:g}")
            before = counts(client, plan.model, plan.version)
            how: dict[str, Any] = {"concurrency": int(level)} if mode == "concurrency" else {"rate": level}
            found = perf_analyzer.run(program, load, inputs, **how)
            after = counts(client, plan.model, plan.version)
            pictures, runs = after[0] - before[0], after[1] - before[1]
            return Row(plan, tuning, mode, level, pictures / runs if runs else 0.0, found)

        best = 0.0
        for concurrency in plan.concurrencies:
            row = measured("concurrency", concurrency)
            best = max(best, row.found.per_s / plan.batch)
            yield row
        for rate in plan.rates or [float(f"{share * best:.3g}") for share in SHARES if best]:
            yield measured("rate", rate)


def counts(client: Any, model: str, version: int) -> tuple[int, int]:
    """Pictures and runs of a model so far; version 0 counts those of all."""
    found = client.get_inference_statistics(model, str(version or "")).model_stats
    return sum(one.inference_count for one in found), sum(one.execution_count for one in found)


def points(plan: Plan) -> int:
    """How many points ``plan`` has."""
    return len(plan.concurrencies) + (len(plan.rates) or (len(SHARES) if plan.concurrencies else 0))


def write_csv(rows: Sequence[Row], file: Path) -> None:
    """One line a point."""
    lines = [row.line() for row in rows]
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def plot(rows: Sequence[Row], file: Path) -> None:
    """Latency over throughput: a line for each model, version and side; p50 filled, p99 hollow, rates as diamonds.

    Raises:
        FailedPrecondition: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise FailedPrecondition("the plot needs matplotlib; install it with: pip install 'heartwood[bench]'") from None
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    curves: dict[str, list[Row]] = {}
    for row in rows:
        plan = row.plan
        version = f" v{plan.version}" if plan.version else ""
        batch = f", batch {plan.batch}" if plan.batch > 1 else ""
        curves.setdefault(f"{plan.model}{version}, {plan.side}²{batch}", []).append(row)
    for number, (name, curve) in enumerate(curves.items()):
        for mode, line, label in (("concurrency", "o-", name), ("rate", "D", "at a steady rate")):
            shown = [row for row in curve if row.mode == mode]
            per_s = [row.found.per_s for row in shown]
            axes.plot(per_s, [row.found.p50_ms for row in shown], line, color=f"C{number}", label=f"{label}: p50")
            hollow: dict[str, Any] = {"mfc": "white", "linestyle": ":" if mode == "concurrency" else ""}
            axes.plot(per_s, [row.found.p99_ms for row in shown], line[0], color=f"C{number}", label="p99", **hollow)
        for row in curve:
            if row.mode == "concurrency":
                at = (row.found.per_s, row.found.p50_ms)
                axes.annotate(f"{row.level:g}", at, textcoords="offset points", xytext=(5, -11))
    axes.set(xlabel="pictures a second", ylabel="latency of a request, ms", ylim=(0, None), xlim=(0, None))
    axes.set_title("Latency and throughput; the numbers are requests on their way at once", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=130)
