"""The command line: ``heartwood --help``."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.api.auth import add_token
from orchestrator.cli import bench as commands_bench
from orchestrator.cli import demo as demo_command
from orchestrator.cli import models as commands_models
from orchestrator.cli import results
from orchestrator.cli.arguments import Out, Photos, Preview, Server, Token, one_of, quality, read_file, read_settings
from orchestrator.cli.arguments import upload as send
from orchestrator.cli.commands_3d import COMMANDS
from orchestrator.cli.doctor import checks
from orchestrator.cli.session import connect
from orchestrator.cli.terminal import clear_errors, console, follow, jobs_table, swatch
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import asset_pb2, segment_pb2, stain_pb2
from orchestrator.service import local_triton, run

app = typer.Typer(
    name="heartwood",
    help="Photos of furniture in; masks, PBR maps, other wood stains, 3D models, turntables and their files out.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
jobs_app = typer.Typer(help="List, watch and cancel jobs.", no_args_is_help=True)
app.add_typer(jobs_app, name="jobs")
app.add_typer(commands_models.app, name="models")
app.add_typer(commands_bench.app, name="bench")


@app.command()
def up(
    listen: Annotated[str, typer.Option(help="host:port; port 0 picks a free one.", metavar="ADDRESS")] = "",
    workers: Annotated[int, typer.Option(help="Jobs that run at once.")] = 0,
    triton: Annotated[str, typer.Option(help="gRPC address of a Triton that runs already.", metavar="ADDRESS")] = "",
) -> None:
    """Run the service: Triton, the durable jobs and the gRPC API, until Ctrl-C."""
    with clear_errors():
        changes = {"listen": listen, "workers": workers, "triton_url": triton}
        run(read_settings(**{name: value for name, value in changes.items() if value}), console.print)


@app.command()
def segment(
    photos: Photos,
    out: Out = Path("output"),
    detector: Annotated[str, typer.Option(help="local, or openai where a key is set.")] = "local",
    box: Annotated[
        list[str] | None, typer.Option(help="A component as NAME=LEFT,TOP,RIGHT,BOTTOM in pixels; may be repeated.")
    ] = None,
    preview: Preview = False,
    server: Server = "",
    token: Token = "",
) -> None:
    """Find the components and the wood in photos: masks, an overlay, and JSON."""
    with clear_errors():
        options = segment_pb2.SegmentOptions(prompts=[_prompt(text) for text in box or []])
        if detector not in ("local", "openai"):
            raise InvalidInput("detector", f"{detector!r} is not known; allowed are local and openai")
        if detector == "openai":
            options.detector = segment_pb2.DETECTOR_KIND_OPENAI
        with connect(read_settings(), server, token) as client:
            upload = send(client, photos)
            job = client.segment(upload, options, quality=quality(preview))
            job = follow(client, job.id, "segment")
            results.save_segments(client, job.segment, out)
        console.print(results.segment_table(job.segment))
        console.print(f"[green]done[/] {out}")


@app.command()
def stain(
    photos: Photos,
    out: Out = Path("output"),
    color: Annotated[str, typer.Option(help="The wood's new mean colour, '#RRGGBB'.")] = "",
    stain: Annotated[str, typer.Option(help="A named stain; `heartwood stains` lists them.")] = "",
    preserve_grain: Annotated[float, typer.Option(help="0 paints over the grain, 1 keeps it.")] = 1.0,
    strength: Annotated[float, typer.Option(help="0 leaves the wood as it is, 1 reaches the colour.")] = 1.0,
    coats: Annotated[float, typer.Option(help="Film thickness, 0.1 to 10.")] = 1.0,
    region: Annotated[str, typer.Option(help="auto, piece or picture.")] = "auto",
    mask: Annotated[Path | None, typer.Option(help="Grey picture of the photo's size, white where to stain.")] = None,
    webp: Annotated[bool, typer.Option("--webp", help="WebP instead of PNG.")] = False,
    preview: Preview = False,
    server: Server = "",
    token: Token = "",
) -> None:
    """Give the wood in photos another colour; its grain and light stay. Also makes the PBR maps."""
    with clear_errors():
        regions = {"auto": stain_pb2.REGION_AUTO, "piece": stain_pb2.REGION_PIECE, "picture": stain_pb2.REGION_PICTURE}
        if bool(color) == bool(stain):
            raise InvalidInput("--color", "give either --color '#RRGGBB' or --stain NAME")
        options = stain_pb2.StainOptions(
            preserve_grain=preserve_grain,
            strength=strength,
            coats=coats,
            region=one_of("--region", region, regions),
            format=stain_pb2.TEXTURE_FORMAT_WEBP if webp else stain_pb2.TEXTURE_FORMAT_PNG,
        )
        with connect(read_settings(), server, token) as client:
            upload = send(client, photos)
            if mask is not None:
                kind = asset_pb2.ASSET_KIND_MASK
                options.mask_asset_id = client.upload_bytes(read_file(mask), mask.name, kind=kind).id
            job = client.stain(upload, color=color, stain=stain, options=options, quality=quality(preview))
            job = follow(client, job.id, "stain")
            results.save_stains(client, job.stain, out)
        console.print(results.stain_table(job.stain))
        console.print(f"[green]done[/] {out}")


for command in COMMANDS:
    app.command()(command)


@app.command()
def demo(
    photos: Annotated[list[Path] | None, typer.Argument(help="Your own photos instead of the demo's.")] = None,
    out: Out = Path("output"),
) -> None:
    """Segment four pictures of furniture and give each four stains; make a stained 3D model of a picture set."""
    with clear_errors(), connect(read_settings()) as client:
        for made in demo_command.run(client, photos or [], out):
            console.print(f"[green]look at[/] {made}")


@app.command()
def stains() -> None:
    """List the named stains."""
    table = Table("name", "colour", "label", "what it is", box=None, header_style="bold")
    for named in STAINS.values():
        table.add_row(named.name, swatch(named.color.hex), named.label, named.description)
    console.print(table)


@app.command()
def doctor() -> None:
    """Say what is installed, what is missing and how to get it. Exit code 1 when something needed is missing."""
    with clear_errors():
        found = list(checks(read_settings()))
    table = Table("", "part", "found", "how to get it", box=None, header_style="bold")
    for check in found:
        mark = "[green]✓" if check.ok else ("[red]✗" if check.needed else "[yellow]–")
        table.add_row(mark, check.name, check.found, "" if check.ok else check.remedy)
    console.print(table)
    raise typer.Exit(0 if all(check.ok or not check.needed for check in found) else 1)


@app.command()
def triton() -> None:
    """Run only Triton with Heartwood's models, until Ctrl-C: for perf_analyzer and other clients."""
    with clear_errors():
        settings = read_settings()
        with local_triton(settings) as server:
            console.print(f"gRPC     {server.url}\nHTTP     {server.http_url}\nmetrics  {server.metrics_url}")
            stopping = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stopping.set())
            stopping.wait()


