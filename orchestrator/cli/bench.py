"""``heartwood bench``."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from orchestrator.cli.arguments import DEFAULT_OUT, choice, optional, read_settings
from orchestrator.cli.terminal import console, print_saved, progress_bar
from orchestrator.client.uploads import read_file
from orchestrator.domain.model_versions import MODELS, PIPELINE
from orchestrator.errors import FailedPrecondition, InvalidInput
from orchestrator.settings import DEMO_PHOTOS, Settings

if TYPE_CHECKING:
    from orchestrator.domain.images import Image
    from orchestrator.inference.load_sweep import SweepPlan, SweepPoint

CSV_FILE = "models.csv"
PLOT_FILE = "models.png"
DEFAULT_SIDE = 512
MAX_SIDE = 2048
SIDE_STEP = 32
"""The models accept images whose sides are multiples of this."""
MAX_LEVEL = 1024
"""Maximum concurrency and maximum number of requests per second."""
BENCHMARKED = {name: name for name in (*MODELS, PIPELINE)}  # as a mapping, which ``choice`` expects

MODELS_HELP = f"{', '.join(MODELS)} or {PIPELINE}. Default: the first three."
SIDE_HELP = f"Side of the images in pixels. Repeatable. Default: {DEFAULT_SIDE}."
RATES_HELP = "Requests per second to measure, separated by commas. Default: 50, 75 and 90 % of the highest throughput."
REQUESTS_HELP = "Requests per measurement window. A measurement has 3 to 6 windows."
TRITON_HELP = "gRPC host:port of a running Triton on this machine. Default: start one."
DELAY_HELP = "Time that a request may wait to be batched. Default: the value in the model configuration."

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def bench() -> None:
    """Measure the latency and throughput of the served models."""


@app.command()
def models(
    model: Annotated[list[str] | None, typer.Argument(help=MODELS_HELP, show_default=False, metavar="[MODEL…]")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help=f"Folder for {CSV_FILE} and {PLOT_FILE}.")] = DEFAULT_OUT,
    version: Annotated[int, optional(help="Model version. Default: the newest in the repository.", min=0)] = 0,
    side: Annotated[list[int] | None, optional(help=SIDE_HELP)] = None,
    batch: Annotated[int, typer.Option(help="Images per request.", min=1, max=8)] = 1,
    concurrency: Annotated[str, typer.Option(help="Requests in flight to measure, separated by commas.")] = "1,2,4,8",
    rate: Annotated[str, optional(help=RATES_HELP)] = "",
    photo: Annotated[list[Path] | None, optional(help="Photo to send. Repeatable. Default: the demo photos.")] = None,
    requests: Annotated[int, typer.Option(help=REQUESTS_HELP, min=8)] = 48,
    triton: Annotated[str, optional(help=TRITON_HELP, metavar="ADDRESS")] = "",
    instances: Annotated[int | None, optional(help="Instances of each model. Default: from profile.", min=1)] = None,
    threads: Annotated[int | None, optional(help="Threads of each instance. Default: from profile.", min=1)] = None,
    delay_ms: Annotated[float | None, optional(help=DELAY_HELP, min=0)] = None,
) -> None:
    """Measure latency and throughput at several concurrencies and request rates, with Triton's perf_analyzer.

    Prints a table, and writes a CSV file and a plot.

    [bold]heartwood bench models segmentation --side 512 --side 1024[/] shows the cost of larger images.

    [bold]heartwood bench models --delay-ms 0 --instances 2[/] tries settings before you add them to a profile.
    triton_config/README.md explains the settings.
    """
    from orchestrator.imaging.photo import read_photo
    from orchestrator.inference.load_sweep import SweepPlan
    from orchestrator.inference.profiles import Tuning

    names = [choice("MODEL", name, BENCHMARKED) for name in model or MODELS]
    sides = side or [DEFAULT_SIDE]
    for pixels in sides:
        if pixels % SIDE_STEP or not SIDE_STEP <= pixels <= MAX_SIDE:
            rule = f"it must be a multiple of {SIDE_STEP} from {SIDE_STEP} to {MAX_SIDE}"
            raise InvalidInput("--side", f"{pixels} is not allowed; {rule}")
    concurrencies = [int(level) for level in parse_levels("--concurrency", concurrency, whole=True)]
    rates = parse_levels("--rate", rate, whole=False)
    if not concurrencies and not rates:
        raise InvalidInput("--concurrency", "there is nothing to measure; give values such as 1,2,4,8, or --rate")
    tuning = Tuning(instances, threads, delay_ms)
    if triton and tuning != Tuning():
        rule = "cannot be combined with --instances, --threads or --delay-ms, which configure a new Triton"
        raise InvalidInput("--triton", rule)
    measurements = (concurrencies, rates, requests, tuning)
    plans = [SweepPlan(name, version, pixels, batch, *measurements) for name in names for pixels in sides]
    files = photo or sorted(DEMO_PHOTOS.glob("*.jpg"))
    photos = [read_photo(read_file(file), str(file), max_side=MAX_SIDE) for file in files]
    points = _run_sweeps(plans, photos, read_settings(), triton, out / CSV_FILE)
    console.print(sweep_table(points))
    plot(points, out / PLOT_FILE)
    print_saved(out / PLOT_FILE)
    print_saved(out / CSV_FILE)


def _run_sweeps(
    plans: Sequence[SweepPlan], photos: Sequence[Image], settings: Settings, triton: str, csv_file: Path
) -> list[SweepPoint]:
    """Make all measurements. The CSV file is written after each one, so that an interrupted run keeps its results."""
    from orchestrator.inference.load_sweep import sweep, tuned_triton
    from orchestrator.inference.profiles import select_profile
    from orchestrator.tools import perf_analyzer

    program = perf_analyzer.find(settings.root / perf_analyzer.FOLDER)
    points: list[SweepPoint] = []
    csv_file.parent.mkdir(parents=True, exist_ok=True)
    profile = select_profile(settings.triton_profiles, settings.triton_profile)
    names = [plan.model for plan in plans]
    own_triton = tuned_triton(settings.model_repository, settings.triton_backends, profile, names, plans[0].tuning)
    with nullcontext(triton) if triton else own_triton as url, progress_bar() as bar:
        task = bar.add_task("bench", total=sum(plan.point_count for plan in plans), message="")
        for plan in plans:
            for point in sweep(url, plan, photos, program, lambda message: bar.update(task, message=message)):
                points.append(point)
                bar.advance(task)
                write_csv(points, csv_file)
    return points


def parse_levels(option: str, text: str, *, whole: bool) -> list[float]:
    """Parse numbers that are separated by commas, such as "1,2,4". Raises InvalidInput if one is invalid."""
    allowed = f"a whole number from 1 to {MAX_LEVEL}" if whole else f"a number above 0, at most {MAX_LEVEL}"
    items = text.split(",") if text else []
    levels = []
    for item in items:
        try:
            level = float(int(item)) if whole else float(item)
        except ValueError:
            level = 0.0
        if not 0 < level <= MAX_LEVEL:
            raise InvalidInput(option, f"{item!r} is not {allowed}; separate numbers by commas, such as 1,2,4")
        levels.append(level)
    return levels


def sweep_table(points: Sequence[SweepPoint]) -> Table:
    """Return a table with one row for each point."""
    rows = Table(box=None, header_style="bold")
    for heading in ("model", "side", "load", "images/s", "p50 ms", "p99 ms", "queue ms", "mean batch"):
        rows.add_column(heading, justify="left" if heading in ("model", "load") else "right", no_wrap=True)
    for point in points:
        load = f"{point.level:g} in flight" if point.mode == "concurrency" else f"{point.level:g} requests/s"
        measured = point.measured
        times = (f"{value:.0f}" for value in (measured.p50_ms, measured.p99_ms, measured.queue_ms))
        batch = f"{point.mean_batch:.1f}" if point.mean_batch else "–"
        rows.add_row(point.plan.model, str(point.plan.side), load, f"{measured.per_s:.1f}", *times, batch)
    return rows


def write_csv(points: Sequence[SweepPoint], file: Path) -> None:
    """Write a CSV file with one row for each point."""
    rows = [point.csv_row() for point in points]
    with file.open("w", newline="", encoding="utf-8") as output:
        writer = csv.DictWriter(output, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def plot(points: Sequence[SweepPoint], file: Path) -> None:
    """Plot latency over throughput, one colour per model, version, side and batch size.

    Filled markers are median latencies, hollow markers 99th percentiles. Circles are concurrencies, with their values;
    diamonds are request rates. Raises FailedPrecondition if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        remedy = "install it with: pip install 'heartwood[bench]'"
        raise FailedPrecondition(f"the plot needs matplotlib, which is not installed; {remedy}") from None
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    curves: dict[str, list[SweepPoint]] = defaultdict(list)
    for point in points:
        curves[_curve_name(point.plan)].append(point)
    for number, (name, curve) in enumerate(curves.items()):
        for mode, marker, line, label in (("concurrency", "o", "-", name), ("rate", "D", "", "at a steady rate")):
            shown = [point for point in curve if point.mode == mode]
            per_s = [point.measured.per_s for point in shown]
            median = [point.measured.p50_ms for point in shown]
            p99 = [point.measured.p99_ms for point in shown]
            style: dict[str, Any] = {"marker": marker, "color": f"C{number}"}
            axes.plot(per_s, median, linestyle=line, label=f"{label}: p50", **style)
            axes.plot(per_s, p99, linestyle=":" if line else "", label="p99", markerfacecolor="white", **style)
            if mode == "concurrency":
                for point, x, y in zip(shown, per_s, median, strict=True):
                    axes.annotate(f"{point.level:g}", (x, y), textcoords="offset points", xytext=(5, -11))
    axes.set(xlabel="images per second", ylabel="latency of a request, ms", ylim=(0, None), xlim=(0, None))
    axes.set_title("Latency and throughput; the numbers are requests in flight", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=130)


def _curve_name(plan: SweepPlan) -> str:
    version = f" v{plan.version}" if plan.version else ""
    batch = f", batch {plan.batch}" if plan.batch > 1 else ""
    return f"{plan.model}{version}, {plan.side}²{batch}"
