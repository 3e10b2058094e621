"""The commands that look at the models' versions and replace them: ``heartwood models …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table
from rich.text import Text

from orchestrator.cli.arguments import Server, Token, enum_values, read_settings
from orchestrator.cli.session import connect
from orchestrator.cli.terminal import console, progress_bar
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import model_pb2

HELP = """Look at the models' versions, and replace the one that serves while requests go on.

A candidate is loaded beside the version that serves, warmed up, and held against golden inputs and, with --shadow,
against live requests. One that fails never serves, and is told why. The version before stays loaded until `retire`.

[bold]heartwood models deploy segmentation new/2[/] checks new/2/model.onnx, then lets it serve.

[bold]heartwood models status segmentation[/] shows what serves, what is ready, and what failed and why.

[bold]heartwood models rollback segmentation[/] lets the version before serve again, at once."""

STATES = {number: name for name, number in enum_values(model_pb2.ModelVersionState).items()}
VERDICTS = {number: name for name, number in enum_values(model_pb2.ModelVerdict).items()}
STYLES = {"serving": "green", "ready": "cyan", "checking": "yellow", "failed": "red", "retired": "dim"}

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="rich")

Model = Annotated[str, typer.Argument(help="segmentation, intrinsic_decomposition or surface_estimation.")]
Version = Annotated[int, typer.Argument(help="The version's number.", min=1)]


@app.command("list")
def list_models(server: Server = "", token: Token = "") -> None:
    """List the models: which version serves, and what a rollback would go to."""
    with connect(read_settings(), server, token) as client:
        found = client.models.list()
    table = Table("model", "serves", "rollback to", "ready", "changed", "by", box=None, header_style="bold")
    for model in found:
        ready = [str(one.version) for one in model.versions if STATES[one.state] == "ready"]
        changed = _at(model.change_time) if model.revision else "never"
        rollback_to = str(model.rollback_version or "–")
        table.add_row(model.name, str(model.serving_version), rollback_to, ", ".join(ready), changed, model.operator)
    console.print(table)


@app.command()
def status(model: Model, server: Server = "", token: Token = "") -> None:
    """Show a model's versions, what was found of each, and why one failed."""
    with connect(read_settings(), server, token) as client:
        _show(client.models.status(model))


@app.command()
def deploy(
    model: Model,
    candidate: Annotated[
        Path,
        typer.Argument(
            help="An ONNX file, or a folder with model.onnx and, if it has one, evaluation.json.", show_default=False
        ),
    ],
    version: Annotated[
        int, typer.Option(help="Its number; default: the folder's name where that is one, else the next.")
    ] = 0,
    promote: Annotated[bool, typer.Option(help="Let it serve when it passes, or leave it ready.")] = True,
    accept_difference: Annotated[
        bool,
        typer.Option(
            "--accept-difference",
            help="Let it pass though it answers otherwise than the serving version and is not measured better.",
        ),
    ] = False,
    shadow: Annotated[
        float, typer.Option(help="Share of the live requests that it also gets, 0 to 1; its answers are only checked.")
    ] = 0.0,
    shadow_requests: Annotated[int, typer.Option(help="So many live requests must have been checked …")] = 50,
    shadow_timeout: Annotated[float, typer.Option(help="… in so many seconds.")] = 600.0,
    server: Server = "",
    token: Token = "",
) -> None:
    """Upload a candidate, check it beside the version that serves, and promote it when it passes. Ctrl-C ends it."""
    with connect(read_settings(), server, token) as client:
        with progress_bar() as bar:
            task = bar.add_task(f"deploy {model}", total=1.0, message="uploading")
            changed = client.models.deploy(
                model,
                candidate,
                version=version,
                promote=promote,
                accept_difference=accept_difference,
                shadow_share=shadow,
                shadow_requests=shadow_requests,
                shadow_timeout_s=shadow_timeout,
                told=lambda fraction, message: bar.update(task, completed=fraction, message=message),
            )
        _show(changed)


@app.command()
def promote(model: Model, version: Version, server: Server = "", token: Token = "") -> None:
    """Let a ready version serve: everywhere, at once, unless another operator was faster."""
    with connect(read_settings(), server, token) as client:
        _show(client.models.promote(model, version, _seen(client, model)))


@app.command()
def rollback(model: Model, server: Server = "", token: Token = "") -> None:
    """Let the version serve again that served before. A second rollback undoes the first."""
    with connect(read_settings(), server, token) as client:
        _show(client.models.rollback(model, _seen(client, model)))


@app.command()
def retire(model: Model, version: Version, server: Server = "", token: Token = "") -> None:
    """Unload a version that does not serve, and delete its file; its memory is free again."""
    with connect(read_settings(), server, token) as client:
        _show(client.models.retire(model, version))


def _seen(client: Heartwood, model: str) -> int:
    return client.models.status(model).revision


def _at(time: Timestamp) -> str:
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")


def _show(model: model_pb2.Model) -> None:
    back = f", a rollback goes to version {model.rollback_version}" if model.rollback_version else ""
    console.print(f"[bold]{model.name}[/]: version [green]{model.serving_version}[/] serves{back}")
    table = Table("version", "state", "deployed", "by", "found", box=None, header_style="bold")
    for one in model.versions:
        state = STATES[one.state]
        made = "in the repository" if one.in_repository else _at(one.create_time)
        table.add_row(str(one.version), Text(state, STYLES[state]), made, one.operator, one.reason or _found(one))
    console.print(table)


def _found(one: model_pb2.ModelVersion) -> str:
    if not one.HasField("report"):
        return ""
    report = one.report
    lines = [f"{VERDICTS[report.verdict].replace('_', ' ')}, held against version {report.against_version}"]
    lines.append(", ".join(f"{name} {value:.2%} off" for name, value in sorted(report.differences.items())))
    lines += [f"{at.side}²: {at.candidate_ms:.0f} ms, was {at.serving_ms:.0f} ms" for at in report.latencies]
    if report.HasField("shadow"):
        seen = report.shadow
        lines.append(f"{seen.requests} live requests: {seen.candidate_ms:.0f} ms, was {seen.serving_ms:.0f} ms")
    return "\n".join(lines)
