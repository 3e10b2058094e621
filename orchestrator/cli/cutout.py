"""``heartwood cutout``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli import arguments
from orchestrator.cli.session import connect, run_stage
from orchestrator.cli.terminal import plain_table
from orchestrator.protocol.heartwood.v1 import cutout_pb2

MARGIN_HELP = "Space around the trimmed piece, as a share of its longer side, 0 to 0.5."


def cutout(
    photos: arguments.Photos,
    out: arguments.Out = arguments.DEFAULT_OUT,
    background: Annotated[str, arguments.optional(help="Background colour, '#RRGGBB'. Default: transparent.")] = "",
    no_trim: Annotated[bool, typer.Option("--no-trim", help="Keep the frame of the photo.")] = False,
    margin: Annotated[float, typer.Option(help=MARGIN_HELP)] = 0.02,
    no_shadow: Annotated[bool, typer.Option("--no-shadow", help="Leave out the contact shadow.")] = False,
    webp: arguments.WebP = False,
    preview: arguments.Preview = False,
    server: arguments.Server = "",
    token: arguments.Token = "",
) -> None:
    """Cut the piece out of photos, with its contact shadow.

    The background is transparent, or has the colour --background. Saves the contact shadow as a separate image.
    """
    file_format = cutout_pb2.CUTOUT_FORMAT_WEBP if webp else cutout_pb2.CUTOUT_FORMAT_PNG
    options = cutout_pb2.CutoutOptions(
        format=file_format, trim=not no_trim, margin=margin, background=background, shadow=not no_shadow
    )
    with connect(arguments.read_settings(), server, token) as client:
        run_stage(client, "cutout", photos, options, out, preview=preview)


def table(result: cutout_pb2.CutoutResult) -> Table:
    """Return the size of each image and the share of the photo that the piece covers."""
    rows = plain_table("photo", "size", "piece", "shadow")
    for number, photo in enumerate(result.photos, 1):
        shadow = "yes" if photo.shadow.id else "no"
        rows.add_row(str(number), f"{photo.width} × {photo.height}", f"{photo.piece_share:.0%}", shadow)
    return rows
