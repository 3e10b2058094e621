"""What the commands of the command line share: their arguments, the settings, and files on their way to the service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.terminal import progress_bar
from orchestrator.client.client import Heartwood
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2
from orchestrator.settings import Settings, load

Photos = Annotated[list[Path], typer.Argument(help="Photos of one piece: JPEG, PNG, WebP or HEIC.", metavar="PHOTO…")]
Model = Annotated[
    Path, typer.Argument(help="GLB, glTF (zip), FBX, OBJ (zip), STL, PLY or USDZ.", metavar="MODEL", show_default=False)
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Server = Annotated[str, typer.Option(help="host:port of a running service; default: this machine's own.")]
Token = Annotated[str, typer.Option(help="Bearer token for --server.", envvar="HEARTWOOD_TOKEN")]
Preview = Annotated[bool, typer.Option("--preview", help="Small and coarse, in seconds.")]
WidthM = Annotated[float, typer.Option("--width-m", help="True width of the piece in metres.")]
HeightM = Annotated[float, typer.Option("--height-m", help="True height of the piece in metres.")]
DepthM = Annotated[float, typer.Option("--depth-m", help="True depth of the piece in metres.")]


def read_settings(**changes: object) -> Settings:
    """The settings, with ``changes`` on top.

    Raises:
        InvalidInput: one of them is not allowed.
    """
    try:
        return load(**changes)
    except ValueError as error:
        # pydantic's list of what was wrong, without its links
        lines = [line for line in str(error).splitlines()[1:] if "errors.pydantic.dev" not in line]
        raise InvalidInput("settings", " ".join(line.strip() for line in lines)) from None


def read_file(path: Path) -> bytes:
    """The bytes of a file that the caller named.

    Raises:
        InvalidInput: it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(str(path), f"it can't be read: {error.strerror}") from None


def upload(
    client: Heartwood,
    paths: list[Path],
    kind: asset_pb2.AssetKind.ValueType = asset_pb2.ASSET_KIND_PHOTO,
) -> str:
    """Upload files as one upload, with a bar; return its id."""
    upload_id = ""
    files = [(path, read_file(path)) for path in paths]
    with progress_bar() as bar:
        task = bar.add_task("upload", total=sum(len(data) for _, data in files), message="")
        for path, data in files:
            bar.update(task, message=path.name)
            asset = client.upload_bytes(
                data, path.name, upload_id=upload_id, kind=kind, sent=lambda size: bar.advance(task, size)
            )
            upload_id = asset.group_id
    return upload_id


def quality(preview: bool) -> job_pb2.Quality.ValueType:
    """What ``--preview`` asks for."""
    return job_pb2.QUALITY_PREVIEW if preview else job_pb2.QUALITY_FINAL


def one_of(option: str, value: str, known: Mapping[str, int]) -> Any:
    """The proto's number of a word.

    Raises:
        InvalidInput: the word is not known.
    """
    if value not in known:
        raise InvalidInput(option, f"{value!r} is not known; allowed are {', '.join(known)}")
    return known[value]


def words(enum: object, prefix: str) -> dict[str, int]:
    """The words of a proto's enum, in lower case without their prefix, and their numbers; UNSPECIFIED is left out."""
    names: list[tuple[str, int]] = enum.items()  # type: ignore[attr-defined]
    return {name.removeprefix(prefix).lower(): number for name, number in names if number}
