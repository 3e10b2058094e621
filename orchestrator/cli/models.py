"""``heartwood models``."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from orchestrator.cli.arguments import Server, Token, enum_values, read_settings
from orchestrator.cli.session import connect, format_time
from orchestrator.cli.terminal import console, plain_table, progress_bar
from orchestrator.domain.model_roles import ROLE_MODELS
from orchestrator.errors import FailedPrecondition
from orchestrator.protocol.heartwood.v1 import model_pb2

HELP = """List, deploy and promote versions of the served models.

A new version is uploaded as a candidate. It is loaded on a Triton of its own, warmed up, and compared with the serving
version on golden inputs and, with --shadow, on live requests. A candidate that fails a check never serves, and its
status contains the reason. The replaced version stays loaded until it is retired.

[bold]heartwood models deploy segmentation new/2[/] checks new/2/model.onnx and promotes it if it passes.

[bold]heartwood models status segmentation[/] shows all versions, and why a version failed.

[bold]heartwood models rollback segmentation[/] makes the previous version serve again.

[bold]heartwood models pull recommended[/] downloads larger public models, which the stages then use by role."""

STATES = {number: name for name, number in enum_values(model_pb2.ModelVersionState).items()}
VERDICTS = {number: name.replace("_", " ") for name, number in enum_values(model_pb2.ModelVerdict).items()}
STATE_STYLES = {"serving": "green", "ready": "cyan", "checking": "yellow", "failed": "red", "retired": "dim"}

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="rich")

MODEL_HELP = (
    f"segmentation, intrinsic_decomposition, surface_estimation, or {', '.join(ROLE_MODELS.values())} if pulled."
)
ModelName = Annotated[str, typer.Argument(help=MODEL_HELP, metavar="MODEL")]
Version = Annotated[int, typer.Argument(help="Version number.", min=1)]
CANDIDATE_HELP = "An ONNX file, or a folder with model.onnx and optionally evaluation.json."
VERSION_HELP = "Version number. Default: the name of the folder if it is a number, otherwise the next number."
ACCEPT_HELP = "Accept outputs that differ from the serving version without an evaluation that shows better figures."
PULL_HELP = "recommended, light, or single models. Without a name, all are listed."
PULL_OUT_HELP = "Model repository to write to. Default: the setting pulled_models."
PULL_MODULE = "export_models.pull"
"""Converts models. It runs in a child process, because it needs torch, which the commands and the service do not."""
SHADOW_HELP = "Share of live requests, 0 to 1, that are also sent to the candidate for comparison."


@app.command("list")
def list_models(server: Server = "", token: Token = "") -> None:
    """List the models with their serving versions and their rollback versions."""
    with connect(read_settings(), server, token) as client:
        models = client.models.list()
    table = plain_table("model", "serving", "rollback to", "ready", "changed", "by")
    for model in models:
        ready = [str(version.version) for version in model.versions if STATES[version.state] == "ready"]
        changed = format_time(model.change_time) if model.revision else "never"
        rollback_to = str(model.rollback_version or "–")
        table.add_row(model.name, str(model.serving_version), rollback_to, ", ".join(ready), changed, model.operator)
    console.print(table)


@app.command()
def status(model: ModelName, server: Server = "", token: Token = "") -> None:
    """Show all versions of a model with their check results."""
    with connect(read_settings(), server, token) as client:
        _print_model(client.models.status(model))


@app.command()
def deploy(
    model: ModelName,
    candidate: Annotated[Path, typer.Argument(help=CANDIDATE_HELP, show_default=False)],
    version: Annotated[int, typer.Option(help=VERSION_HELP, show_default=False)] = 0,
    promote: Annotated[bool, typer.Option(help="Promote the candidate if it passes the checks.")] = True,
    accept_difference: Annotated[bool, typer.Option("--accept-difference", help=ACCEPT_HELP)] = False,
    shadow: Annotated[float, typer.Option(help=SHADOW_HELP)] = 0.0,
    shadow_requests: Annotated[int, typer.Option(help="Number of live requests that the candidate must answer.")] = 50,
    shadow_timeout: Annotated[float, typer.Option(help="Time limit for these requests, in seconds.")] = 600.0,
    server: Server = "",
    token: Token = "",
) -> None:
    """Upload a candidate, check it on a separate Triton, and promote it if it passes.

    Ctrl-C ends the check.
    """
    with connect(read_settings(), server, token) as client:
        with progress_bar() as bar:
            task = bar.add_task(f"deploy {model}", total=1.0, message="uploading")
            deployed = client.models.deploy(
                model,
                candidate,
                version=version,
                promote=promote,
                accept_difference=accept_difference,
                shadow_share=shadow,
                shadow_requests=shadow_requests,
                shadow_timeout_s=shadow_timeout,
                on_progress=lambda fraction, message: bar.update(task, completed=fraction, message=message),
            )
        _print_model(deployed)


@app.command()
def promote(model: ModelName, version: Version, server: Server = "", token: Token = "") -> None:
    """Make a ready version serve.

    Fails without a change if another operator changes the model at the same time.
    """
    with connect(read_settings(), server, token) as client:
        revision = client.models.status(model).revision
        _print_model(client.models.promote(model, version, revision))


@app.command()
def rollback(model: ModelName, server: Server = "", token: Token = "") -> None:
    """Make the previous version serve again. A second rollback undoes the first."""
    with connect(read_settings(), server, token) as client:
        revision = client.models.status(model).revision
        _print_model(client.models.rollback(model, revision))


@app.command()
def retire(model: ModelName, version: Version, server: Server = "", token: Token = "") -> None:
    """Unload a version that does not serve, and delete its file. Frees its memory."""
    with connect(read_settings(), server, token) as client:
        _print_model(client.models.retire(model, version))


@app.command()
def pull(
    names: Annotated[list[str] | None, typer.Argument(help=PULL_HELP, show_default=False, metavar="[NAME…]")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Describe all models. Nothing is downloaded.")] = False,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Confirm that you read the licences.")
    ] = False,
    file: Annotated[Path | None, typer.Option(help="Local copy of the checkpoint, instead of a download.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done.")] = False,
    out: Annotated[Path | None, typer.Option(help=PULL_OUT_HELP, show_default=False)] = None,
) -> None:
    """Download larger public models, and convert them for Triton. Heartwood runs without these models.

    Shows the role, licence, size, memory and time of each model first. Restart the service to load the models.

    [bold]heartwood models pull recommended --accept-licence[/] pulls the best model for each role.

    [bold]heartwood models pull light --accept-licence[/] pulls the fastest one for each role.
    """
    if importlib.util.find_spec(PULL_MODULE) is None:
        raise FailedPrecondition(
            f"{PULL_MODULE} is not installed; install Heartwood again, from its wheel or a checkout"
        )
    options: list[str | Path] = ["--out", out or read_settings().pulled_repository]
    options += ["--list"] if list_all else []
    options += ["--accept-licence"] if accept_licence else []
    options += ["--file", file] if file else []
    options += ["--dry-run"] if dry_run else []
    completed = subprocess.run([sys.executable, "-P", "-m", PULL_MODULE, *(names or []), *options], check=False)
    if completed.returncode:
        raise typer.Exit(completed.returncode)


def _print_model(model: model_pb2.Model) -> None:
    rollback_version = f", rollback to version {model.rollback_version}" if model.rollback_version else ""
    console.print(f"[bold]{model.name}[/]: version [green]{model.serving_version}[/] serves{rollback_version}")
    table = plain_table("version", "state", "deployed", "by", "check results")
    for version in model.versions:
        state = STATES[version.state]
        deployed = "in the repository" if version.in_repository else format_time(version.create_time)
        results = Text(version.reason or _format_report(version))
        table.add_row(str(version.version), Text(state, STATE_STYLES[state]), deployed, version.operator, results)
    console.print(table)


def _format_report(version: model_pb2.ModelVersion) -> str:
    """Return the check results of a version as lines of text, or an empty string if it was not checked."""
    if not version.HasField("report"):
        return ""
    report = version.report
    against = f"version {report.against_version}"
    differences = ", ".join(f"{name} {value:.2%}" for name, value in sorted(report.differences.items()))
    lines = [f"{VERDICTS[report.verdict]}, compared with {against}", f"mean difference: {differences}"]
    timed: list[tuple[str, Any]] = [(f"{latency.side}²", latency) for latency in report.latencies]
    if report.HasField("shadow"):
        timed.append((f"{report.shadow.requests} live requests", report.shadow))
    lines += [f"{name}: {item.candidate_ms:.0f} ms ({against}: {item.serving_ms:.0f} ms)" for name, item in timed]
    return "\n".join(lines)
