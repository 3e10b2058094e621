"""The commands that measure how fast the models are served: ``heartwood bench …``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli.arguments import read_file, read_settings
from orchestrator.cli.bench_sweep import PIPELINE, Plan, Row, Tuning, own_triton, plot, points, sweep, write_csv
from orchestrator.cli.terminal import console, progress_bar
from orchestrator.domain.images import Image
from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import read_photo
from orchestrator.inference.models import MODELS
from orchestrator.settings import Settings
from orchestrator.tools import perf_analyzer

DEMO_PHOTOS = Path(__file__).parent.parent / "demo_photos"
MAX_SIDE, MAX_LEVEL = 2048, 1024

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def bench() -> None:
    """Measure how fast the models are served."""


@app.command()
def models(
    model: Annotated[
        list[str] | None,
        typer.Argument(help=f"{', '.join(MODELS)} or {PIPELINE}; default: the three.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for models.csv and models.png.")] = Path("output"),
    version: Annotated[int, typer.Option(help="0 is the newest in the repository.", min=0)] = 0,
    side: Annotated[list[int] | None, typer.Option(help="Side of the pictures, may be repeated; default 512.")] = None,
    batch: Annotated[int, typer.Option(help="Pictures in each request.", min=1, max=8)] = 1,
    concurrency: Annotated[
        str, typer.Option(help="Requests on their way at once, tried one after the other.")
    ] = "1,2,4,8",
    rate: Annotated[str, typer.Option(help="Requests a second; default: 50, 75 and 90 % of the best throughput.")] = "",
    photo: Annotated[list[Path] | None, typer.Option(help="A photo to send, may be repeated; default: three.")] = None,
    requests: Annotated[int, typer.Option(help="Requests in a window of measuring; there are 3 to 6.", min=8)] = 48,
    triton: Annotated[
        str, typer.Option(help="gRPC address of a Triton on this machine; default: one for the time of the sweep.")
    ] = "",
    instances: Annotated[int | None, typer.Option(help="Of each model; default: as the profile says.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="Of each instance; default: as the profile says.", min=1)] = None,
    delay_ms: Annotated[
        float | None, typer.Option(help="How long a request may wait for others; default: as the config says.", min=0)
    ] = None,
) -> None:
    """Sweep over concurrency and request rate with Triton's perf_analyzer; write a CSV and a plot.

    [bold]heartwood bench models segmentation --side 512 --side 1024[/] shows what larger pictures cost.

    [bold]heartwood bench models --delay-ms 0 --instances 2[/] tries settings before they go into a profile
    (triton_config/README.md tells which and why).
    """
    settings = read_settings()
    names = model or list(MODELS)
    for name in names:
        if name not in (*MODELS, PIPELINE):
            raise InvalidInput("MODEL", f"{name!r} is not known; allowed are {', '.join((*MODELS, PIPELINE))}")
    tuning = Tuning(instances, threads, delay_ms)
    if triton and tuning != Tuning():
        raise InvalidInput("--triton", "--instances, --threads and --delay-ms are for a Triton started here")
    plans = [
        Plan(
            name,
            version,
            _side(pixels),
            batch,
            [int(level) for level in _levels("--concurrency", concurrency, whole=True)],
            _levels("--rate", rate, whole=False),
            requests,
        )
        for name in names
        for pixels in side or [512]
    ]
    if not any(points(plan) for plan in plans):
        raise InvalidInput("--concurrency", "nothing to measure; give levels such as 1,2,4,8, or --rate")
    photos = _photos(photo or sorted(DEMO_PHOTOS.glob("*.jpg")))
    program = perf_analyzer.find(settings.root / perf_analyzer.FOLDER)
    rows: list[Row] = []
    out.mkdir(parents=True, exist_ok=True)
    with _triton(settings, triton, names, tuning) as url, progress_bar() as bar:
        task = bar.add_task("bench", total=sum(map(points, plans)), message="")
        for plan in plans:
            for row in sweep(url, plan, tuning, photos, program, lambda said: bar.update(task, message=said)):
                rows.append(row)
                bar.advance(task)
                write_csv(rows, out / "models.csv")
    console.print(_table(rows))
    plot(rows, out / "models.png")
    console.print(f"[green]look at[/] {out / 'models.png'}, figures in {out / 'models.csv'}")


@contextmanager
def _triton(settings: Settings, address: str, names: list[str], tuning: Tuning) -> Iterator[str]:
    if address:
        yield address
        return
    with own_triton(settings, names, tuning) as url:
        yield url


def _side(pixels: int) -> int:
    if pixels % 32 or not 32 <= pixels <= MAX_SIDE:
        raise InvalidInput("--side", f"{pixels} is not allowed; a multiple of 32 from 32 to {MAX_SIDE} is")
    return pixels


def _levels(option: str, text: str, *, whole: bool) -> list[float]:
    """The numbers of "1,2,4".

    Raises:
        InvalidInput: one is none, or out of range.
    """
    kind = "a whole number from 1" if whole else "a number above 0"
    found = []
    for part in text.split(",") if text else []:
        try:
            level = float(int(part)) if whole else float(part)
        except ValueError:
            level = 0.0
        if not 0 < level <= MAX_LEVEL:
            raise InvalidInput(option, f"{part!r} is not {kind} to {MAX_LEVEL}; write such as 1,2,4")
        found.append(level)
    return found


def _photos(files: list[Path]) -> list[Image]:
    return [read_photo(read_file(file), str(file), max_side=MAX_SIDE).srgb for file in files]


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, header_style="bold")
    for heading in ("model", "side", "load", "pictures/s", "p50 ms", "p99 ms", "queue ms", "mean batch"):
        table.add_column(heading, justify="left" if heading in ("model", "load") else "right", no_wrap=True)
    for row in rows:
        load = f"{row.level:g} at once" if row.mode == "concurrency" else f"{row.level:g} requests/s"
        found = row.found
        times = (f"{value:.0f}" for value in (found.p50_ms, found.p99_ms, found.queue_ms))
        batch = f"{row.mean_batch:.1f}" if row.mean_batch else "–"
        table.add_row(row.plan.model, str(row.plan.side), load, f"{found.per_s:.1f}", *times, batch)
    return table
