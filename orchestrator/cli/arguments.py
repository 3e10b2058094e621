"""Arguments that several commands share, the settings, and the conversion of argument values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from orchestrator.errors import InvalidInput
from orchestrator.settings import Settings

DEFAULT_OUT = Path("output")

optional = partial(typer.Option, show_default=False)
"""An option without a default, or whose help text states the default."""
existing_file = partial(typer.Argument, exists=True, dir_okay=False, show_default=False)
PHOTOS_HELP = "Photos of one piece of furniture: JPEG, PNG, WebP, HEIC, AVIF, TIFF or BMP."
MESH_HELP = "3D model: GLB, glTF (zip), FBX, OBJ (zip), STL, PLY or USDZ."

Photos = Annotated[list[Path], existing_file(help=PHOTOS_HELP, metavar="PHOTO…")]
MeshFile = Annotated[Path, existing_file(help=MESH_HELP, metavar="MODEL")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Preview = Annotated[bool, typer.Option("--preview", help="Low resolution, within seconds.")]
WebP = Annotated[bool, typer.Option("--webp", help="Write WebP instead of PNG.")]
Server = Annotated[str, optional(help="host:port of a running service. Default: the service on this machine.")]
Token = Annotated[str, optional(help="Bearer token for --server.", envvar="HEARTWOOD_TOKEN")]
StainName = Annotated[str, optional("--stain", help="A named stain; `heartwood stains` lists them.")]
StainColor = Annotated[str, optional("--color", help="Mean colour of the stained wood, '#RRGGBB'.")]
WidthM = Annotated[float, optional("--width-m", help="True width of the piece in metres.")]
HeightM = Annotated[float, optional("--height-m", help="True height of the piece in metres.")]
DepthM = Annotated[float, optional("--depth-m", help="True depth of the piece in metres.")]


def read_settings(**changes: Any) -> Settings:
    """Read the settings. ``changes`` override them by name. Raises InvalidInput if a setting is invalid."""
    try:
        return Settings(**changes)
    except ValueError as error:
        lines = str(error).splitlines()
        if isinstance(error, ValidationError):  # omit the first line, which only counts errors, and links
            lines = [line for line in lines[1:] if "errors.pydantic.dev" not in line]
        raise InvalidInput("settings", " ".join(line.strip() for line in lines)) from None


def enum_values(enum: Any) -> dict[str, Any]:
    """Return the values of a protobuf enum by their CLI names: without prefix, in lower case, without UNSPECIFIED."""
    unspecified, *values = enum.DESCRIPTOR.values
    prefix = unspecified.name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower(): value.number for value in values}


def choice(option: str, value: str, allowed: Mapping[str, Any]) -> Any:
    """Return the entry of ``allowed`` that the user named. Raises InvalidInput if the name is unknown."""
    if value not in allowed:
        raise InvalidInput(option, f"{value!r} is unknown; allowed values are {', '.join(allowed)}")
    return allowed[value]


def choices(option: str, text: str, allowed: Mapping[str, Any]) -> list[Any]:
    """Return the entries of ``allowed`` that a comma-separated list names. Raises InvalidInput like ``choice``."""
    names = (name.strip().lower() for name in text.split(","))
    return [choice(option, name, allowed) for name in names if name]
