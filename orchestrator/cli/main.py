"""The command line, ``heartwood``. The commands are in ``commands.py``."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from orchestrator.cli.commands import COMMANDS


class LazyGroup(TyperGroup):
    """A group that imports the module of a command only to run the command or to show its own help page."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name=name, help=command.summary) for name, command in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, placeholder, arguments = super().resolve_command(ctx, args)
        return name, load(name) if name else placeholder, arguments

    def invoke(self, ctx: Any) -> Any:
        from orchestrator.cli.terminal import one_line_errors

        with one_line_errors():
            return super().invoke(ctx)


app = typer.Typer(
    cls=LazyGroup,
    name="heartwood",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@app.callback()
def heartwood() -> None:
    """Turn photos of furniture into masks, PBR maps, other wood stains, 3D models, turntables and their files."""


def load(name: str) -> Any:
    """Import a command of the table and return it as a click command."""
    target = COMMANDS[name].load()
    if isinstance(target, typer.Typer):
        return typer.main.get_group(target)
    command = typer.Typer(add_completion=False, rich_markup_mode="rich")
    command.command(name)(target)
    return typer.main.get_command(command)


def main() -> None:
    """Entry point of ``heartwood``."""
    app()
