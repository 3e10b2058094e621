"""The table of all commands. A command's module is imported only when the command runs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Command:
    """One command, or one group of commands.

    Attributes:
        target: "MODULE:ATTRIBUTE" in this package. The attribute is a function, or a ``typer.Typer`` for a group.
        summary: one line for ``heartwood --help``; the same as the first line of the help page of the command.
    """

    target: str
    summary: str

    def module(self) -> ModuleType:
        """Import the module of the command."""
        return import_module(f"orchestrator.cli.{self.target.partition(':')[0]}")

    def load(self) -> Any:
        """Import the module of the command and return the function or the ``typer.Typer``."""
        return getattr(self.module(), self.target.partition(":")[2])


COMMANDS = {
    "run": Command("run:run", "Make masks, stain, 3D model, turntable and files in one job."),
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
    "models": Command("models:app", "List, deploy and promote versions of the served models."),
    "bench": Command("bench:app", "Measure the latency and throughput of the served models."),
    "up": Command("service:up", "Run the service until Ctrl-C."),
    "triton": Command("service:triton", "Run only Triton, with the models of Heartwood, until Ctrl-C."),
    "token": Command("service:token", "Create a bearer token for a tenant and print it."),
    "doctor": Command("doctor:doctor", "Check what is installed and what is missing."),
}
"""In the order of ``heartwood --help``. The name of a stage's command is the name of its field in the protos."""
