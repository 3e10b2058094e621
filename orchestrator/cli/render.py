"""``heartwood render``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli import arguments
from orchestrator.cli.session import add_files, connect, run_stage
from orchestrator.cli.terminal import facts_table
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import render_pb2

BACKGROUNDS = arguments.enum_values(render_pb2.Background)
VIDEO_FORMATS = arguments.enum_values(render_pb2.VideoFormat)
STAIN_HELP = "The texture_id of a stain job; replaces the wood of the model."
STAIN_WIDTH_HELP = "True width of what the stained photo shows, in metres."
MATERIAL_HELP = "Material of the model to replace. Repeatable. Default: the largest."

Frames = Annotated[int, typer.Option(help="Frames of one turn: 12, 24, 36 or 72.")]
Resolution = Annotated[str, typer.Option(help="Width and height in pixels.", metavar="WIDTHxHEIGHT")]


def render(
    model: arguments.MeshFile,
    out: arguments.Out = arguments.DEFAULT_OUT,
    frames: Frames = 36,
    resolution: Resolution = "1920x1080",
    background: Annotated[str, typer.Option(help=f"{' or '.join(BACKGROUNDS)}.")] = "studio",
    formats: Annotated[str, typer.Option(help="Comma-separated video formats.")] = ",".join(VIDEO_FORMATS),
    keep_frames: Annotated[bool, typer.Option("--keep-frames", help="Also save the frames as PNG.")] = False,
    elevation: Annotated[float, typer.Option(help="Downward angle of the camera in degrees, -30 to 80.")] = 15.0,
    seconds: Annotated[float, typer.Option(help="Duration of one turn in seconds.")] = 6.0,
    stain: Annotated[str, arguments.optional(help=STAIN_HELP)] = "",
    stain_width_m: Annotated[float, typer.Option(help=STAIN_WIDTH_HELP)] = 0.6,
    material: Annotated[list[str] | None, arguments.optional(help=MATERIAL_HELP)] = None,
    preview: arguments.Preview = False,
    server: arguments.Server = "",
    token: arguments.Token = "",
) -> None:
    """Render a turntable of a 3D model.

    Saves MP4, WebM, GIF, thumbnails and a contact sheet.
    """
    width, height = parse_resolution(resolution)
    texture = render_pb2.WoodTexture(texture_id=stain, width_m=stain_width_m, materials=material)
    options = render_pb2.RenderOptions(
        frames=frames,
        width=width,
        height=height,
        background=arguments.choice("--background", background, BACKGROUNDS),
        formats=arguments.choices("--formats", formats, VIDEO_FORMATS),
        keep_frames=keep_frames,
        elevation_deg=elevation,
        seconds=seconds,
        texture=texture if stain else None,
    )
    with connect(arguments.read_settings(), server, token) as client:
        run_stage(client, "render", [model], options, out, preview=preview)


def table(result: render_pb2.RenderResult) -> Table:
    """Return the files and their sizes."""
    facts = facts_table("turntable", f"{result.width} × {result.height}")
    add_files(facts, [result.mp4, result.webm, result.gif, result.contact_sheet, *result.thumbnails])
    return facts


def parse_resolution(text: str) -> tuple[int, int]:
    """Parse "WIDTHxHEIGHT". Raises InvalidInput if the text has another form."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InvalidInput("--resolution", f"{text!r} is invalid; write WIDTHxHEIGHT, such as 1920x1080")
    return int(width), int(height)
