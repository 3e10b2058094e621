"""``heartwood render``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli.arguments import (
    DEFAULT_OUT,
    MeshFile,
    Out,
    Preview,
    Server,
    Token,
    choice,
    choices,
    enum_values,
    read_settings,
)
from orchestrator.cli.downloads import download, file_name
from orchestrator.cli.session import connect, follow, quality, upload
from orchestrator.cli.terminal import facts_table, file_size, print_results
from orchestrator.client.client import Heartwood
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import asset_pb2, render_pb2

FOLDER = "turntable"
BACKGROUNDS = enum_values(render_pb2.Background)
VIDEO_FORMATS = enum_values(render_pb2.VideoFormat)

Frames = Annotated[int, typer.Option(help="Frames of one turn: 12, 24, 36 or 72.")]
Resolution = Annotated[str, typer.Option(help="Width and height in pixels.", metavar="WIDTHxHEIGHT")]


def render(
    model: MeshFile,
    out: Out = DEFAULT_OUT,
    frames: Frames = 36,
    resolution: Resolution = "1920x1080",
    background: Annotated[str, typer.Option(help=f"{' or '.join(BACKGROUNDS)}.")] = "studio",
    formats: Annotated[str, typer.Option(help="Comma-separated video formats.")] = ",".join(VIDEO_FORMATS),
    keep_frames: Annotated[bool, typer.Option("--keep-frames", help="Also save the frames as PNG.")] = False,
    elevation: Annotated[float, typer.Option(help="Downward angle of the camera in degrees, -30 to 80.")] = 15.0,
    seconds: Annotated[float, typer.Option(help="Duration of one turn in seconds.")] = 6.0,
    stain: Annotated[
        str, typer.Option(help="The texture_id of a stain job; replaces the wood of the model.", show_default=False)
    ] = "",
    stain_width_m: Annotated[float, typer.Option(help="True width of what the stained photo shows, in metres.")] = 0.6,
    material: Annotated[
        list[str] | None,
        typer.Option(help="Material of the model to replace. Repeatable. Default: the largest.", show_default=False),
    ] = None,
    preview: Preview = False,
    server: Server = "",
    token: Token = "",
) -> None:
    """Render a turntable of a 3D model.

    Saves MP4, WebM, GIF, thumbnails and a contact sheet.
    """
    width, height = parse_resolution(resolution)
    options = render_pb2.RenderOptions(
        frames=frames,
        width=width,
        height=height,
        background=choice("--background", background, BACKGROUNDS),
        formats=choices("--formats", formats, VIDEO_FORMATS),
        keep_frames=keep_frames,
        elevation_deg=elevation,
        seconds=seconds,
    )
    if stain:
        texture = render_pb2.WoodTexture(texture_id=stain, width_m=stain_width_m, materials=material or [])
        options.texture.CopyFrom(texture)
    with connect(read_settings(), server, token) as client:
        model_id = upload(client, [model], asset_pb2.ASSET_KIND_MODEL)
        job = client.render(model_id, options, quality=quality(preview))
        result = follow(client, job.id, "render").render
        save(client, result, out)
    print_results(table(result), out)


def save(client: Heartwood, result: render_pb2.RenderResult, folder: Path) -> None:
    """Download the videos and images; the frames go into the folder ``frames``."""
    download(client, _files(result), folder)
    download(client, result.frames, folder / "frames")


def table(result: render_pb2.RenderResult) -> Table:
    """Return the files and their sizes."""
    facts = facts_table("turntable", f"{result.width} × {result.height}")
    for asset in _files(result):
        facts.add_row(file_name(asset), file_size(asset.size_bytes))
    return facts


def parse_resolution(text: str) -> tuple[int, int]:
    """Parse "WIDTHxHEIGHT".

    Raises:
        InvalidInput: the text has another form.
    """
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InvalidInput("--resolution", f"{text!r} is invalid; write WIDTHxHEIGHT, such as 1920x1080")
    return int(width), int(height)


def _files(result: render_pb2.RenderResult) -> list[asset_pb2.Asset]:
    assets = (result.mp4, result.webm, result.gif, result.contact_sheet, *result.thumbnails)
    return [asset for asset in assets if asset.id]