@app.command()
def token(tenant: Annotated[str, typer.Argument(help="Whose jobs and files the token opens.")]) -> None:
    """Make a bearer token for a tenant and print it; only its hash is kept. A running service knows it at once."""
    with clear_errors():
        console.print(add_token(read_settings().tokens_file, tenant), highlight=False, soft_wrap=True)


@jobs_app.command("list")
def jobs_list(
    most: Annotated[int, typer.Option(help="How many, newest first.")] = 20, server: Server = "", token: Token = ""
) -> None:
    """List jobs, newest first."""
    with clear_errors(), connect(read_settings(), server, token) as client:
        console.print(jobs_table([job for _, job in zip(range(most), client.jobs(), strict=False)]))


@jobs_app.command("watch")
def jobs_watch(job_id: str, server: Server = "", token: Token = "") -> None:
    """Follow a job until it has ended."""
    with clear_errors(), connect(read_settings(), server, token) as client:
        job = follow(client, job_id, client.job(job_id).spec.WhichOneof("stage") or "job")
        console.print(jobs_table([job]))


@jobs_app.command("cancel")
def jobs_cancel(job_id: str, server: Server = "", token: Token = "") -> None:
    """Ask a job to stop."""
    with clear_errors(), connect(read_settings(), server, token) as client:
        console.print(jobs_table([client.cancel(job_id)]))


def _prompt(text: str) -> segment_pb2.Prompt:
    name, _, corners = text.partition("=")
    try:
        left, top, right, bottom = (float(corner) for corner in corners.split(","))
    except ValueError:
        raise InvalidInput("--box", f"{text!r} is not NAME=LEFT,TOP,RIGHT,BOTTOM, such as leg=10,200,60,480") from None
    return segment_pb2.Prompt(name=name, box=segment_pb2.Box(left=left, top=top, right=right, bottom=bottom))


def main() -> None:
    """Entry point of ``heartwood``."""
    app()


if __name__ == "__main__":
    main()
