"""Reports load sweeps as a table, a CSV file and a plot."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from orchestrator.errors import FailedPrecondition

if TYPE_CHECKING:
    from orchestrator.inference.load_sweep import SweepPlan, SweepPoint

LEFT_ALIGNED = ("model", "load")


def table(points: Sequence[SweepPoint]) -> Table:
    """Return one row per point."""
    rows = Table(box=None, header_style="bold")
    for heading in ("model", "side", "load", "images/s", "p50 ms", "p99 ms", "queue ms", "mean batch"):
        rows.add_column(heading, justify="left" if heading in LEFT_ALIGNED else "right", no_wrap=True)
    for point in points:
        load = f"{point.level:g} in flight" if point.mode == "concurrency" else f"{point.level:g} requests/s"
        measured = point.measured
        times = (f"{value:.0f}" for value in (measured.p50_ms, measured.p99_ms, measured.queue_ms))
        batch = f"{point.mean_batch:.1f}" if point.mean_batch else "–"
        rows.add_row(point.plan.model, str(point.plan.side), load, f"{measured.per_s:.1f}", *times, batch)
    return rows


def write_csv(points: Sequence[SweepPoint], file: Path) -> None:
    """Write one row per point."""
    rows = [point.csv_row() for point in points]
    with file.open("w", newline="", encoding="utf-8") as output:
        writer = csv.DictWriter(output, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def plot(points: Sequence[SweepPoint], file: Path) -> None:
    """Plot latency over throughput, one colour per model, version, side and batch size.

    Filled markers are the median latency and hollow markers the 99th percentile. Circles are concurrencies, annotated
    with their value, and diamonds are request rates. Raises FailedPrecondition if matplotlib is not installed.
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
        color = f"C{number}"
        for mode, marker, line, label in (("concurrency", "o", "-", name), ("rate", "D", "", "at a steady rate")):
            shown = [point for point in curve if point.mode == mode]
            per_s = [point.measured.per_s for point in shown]
            median = [point.measured.p50_ms for point in shown]
            p99 = [point.measured.p99_ms for point in shown]
            dotted = ":" if line else ""
            axes.plot(per_s, median, marker=marker, linestyle=line, color=color, label=f"{label}: p50")
            axes.plot(per_s, p99, marker=marker, linestyle=dotted, color=color, label="p99", markerfacecolor="white")
            for point, x, y in zip(shown, per_s, median, strict=True) if mode == "concurrency" else ():
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
