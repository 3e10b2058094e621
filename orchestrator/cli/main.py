"""The command line, ``heartwood``: the table of commands, and the group that runs them."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from orchestrator.errors import HeartwoodError

EXIT_FAILED = 1
EXIT_INVALID_INPUT = 2


class Command(NamedTuple):
    """One command, or one group of commands."""

    target: str  # MODULE:ATTRIBUTE in this package; the attribute is a function, or a typer.Typer for a group
    summary: str  # the first line of the command's help page, for heartwood --help


COMMANDS = {
    "run": Command("run:run", "Make masks, stained photos, a 3D model, a turntable and export files in one job."),
    "segment": Command("segment:segment", "Find the parts and the wood in photos."),
    "stain": Command("stain:stain", "Stain the wood in photos, and make its PBR maps."),
    "cutout": Command("cutout:cutout", "Cut the piece out of photos, with its contact shadow."),
    "reconstruct": Command("reconstruct:reconstruct", "Make a 3D model from photos."),
    "render": Command("render:render", "Render a turntable of a 3D model."),
    "export": Command("export:export", "Convert a 3D model to other file formats."),
    "inspect": Command("inspect:inspect", "Show what the file of a 3D model contains."),
    "demo": Command("demo:demo", "Process the demo photos."),
    "stains": Command("stains:stains", "List the named stains."),
    "jobs": Command("jobs:app", "List, watch and cancel jobs."),
    "webhooks": Command("webhooks:app", "List and repeat webhooks, and manage the secret that signs them."),
    "models": Command("models:app", "List, deploy and promote versions of the served models."),
    "bench": Command("bench:app", "Measure the latency and throughput of the served models."),
    "up": Command("service:up", "Run the service until Ctrl-C."),
    "triton": Command("service:triton", "Run only Triton, with the models of Heartwood, until Ctrl-C."),
    "usage": Command("usage:usage", "Show the quotas of your tenant and what it uses."),
    "token": Command("token:app", "Create, list, rotate and revoke tokens."),
    "backup": Command("backup:app", "Back up the service, and check backups."),
    "restore": Command("backup:restore", "Restore a backup into the databases and the object store of the settings."),
    "tenant": Command("tenant:app", "Show and change the limits and the retention of tenants, and delete tenants."),
    "storage": Command("storage:app", "Check the stored files."),
    "doctor": Command("doctor:doctor", "Check what is installed and what is missing."),
}
"""In the order of ``heartwood --help``."""


class LazyGroup(TyperGroup):
    """A group that imports the module of a command only when the command runs or shows its help page."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # Placeholders with the help text only; ``resolve_command`` replaces the one that runs.
        self.commands = {name: TyperCommand(name=name, help=command.summary) for name, command in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, arguments = super().resolve_command(ctx, args)
        return name, (load(name) if name else command), arguments

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except HeartwoodError as error:
            from orchestrator.cli.terminal import print_error

            print_error(error)
            raise typer.Exit(EXIT_INVALID_INPUT if getattr(error, "field", "") else EXIT_FAILED) from None


app = typer.Typer(
    cls=LazyGroup,
    name="heartwood",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@app.callback()
def heartwood(
    config: Annotated[
        Path | None,
        typer.Option(help="Settings file. Default: ~/.config/heartwood/heartwood.toml.", show_default=False),
    ] = None,
) -> None:
    """Turn photos of furniture into masks, PBR maps, stained photos, 3D models, turntables and export files."""
    if config is not None:
        from orchestrator.settings import CONFIG_VARIABLE

        os.environ[CONFIG_VARIABLE] = str(config.resolve())  # for this process and the service that it may start


def load(name: str) -> Any:
    """Import a command of the table and return it as a click command."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    target = getattr(import_module(f"orchestrator.cli.{module}"), attribute)
    if isinstance(target, typer.Typer):
        return typer.main.get_group(target)
    command = typer.Typer(add_completion=False, rich_markup_mode="rich")
    command.command(name)(target)
    return typer.main.get_command(command)


def main() -> None:
    """Entry point of ``heartwood``."""
    app()
